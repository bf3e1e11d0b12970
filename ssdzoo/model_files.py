"""What all kinds of models share."""

import hashlib
from pathlib import Path
from typing import Any

from ssdzoo.anchors.levels import Level
from ssdzoo.errors import CallError
from ssdzoo.files import file_hash
from ssdzoo.formats.weights_file import open_weights


class ModelFiles:
    """What a model is read from, and what can be made of it. Each kind has, besides:

    Attributes:
        model: str, as the user named it.
        name: str, what files that are made from it are called.
        preset: Preset, with the classes, and the mean and std of the input.
        files: list of the files that it is read from, the weights first.
    """

    model: str

    @property
    def files(self) -> list[Path]:
        raise NotImplementedError

    @property
    def has_weights(self) -> bool:
        return True

    def located(self) -> Any:
        """The same with the files of its weights, where a preset's published ones are still to be found. Weights of another
        project bring the mean and std of their pixels with them.

        Raises:
            WeightsError: there are none.
        """
        return self

    def network(self, ctx: Any = None) -> Any:
        """The SSD with its weights on `ctx`, hybridized, for pixels of the preset's mean and std.

        Raises:
            CallError: an exported model, which holds a graph and no network.
            WeightsError: missing or wrong weights.
        """
        raise self._no_network()

    def levels(self) -> list[Level]:
        """The anchors of each feature map: those of the weights, or else those of the preset.

        Raises:
            CallError, WeightsError: as `network`.
        """
        raise self._no_network()

    def _no_network(self) -> CallError:
        return CallError(f"{self.model} is an exported model: name the run, the table or the preset that it was made from")

    def digest(self, *more: str) -> str:
        """SHA-256, hexadecimal, of the contents of its files and of `more`."""
        digest = hashlib.sha256("\n".join(more).encode())
        for file in self.files:
            open_weights(file).close()  # before a file without an end, or of 40 GB, is read for its hash
            digest.update(bytes.fromhex(file_hash(file)))
        return digest.hexdigest()
