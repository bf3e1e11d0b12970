"""The table of sources: files that a detector or a backbone may start from, and what their projects publish about them.

Data alone: `published` looks for the files, `mirrors` fetches them. No network and no mxnet here.
"""

import os
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

from ssdzoo.errors import CallError
from ssdzoo.files import file_hash
from ssdzoo.preset import backbone_classifier
from ssdzoo.toml_file import parse_toml

ORIGINAL = "https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com/"
_FACTS = {"path", "sha256", "md5", "bytes", "mib", "top1", "mAP", "note"}
_PROJECT = {"title", "license", "url", "files"}


@dataclass(frozen=True)
class Source:
    """A file that weights start from.

    Attributes:
        file: its name here and in mirrors.
        title, license: of its project.
        url: where it is published.
        digest: the first hexadecimal digits of its hash, or "" where the project publishes none.
        algorithm: of the hash: "sha256", "md5", "sha1"; "" is SHA-1 or SHA-256.
        size: bytes, or None.
        mib: size in MiB as far as it is published rounded, or None.
        top1, mAP: accuracy in percent on ImageNet, and on COCO, as its project publishes it; or None.
        note: what differs from the network that starts from it, or "".
        archived: a parameter file of MXNet's server, which may lie in a `.zip`, and whose server is gone.
    """

    file: str
    title: str
    license: str
    url: str
    digest: str = ""
    algorithm: str = ""
    size: int | None = None
    mib: float | None = None
    top1: float | None = None
    mAP: float | None = None
    note: str = ""
    archived: bool = False

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def megabytes(self) -> float | None:
        """Size in MB, or None."""
        size = self.size or (self.mib and self.mib * 2**20)
        return size / 1e6 if size else None

    @property
    def story(self) -> str:
        """Whose it is, its license, and its size where that is known, for people."""
        size = f", {self.megabytes:.0f} MB" if self.megabytes else ""
        return f"{self.title}, {self.license}{size}"

    @property
    def candidates(self) -> list[str]:
        """Its paths below a mirror."""
        if not self.archived:
            return [self.file, urlsplit(self.url).path.lstrip("/")]
        stem = self.file.removesuffix(".params")
        return [f"gluon/models/{stem}.zip", f"gluon/models/{self.file}", self.file, f"{stem}.zip"]

    def caches(self) -> list[Path]:
        """Where the project's own library keeps the file on this machine, whether it is there or not."""
        if self.host == "download.pytorch.org":
            return [_home("TORCH_HOME", _home("XDG_CACHE_HOME", "~/.cache") / "torch") / "hub" / "checkpoints" / self.file]
        if self.host == "storage.googleapis.com":
            return [_home("KERAS_HOME", "~/.keras") / "models" / self.file]
        if self.host == "huggingface.co":
            owner, repository, _, _, *inner = urlsplit(self.url).path.lstrip("/").split("/")
            home = _home("HF_HOME", _home("XDG_CACHE_HOME", "~/.cache") / "huggingface")
            snapshots = _home("HF_HUB_CACHE", home / "hub") / f"models--{owner}--{repository}" / "snapshots"
            return sorted(snapshots.glob("/".join(["*", *inner]))) or [snapshots / inner[-1]]
        return []

    def problem(self, path: Path) -> str | None:
        """What shows that a file is another one, or damaged; None if its size and hash are right, as far as they are known."""
        if self.size and path.stat().st_size != self.size:
            return f"has {path.stat().st_size} bytes, not {self.size}"
        hashes = {a: file_hash(path, a) for a in ((self.algorithm,) if self.algorithm else ("sha1", "sha256")) if self.digest}
        if hashes and not any(found.startswith(self.digest) for found in hashes.values()):
            algorithm, found = next(iter(hashes.items()))
            name = algorithm.upper().replace("SHA", "SHA-")
            return f"its {name} begins with {found[:8]}, not {self.digest[:8]}"
        return None


def _home(variable: str, default: str | Path) -> Path:
    return Path(os.environ.get(variable) or default).expanduser()


def gluoncv_source(name: str, digest: str) -> Source:
    """The parameter file of a detector or a backbone on MXNet's server.

    Args:
        name: such as "mobilenet0.25".
        digest: 8 or more digits of its SHA-1 or SHA-256.
    """
    stem = f"{name}-{digest[:8]}"
    return Source(f"{stem}.params", "GluonCV", "Apache-2.0", f"{ORIGINAL}gluon/models/{stem}.zip", digest, archived=True)


@lru_cache(maxsize=1)
def _table() -> tuple[dict[str, Source], dict[str, list[str]]]:
    return read_sources((resources.files("ssdzoo.weights") / "sources.toml").read_text("utf-8"), "sources.toml")


def read_sources(text: str, where: str) -> tuple[dict[str, Source], dict[str, list[str]]]:
    """({file: Source}, {name of a detector or a backbone: files that it may start from}) of a table.

    Raises:
        CallError: a file that is there twice, an unknown field, a start from a file that is not in the table.
    """
    tables = parse_toml(text, where)
    starts = tables.pop("starts", {})
    sources: dict[str, Source] = {}
    for project, table in tables.items():
        if set(table) != _PROJECT:
            raise CallError(f"{where}, [{project}]: expected {', '.join(sorted(_PROJECT))}; found {', '.join(sorted(table))}")
        for file, facts in table["files"].items():
            if file in sources:
                raise CallError(f"{where}, [{project}.files]: {file!r} is there twice")
            if not facts.keys() <= _FACTS:
                raise CallError(f"{where}, {file!r}: unknown field {next(f for f in facts if f not in _FACTS)!r}")
            sources[file] = _source(file, table, facts)
    for name, files in starts.items():
        unknown = [file for file in files if file not in sources or files.count(file) > 1]
        if unknown:
            raise CallError(
                f"{where}, [starts]: {name!r} starts from {unknown[0]!r}, which is not in the table or is named twice"
            )
    return sources, starts


def _source(file: str, project: dict, facts: dict) -> Source:
    algorithm = next((a for a in ("sha256", "md5") if a in facts), "")
    url = project["url"].format(path=facts.get("path", file))
    source = Source(file, project["title"], project["license"], url, facts.get(algorithm, ""), algorithm, facts.get("bytes"))
    return replace(source, **{k: facts[k] for k in ("mib", "top1", "mAP", "note") if k in facts})


def all_sources() -> list[Source]:
    """The files of all projects but GluonCV's."""
    return list(_table()[0].values())


def find_source(file: str) -> Source | None:
    """The source of that file name, or None."""
    return _table()[0].get(file)


def other_sources(name: str) -> list[Source]:
    """The files of all projects but GluonCV's that a detector or a backbone may start from, the preferred one first.

    Args:
        name: such as "ssd_300_vgg16_atrous_coco", "resnet50_v1" or "resnet50_v1b_fpn".
    """
    sources, starts = _table()
    return [sources[file] for file in starts.get(name, starts.get(backbone_classifier(name), []))]
