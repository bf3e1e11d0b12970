"""`ssdzoo models`: the zoo."""

import json
from typing import Annotated, Optional

import typer
from rich.console import Console
from rich.table import Table

from ssdzoo.cli.options import Json
from ssdzoo.registry import find_preset, list_models


def models(
    pattern: Annotated[Optional[str], typer.Argument(help='Only names that match, such as "*mobilenet*".')] = None,
    as_json: Json = False,
) -> None:
    """List the models of the zoo."""
    presets = [find_preset(name) for name in list_models(pattern)]
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
