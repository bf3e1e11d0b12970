"""The stages of a backbone, which `freeze` counts."""

from typing import NamedTuple


class Use(NamedTuple):
    """That a layer of the backbone uses a parameter of this name. `area` is H * W of what the layer gives."""

    area: int
    name: str
    convolves: bool


def stages_of(uses: list[Use]) -> list[list[str]]:
    """Names of the parameters of a backbone, stage by stage from the input: a stage is what works at one resolution.

    So the stages of a ResNet are its stem and its four groups, and those of VGG-16 end before its poolings (its dilated
    convolutions belong to the fifth).

    Args:
        uses: of the backbone's parameters, from the input on.
    """
    areas = sorted({use.area for use in uses if use.convolves}, reverse=True)
    # A norm of the input or between two stages goes with the convolutions of its own resolution, or else with the next ones.
    return [[use.name for use in uses if next(a for a in areas if a <= use.area) == stage] for stage in areas]
