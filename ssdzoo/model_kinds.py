"""The kinds of models that a user may name, and what each reads from its files."""

import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ssdzoo.anchors.levels import Level
from ssdzoo.class_names import numbered_names
from ssdzoo.errors import CallError, WeightsError
from ssdzoo.exported_files import HEADS, ExportedFiles
from ssdzoo.formats.detection_graph import suppression, with_suppression
from ssdzoo.formats.graph_input import GraphInput, input_of
from ssdzoo.formats.onnx_metadata import read_onnx_preset
from ssdzoo.formats.symbol_file import SymbolGraph
from ssdzoo.model_files import ModelFiles
from ssdzoo.preset import Preset, read_preset
from ssdzoo.symbol_preset import infer_preset
from ssdzoo.weights.converted import find_detector


@dataclass(frozen=True)
class NetworkSource(ModelFiles):
    """A preset, a table, a run folder, or a converted parameter file with its table: a network that can be built.

    Attributes:
        preset: its classes may be missing where there are no weights.
        weights: parameter file, or None for the published one.
        table: the file that the preset was read from, or None.
    """

    model: str
    preset: Preset
    weights: Path | None = None
    table: Path | None = None

    @property
    def name(self) -> str:
        """Of a run, that of its folder: the presets of two runs may have one name."""
        folder = Path(self.model)
        return (Path(os.path.abspath(folder)).name if self.table == folder / "model.toml" else "") or self.preset.name

    @property
    def has_weights(self) -> bool:
        """Whether the user named weights; for a bare preset some may be published."""
        return self.weights is not None

    def located(self) -> "NetworkSource":
        return self if self.weights else self._located

    @cached_property
    def _located(self) -> "NetworkSource":
        if self.preset.classes is None:
            raise WeightsError(f"{self.preset.name} has no published weights: name a run folder, or a file with weights=")
        found = find_detector(self.preset.name)
        table = found.path.with_suffix(".toml") if found.preset else self.table
        preset = replace(found.preset or self.preset, suppress=self.preset.suppress)
        return replace(self, preset=preset, weights=found.path, table=table)

    @property
    def params(self) -> Path:
        """The parameter file; a published one may be downloaded.

        Raises:
            WeightsError: there is none.
        """
        weights = self.located().weights
        assert weights is not None
        return weights

    @property
    def files(self) -> list[Path]:
        return [self.params, *([self.table] if self.table else [])]

    @property
    def heads(self) -> Path | None:
        """The symbol of the head outputs, JSON, which a run of the torch engine keeps, so that it is used without mxnet."""
        file = Path(self.model) / HEADS
        return file if self.table == file.with_name("model.toml") and file.is_file() else None

    def network(self, ctx: Any = None) -> Any:
        from ssdzoo.build import get_model  # mxnet

        if self.weights is None and self.preset.classes is None:
            self.located()  # raises
        net = get_model(self.preset, ctx=ctx, pretrained=self.weights or True)
        net.hybridize()
        return net

    def levels(self) -> list[Level]:
        from ssdzoo.build import get_model
        from ssdzoo.nn.anchors import network_levels

        return network_levels(self.network() if self.has_weights else get_model(self.preset.with_classes(["object"])))

    def digest(self, *more: str) -> str:
        return super().digest(self.preset.to_toml(), *more)


@dataclass(frozen=True)
class SymbolSource(ModelFiles):
    """An exported model: `NAME-symbol.json` with `NAME-0000.params`, in a folder or in an archive. A sidecar, a list of classes,
    and SageMaker's hyperparameters may say more of it.

    Attributes:
        exported: its files.
        given: (mean, std) that the user gave, three numbers each, or None. They win over the sidecar's.
        classes: the names that the user gave, or None.
        suppress: what its NMS compares, "per-class" or "across"; None for what its sidecar or else its graph says.
    """

    model: str
    exported: ExportedFiles
    given: tuple | None = None
    classes: tuple | None = None
    suppress: str | None = None

    @property
    def name(self) -> str:
        return self.exported.name

    @property
    def symbol(self) -> Path:
        """For messages: it is read as `graph`."""
        return self.exported.symbol

    @property
    def params(self) -> Path:
        """For messages: it is read as `arrays`."""
        return self.exported.params

    @property
    def files(self) -> list[Path]:
        return self.exported.on_disk

    @cached_property
    def known(self) -> dict:
        """The fields of a preset that its files say, and those that the user gave."""
        fields = {**self.exported.hyperparameters()[0], **self.exported.sidecar_fields()}
        if "base_size" not in fields and (size := self.exported.named_size) and self.input.multi_box:
            fields["base_size"] = (size, size)
        if self._names[0]:
            fields["classes"] = tuple(self._names[0])
        return {**fields, "mean": self.given[0], "std": self.given[1]} if self.given else fields

    @cached_property
    def _names(self) -> tuple:
        """(names of the classes or None, who says them)."""
        count = self.exported.hyperparameters()[1]
        for names, who in (
            (self.classes, "classes= names"),
            (self.exported.sidecar_fields().get("classes"), "its sidecar names"),
            (self.exported.listed_classes(), f"{self.exported.classes} names"),
            (count and numbered_names(count), f"{self.exported.hyperparams} says"),
        ):
            if names:
                return names, who
        return None, ""

    @cached_property
    def graph(self) -> SymbolGraph:
        """The graph of its detection."""
        graph, wanted = self.exported.graph(), self._wanted_suppression
        return with_suppression(graph, wanted) if wanted and suppression(graph) else graph

    @property
    def _wanted_suppression(self) -> str | None:
        return self.suppress or self.exported.sidecar_fields().get("suppress")

    @cached_property
    def arrays(self) -> dict:
        """{name: array} of the parameters, names without `arg:` and `aux:`."""
        return self.exported.arrays()

    @cached_property
    def input(self) -> GraphInput:
        """What the graph takes."""
        return input_of(self.graph, self.arrays)

    @cached_property
    def normalization(self) -> tuple:
        """(mean, std) that prepare RGB images in 0..1 for the graph.

        Raises:
            CallError: they are given for a graph that normalizes images itself; nobody knows them.
        """
        if self.given and self.input.white is not None:
            raise CallError(f"{self.symbol}: its graph normalizes images itself: leave mean= and std= out")
        return self.input.normalization(self.known.get("mean"), self.known.get("std"), str(self.symbol))

    @cached_property
    def preset(self) -> Preset:
        """From what is known, and what that leaves out from the graph, which takes mxnet for an unknown input size.

        Raises:
            WeightsError: not the detections of an SSD, or its input size is not known.
            CallError: as `normalization`; a wrong number of classes.
        """
        (mean, std), compared = self.normalization, suppression(self.graph) or self._wanted_suppression
        if compared:
            return replace(self._preset(mean, std), suppress=compared)
        return self._preset(mean, std)

    def _preset(self, mean: tuple, std: tuple) -> Preset:
        if "backbone" not in self.known:
            known = {**self.known, "mean": mean, "std": std}
            return infer_preset(self.graph, self.arrays, known, self.exported.sidecar, self._names[1])
        preset = read_preset(self.exported.sidecar)
        names, count = self.known.get("classes") or (), len(preset.classes or ())
        if count and len(names) != count:
            raise CallError(f"{self.symbol}: has {count} classes, {self._names[1]} {len(names)}")
        return replace(preset, mean=mean, std=std, classes=names or None)

    def digest(self, *more: str) -> str:
        said = (*(self.given or ()), *(self.classes or ()), *([self.suppress] if self.suppress else []))
        return super().digest(*map(str, said), *more)


@dataclass(frozen=True)
class OnnxSource(ModelFiles):
    """An ONNX file of ssdzoo's export.

    Attributes:
        given: (mean, std) that the user gave, three numbers each, or None.
    """

    model: str
    path: Path
    given: tuple | None = None

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def files(self) -> list[Path]:
        return [self.path]

    @cached_property
    def preset(self) -> Preset:
        return read_onnx_preset(self.path, self.given)


ModelSource = NetworkSource | SymbolSource | OnnxSource
