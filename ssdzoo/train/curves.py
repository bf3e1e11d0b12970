"""The columns of metrics.csv as curves for TensorBoard, written by the package tensorboardX."""

from pathlib import Path
from typing import Any

from ssdzoo.errors import CallError


class Curves:
    """Writes `tensorboard/` in a run folder.

    Args:
        folder: the run folder.

    Raises:
        CallError: tensorboardX is not installed.
    """

    def __init__(self, folder: Path):
        try:
            import tensorboardX
        except ImportError:
            raise CallError("tensorboard=True needs the package tensorboardX: pip install 'ssdzoo[tensorboard]'") from None
        self._package, self._folder = tensorboardX, Path(folder) / "tensorboard"
        self._writer: Any = None

    def add(self, row: dict) -> None:
        """Adds a row of metrics.csv. The first one hides what an interrupted training wrote from its epoch on."""
        if self._writer is None:
            self._writer = self._package.SummaryWriter(str(self._folder), purge_step=row["epoch"])
        for name, value in row.items():
            if name != "epoch" and value is not None:
                self._writer.add_scalar(name, value, row["epoch"])
        self._writer.flush()

    def close(self) -> None:
        if self._writer:
            self._writer.close()
