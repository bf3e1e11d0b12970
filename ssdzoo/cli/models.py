"""`ssdzoo models`: the zoo, what its models cost, and which of them have weights on this machine."""

import json
from pathlib import Path
from typing import Annotated, Optional

from ssdzoo.cli.options import Json, argument, console, option
from ssdzoo.errors import CallError
from ssdzoo.report.tables import PlainTable
from ssdzoo.zoo import find_preset, list_models, near_models

_WEIGHTS = "Show which have weights on this machine, of their own or of their backbone."


def models(
    pattern: Annotated[
        Optional[str], argument("Only names that match, such as `*mobilenet*`; or a table of your own (.toml).")
    ] = None,
    weights: Annotated[bool, option(_WEIGHTS, "--weights")] = False,
    root: Annotated[Optional[Path], option("Folder of the published weights.", show_default="~/.mxnet/models")] = None,
    as_json: Json = False,
) -> None:
    """List the models of the zoo: millions of parameters, billions of multiply-accumulates (GMACs) of an image, and
    milliseconds of an image where `ssdzoo benchmark` has measured it on this machine."""
    names = [pattern] if pattern and pattern.endswith(".toml") else list_models(pattern)
    presets = [find_preset(name) for name in names]
    if not presets:
        hint = near_models(pattern or "", 0.8) or '; a pattern has stars, such as "*mobilenet*"'
        raise CallError(f"no model matches {pattern!r}{hint}")
    if weights:
        _show_weights(presets, root, as_json)
    elif as_json:
        print(json.dumps(_rows(presets), indent=1))
    else:
        _show(presets)


def _rows(presets: list) -> list:
    from ssdzoo.costs import class_count, find_cost
    from ssdzoo.measure.timings import timings

    measured, rows = timings(presets), []
    for p in presets:
        cost = find_cost(p)
        times = [
            {k: e[k] for k in ("runtime", "version", "batch", "image_ms", "date")} for e in measured.get(p.name, {}).values()
        ]
        rows.append(
            {"name": p.name, "backbone": p.backbone, "height": p.base_size[0], "width": p.base_size[1],
             "classes": len(p.classes) if p.classes else None, "parameters": cost.parameters, "macs": cost.macs,
             "cost_classes": class_count(p), "measured": times}
        )  # fmt: skip
    return rows


def _show(presets: list) -> None:
    from ssdzoo.costs import CUSTOM_CLASSES
    from ssdzoo.measure.timings import this_machine, timings

    output, measured = console(), timings(presets)
    # Where it is narrow, without the backbone, which the name nearly tells, and then closer together.
    for with_backbone, gap in ((True, 2), (False, 2), (False, 1)):
        table = _table(presets, measured, with_backbone, gap)
        if console(1000).measure(table).maximum <= output.width:
            break
    output.print(table)
    if any(not p.classes for p in presets):
        output.print(f"params and GMACs are those of {CUSTOM_CLASSES} classes where the classes are yours")
    if measured:
        about = f"ms: an image from its file to its detections, with the fastest runtime measured, on {this_machine()}"
        output.print(about)


def _table(presets: list, measured: dict, with_backbone: bool, gap: int) -> PlainTable:
    from ssdzoo.costs import find_cost
    from ssdzoo.measure.timings import fastest

    table = PlainTable(padding=(0, gap, 0, 0), pad_edge=False)
    for header in ("name", *(["backbone"] if with_backbone else []), "input"):
        table.add_column(header, no_wrap=True)
    for header in ("classes", "params", "GMACs", *(["ms"] if measured else [])):
        table.add_column(header, no_wrap=True, justify="right")
    if measured:
        table.add_column("with", no_wrap=True)
    for p in presets:
        cost, best = find_cost(p), fastest(measured.get(p.name, {}))
        table.add_row(
            p.name, *([p.backbone] if with_backbone else []), "x".join(map(str, p.base_size)),
            str(len(p.classes)) if p.classes else "yours", f"{cost.parameters / 1e6:.1f}M", f"{cost.macs / 1e9:.2f}",
            *([f"{best['image_ms']:.1f}", best["runtime"]] if best else []),
        )  # fmt: skip
    return table


def _show_weights(presets: list, root: Path | None, as_json: bool) -> None:
    from ssdzoo.weights.published import ROOT, model_folder, survey

    folder = model_folder(root or ROOT)
    names = dict.fromkeys([*(p.name for p in presets), *(p.classifier for p in presets)])
    found = {name: survey(name, folder) for name in names}
    if as_json:
        files = {name: [{"path": str(f.path), "state": f.state, "usable": f.usable} for f in fs] for name, fs in found.items()}
        rows = [{"name": p.name, "model": files[p.name], "backbone": {p.classifier: files[p.classifier]}} for p in presets]
        print(json.dumps(rows, indent=1))
        return
    table = PlainTable("name", "its weights", "weights of its backbone")
    for p in presets:
        own, backbone = _word(found[p.name]), _word(found[p.classifier])
        table.add_row(p.name, own, f"{p.classifier}: {backbone}" if backbone != "-" else backbone)
    output = console()
    output.print(table)
    here = [f for found_files in found.values() for f in found_files]
    for f in here:
        output.print(f"{f.path}  {_story(f)}", soft_wrap=True)
    if not here:
        output.print(f"no weights in {folder}", soft_wrap=True)


def _word(files: list) -> str:
    states = [f.state.partition(":")[0] for f in files]
    return next((state for state in ("published", "other", "damaged") if state in states), "-")


def _story(found) -> str:
    return {"published": "the published file: its hash is right", "other": "readable, not a published hash"}.get(
        found.state, found.state
    )
