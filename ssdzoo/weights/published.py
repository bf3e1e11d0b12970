"""Published weights: which file belongs to a name, and where it is on this machine. `mirrors` fetches what is not here."""

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path

from ssdzoo.errors import WeightsError
from ssdzoo.files import file_hash
from ssdzoo.formats.params_file import read_params
from ssdzoo.preset import parse_toml
from ssdzoo.weights import mirrors
from ssdzoo.weights.download import Failed

ROOT = "~/.mxnet/models"


@dataclass(frozen=True)
class Found:
    """A parameter file on this machine.

    Attributes:
        path: the file.
        state: "published" (its hash is a published one), "other" (it is not, but the file can be read), or "damaged: " and why.
    """

    path: Path
    state: str

    @property
    def usable(self) -> bool:
        return not self.state.startswith("damaged")


@lru_cache(maxsize=1)
def published_hashes() -> dict:
    """{name of a detector or a backbone: SHA-1 of each published parameter file, the preferred one first}."""
    return parse_toml((resources.files("ssdzoo.weights") / "published.toml").read_text("utf-8"), "published.toml")


def model_folder(root: str | Path = ROOT) -> Path:
    """The folder of the published weights. `MXNET_HOME` moves the default one, as in GluonCV."""
    home = os.environ.get("MXNET_HOME")
    return Path(home).expanduser() / "models" if home and str(root) == ROOT else Path(root).expanduser()


def find_weights(name: str, which: bool | str | Path, root: str | Path = ROOT) -> Path:
    """The file with the published weights of `name` in `root`. Where it is not there, it is copied from a mirror: see `mirrors`.

    Args:
        name: model or backbone, such as "ssd_300_vgg16_atrous_voc" or "mobilenet0.25".
        which: True for the published version, and where there is none for the newest file of this name. Or the first digits of a
            hash, for one version. Or the path of a file, which is returned.
        root: folder in GluonCV's layout: `NAME-HASH.params`, where HASH are 8 hexadecimal digits, or `NAME.params`.

    Raises:
        WeightsError: no such file. The message lists the places, what each of them answered, and the alternatives.
    """
    if isinstance(which, (str, Path)) and Path(which).expanduser().is_file():
        return Path(which).expanduser()
    folder, tag = model_folder(root), "" if which is True else str(which).lower()
    if not re.fullmatch("[0-9a-f]{0,64}", tag):
        raise WeightsError(f"no weights of {name}: {str(which)!r} is neither a file nor the hash of one")
    here, damaged = _here(name, tag, folder)
    if here:
        return here
    reasons = [(str(folder), damaged or f"no {name}-{tag}*.params")]
    digest = next((d for d in published_hashes().get(name, []) if d.startswith(tag)), tag if len(tag) >= 8 else None)
    if digest:
        try:
            return mirrors.fetch(f"{name}-{digest[:8]}", digest, folder)
        except Failed as failure:
            reasons += failure.places
    else:
        why = f"{tag!r} is neither a file nor the hash of one" if tag else "none of this name were ever published"
        reasons.append(("elsewhere", why))
    lines = "\n".join(f"  {place}: {why}" for place, why in reasons)
    file = f"{name}-{digest[:8] if digest else 'HASH'}.params"
    raise WeightsError(
        f"no weights of {name}:\n{lines}\nput {file} from an old machine into {folder}, or name a file (weights=, "
        "base_weights=, pretrained=, pretrained_base=); ssdzoo convert makes one from other frameworks' files"
    )


def _here(name: str, tag: str, folder: Path) -> tuple[Path | None, str | None]:
    """The file, and what is wrong with a published file that is damaged; None for what there is not."""
    damaged, hashes = None, [d for d in published_hashes().get(name, []) if d.startswith(tag)]
    bad = set()
    for digest in hashes:
        path = folder / f"{name}-{digest[:8]}.params"
        if path.is_file():
            found = file_hash(path, "sha1")
            if found == digest:
                return path, None
            damaged = f"{path.name} is damaged: its SHA-1 begins with {found[:8]}"
            bad.add(path)
    paths = sorted(set(folder.glob(f"{name}-{tag}*.params")) - bad, key=lambda p: p.stat().st_mtime)
    if not paths and not tag:
        paths = [p for p in [folder / f"{name}.params"] if p.is_file()]
    return (paths[-1] if paths else None), damaged


def survey(name: str, root: str | Path = ROOT) -> list[Found]:
    """The files with weights of `name` in `root` and in mirrors that are folders."""
    folders = [model_folder(root)]
    for place in mirrors.places():
        if not mirrors.is_url(place):
            folders += [Path(place).expanduser() / "gluon" / "models", Path(place).expanduser()]
    paths = [p for folder in folders for p in sorted([*folder.glob(f"{name}-*.params"), *folder.glob(f"{name}.params")])]
    return [Found(path, _state(path, name)) for path in dict.fromkeys(paths)]


def _state(path: Path, name: str) -> str:
    hashes = published_hashes().get(name, [])
    found = file_hash(path, "sha1")
    if found in hashes:
        return "published"
    if any(path.name == f"{name}-{digest[:8]}.params" for digest in hashes):
        return f"damaged: its SHA-1 begins with {found[:8]}"
    try:
        read_params(path)
    except WeightsError as error:
        return "damaged: " + str(error).removeprefix(f"{path}: ")
    return "other"
