import json
import os
import stat
import subprocess
import sys

import pytest

from ssdzoo import doctor
from ssdzoo.cli import main


def by_name(findings):
    return {finding.what: finding for finding in findings}


def test_a_machine_on_which_these_tests_run_is_healthy(tmp_path):
    findings = by_name(doctor.examine(tmp_path))
    assert not [f for f in findings.values() if f.state == doctor.ERROR]
    assert findings["mxnet"].found.startswith("1.9.1 (mxnet") and findings["numpy"].found.startswith("1.")
    assert findings["published weights"].found.startswith(f"0 parameter files in {tmp_path}")
    assert findings["backbones"].found == (
        "0 of 15 are on this machine; the others cannot be downloaded, because SSDZOO_OFFLINE is set"
    )


def test_backbones_that_are_downloaded(tmp_path, monkeypatch):
    monkeypatch.delenv("SSDZOO_OFFLINE")
    (tmp_path / "mobilenet.caffemodel").write_bytes(bytes(17_027_058))
    found = by_name(doctor._weights(tmp_path))["backbones"]
    hosts = "download.pytorch.org, huggingface.co, storage.googleapis.com"
    assert (found.state, found.found) == ("ok", f"1 of 15 are on this machine; the others are downloaded from {hosts}")


def test_json(capsys):
    with pytest.raises(SystemExit) as exit:
        main(["doctor", "--json"])
    rows = json.loads(capsys.readouterr().out)
    assert exit.value.code == 0 and {"what", "state", "found", "remedy"} == set(rows[0]) and len(rows) > 10


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    def write(output, status=0):
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\nprintf '{output}'\nexit {status}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    return write


def test_gpus_and_what_mxnet_carries_for_them(nvidia_smi):
    nvidia_smi("0, NVIDIA L4, 8.9, 23034 MiB\\n1, NVIDIA H100 80GB HBM3, 9.0, 81559 MiB\\n")
    ada, hopper = doctor._gpus()
    assert (ada.what, ada.state, ada.found) == ("GPU 0", "ok", "NVIDIA L4, compute capability 8.9, 23034 MiB")
    assert hopper.state == "note" and "mxnet contains no code for it" in hopper.found and "onnxruntime-gpu" in hopper.remedy


def test_a_driver_that_fails(nvidia_smi):
    nvidia_smi("no driver", status=9)
    (finding,) = doctor._gpus()
    assert finding.state == "note" and "nvidia-smi failed" in finding.found


def test_what_is_missing_has_a_remedy(monkeypatch):
    monkeypatch.setattr(doctor, "package_version", lambda package: None)
    findings = by_name(doctor._packages())
    assert findings["onnxruntime"].remedy == "pip install 'ssdzoo[onnx]'"
    assert findings["gluoncv"].remedy == "pip install gluoncv==0.10.5.post0"
    monkeypatch.setattr(doctor, "package_version", lambda package: "1.9.1" if package.startswith("mxnet-cu") else None)
    (libraries,) = doctor._cuda_libraries()
    assert libraries.state == "error" and "libcudnn.so.8" in libraries.found and "nvidia-cudnn-cu11" in libraries.remedy
    (two,) = doctor._mxnet()
    assert two.state == "error" and "own the same module" in two.found


def test_threads_that_the_user_chose(monkeypatch):
    monkeypatch.delenv("MXNET_ENGINE_TYPE", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    (finding,) = doctor._threads()
    assert finding.state == "note" and "OMP_NUM_THREADS=3 is set" in finding.found and finding.remedy == "unset OMP_NUM_THREADS"


def test_an_mxnet_that_does_not_import(tmp_path):
    (tmp_path / "mxnet.py").write_text("raise ImportError('libgomp.so.1 is missing')")
    code = "from ssdzoo import doctor; f, = doctor._mxnet(); print(f.state, '|', f.found, '|', f.remedy)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}."}, capture_output=True, text=True
    )
    state, found, remedy = done.stdout.strip().split(" | ")
    assert state == "error" and "libgomp.so.1 is missing" in found and remedy == "apt install libgomp1 libquadmath0"
