"""`ssdzoo doctor`: what is missing on this machine."""

import json
from dataclasses import asdict

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ssdzoo.cli.options import Json


def doctor(as_json: Json = False) -> None:
    """Look at Python, mxnet, CUDA, GPUs, threads, backends, weights and disks; say what is wrong and which command fixes it."""
    from ssdzoo.doctor import ERROR, examine

    findings = examine()
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        colors = {"ok": "green", "note": "yellow", "error": "red"}
        for finding in findings:
            table.add_row(f"[{colors[finding.state]}]{finding.state}[/]", finding.what, escape(finding.found))
            if finding.remedy:
                table.add_row("", "", f"[bold]-> {escape(finding.remedy)}[/]")
        Console().print(table)
    if any(finding.state == ERROR for finding in findings):
        raise typer.Exit(1)
