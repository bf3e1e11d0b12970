"""The files of an exported model: in a folder, or in an archive such as SageMaker's `model.tar.gz`."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ssdzoo.class_names import parse_class_names
from ssdzoo.errors import CallError, WeightsError
from ssdzoo.files import read_whole, write_text
from ssdzoo.formats.detection_graph import read_detection
from ssdzoo.formats.model_archive import SUFFIXES, ModelArchive, is_archive, list_archive
from ssdzoo.formats.params_file import read_params, read_stream, strip_prefix, write_params
from ssdzoo.formats.symbol_file import SymbolGraph, symbol_text
from ssdzoo.preset import read_fields
from ssdzoo.preset_fields import check_fields
from ssdzoo.quote import brief

HEADS = "heads.json"  # of a run of the torch engine: the symbol of its head outputs
CLASSES, HYPERPARAMS = "classes.txt", "hyperparams.json"
_SYMBOL = "-symbol.json"
_EPOCH = re.compile(r"-\d{4}\.params$")
_NAMED_SIZE = re.compile(r"(?:deploy_)?ssd_(?:\w+_)?(\d{3,4})")
_MAX_TEXT = 1 << 20  # bytes of a list of classes or of hyperparameters


@dataclass(frozen=True)
class ExportedFiles:
    """The files of an exported model.

    Attributes:
        symbol, params: `NAME-symbol.json` and `NAME-0000.params`. In an archive their paths are names in it.
        sidecar: where the sidecar is, or would be.
        classes: a list of the classes, one a line, or None.
        hyperparams: SageMaker's `hyperparams.json`, or None.
        archive: what holds them, but for a sidecar and a list of classes beside it; or None.
    """

    symbol: Path
    params: Path
    sidecar: Path
    classes: Path | None = None
    hyperparams: Path | None = None
    archive: ModelArchive | None = None

    @property
    def name(self) -> str:
        """Of a run, that of its folder."""
        if self.symbol.name == HEADS:
            return self.symbol.absolute().parent.name
        return self.symbol.name.removesuffix(_SYMBOL)

    @property
    def on_disk(self) -> list[Path]:
        """Those that are files of their own, the weights first."""
        first = [self.archive.path] if self.archive else [self.params, self.symbol]
        others = (self.hyperparams, self.classes, self.sidecar)
        return first + [file for file in others if file and file.is_file()]

    def graph(self) -> SymbolGraph:
        """The graph of the detection: see `read_detection`."""
        if self.archive is None:
            return read_detection(self.symbol)
        return read_detection(self._text(self.symbol), str(self.symbol))

    def arrays(self) -> dict:
        """{name: array} of the parameters, names without `arg:` and `aux:`.

        Raises:
            WeightsError: as `read_params`.
        """
        if self.archive is None:
            arrays = read_params(self.params)
        else:
            name = self._inside(self.params)
            with self.archive.open(name) as file:
                arrays = read_stream(file, self.archive.sizes[name], self.params)
        return {strip_prefix(name): array for name, array in arrays.items()}

    @property
    def named_size(self) -> int | None:
        """The side of the input in pixels, which mxnet-ssd writes at the end of a name such as `ssd_resnet50_512` or
        `deploy_ssd_vgg16_reduced_300`; None for another name."""
        named = _NAMED_SIZE.fullmatch(self.name)
        return int(named[1]) if named else None

    def sidecar_fields(self) -> dict:
        """The fields of a preset that the sidecar holds; none where there is no sidecar.

        Raises:
            CallError: it is damaged.
        """
        return read_fields(self.sidecar) if self.sidecar.is_file() else {}

    def listed_classes(self) -> list | None:
        """The names in the list of the classes.

        Raises:
            CallError: no names, or one twice.
        """
        return parse_class_names(self._text(self.classes), str(self.classes)) if self.classes else None

    def hyperparameters(self) -> tuple[dict, int | None]:
        """What SageMaker's hyperparameters say: `base_size` as the field of a preset, and the number of classes.

        All values of the file are texts, such as {"image_shape": "512", "num_classes": "3"}.

        Raises:
            CallError: not JSON, or a value that is no such number.
        """
        if self.hyperparams is None:
            return {}, None
        try:
            values = json.loads(self._text(self.hyperparams))
        except (ValueError, RecursionError):
            values = None
        if not isinstance(values, dict):
            raise CallError(f"{self.hyperparams}: expected a JSON object of hyperparameters, as SageMaker writes it")
        side, classes = (self._number(values, name) for name in ("image_shape", "num_classes"))
        return check_fields({"base_size": side}, f"{self.hyperparams}: image_shape") if side else {}, classes

    def _number(self, values: dict, name: str) -> int | None:
        text = str(values.get(name, "")).strip()
        if text and not re.fullmatch(r"[1-9]\d{0,4}", text):
            raise CallError(f"{self.hyperparams}: {name!r} is {brief(values[name])}; expected a whole number")
        return int(text) if text else None

    def _inside(self, path: Path) -> str:
        """The name of a file in the archive."""
        assert self.archive
        return path.relative_to(self.archive.path).as_posix()

    def _text(self, path: Path) -> str:
        """
        Raises:
            WeightsError: it can't be read, or is not UTF-8.
        """
        try:
            if self.archive and self.archive.path in path.parents:
                return self.archive.texts[self._inside(path)].decode("utf-8-sig")
            return read_whole(path, _MAX_TEXT).decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise WeightsError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def exported_paths(path: str | Path, epoch: int = 0) -> tuple[Path, Path, Path]:
    """The files of an exported model whose common path is `path`: the symbol, the parameters, and the sidecar."""
    return Path(f"{path}{_SYMBOL}"), Path(f"{path}-{epoch:04d}.params"), Path(f"{path}.toml")


def write_exported(path: str | Path, graph: SymbolGraph, arrays: dict, sidecar: str) -> None:
    """Writes an exported model.

    Args:
        path: the common path of its files.
        graph: what its outputs need.
        arrays: {name: array} of its parameters, without `arg:` and `aux:`.
        sidecar: the table, TOML.
    """
    symbol_file, params_file, table = exported_paths(path)
    statistics = graph.statistics()
    write_params(params_file, {f"{'aux' if name in statistics else 'arg'}:{name}": array for name, array in arrays.items()})
    write_text(symbol_file, symbol_text(graph.raw))
    write_text(table, sidecar)


def find_exported(model: str | Path) -> ExportedFiles | None:
    """The exported model that a path names; None where there is none.

    Args:
        model: its folder, one of its two files, their common path, or an archive of them. The parameter file is the named one, or
            that of the highest epoch.

    Raises:
        CallError: a folder or an archive of several.
        WeightsError: its parameters are missing; an archive that can't be read, or that holds no exported model.
    """
    path = Path(model)
    if is_archive(path):
        return _in_archive(path)
    if path.is_dir():
        symbols = sorted(path.glob(f"*{_SYMBOL}"))
        if len(symbols) > 1:
            raise CallError(f"{path} holds {len(symbols)} exported models; name one of {', '.join(p.name for p in symbols)}")
    else:
        stem = _EPOCH.sub("", path.name.removesuffix(_SYMBOL))
        symbols = [p for p in [path.with_name(f"{stem}{_SYMBOL}")] if p.is_file()]
    if not symbols:
        return None
    stem, folder = symbols[0].name.removesuffix(_SYMBOL), symbols[0].parent
    named = [path] if _EPOCH.search(path.name) and path.is_file() else []
    params = _chosen(named + _epochs(folder.glob(f"{stem}-[0-9][0-9][0-9][0-9].params"), stem), symbols[0])
    classes, hyperparams = (file if (file := folder / name).is_file() else None for name in (CLASSES, HYPERPARAMS))
    return ExportedFiles(symbols[0], params, folder / f"{stem}.toml", classes, hyperparams)


def _in_archive(path: Path) -> ExportedFiles:
    """The exported model in an archive, whose sidecar and list of classes may lie beside it."""
    archive = list_archive(path, (_SYMBOL, CLASSES, HYPERPARAMS))
    files = [path / name for name in archive.sizes if not name.rpartition("/")[2].startswith("._")]  # of macOS
    symbols = [file for file in files if file.name.endswith(_SYMBOL)]
    if not symbols:
        raise WeightsError(f"{path}: holds no exported model: expected NAME{_SYMBOL} and NAME-0000.params")
    if len(symbols) > 1:
        raise CallError(
            f"{path} holds {len(symbols)} exported models: unpack it, and name one of {', '.join(p.name for p in symbols)}"
        )
    symbol, folder = symbols[0], symbols[0].parent
    stem = symbol.name.removesuffix(_SYMBOL)
    params = _chosen(_epochs((file for file in files if file.parent == folder), stem), symbol)
    beside = path.with_name(path.name[: -len(next(end for end in SUFFIXES if path.name.lower().endswith(end)))] + ".toml")
    own_list = path.with_name(CLASSES)
    classes = own_list if own_list.is_file() else next((file for file in files if file == folder / CLASSES), None)
    hyperparams = next((file for file in files if file == folder / HYPERPARAMS), None)
    return ExportedFiles(symbol, params, beside, classes, hyperparams, archive)


def _epochs(files: Iterable[Path], stem: str) -> list[Path]:
    """The parameter files of a model, that of the highest epoch first."""
    return sorted((file for file in files if _EPOCH.sub("", file.name) == stem and _EPOCH.search(file.name)), reverse=True)


def _chosen(params: list[Path], symbol: Path) -> Path:
    if not params:
        raise WeightsError(f"{symbol}: its parameters {symbol.name.removesuffix(_SYMBOL)}-0000.params are missing")
    return params[0]
