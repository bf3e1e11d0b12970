"""The layouts in which data for YOLO come. Each is read into the table that a data.yaml holds: names, nc, kpt_shape, and for each
split the folder or list of its images. The key None has the images of a data set without splits.
"""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

from ssdzoo.data.formats.image_files import is_image
from ssdzoo.data.formats.image_finder import path_tails
from ssdzoo.data.formats.splits import split_word
from ssdzoo.data.formats.text_files import read_class_list, read_head, read_text
from ssdzoo.errors import DataError
from ssdzoo.quote import brief

# The loader in C, where PyYAML has it: the other takes minutes for a file of many brackets.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MOST_YAML = 1 << 21  # bytes; parsing 16 MB takes minutes
_CLASS_LISTS = ("classes.txt", "obj.names", "labels/classes.txt", "*/_darknet.labels", "*/classes.txt", "labels/*/classes.txt")
_SPLIT_FOLDERS = ("images/{}", "{}/images", "{}")  # of a data set without a file that names them
_FOLDERS = ("images", "data", "obj_train_data", ".")


class Layout(NamedTuple):
    """One way to lay out data for YOLO.

    Attributes:
        find: the file that describes the data set of a path, or None where the path is not of this layout.
        read: the table of that file in the folder of the data set.
        count_key: the key under which that file has the number of classes.
    """

    find: Callable[[Path], Path | None]
    read: Callable[[Path, Path], dict]
    count_key: str = "nc"


def find_layout(path: Path) -> tuple[Path, Layout] | None:
    """The file that describes a data set, and the layout; None where the path is of no layout."""
    return next(((file, layout) for layout in LAYOUTS if (file := layout.find(path))), None)


def unlike(path: Path) -> str | None:
    """What a folder that is of no layout lacks, in words of an error; None where it has nothing of YOLO's."""
    if not os.path.isdir(path):
        return None
    for pattern, why in (
        ("*.y*ml", "does not name classes or a split, as data.yaml does"),
        ("*.data", "is not the only .data file, or names no train = LIST"),
    ):
        if file := next(iter(sorted(path.glob(pattern))), None):
            return f"{file} {why}"
    if names := next(_class_lists(path), None):
        return f"{names} lists classes, but there are no images with labels beside it, such as images/x.jpg and labels/x.txt"
    if any(_is_labeled(path / place) for place in _places(path).values()):
        place = path / "classes.txt"
        return f"{path} has images with labels of YOLO, but no list of the classes; write their names into {place}, one a line"
    return None


def find_place(text: str, folders: list, where: str) -> Path:
    """The folder or list that a data set names, from one of `folders` on. A path of another machine is what its end leads to
    there ("train/images"); the end must have the part that names the split, because other splits may have a folder images too.

    Raises:
        DataError: nothing is there, or two places fit.
    """
    tails = path_tails(text)
    named = [i for i, tail in enumerate(tails) if split_word(Path(tail.split("/")[0]).stem)]
    given = [place for folder in folders if os.path.exists(place := folder / text)]
    beside = [
        place
        for tail in tails[: named[-1] + 1 if named else None]
        for folder in folders
        if os.path.exists(place := folder / tail)
    ]
    if given and beside and text.startswith("..") and not os.path.samefile(given[0], beside[0]):
        raise DataError(
            f"{where} {brief(text)} may be {given[0].resolve()} or {beside[0]}: rename one of them, or write the whole path"
        )
    if not given and not beside:
        raise DataError(f"{where} {folders[0] / text} is not there")
    return (given or beside)[0]


def _yaml_file(path: Path) -> Path | None:
    """data.yaml, or the only .yaml file of a folder that names classes or a split."""
    if not os.path.isdir(path):
        return path if path.suffix.lower() in (".yaml", ".yml") else None
    files = sorted(p for p in path.glob("*") if p.suffix.lower() in (".yaml", ".yml") and os.path.isfile(p))
    named = [p for p in files if p.stem == "data"] or [p for p in files if _names_data(p)]
    return named[0] if named and (len(named) == 1 or named[0].stem == "data") else None


def _names_data(file: Path) -> bool:
    return bool(re.search(r"^(names|nc|train|val)\s*:", read_head(file), re.MULTILINE))


def _read_yaml(file: Path, folder: Path) -> dict:
    text = read_text(file, MOST_YAML)
    try:
        # A few lines of references to references can expand to gigabytes, and no data.yaml needs one.
        refers = any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=_LOADER))
        table = None if refers else yaml.load(text, _LOADER)
    except (yaml.YAMLError, RecursionError, TypeError, OverflowError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        reason = getattr(error, "problem", None) or (error if isinstance(error, ValueError) else type(error).__name__)
        raise DataError(f"{file}: not YAML: {where}{reason}") from None
    if refers:
        raise DataError(f"{file}: contains references (*name), which are refused; write the values out")
    if not isinstance(table, dict):
        raise DataError(f"{file}: not a data.yaml; expected train:, val: and names:")
    if table.get("names") is None and (names := read_class_list(file.parent, "classes.txt")):
        table["names"] = names
    return {key: value for key, value in table.items() if key is not None}


def _darknet_file(path: Path) -> Path | None:
    """obj.data, or the only .data file of a folder."""
    if not os.path.isdir(path):
        return path if path.suffix.lower() == ".data" else None
    files = sorted(
        p
        for p in path.glob("*.data")
        if os.path.isfile(p) and re.search(r"^\s*(train|valid|names)\s*=", read_head(p), re.MULTILINE)
    )
    named = [p for p in files if p.stem == "obj"] or files
    return named[0] if len(named) == 1 else None


def _read_darknet(file: Path, folder: Path) -> dict:
    """Lines such as `train = data/train.txt`; CVAT writes data/ for the folder of the file."""
    lines = [line.split("#")[0].partition("=") for line in read_text(file).splitlines()]
    values = {key.strip(): value.strip() for key, _, value in lines if value.strip()}
    table: dict = {key: value for key, value in values.items() if split_word(key)}
    if not table:
        raise DataError(f"{file}: names no images; expected lines such as train = train.txt and names = obj.names")
    count = values.get("classes", "")
    table["nc"] = int(count) if count.isdecimal() and len(count) < 10 else count or None
    if "names" in values:
        names = find_place(values["names"], [file.parent], f"{file}: names:")
        table["names"] = read_class_list(names.parent, names.name)
    return table


def _class_list(path: Path) -> Path | None:
    """The list of classes of a folder of images with labels, where no file says where they are."""
    if not os.path.isdir(path) or not any(_is_labeled(path / place) for place in _places(path).values()):
        return None
    return next(_class_lists(path), None)


def _class_lists(folder: Path) -> Iterator[Path]:
    return (file for pattern in _CLASS_LISTS for file in sorted(folder.glob(pattern)) if os.path.isfile(file))


def _read_folders(file: Path, folder: Path) -> dict:
    names = read_class_list(file.parent, file.name)
    for other in _class_lists(folder):
        if read_class_list(other.parent, other.name) != names:
            raise DataError(f"{other}: lists other classes than {file}, or in another order; keep one list, that of the labels")
    return {"names": names, **_places(folder)}


def _places(folder: Path) -> dict:
    """{split: folder of its images, from that of the data set on}."""
    for pattern in _SPLIT_FOLDERS:
        inside = folder / pattern.partition("{}")[0]
        names = sorted(p.name for p in inside.glob("*") if split_word(p.name) and os.path.isdir(p))
        places = {name: pattern.format(name) for name in names}
        if any(_is_labeled(folder / place) for place in places.values()):
            return places
    return {None: next((place for place in _FOLDERS if os.path.isdir(folder / place)), ".")}


def _is_labeled(folder: Path) -> bool:
    """Whether a folder's images have labels, in the parallel folder or beside them."""
    if has_labels(folder):
        return True
    names = os.listdir(folder) if os.path.isdir(folder) else []
    texts = {name[:-4] for name in names if name.endswith(".txt")}
    return bool(texts) and any(Path(name).stem in texts and is_image(folder / name) for name in names)


def has_labels(folder: Path) -> bool:
    """Whether the folder of the labels that is parallel to one of images has any."""
    labels = label_folder(folder)
    return labels != folder and next(labels.rglob("*.txt"), None) is not None


def label_folder(folder: Path) -> Path:
    """labels/train for images/train, replacing the last folder of that name; the folder itself where it lies in no images/."""
    parts = list(folder.parts)
    if "images" in parts:
        parts[-1 - parts[::-1].index("images")] = "labels"
    return Path(*parts)


LAYOUTS = (Layout(_yaml_file, _read_yaml), Layout(_darknet_file, _read_darknet, "classes"), Layout(_class_list, _read_folders))
