"""`ssdzoo models`: the zoo, what its models cost, and where their weights come from."""

import json
from pathlib import Path
from typing import Annotated, Optional

from rich.text import Text

from ssdzoo.cli.options import Json, argument, console, option
from ssdzoo.errors import CallError
from ssdzoo.report.tables import PlainTable
from ssdzoo.zoo import find_preset, list_models, near_models

_WEIGHTS = "Show which weights each would start from: their project, license and size, and what is on this machine."

_ELSEWHERE = "files of other projects, the preferred one first; --base-weights takes their names:"


def models(
    pattern: Annotated[
        Optional[str], argument("Only names that match, such as `*mobilenet*`; or a table of your own (.toml).")
    ] = None,
    weights: Annotated[bool, option(_WEIGHTS, "--weights")] = False,
    root: Annotated[Optional[Path], option("Folder of published weights.", show_default="~/.mxnet/models")] = None,
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
    from ssdzoo.weights.converted import find_start
    from ssdzoo.weights.published import ROOT, model_folder

    folder = model_folder(root or ROOT)
    names = dict.fromkeys([*(p.name for p in presets), *(p.backbone for p in presets)])
    starts = {name: find_start(name, folder) for name in names}
    if as_json:
        print(json.dumps([_start_row(p, starts) for p in presets], indent=1))
        return
    # Where it is narrow, without the backbone, which the name nearly tells.
    output = console()
    for with_backbone in (True, False):
        table = _weights_table(presets, starts, with_backbone)
        if console(1000).measure(table).maximum <= output.width:
            break
    output.print(table)
    lines = [f"{f.path}  {_story(f)}" for start in starts.values() for f in start.files]
    lines = list(dict.fromkeys(lines)) or [f"no weights in {folder}, nor in the caches of torch, Hugging Face and Keras"]
    elsewhere = [f"{name}: {', '.join(files)}" for name in names if (files := _files_elsewhere(name))]
    lines += [_ELSEWHERE] * bool(elsewhere) + elsewhere
    for line in lines:
        output.print(line, soft_wrap=True)


def _files_elsewhere(name: str) -> list[str]:
    """Names of the files of other projects that a detector or a backbone may start from, for `--base-weights`."""
    from ssdzoo.weights.sources import other_sources

    return [source.file for source in other_sources(name)]


def _weights_table(presets: list, starts: dict, with_backbone: bool) -> PlainTable:
    table = PlainTable("name", padding=(0, 2, 0, 0), pad_edge=False)
    if with_backbone:
        table.add_column("backbone", no_wrap=True)
    table.add_column("starts from")
    for p in presets:
        detector, backbone = _begin(starts[p.name]), _begin(starts[p.backbone])
        cell = "\n".join([f"detector: {detector}"] * bool(detector) + [backbone or "random weights: none are published"])
        table.add_row(p.name, *([p.classifier] if with_backbone else []), Text(cell))
    return table


def _begin(start) -> str:
    """What a start begins with, in a few words; "" for nothing."""
    if start.here:
        return f"{start.here.state}, on this machine"
    return start.source.story if start.source else ""


def _start_row(preset, starts: dict) -> dict:
    def files(start) -> list:
        return [{"path": str(f.path), "state": f.state, "usable": f.usable} for f in start.files]

    def start(name: str) -> dict | None:
        here, source = starts[name].here, starts[name].source
        if source is None:
            return None
        facts = {"file": source.file, "project": source.title, "license": source.license, "url": source.url}
        accuracy = {k: v for k, v in (("top1", source.top1), ("mAP", source.mAP), ("note", source.note)) if v}
        size = source.megabytes and round(source.megabytes, 1)
        return {**facts, "megabytes": size, **accuracy, "here": str(here.path) if here else None}

    whole, backbone = preset.name, preset.backbone
    return {
        "name": whole, "model": files(starts[whole]), "backbone": {preset.classifier: files(starts[backbone])},
        "starts": {"detector": start(whole), "backbone": start(backbone)},
    }  # fmt: skip


def _story(found) -> str:
    if found.state == "other" and found.source:
        return f"{found.source.title}'s file, which has no published hash"
    stories = {"published": "the published file: its hash is right", "other": "readable, not a published hash"}
    converted = f"made of {found.source.file}" if found.source else ""
    return {**stories, "converted": converted}.get(found.state, found.state)
