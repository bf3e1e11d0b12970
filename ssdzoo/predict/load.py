"""From what a user names to a Detector."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ssdzoo.errors import CallError, ExportError
from ssdzoo.machine import import_package
from ssdzoo.model_source import ModelSource, Numbers, OnnxSource, SymbolSource, choose_backend, resolve
from ssdzoo.predict.backends.onnxruntime import OnnxRuntimeBackend
from ssdzoo.predict.backends.openvino import OpenVINOBackend
from ssdzoo.predict.detector import Detector
from ssdzoo.predict.multi_view import with_views
from ssdzoo.predict.onnx_cache import cached_onnx
from ssdzoo.predict.views import Views

log = logging.getLogger("ssdzoo")

# What must be named as the backend.
PRECISIONS: dict[str, tuple] = {"auto": (), "f32": (), "bf16": ("openvino", "torch"), "f16": ("torch",)}
MODES: dict[str, tuple] = {"latency": (), "throughput": ("openvino",)}


def load(model: str | Path, backend: str | None = None, ctx: Any = None, weights: str | Path | None = None,
         precision: str = "auto", mode: str = "latency", mean: Numbers | None = None, std: Numbers | None = None,
         classes: Iterable[str] | None = None, suppress: str | None = None,
         views: Views | None = None) -> Detector:  # fmt: skip
    """A Detector from anything that `ssdzoo.model_source.resolve` knows: a run folder, an exported model (GluonCV's too), an
    archive of one (SageMaker's `model.tar.gz`), an `.onnx`, a converted parameter file, or the name or table of a preset.

    Args:
        model: see above.
        backend: "mxnet", "onnxruntime", "openvino", "torch", or "auto", the fastest of these that is installed, in float32. None
            is mxnet, and for an `.onnx` "auto". onnxruntime and openvino make an ONNX file, and keep it beside the weights.
        ctx: mxnet's context, or for torch also a device such as "cuda:0"; of a list the first one is used. Default CPU.
        weights: parameter file for a preset; without it the published weights are looked for.
        precision: of openvino and torch: "f32", "bf16", or "auto": with openvino bf16 where the processor has it, else f32. Of
            torch also "f16", for GPUs without bf16.
        mode: of openvino: "latency", or "throughput": several batches at once.
        mean, std: of RGB in 0..1, for an exported model that does not say them, such as those of mxnet-ssd; see `resolve`.
        classes: names of the classes of an exported model.
        suppress: "per-class" or "across": the boxes that NMS compares, in place of what the model says; not for an `.onnx`.
        views: tiles, scales and flips of each image to look at, besides the image; see `ssdzoo.predict.views.Views`.

    Raises:
        CallError: `model` is none of these; an unknown backend, precision or mode, or one of another backend; a scale of `views`
            that the backend does not take.
        ExportError: a model that cannot be translated or is no ONNX file.
        SSDZooError: the backend's package is not installed; says which extra installs it.
        WeightsError: missing or wrong weights.
    """
    return open_source(resolve(model, weights, mean, std, classes, suppress), backend, ctx, precision, mode, views)


def open_source(source: ModelSource, backend: str | None = None, ctx: Any = None, precision: str = "auto",
                mode: str = "latency", views: Views | None = None) -> Detector:  # fmt: skip
    """The Detector of a source; the arguments and errors are those of `load`."""
    return with_views(_open(source, backend, ctx, precision, mode), views)


def _open(source: ModelSource, backend: str | None, ctx: Any, precision: str, mode: str) -> Detector:
    _check_choices(backend, precision, mode)
    chosen = choose_backend(source, backend, ctx)
    check_installed(chosen)
    source = source.located()
    if chosen == "torch":
        from ssdzoo.predict.backends.torch import open_torch

        return Detector(open_torch(source, ctx, "f32" if precision == "auto" else precision), source.preset)
    if chosen != "mxnet":
        precision = "f32" if backend in (None, "auto") else precision
        try:
            onnx = source if isinstance(source, OnnxSource) else OnnxSource(source.model, cached_onnx(source, ctx))
        except ExportError as error:
            if backend != "auto":
                raise
            log.warning("%s; it runs with mxnet instead", error)
        else:
            preset = onnx.preset  # which says more about a file that is no model of ours than a runtime does
            made = OpenVINOBackend(onnx.path, precision, mode) if chosen == "openvino" else OnnxRuntimeBackend(onnx.path)
            return Detector(made, preset)
    from ssdzoo.predict.backends.mxnet import MXNetBackend, symbol_block

    if isinstance(source, SymbolSource):
        preset = source.preset  # before mxnet reads the file: it checks the graph
        taken = source.input
        return Detector(MXNetBackend(symbol_block(source, ctx), taken.channels_last, taken.multi_box), preset)
    return Detector(MXNetBackend(source.network(ctx)), source.preset)


def _check_choices(backend: str | None, precision: str, mode: str) -> None:
    """
    Raises:
        CallError: an unknown precision or mode, or one of another backend.
    """
    for choice, what, takers in ((precision, "precision", PRECISIONS), (mode, "mode", MODES)):
        if choice not in takers:
            raise CallError(f"no {what} {choice!r}; there are {', '.join(takers)}")
        if takers[choice] and backend not in takers[choice]:
            named = " and ".join(takers[choice])
            raise CallError(f"{what} {choice} is for {named}: name {'it' if len(takers[choice]) == 1 else 'one'} as the backend")


def check_installed(backend: str) -> None:
    """Imports what a backend needs.

    Raises:
        SSDZooError: a package is missing; names the extra that installs it.
    """
    if backend == "torch":
        import_package("torch", "torch")
    elif backend != "mxnet":  # mxnet's own loading knows more
        for package in (backend, "onnx"):
            import_package(package, "openvino" if backend == "openvino" else "onnx")
