"""Which backbones can start from trained weights, on this machine or from elsewhere."""

from pathlib import Path

from ssdzoo.errors import WeightsError
from ssdzoo.preset import Preset
from ssdzoo.train.backbone_file import check_backbone_file
from ssdzoo.train.settings import RANDOM


def fitting_presets(presets: list[Preset], base_weights: str | Path | None) -> list[Preset]:
    """The presets whose backbone a file fills; all of them where no file was named.

    Args:
        presets: with classes.
        base_weights: of `ssdzoo.fine_tune`.

    Raises:
        WeightsError: the file is missing, is no backbone's, or fits none of them.
    """
    if base_weights is None or str(base_weights) == RANDOM:
        return presets
    check_backbone_file(base_weights)
    fitting, reasons = [], []
    for preset in presets:
        try:
            start_weights(preset, base_weights)
            fitting.append(preset)
        except WeightsError as error:
            reasons.append(str(error))
    if not fitting:
        names = ", ".join(preset.backbone for preset in presets)
        raise WeightsError(f"{reasons[0]}; auto knows the backbones {names}: for another one name its model in the place of auto")
    return fitting


def start_weights(preset: Preset, base_weights: str | Path | None) -> str:
    """Where the weights of a preset's backbone come from; they are downloaded where they are not on this machine.

    Raises:
        WeightsError: there are none, or they do not fit.
    """
    from ssdzoo.train.mxnet.starting_weights import start_preset  # mxnet, which engine=torch does without

    return start_preset(preset, base_weights)[1]
