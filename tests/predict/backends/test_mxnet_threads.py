"""How many threads mxnet's backend uses from pass to pass."""

import numpy as np

from ssdzoo.machine import cores
from ssdzoo.predict.backends import mxnet as backend
from tests.networks import small_network


def test_first_passes_use_all_cores(monkeypatch):
    """oneDNN in mxnet crashes where a layer that first ran with one thread runs with two."""
    used = []
    monkeypatch.setattr(backend, "set_threads", used.append)
    monkeypatch.setattr(backend, "free_threads", lambda: "free")
    run = backend.MXNetBackend(small_network())
    images = np.zeros((1, 3, 64, 64), np.float32)
    for _ in range(3):
        run(images)
    run(images[..., :32])
    for _ in range(3):
        run.head_outputs(images)
    assert used[::2] == [cores(), cores(), "free", cores(), cores(), cores(), "free"]
    assert used[1::2] == [cores()] * 7  # after each
    monkeypatch.setattr(backend, "free_threads", lambda: None)  # the user chose
    run(images)
    monkeypatch.setattr(backend, "free_threads", lambda: "free")
    backend.MXNetBackend(small_network(), steady=True)(images)
    assert len(used) == 14
