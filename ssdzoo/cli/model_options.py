"""MODEL and the options that say more of it: which weights, how its input is normalized, its classes, its NMS."""

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional, get_args

from ssdzoo.cli.option_groups import grouped
from ssdzoo.cli.options import (
    MODEL,
    Classes,
    Mean,
    Model,
    Std,
    Suppress,
    Weights,
    argument,
    in_panel,
    number_option,
    option,
    suppress_option,
)

if TYPE_CHECKING:
    from ssdzoo.measure.certificate import Side
    from ssdzoo.model_source import ModelSource
    from ssdzoo.predict.views import Views

_MEAN = "Mean of red, green and blue in 0..1, or in pixels 0..255, where {} is an exported model that does not state it."
_STD = "Standard deviation in the unit of the mean, likewise."
_WEIGHTS = "Parameter file, where {} is a preset."
_BACKEND = "mxnet, onnxruntime, openvino, torch, or auto, the fastest that is installed."
_PRECISION = "Number format of openvino and torch (f16: torch alone)."
_PANEL = "The model"


@dataclass(frozen=True)
class ModelChoice:
    """What a verb was told of a model; see `ssdzoo.model_source.resolve`."""

    model: str
    weights: Path | None = None
    mean: tuple | None = None
    std: tuple | None = None
    classes: list[str] | None = None
    suppress: str | None = None

    def resolve(self) -> "ModelSource":
        """The model, which is not read yet."""
        from ssdzoo.model_source import resolve

        return resolve(self.model, **self.given)

    @property
    def given(self) -> dict[str, Any]:
        """The arguments of `resolve` and of `ssdzoo.load` besides the model."""
        return {name: value for name, value in vars(self).items() if name != "model"}


def _choice(
    model: Model,
    weights: Annotated[Optional[Path], in_panel(Weights, _PANEL)] = None,
    mean: Annotated[Optional[Any], in_panel(Mean, _PANEL)] = None,
    std: Annotated[Optional[Any], in_panel(Std, _PANEL)] = None,
    classes: Annotated[Optional[Any], in_panel(Classes, _PANEL)] = None,
    suppress: Annotated[Optional[str], in_panel(Suppress, _PANEL)] = None,
) -> ModelChoice:
    return ModelChoice(model, weights, mean, std, classes, suppress)


def with_model(name: str, envvar: str | None = None) -> Any:
    """A decorator that gives a verb the argument MODEL with its options in the place of its argument `name`, a ModelChoice.

    Args:
        envvar: an environment variable that names the model where the command line does not.
    """
    options = dict(inspect.signature(_choice).parameters)
    if envvar:
        options["model"] = options["model"].replace(annotation=Annotated[str, argument(MODEL, envvar=envvar)])
    return grouped(name, options.values(), _choice)


@dataclass(frozen=True)
class SideChoice:
    """What `ssdzoo compare` was told of one of its two models, and of what runs it. The model is None where it was not named."""

    model: str | None
    backend: str | None
    precision: str
    weights: Path | None
    mean: tuple | None
    std: tuple | None
    suppress: str | None

    def load(self, devices: list | None, views: "Views | None") -> "Side":
        """The model with its backend, for images seen in these views."""
        from ssdzoo.measure.certificate import open_side
        from ssdzoo.model_source import resolve

        assert self.model
        source = resolve(self.model, self.weights, self.mean, self.std, suppress=self.suppress)
        return open_side(source, self.backend, devices, self.precision, views)


def with_side(letter: str, model: Any) -> Any:
    """A decorator that gives a verb one of two models with its options in the place of its argument `side_LETTER`, a SideChoice.

    Args:
        letter: "a" or "b": the name of the model, and the end of the names of its options.
        model: the annotation of the model, as typer takes it.
    """
    side, panel = letter.upper(), f"Model {letter.upper()}"
    annotations = {
        "backend": Annotated[Optional[str], option(_BACKEND, panel=panel, show_default="mxnet; auto for an .onnx")],
        "precision": Annotated[str, option(_PRECISION, panel=panel, metavar="f32|bf16|f16")],
        "weights": Annotated[Optional[Path], option(_WEIGHTS.format(side), panel=panel, show_default=False)],
        "mean": Annotated[Optional[Any], number_option(_MEAN.format(side), panel)],
        "std": Annotated[Optional[Any], number_option(_STD, panel)],
        "suppress": Annotated[Optional[str], suppress_option(panel)],
    }
    kind = inspect.Parameter.KEYWORD_ONLY
    none = inspect.Parameter.empty if get_args(model)[0] is str else None
    options = [inspect.Parameter(letter, kind, default=none, annotation=model)]
    for name, annotation in annotations.items():
        default = "f32" if name == "precision" else None
        options.append(inspect.Parameter(f"{name}_{letter}", kind, default=default, annotation=annotation))
    return grouped(f"side_{letter}", options, SideChoice)
