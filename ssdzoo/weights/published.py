"""Published weights: which files belong to a name, and where they are on this machine. `mirrors` fetches what is not here."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path

from ssdzoo.errors import SSDZooError, WeightsError
from ssdzoo.files import file_hash
from ssdzoo.formats.array_files import read_hdf5, read_tensors
from ssdzoo.formats.file_kind import file_kind
from ssdzoo.formats.params_file import read_params
from ssdzoo.preset import backbone_classifier
from ssdzoo.toml_file import parse_toml
from ssdzoo.weights import mirrors
from ssdzoo.weights.download import Failed
from ssdzoo.weights.sources import Source, find_source, gluoncv_source, other_sources

ROOT = "~/.mxnet/models"


@dataclass(frozen=True)
class Found:
    """A file on this machine.

    Attributes:
        path: the file.
        state: "published" (its hash is a published one), "other" (it is not, or none is published, but the file can be read),
            "converted" (it was made of a published one), or "damaged: " and why.
        source: its row in the table of sources; None for a parameter file whose hash is not known.
    """

    path: Path
    state: str
    source: Source | None = None

    @property
    def usable(self) -> bool:
        return not self.state.startswith("damaged")


@dataclass(frozen=True)
class Located:
    """A file with the wanted weights.

    Attributes:
        path: the file.
        source: its row in the table of sources; None for the user's own.
    """

    path: Path
    source: Source | None = None

    @property
    def story(self) -> str:
        """What it is, in a few words."""
        return f"{self.source.file} ({self.source.story})" if self.source else str(self.path)


@lru_cache(maxsize=1)
def published_hashes() -> dict[str, list[str]]:
    """{name of a detector or a backbone: SHA-1 of each parameter file on MXNet's server, the preferred one first}."""
    return parse_toml((resources.files("ssdzoo.weights") / "published.toml").read_text("utf-8"), "published.toml")


def sources_of(name: str) -> list[Source]:
    """The files that a detector or a backbone may start from, the preferred one first: GluonCV's own, then other projects'.

    Args:
        name: such as "ssd_300_vgg16_atrous_coco", "resnet50_v1" or "resnet50_v1b_fpn".
    """
    own = backbone_classifier(name)
    return [gluoncv_source(own, digest) for digest in published_hashes().get(own, [])] + other_sources(name)


def model_folder(root: str | Path = ROOT) -> Path:
    """The folder of the published weights. `MXNET_HOME` moves the default one, as in GluonCV."""
    home = os.environ.get("MXNET_HOME")
    return Path(home).expanduser() / "models" if home and str(root) == ROOT else Path(root).expanduser()


def locate(name: str, which: bool | str | Path = True, root: str | Path = ROOT,
           converted: Callable[[Source], Path | None] = lambda source: None) -> Located:  # fmt: skip
    """The file with the published weights of `name`.

    It is looked for in `root`, in the caches of torch, Hugging Face and Keras, in mirrors, at the servers of their projects, and
    at last at MXNet's. What was not on this machine is copied to `root`.

    Args:
        name: model or backbone, such as "ssd_300_vgg16_atrous_voc" or "mobilenet0.25".
        which: True for the published version, and where there is none for the newest parameter file of this name in `root`. Or
            the name of a file in the table of sources; or the first digits of a hash, for one version of GluonCV's file. Or the
            path of a file, which is returned.
        root: folder with files of the table, and with files in GluonCV's layout: `NAME-HASH.params`, where HASH are 8 hexadecimal
            digits, or `NAME.params`.
        converted: gives the file that was made from a source before, or None.

    Raises:
        WeightsError: no such file. The message lists the places, what each of them answered, and the alternatives.
    """
    given = Path(which).expanduser() if isinstance(which, (str, Path)) else None
    if given and given.exists() and not given.is_dir():  # its reader says what is wrong with a FIFO
        return Located(given)
    folder, tag = model_folder(root), "" if which is True else str(which).lower()
    named, tried = find_source(tag), []
    own, others = ([], [named]) if named else (_own_sources(name, tag), [] if tag else other_sources(name))
    if not named:
        here, damaged = _here(backbone_classifier(name), tag, folder)
        if here:
            return here
        tried.append((str(folder), damaged or f"no {backbone_classifier(name)}-{tag}*.params"))
    for source in others:
        # Where no hash is published, that of the file decides, so that a changed file is converted again.
        found = (converted(source) if source.digest else None) or _local(source, folder, tried) or converted(source)
        if found:
            return Located(found, source)
    if own or others:
        try:
            source, path = mirrors.fetch([*own, *others], folder, problem)
            return Located(path, source)
        except Failed as failure:
            tried += failure.places
        if os.environ.get("SSDZOO_OFFLINE"):
            tried.append(("the internet", "not asked, because SSDZOO_OFFLINE is set"))
    else:
        why = f"{tag!r} is neither a file nor the hash of one" if tag else "none of this name were ever published"
        tried.append(("elsewhere", why))
    reasons: dict[str, list[str]] = {}
    for place, why in tried:
        reasons.setdefault(place, []).append(why)
    lines = "\n".join(f"  {place}: {'; '.join(whys)}" for place, whys in reasons.items())
    first = next(iter([*others, *own]), None)
    file = f"{first.file if first else f'{name}-HASH.params'} from an old machine"
    if first and not first.archived:
        file = f"{first.file} from {first.url}"
    arguments = "weights=, or pretrained=" if name.startswith("ssd_") else "base_weights=, or pretrained_base="
    raise WeightsError(
        f"no weights of {name}:\n{lines}\nput {file} into {folder}, or name a file ({arguments} in get_model); "
        "ssdzoo convert makes one from other frameworks' files"
    )


def _own_sources(name: str, tag: str) -> list[Source]:
    """GluonCV's files of a name, of which `tag` are the first digits of a hash.

    Raises:
        WeightsError: `tag` is no hash.
    """
    if not re.fullmatch("[0-9a-f]{0,64}", tag):
        raise WeightsError(f"no weights of {name}: {tag!r} is neither a file nor the hash of one")
    own = backbone_classifier(name)
    digests = [digest for digest in published_hashes().get(own, []) if digest.startswith(tag)]
    return [gluoncv_source(own, digest) for digest in digests or [tag] * (len(tag) >= 8)]


def problem(source: Source, path: Path) -> str | None:
    """What is wrong with a file that should be that of a source; None for nothing. Where its project publishes no hash, the file
    must be whole and readable."""
    wrong = source.problem(path)
    if wrong or source.digest:
        return wrong
    try:
        kind = file_kind(path)
        if kind == "keras":
            read_hdf5(path, lambda name: True)
        elif kind in ("torch", "safetensors"):
            read_tensors(path)
    except SSDZooError as error:
        return str(error).removeprefix(f"{path}: ")
    return None


def _local(source: Source, folder: Path, tried: list) -> Path | None:
    """The file of a source in `folder` or in the cache of its project's library. `tried` gets what is damaged, or missing."""
    places = [folder / source.file, *source.caches()]
    for path in places:
        wrong = problem(source, path) if path.is_file() else f"no {path.name}"
        if not wrong:
            return path
        tried.append((str(path.parent), wrong if not path.is_file() else f"{path.name} is damaged: {wrong}"))
    return None


def _here(name: str, tag: str, folder: Path) -> tuple[Located | None, str | None]:
    """The parameter file of a name, and what is wrong with a published one that is damaged; None for what there is not."""
    damaged = {}
    for digest in [d for d in published_hashes().get(name, []) if d.startswith(tag)]:
        path = folder / f"{name}-{digest[:8]}.params"
        if path.is_file():
            found = file_hash(path, "sha1")
            if found == digest:
                return Located(path, gluoncv_source(name, digest)), None
            damaged[path] = f"{path.name} is damaged: its SHA-1 begins with {found[:8]}"
    paths = sorted(set(folder.glob(f"{name}-{tag}*.params")) - damaged.keys(), key=lambda p: p.stat().st_mtime)
    if not paths and not tag:
        paths = [p for p in [folder / f"{name}.params"] if p.is_file()]
    return (Located(paths[-1]) if paths else None), next(iter(damaged.values()), None)


def survey(name: str, root: str | Path = ROOT) -> list[Found]:
    """The files with weights of `name` in `root`, in the caches of other libraries, and in mirrors that are folders."""
    folder, classifier = model_folder(root), backbone_classifier(name)
    folders = [Path(place).expanduser() for place in mirrors.mirrors() if not mirrors.is_url(place)]
    own = [folder, *(inner for mirror in folders for inner in (mirror / "gluon" / "models", mirror))]
    paths = [p for f in own for p in sorted([*f.glob(f"{classifier}-*.params"), *f.glob(f"{classifier}.params")])]
    found = [_state(path, classifier) for path in dict.fromkeys(paths)]
    for source in other_sources(name):
        candidates = [folder / source.file, *source.caches(), *(f / c for f in folders for c in source.candidates)]
        for path in dict.fromkeys(p for p in candidates if p.is_file()):
            wrong = problem(source, path)
            found.append(Found(path, f"damaged: {wrong}" if wrong else "published" if source.digest else "other", source))
    return found


def _state(path: Path, name: str) -> Found:
    hashes = published_hashes().get(name, [])
    found = file_hash(path, "sha1")
    if found in hashes:
        return Found(path, "published", gluoncv_source(name, found))
    if any(path.name == f"{name}-{digest[:8]}.params" for digest in hashes):
        return Found(path, f"damaged: its SHA-1 begins with {found[:8]}")
    try:
        read_params(path)
    except WeightsError as error:
        return Found(path, "damaged: " + str(error).removeprefix(f"{path}: "))
    return Found(path, "other")
