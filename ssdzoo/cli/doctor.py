"""`ssdzoo doctor`: what is missing on this machine."""

import json
from dataclasses import asdict

import typer
from rich.text import Text

from ssdzoo.cli.options import Json, console
from ssdzoo.report.tables import PlainTable


def doctor(as_json: Json = False) -> None:
    """Look at Python, mxnet, CUDA, GPUs, threads, backends, weights and disks; say what is wrong and which command fixes it."""
    from ssdzoo.doctor import ERROR, examine

    findings = examine()
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        table = PlainTable(show_header=False, padding=(0, 2, 0, 0))
        colors = {"ok": "green", "note": "yellow", "error": "red"}
        for finding in findings:
            table.add_row(Text(finding.state, colors[finding.state]), finding.what, finding.found)
            if finding.remedy:
                table.add_row("", "", Text(f"-> {finding.remedy}", "bold"))
        console().print(table)
    if any(finding.state == ERROR for finding in findings):
        raise typer.Exit(1)
