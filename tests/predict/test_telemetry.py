"""What runtimes tell their makers, and keep in the user's home: nothing, where ssdzoo loads them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import os, sys
from ssdzoo.machine import import_package
import_package(sys.argv[1], "")
print(os.environ["ORT_DISABLE_TELEMETRY"], "openvino_telemetry" in sys.modules)
"""


def loaded(package, home, **more):
    """What a process prints that loads a runtime, with an empty home."""
    usual = {key: value for key, value in os.environ.items() if key not in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")}
    environment = {**usual, "HOME": str(home), **more}
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", CODE, package]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("package", ["onnxruntime", "openvino"])
def test_a_runtime_keeps_no_record(package, tmp_path):
    pytest.importorskip(package, reason=f"needs the extra {package}")
    assert loaded(package, tmp_path) == "1 False"
    assert list(tmp_path.rglob("*")) == []


def test_the_users_own_choice_stays(tmp_path):
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    assert loaded("onnxruntime", tmp_path, ORT_DISABLE_TELEMETRY="0") == "0 False"
