import json
import os
import stat
import subprocess
import sys

import pytest

from ssdzoo import doctor, runtime
from ssdzoo.cli import main
from ssdzoo.errors import SSDZooError
from ssdzoo.predict import devices


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


ADA, HOPPER = "0, NVIDIA L4, 8.9, 23034 MiB\\n", "1, NVIDIA H100 80GB HBM3, 9.0, 81559 MiB\\n"
TORCH = "train with --engine torch, predict with --backend torch"


def test_which_engine_fits_a_gpu(nvidia_smi, monkeypatch):
    nvidia_smi(ADA + HOPPER)
    installed = {"mxnet-cu117": "1.9.1"}
    monkeypatch.setattr(doctor, "package_version", installed.get)
    ada, hopper = doctor._gpus()
    expected = "NVIDIA L4, compute capability 8.9, 23034 MiB: mxnet runs on it, and torch does"
    assert (ada.what, ada.state, ada.found) == ("GPU 0", "ok", expected)
    assert f"mxnet contains no code for it; {TORCH}; torch is not installed" in hopper.found
    assert hopper.remedy == "pip install 'ssdzoo[torch]'"
    installed.clear()
    installed["torch"] = "2.13.0"
    for codes, states, found in (
        ([], ["note", "note"], "this torch has no CUDA"),
        (["sm_80", "sm_90a"], ["ok", "ok"], f"{TORCH} --gpus 1"),
        (["sm_75", "sm_86"], ["ok", "note"], "this torch has code for sm_75, sm_86 alone"),
        (["sm_75", "compute_75"], ["ok", "ok"], f"{TORCH} --gpus 1"),
        (["sm_100", "compute_100"], ["note", "note"], "this torch has code for sm_100, compute_100 alone"),
    ):
        monkeypatch.setattr(doctor, "_torch_codes", lambda codes=codes: codes)
        ada, hopper = doctor._gpus()
        assert [ada.state, hopper.state] == states and hopper.found.endswith(found)
        assert "this mxnet has no CUDA" in ada.found and "mxnet contains no code for it" in hopper.found


def test_gpus_that_mxnet_cannot_use(nvidia_smi, monkeypatch):
    nvidia_smi(ADA + HOPPER)
    message = r"mxnet has no code for GPU 1 \(NVIDIA H100 80GB HBM3, compute capability 9.0\), only up to 8.9; on it, engine="
    with pytest.raises(SSDZooError, match=message):
        runtime.contexts("0,1")
    assert not runtime.runs_on("0")
    monkeypatch.setattr(runtime, "package_version", {"mxnet-cu117": "1.9.1"}.get)
    assert runtime.runs_on("0") and not runtime.runs_on("1") and not runtime.runs_on("0,1")


def test_numbers_are_those_that_cuda_gives(nvidia_smi, monkeypatch):
    """By the place on the bus, as nvidia-smi counts, and with CUDA_VISIBLE_DEVICES among those that it lists."""
    nvidia_smi(ADA + HOPPER)
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    monkeypatch.setattr(runtime, "package_version", {"mxnet-cu117": "1.9.1"}.get)
    for listed, new in ((None, [1]), ("1", [0]), ("1,0", [0]), ("0", []), ("", []), ("GPU-8f2e", [])):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed) if listed is not None else None
        found = [n for n in range(2) if runtime.too_new([n])]
        assert found == new and os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID", listed
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "FASTEST_FIRST")  # the user's own: which one is 0 is not known
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert runtime.too_new([0, 1]) is None and os.environ["CUDA_DEVICE_ORDER"] == "FASTEST_FIRST"


def test_auto_is_torch_on_gpus_that_mxnet_cannot_use(nvidia_smi, monkeypatch):
    nvidia_smi(HOPPER)
    monkeypatch.setattr(devices, "installed_backends", lambda: ["openvino", "mxnet", "torch"])
    assert devices.find_devices("1", "auto") == devices.find_devices("1", "torch") == ["cuda:1"]
    assert devices.find_devices("2,0", "torch") == ["cuda:2", "cuda:0"]
    for backend in (None, "mxnet", "onnxruntime"):
        with pytest.raises(SSDZooError, match="backend=torch predicts"):
            devices.find_devices("1", backend)
    monkeypatch.setattr(devices, "installed_backends", lambda: ["mxnet"])
    with pytest.raises(SSDZooError, match="backend=torch predicts"):
        devices.find_devices("1", "auto")


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
