"""What may be given as the file of a backbone, checked without any framework."""

from pathlib import Path

from ssdzoo.errors import WeightsError
from ssdzoo.formats.network_params import read_network_params
from ssdzoo.weights.sources import find_source

_SUFFIXES = (".params", ".pth", ".safetensors", ".h5", ".onnx", ".npz")


def check_backbone_file(path: str | Path) -> None:
    """Before the data are read, what is no file of a backbone.

    Raises:
        WeightsError: a missing file, a run folder, or the parameter file of a detector.
    """
    path = Path(path)
    if path.suffix in _SUFFIXES and not path.exists() and not find_source(str(path)):
        raise WeightsError(f"base_weights={path}: no such file")
    if path.is_dir() or (path.suffix == ".params" and path.exists() and _is_detector(path)):
        raise WeightsError(f"base_weights={path}: holds a whole detector and not a backbone: start from it with weights={path}")


def _is_detector(path: Path) -> bool:
    return any(name.split(":")[-1].startswith(("class_predictors.", "ssd0_convpredictor")) for name in read_network_params(path))
