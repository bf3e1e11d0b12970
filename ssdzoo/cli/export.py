"""`ssdzoo export`: a model for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from ssdzoo.cli.options import Gpus, Model, Weights, prepare
from ssdzoo.errors import CallError


def export(
    model: Model,
    out: Annotated[Path, typer.Option(help="Folder for the files.", show_default=False)],
    format: Annotated[str, typer.Option(help="symbol: NAME-symbol.json, NAME-0000.params and NAME.toml.")] = "symbol",
    weights: Weights = None,
    gpus: Gpus = None,
) -> None:
    """Export a model as a symbol that MXNet loads without ssdzoo."""
    if format != "symbol":
        raise CallError(f"no format {format!r}; there is symbol")
    contexts = prepare(gpus)
    from ssdzoo.export.symbol import export_model
    from ssdzoo.predict.load import load_network

    net, preset = load_network(model, contexts, weights)
    path = export_model(net, preset, out)
    print(f"{path}-symbol.json, {path.name}-0000.params, {path.name}.toml")
