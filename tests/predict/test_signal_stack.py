"""Ctrl-C after OpenVINO, whose plugin changes the alternate signal stack on which Python handles it."""

import ctypes
import subprocess
import sys

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("openvino", reason="needs the extra openvino")

from ssdzoo.machine import _SignalStack, kept_signal_stack
from ssdzoo.predict.backends.openvino import OpenVINOBackend


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    images, boxes = (onnx.helper.make_tensor_value_info(name, 1, [1, 3, 8, 8]) for name in ("images", "boxes"))
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["images"], ["boxes"])], "g", [images], [boxes])
    path = tmp_path_factory.mktemp("signals") / "x.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def signal_stack(new=None):
    before = _SignalStack()
    assert ctypes.CDLL(None).sigaltstack(new and ctypes.byref(new), ctypes.byref(before)) == 0
    return before.address, before.flags, before.size


@pytest.mark.parametrize("was_there", [True, False])
def test_the_stack_is_the_one_before(was_there):
    memory = ctypes.create_string_buffer(1 << 17)
    address = ctypes.addressof(memory)
    usual = _SignalStack(*signal_stack())
    try:
        signal_stack(_SignalStack(address, 0, 1 << 16) if was_there else _SignalStack(flags=2))
        before = signal_stack()
        with kept_signal_stack():
            signal_stack(_SignalStack(address + (1 << 16), 0, 1 << 16))
            assert signal_stack() == (address + (1 << 16), 0, 1 << 16)
        assert signal_stack() == before == ((address, 0, 1 << 16) if was_there else (None, 2, 0))
    finally:
        signal_stack(usual)


def test_openvino_leaves_no_stack_behind(model):
    before = signal_stack()
    backend = OpenVINOBackend(model, "f32")
    assert signal_stack() == before
    assert backend.run(np.ones((1, 3, 8, 8), np.float32))["boxes"].sum() == 192


INTERRUPTED = """
import signal, sys, threading
from ssdzoo.predict.backends.openvino import OpenVINOBackend
from tests.hostile import limits  # noqa: F401

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background process ignores it
for ends in ("in another thread", "in the order of their begin"):
    backends = [OpenVINOBackend(sys.argv[1], "f32") for _ in range(2)]
    if ends == "in another thread":
        thread = threading.Thread(target=backends.clear)
        thread.start()
        thread.join()
    else:
        del backends[0]
        del backends[0]
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        print("interrupted after OpenVINO ended", ends)
"""


def test_ctrl_c_after_openvino_has_ended(model):
    done = subprocess.run([sys.executable, "-c", INTERRUPTED, str(model)], capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines() == [
        "interrupted after OpenVINO ended in another thread",
        "interrupted after OpenVINO ended in the order of their begin",
    ]
    assert (done.returncode, done.stderr) == (0, "")
