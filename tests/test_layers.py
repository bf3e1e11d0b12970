"""Imports go down only: what a module of a lower layer needs does not lie in a higher one."""

import ast
from pathlib import Path

import pytest

import ssdzoo

ROOT = Path(ssdzoo.__file__).parent

# From the bottom to the top. A name stands for a module, or for all modules of a package that have no line of their own.
LAYERS = (
    "version quote errors import_hooks cgroups machine free_cores files toml_file progress suggest",
    "augmentation",
    "runtime",
    "preset_fields",
    "boxes class_names detections preset",
    "formats metrics anchors",
    "exported_files",
    "zoo",
    "data.image_header data.image_source data.images data.video data.record data.index",
    "data.formats",
    "data.reading",
    "data",  # what the package itself offers
    "data.loading",
    "data.check",
    "nn.vgg_spec",
    "weights.importers",
    "weights",
    "nn",
    "network",
    "build",
    "symbol_mxnet",
    "symbol_preset",
    "model_files",
    "costs model_kinds",
    "model_source",
    "convert",
    "export.translator export.heads export.rule",
    "export.attributes",
    "export.onnx export.torch export.int8",
    "export",
    "predict.backends",
    "predict",
    "measure",
    "report",
    "train",
    "serve",
    "doctor",
    "",  # the public names
    "demo",
    "cli",
    "__main__",
)


def modules() -> dict:
    """{name below ssdzoo, "" for ssdzoo itself: path}."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found[name.removesuffix("__init__").removesuffix(".")] = path
    return found


MODULES = modules()


def imports(path: Path) -> set:
    """Names below ssdzoo of the modules that a file imports, inside of functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            if name.split(".")[0] == "ssdzoo":
                below = name.removeprefix("ssdzoo").removeprefix(".")
                found.add(below if below in MODULES else below.rpartition(".")[0])
    return found


def layer(name: str) -> int:
    """The index of the line of LAYERS that the module is on, by the longest name."""
    places = {part: i for i, line in enumerate(LAYERS) for part in (line.split() or [""])}
    while name not in places:
        assert name, "the module has no place in LAYERS"
        name = name.rpartition(".")[0]
    return places[name]


# Known arrows that go up; the list gets shorter, never longer.
KNOWN = set()
KNOWN_CIRCLES = set()
KNOWN_FOLDERS = set()

ARROWS = [(name, other) for name, path in MODULES.items() for other in sorted(imports(path)) if other != name]


def test_every_name_of_the_layers_is_a_module():
    missing = [part for line in LAYERS for part in line.split() if part not in MODULES]
    assert missing == []


def test_no_import_goes_up():
    upward = [f"{a} -> {b}" for a, b in ARROWS if layer(a) < layer(b)]
    assert set(upward) == KNOWN


def test_no_circle():
    graph = {name: {b for a, b in ARROWS if a == name} for name in MODULES}

    def reach(start):
        seen, waiting = set(), [start]
        while waiting:
            for other in graph[waiting.pop()] - seen:
                seen.add(other)
                waiting.append(other)
        return seen

    reached = {name: reach(name) for name in graph}
    circles = {frozenset(b for b in reached[a] if a in reached[b]) for a in graph if a in reached[a]}
    assert {tuple(sorted(circle)) for circle in circles} == KNOWN_CIRCLES


def test_no_circle_of_folders():
    """The folders at the top, and the files beside them, have an order too."""
    tops = {(a.split(".")[0], b.split(".")[0]) for a, b in ARROWS}
    both = sorted(f"{a} <-> {b}" for a, b in tops if a < b and (b, a) in tops)
    assert set(both) == KNOWN_FOLDERS


@pytest.mark.parametrize("source, found", [
    ("from ssdzoo.data import load_dataset", {"data"}), ("from ssdzoo.data import record", {"data.record"}),
    ("def f():\n    from ssdzoo.zoo import find_preset", {"zoo"}), ("import ssdzoo", {""}), ("import numpy", set()),
])  # fmt: skip
def test_what_counts_as_an_import(source, found, tmp_path):
    path = tmp_path / "module.py"
    path.write_text(source)
    assert imports(path) == found
