"""`ssdzoo models`: the zoo, and which of it has weights on this machine."""

import json
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console
from rich.table import Table

from ssdzoo.cli.options import Json
from ssdzoo.registry import find_preset, list_models


def models(
    pattern: Annotated[Optional[str], typer.Argument(help='Only names that match, such as "*mobilenet*".')] = None,
    weights: Annotated[
        bool, typer.Option("--weights", help="Show which have weights on this machine, of their own or of their backbone.")
    ] = False,
    root: Annotated[Optional[Path], typer.Option(help="Folder of the published weights.", show_default="~/.mxnet/models")] = None,
    as_json: Json = False,
) -> None:
    """List the models of the zoo."""
    presets = [find_preset(name) for name in list_models(pattern)]
    if weights:
        _show_weights(presets, root, as_json)
        return
    if as_json:
        rows = [
            {"name": p.name, "backbone": p.backbone, "height": p.base_size[0], "width": p.base_size[1],
             "classes": len(p.classes) if p.classes else None}
            for p in presets
        ]  # fmt: skip
        print(json.dumps(rows, indent=1))
        return
    table = Table("name", "backbone", "input", "classes", box=None, header_style="bold")
    for p in presets:
        table.add_row(p.name, p.backbone, "x".join(map(str, p.base_size)), str(len(p.classes)) if p.classes else "yours")
    Console().print(table)


def _show_weights(presets: list, root, as_json: bool) -> None:
    from ssdzoo.weights.store import ROOT, model_folder, survey

    folder = model_folder(root or ROOT)
    names = dict.fromkeys([*(p.name for p in presets), *(p.backbone for p in presets)])
    found = {name: survey(name, folder) for name in names}
    if as_json:
        files = {name: [{"path": str(f.path), "state": f.state, "usable": f.usable} for f in fs] for name, fs in found.items()}
        rows = [{"name": p.name, "model": files[p.name], "backbone": {p.backbone: files[p.backbone]}} for p in presets]
        print(json.dumps(rows, indent=1))
        return
    table = Table("name", "its weights", "weights of its backbone", box=None, header_style="bold")
    for p in presets:
        own, base = _word(found[p.name]), _word(found[p.backbone])
        table.add_row(p.name, own, f"{p.backbone}: {base}" if base != "-" else base)
    console = Console()
    console.print(table)
    files = [f for fs in found.values() for f in fs]
    for f in files:
        console.print(f"{f.path}  {_story(f)}", soft_wrap=True, markup=False, highlight=False)
    if not files:
        console.print(f"no weights in {folder}", soft_wrap=True, markup=False, highlight=False)


def _word(files: list) -> str:
    states = [f.state.partition(":")[0] for f in files]
    return next((state for state in ("published", "other", "damaged") if state in states), "-")


def _story(found) -> str:
    return {"published": "the published file: its hash is right", "other": "readable, not a published hash"}.get(
        found.state, found.state
    )
