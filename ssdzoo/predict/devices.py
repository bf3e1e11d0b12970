"""What a backend runs on: a list of GPUs as contexts of mxnet or devices of torch."""

from typing import Any

from ssdzoo.model_source import installed_backends
from ssdzoo.runtime import contexts, gpu_numbers, runs_on


def find_devices(gpus: str, backend: str | None) -> list[Any]:
    """Of a list of GPUs such as "0,1": devices such as "cuda:0" for torch, else contexts of mxnet.

    Args:
        gpus: see above.
        backend: of `ssdzoo.load`. "auto" is torch where it is installed and mxnet can't use these GPUs: its wheel has no CUDA, or
            no code for them.

    Raises:
        CallError: not a list of different numbers.
        SSDZooError: mxnet is to use these GPUs, and can't; says what can.
    """
    if backend == "torch" or (backend == "auto" and "torch" in installed_backends() and not runs_on(gpus)):
        return [f"cuda:{number}" for number in gpu_numbers(gpus)]
    return contexts(gpus)
