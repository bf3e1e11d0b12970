"""Loads GluonCV's and ssdzoo's parameter files into a network, whatever naming they were saved in.

`save_parameters` writes attribute paths (`class_predictors.0.predictor.weight`). In these the parameters of a resnet or mobilenet
backbone keep flat names with a counter of the process that saved them: `features.resnetv11_conv0_weight` belongs to the second
ResNet-v1 of its process (dmlc/gluon-cv issue 821). `export` and the older `save_params` write flat names
(`arg:ssd0_resnetv10_conv0_weight`; `save_params` also without `ssd0_`). `get_model(prefix=)`, or a block around the network, puts
something else before each name. Names are compared in one form, without counters and without that.
"""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from ssdzoo.errors import WeightsError
from ssdzoo.formats.network_params import CLASS_HEADS, read_network_params, rename_arrays
from ssdzoo.runtime import mx
from ssdzoo.weights.converted import find_backbone, read_start
from ssdzoo.weights.published import Located

# The counters that Gluon appends to a block's name. The parameters of a VGG have attribute paths.
_COUNTED = re.compile(r"(ssd|resnetfpn|resnetv1|resnetv2|resnetv1b|mobilenetv2_?|mobilenet|vggatrousextractor)\d+_")


def _canonical(name: str) -> str:
    # GluonCV's reset_class repeats the prefix: ssd0_ssd0_convpredictor0_.
    return _COUNTED.sub(r"\1#_", re.sub(r"^(features\.)?(ssd\d+_)+", r"\1", name))


# How the names of the first heads end, in both namings.
_HEADS = (*CLASS_HEADS, "box_predictors.0.predictor.weight", "convpredictor1_conv0_weight")


def _canonical_names(names: Collection[str]) -> dict:
    """{name: in the form in which names are compared}."""
    forms = {name: _canonical(name) for name in names}
    before = {form.removesuffix(end) for form in forms.values() for end in _HEADS if form.endswith(end)} - {""}
    if not before:
        return forms
    # More than once, as _canonical says.
    added = re.compile(rf"^(features\.)?({'|'.join(map(re.escape, before))})+")
    return {name: _canonical(added.sub(r"\1", name)) for name in names}


def _targets(net: Any, names: Collection[str]) -> dict:
    """{canonical name: (name, Parameter)} in the naming, attribute paths or flat names, that shares more with the `names`."""
    namings = net._collect_params_with_prefix(), net.collect_params()
    targets = [{_canonical(name): (name, parameter) for name, parameter in naming.items()} for naming in namings]
    return max(targets, key=lambda naming: len(naming.keys() & names))


def match(net: Any, path: str | Path, allow_missing: bool = False, ignore_extra: bool = False) -> dict:
    """{attribute path: (Parameter, array)} of an SSD and a parameter file in any naming, in the order of the network.

    Args:
        net: the SSD.
        path: the parameter file.
        allow_missing: leaves out the parameters that the file lacks.
        ignore_extra: leaves out the arrays that the network lacks.

    Raises:
        WeightsError: names the first parameter that is missing, unknown or of another shape, with both shapes.
    """
    stored = read_network_params(path)
    forms = _canonical_names(stored)
    arrays = rename_arrays(stored, forms.__getitem__, path)
    targets = _targets(net, arrays.keys())
    _check(f"{path}: not of this model", net, targets, arrays, next(iter(stored)), allow_missing)
    extra = next((name for name, form in forms.items() if form not in targets), None)
    if extra and not ignore_extra:
        raise WeightsError(f"{path}: not of this model: parameter {extra!r} {stored[extra].shape} of the file has no place in it")
    found = {id(parameter): arrays[key] for key, (_, parameter) in targets.items() if key in arrays}
    return {k: (p, found[id(p)]) for k, p in net._collect_params_with_prefix().items() if id(p) in found}


def load_network(net: Any, path: str | Path, ctx: Any = None, allow_missing: bool = False, ignore_extra: bool = False,
                 cast_dtype: bool = False, dtype_source: str = "current") -> None:  # fmt: skip
    """Fills an SSD from a parameter file. Everything is checked before anything changes.

    The file's anchors replace the network's own, also where their grid is larger or smaller.

    Args:
        net, path, allow_missing, ignore_extra: see `match`.
        ctx: context or list of contexts; by default the network's own, or the CPU.
        cast_dtype, dtype_source: as in gluon's `load_parameters`.

    Raises:
        WeightsError: see `match`; or a parameter is of another dtype and `cast_dtype` is not set.
    """
    matched = match(net, path, allow_missing, ignore_extra)
    for name, (parameter, array) in matched.items():
        if array.dtype != np.dtype(parameter.dtype) and not cast_dtype:
            types = f"{array.dtype}, the model {np.dtype(parameter.dtype)}"
            raise WeightsError(f"{path}: parameter {name!r} is {types}: pass cast_dtype=True")
    generators = {id(g.anchors): g for g in getattr(net, "anchor_generators", ())}
    for parameter, array in matched.values():
        contexts = ctx or (parameter.list_ctx() if parameter._data is not None else mx.cpu())
        if id(parameter) in generators and parameter.shape != array.shape:
            generators[id(parameter)].assign(mx.nd.array(array, dtype=parameter.dtype), contexts)
            continue
        array = mx.nd.array(array, dtype=array.dtype)
        parameter._load_init(array, contexts, cast_dtype=cast_dtype, dtype_source=dtype_source)


def _check(failure: str, net: Any, targets: dict, arrays: dict, first: str, allow_missing: bool = False) -> None:
    """Raises a WeightsError that begins with `failure` for the first of the targets, {key: (name, Parameter)}, that is not among
    the arrays, {key: array}, or has another shape. `first` is the name of the first array in the file."""
    for key, (name, parameter) in targets.items():
        expected = tuple(parameter.shape)
        if key not in arrays:
            if not allow_missing:
                begin = f"{first!r} {next(iter(arrays.values())).shape}"
                raise WeightsError(f"{failure}: parameter {name!r} {expected} is not in the file, which begins with {begin}")
        elif not _fits(key, expected, arrays[key].shape):
            got, hint = tuple(arrays[key].shape), ""
            if "class_predictors" in name and expected[1:] == got[1:]:
                hint = f"; the file seems to be of another number of classes than these {net.num_classes}"
            elif "class_predictors" in name and expected[:2] == got[:2]:
                hint = "; GluonCV's reset_class gives a lite model such heads: export it there, and name the exported model"
            raise WeightsError(f"{failure}: parameter {name!r} is {got} in the file, {expected} in the model{hint}")


def _fits(key: str, expected: tuple, got: tuple) -> bool:
    if re.search(r"(\.anchors|anchor_\d+)$", key):
        return len(got) == 5 and got[:2] == expected[:2] and got[4] == expected[4]
    return tuple(expected) == tuple(got)


def load_backbone(net: Any, path: str | Path) -> None:
    """Fills the backbone of an initialized SSD from a classifier's file, and its feature pyramid too where both have one.

    The classifier's output layers are left out.

    Args:
        net: the SSD.
        path: a file of MXNet, GluonCV, torchvision or Keras; see `ssdzoo.weights.backbone.read_backbone`.

    Raises:
        WeightsError: of another backbone; names the first parameter that differs, and both shapes.
    """
    wanted, pyramid = _start_parameters(net)
    _assign(_matched(net, path, read_start(path, wanted.keys(), _shapes(pyramid))))


def load_published_backbone(net: Any, name: str, which: bool | str | Path, root: str | Path, ctx: Any = None) -> Located:
    """The same with the published file of a backbone, which may be downloaded, or with another file.

    Args:
        net: the SSD.
        name, which, root: see `ssdzoo.weights.published.locate`.
        ctx: context or list of contexts for a network that is not initialized yet. It gets its random weights when the file is
            known to fit: to draw them takes longer than to refuse a file.

    Returns:
        The file.

    Raises:
        WeightsError: no such file, or of another backbone.
    """
    wanted, pyramid = _start_parameters(net)
    arrays, found = find_backbone(name, wanted.keys(), _shapes(pyramid), which, root)
    matched = _matched(net, found.path, arrays)
    if ctx is not None:
        net.initialize(ctx=ctx)
    _assign(matched)
    return found


def _start_parameters(net: Any) -> tuple[dict, dict]:
    """{attribute path: Parameter} of the backbone's parameters that the SSD uses, and of its feature pyramid's."""
    used = {id(p) for p in net.features.collect_params().values()}
    wanted = {name: p for name, p in net.features.backbone_parameters.items() if id(p) in used}
    return wanted, getattr(net.features, "pyramid_parameters", {})


def _shapes(parameters: dict) -> dict:
    return {name: p.shape for name, p in parameters.items()}


def _matched(net: Any, path: str | Path, found: dict) -> list[tuple[Any, np.ndarray]]:
    """[(Parameter, array)] of an SSD and {name: array} of a backbone, and of a pyramid."""
    wanted, pyramid = _start_parameters(net)
    arrays = rename_arrays(found, _canonical, path)
    if not wanted.keys() & arrays.keys():
        wanted = {_canonical(p.name): p for p in wanted.values()}
    _check(f"{path}: not of this backbone", net, {name: (name, p) for name, p in wanted.items()}, arrays, next(iter(found)))
    return [(parameter, arrays[name]) for name, parameter in {**wanted, **pyramid}.items() if name in arrays]


def _assign(matched: list[tuple[Any, np.ndarray]]) -> None:
    for parameter, array in matched:
        parameter.set_data(mx.nd.array(array, dtype=array.dtype))
