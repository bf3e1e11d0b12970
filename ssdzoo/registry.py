"""The preset tables: from a model's name, or a user's own table, to a network. No layers here.

A table in `presets/` holds one architecture per table and one variant (voc, coco, custom) per sub-table; a variant's
fields come on top of its architecture's.
"""

import difflib
import warnings
from fnmatch import fnmatch
from functools import lru_cache
from importlib import resources
from pathlib import Path

from ssdzoo.errors import CallError, WeightsError
from ssdzoo.preset import Preset, check_preset, parse_toml, read_preset


def read_tables(folder) -> dict:
    """{model name: Preset} of every table in a folder.

    Raises:
        CallError: a wrong row, with file, row and field; two rows of one name.
    """
    tables = {path.name: path.read_text("utf-8") for path in folder.iterdir() if path.name.endswith(".toml")}
    class_lists = parse_toml(tables.pop("classes.toml"), "classes.toml")
    rows = {}
    for file, text in sorted(tables.items()):
        for architecture, table in parse_toml(text, file).items():
            common = {k: v for k, v in table.items() if not isinstance(v, dict)}
            for variant, own in table.items():
                if not isinstance(own, dict):
                    continue
                name = f"{architecture}_{variant}"
                where = f"{file}, row [{architecture}.{variant}]"
                if name in rows:
                    raise CallError(f"{where}: {name!r} is there twice")
                classes = {} if variant == "custom" else {"classes": class_lists[variant]}
                rows[name] = check_preset({"name": name, **common, **classes, **own}, where)
    return rows


@lru_cache(maxsize=1)
def _zoo() -> dict:
    try:
        folder = resources.files("ssdzoo.presets")
    except ModuleNotFoundError:  # Python runs in a checkout, and a copy of the package is what is installed
        folder = Path(__file__).parents[1] / "presets"
    return read_tables(folder)


def list_models(pattern: str | None = None) -> list:
    """Names of the zoo's models, sorted; with a `pattern` such as "*mobilenet*", those that match."""
    return sorted(n for n in _zoo() if pattern is None or fnmatch(n, pattern.lower()))


def find_preset(name) -> Preset:
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


def near_models(name: str, similarity: float = 0.5) -> list:
    """Up to three names that look like this one; see `difflib.get_close_matches`."""
    return difflib.get_close_matches(name, _zoo(), 3, similarity)


def _unknown(name: str, key: str) -> str:
    if Path(name).is_file():
        return f"{name}: this file is no model; expected a preset's name, a table (.toml), a run folder, or an exported model"
    if "/" in name or name.endswith((".onnx", ".params", ".json")):
        return f"{name}: no such run folder or exported model"
    near = near_models(key)
    return f"no model {name!r}; " + (f"do you mean {', '.join(near)}?" if near else "`ssdzoo models` lists them")


def get_model(name, ctx=None, classes=None, pretrained=False, pretrained_base=False, root="~/.mxnet/models",
              transfer=None, **kwargs):  # fmt: skip
    """An SSD by name, with the arguments of GluonCV's `get_model`.

    Args:
        name: a name of `list_models()`, a Preset, or the path of a user's table (`.toml`).
        ctx: context or list of contexts for the weights that are loaded; a network without weights is left uninitialized.
        classes: names of the classes; a `_custom` model needs them, any other may get other ones than its own.
        pretrained: True for published weights out of `root`, or the path of a parameter file.
        pretrained_base: the same for the backbone alone, also torchvision's or Keras's (`ssdzoo.weights.bases.read_base`). Unlike
            in GluonCV the default is False, because the server of the published files is gone.
        root: folder with published weights, under GluonCV's file names.
        transfer: "voc" or "coco": builds that sibling of a `_custom` model with its published weights, then changes its classes
            and keeps the class rows of equal names.
        kwargs: of `get_ssd`, such as `nms_thresh`.

    Raises:
        CallError: an unknown name (the nearest ones are suggested), a `_custom` model without classes.
        WeightsError: weights that are not there or don't fit.
    """
    from ssdzoo.nn.anchors import LiteAnchorGenerator, SSDAnchorGenerator
    from ssdzoo.nn.ssd import get_ssd
    from ssdzoo.weights.store import find_weights

    preset = name if isinstance(name, Preset) else find_preset(name)
    if transfer is not None:
        if not preset.name.endswith("_custom"):
            raise CallError(f"transfer={transfer!r} is for _custom models, not for {preset.name}")
        preset = find_preset(preset.name.removesuffix("custom") + str(transfer))
        pretrained = True
    own = preset.classes
    if own is None and classes is None:
        raise CallError(f"{preset.name} needs classes=[...], the names of your classes")
    if own is None and pretrained is True:
        warnings.warn("custom models have no published weights: pretrained=True is ignored; see transfer=", stacklevel=2)
        pretrained = False
    generator = {"ssd": SSDAnchorGenerator, "lite": LiteAnchorGenerator}[preset.anchor_generator]
    net = get_ssd(
        **{**preset.network_args, "anchor_generator": generator, **kwargs},
        classes=own if classes is None or (pretrained and own) else classes,
        pretrained_base=pretrained_base if not pretrained else False, ctx=ctx, root=root,
    )  # fmt: skip
    if pretrained:
        path = find_weights(preset.name, pretrained, root)
        own_scale = _input_scale(net)
        net.load_parameters(path, ctx=ctx)
        _check_input_scale(path, preset, own_scale, _input_scale(net))
    if classes is not None and list(classes) != net.classes:
        net.reset_class(list(classes), reuse_weights=[c for c in classes if c in net.classes])
    return net


def _input_scale(net):
    """What a VGG multiplies its normalized input by, (3,), or None."""
    scale = getattr(net.features, "init_scale", None)
    if scale is None:
        return None
    data = scale.value if scale._data is None else scale.data(scale.list_ctx()[0])
    return data.asnumpy().ravel()


def _check_input_scale(path, preset: Preset, own, loaded) -> None:
    """Refuses a file that was converted for pixels of another std than the preset's, because it would answer nonsense."""
    if own is None or all(abs(a - b) < 1e-3 for a, b in zip(own, loaded)):
        return
    if any(abs(s - 255 * std) > 1e-3 for s, std in zip(loaded, preset.std)):
        std = [round(float(s) / 255, 5) for s in loaded]
        raise WeightsError(
            f"{path}: is for pixels divided by a std of {std}, {preset.name} divides by {list(preset.std)}: "
            "name the table (.toml) that was written beside the file instead"
        )
