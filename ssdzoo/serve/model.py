"""What a server says of its model."""

from ssdzoo.files import file_hash
from ssdzoo.machine import DETECTING, versions
from ssdzoo.model_source import ModelSource
from ssdzoo.predict.detector import Detector

_PACKAGES = (*DETECTING, "starlette", "uvicorn")


def describe(source: ModelSource, detector: Detector) -> dict:
    """For JSON: name, classes, size [height, width] of the network's input, backend, weights {file, sha256} and versions."""
    weights = source.located().files[0]
    return {
        "name": source.name,
        "classes": detector.names,
        "size": list(detector.size),
        "backend": detector.runtime,
        "weights": {"file": weights.name, "sha256": file_hash(weights)},
        "versions": {name: version for name, version in versions(_PACKAGES).items() if version},
    }
