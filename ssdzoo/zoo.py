"""The preset tables: from a model's name, or a user's own table, to its preset. No layers and no weights here.

A table in `presets/` holds one architecture per table and one variant (voc, coco, custom) per sub-table; a variant's
fields come on top of its architecture's.
"""

from fnmatch import fnmatch
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from ssdzoo.class_names import numbered_names
from ssdzoo.errors import CallError
from ssdzoo.preset import Preset, check_preset, read_preset
from ssdzoo.suggest import did_you_mean
from ssdzoo.toml_file import parse_toml

_EXPECTED = "a preset's name, a table (.toml), a run folder, or an exported model"
_ZIP = "a zip archive, as MXNet's model server takes it, is not read: unpack it, and name the folder with its NAME-symbol.json"
_WEIGHTS = "holds weights: `ssdzoo convert` makes a model of those of a whole detector"
_PICKLE = "a pickle may run code, and is not read: load it where it was saved, and save its network with save_parameters"
# What files that others have are, by their suffix.
_KINDS = {
    **dict.fromkeys((".mar", ".zip"), _ZIP),
    **dict.fromkeys((".pth", ".pt", ".safetensors", ".caffemodel"), _WEIGHTS),
    ".pkl": _PICKLE,
}


def read_tables(folder: Any) -> dict[str, Preset]:
    """{model name: Preset} of all tables in a folder.

    Raises:
        CallError: a wrong preset (names file, preset and field), or two presets of one name.
    """
    tables = {path.name: path.read_text("utf-8") for path in folder.iterdir() if path.name.endswith(".toml")}
    class_lists = parse_toml(tables.pop("classes.toml"), "classes.toml")
    presets = {}
    for file, text in sorted(tables.items()):
        for architecture, table in parse_toml(text, file).items():
            common = {k: v for k, v in table.items() if not isinstance(v, dict)}
            for variant, own in table.items():
                if not isinstance(own, dict):
                    continue
                name = f"{architecture}_{variant}"
                where = f"{file}, preset [{architecture}.{variant}]"
                if name in presets:
                    raise CallError(f"{where}: {name!r} is there twice")
                classes = {} if variant == "custom" else {"classes": class_lists[variant]}
                presets[name] = check_preset({"name": name, **common, **classes, **own}, where)
    return presets


@lru_cache(maxsize=1)
def _zoo() -> dict[str, Preset]:
    try:
        folder = resources.files("ssdzoo.presets")
    except ModuleNotFoundError:  # Python runs in a checkout, and a copy of the package is what is installed
        folder = Path(__file__).parents[1] / "presets"
    return read_tables(folder)


def list_models(pattern: str | None = None) -> list[str]:
    """Names of the zoo's models, sorted; with a `pattern` such as "*mobilenet*", those that match."""
    return sorted(n for n in _zoo() if pattern is None or fnmatch(n, pattern.lower()))


def find_preset(name: str | Path) -> Preset:
    """The Preset of a model's name (GluonCV's spellings such as `mobilenet1_0` too), or of a `.toml` file.

    Raises:
        CallError: no such name; suggests the nearest ones.
    """
    if str(name).endswith(".toml"):
        return read_preset(name)
    zoo = _zoo()
    key = str(name).lower()
    for old, new in (("mobilenet1_0", "mobilenet1.0"), ("mobilenet0_5", "mobilenet0.5"), ("mobilenet0_25", "mobilenet0.25")):
        key = key.replace(old, new)
    if key not in zoo:
        raise CallError(_unknown(str(name), key))
    return zoo[key]


def default_class_names(count: int) -> list[str]:
    """Names for classes that nothing names: VOC's for 20, COCO's for 80, else "class 0", "class 1" and so on."""
    for dataset in ("voc", "coco"):
        names = list(find_preset(f"ssd_300_vgg16_atrous_{dataset}").classes or ())
        if len(names) == count:
            return names
    return numbered_names(count)


def near_models(name: str, similarity: float = 0.5) -> str:
    """The end of a message about an unknown model: up to three names that look like this one, or ""."""
    return did_you_mean(name, _zoo(), 3, similarity)


def model_in_name(path: str | Path) -> str | None:
    """The model whose name a file's name begins with, as those that GluonCV's scripts write; None where there is none."""
    stem = Path(path).stem.lower()
    return max((name for name in _zoo() if stem.startswith(name)), key=len, default=None)


def _unknown(name: str, key: str) -> str:
    path = Path(name)
    if (path / "model.toml").is_file():
        return f"{name} is a run folder, and a preset is asked for here: name its table, {path / 'model.toml'}"
    if path.suffix == ".params" and path.is_file():
        if path.with_name("model.toml").is_file():
            return f"{name} is of a run: name its folder, {path.parent}, and this file with weights= where it is not the best"
        return (
            f"{name} does not say which model it is of: name {model_in_name(name) or 'that model'}, and this file with weights=; "
            "or let `ssdzoo convert` write a table beside it"
        )
    if path.is_file():
        return f"{name}: {_KINDS.get(path.suffix.lower(), 'this file is no model; expected ' + _EXPECTED)}"
    if "/" in name or name.endswith((".onnx", ".params", ".json")):
        return f"{name}: no such run folder or exported model"
    if key.endswith("_int8") and key.removesuffix("_int8") in _zoo():
        return f"no model {name!r}: `ssdzoo quantize` makes an int8 model of {key.removesuffix('_int8')} with weights of yours"
    return f"no model {name!r}" + (near_models(key) or "; `ssdzoo models` lists them")
