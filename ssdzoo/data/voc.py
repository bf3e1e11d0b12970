"""Pascal VOC folders: Annotations/*.xml, ImageSets/Main/SPLIT.txt, JPEGImages/."""

import difflib
import re
from pathlib import Path
from xml.etree.ElementTree import ParseError

import numpy as np
from defusedxml import DefusedXmlException, ElementTree

from ssdzoo import boxes as geometry
from ssdzoo.data.images import IMAGE_SUFFIXES, image_size
from ssdzoo.data.record import Dataset, Problem, Record
from ssdzoo.errors import DataError

FRACTIONS = {"train": 0.8, "val": 0.1, "test": 0.1}  # of a folder without split files
SHOWN = 5  # bad files that one error names


def is_voc(root) -> bool:
    """Whether a folder looks like a Pascal VOC data set."""
    return (Path(root) / "Annotations").is_dir()


def voc_class_names(root) -> list:
    """Names of all classes in a folder's annotations, whatever the split, sorted.

    Raises:
        DataError: annotations that cannot be read.
    """
    names, errors = set(), []
    for path in _annotations(Path(root)):
        try:
            names.update(_text(o, "name", path) for o in _parse(path).iter("object"))
        except DataError as error:
            errors.append(str(error))
    _raise_together(errors)
    return sorted(names)


def load_voc(root, split: str, names: list | None = None, seed: int = 0) -> Dataset:
    """The images of one split.

    Args:
        root: the folder.
        split: name of a file in ImageSets/Main; "trainval" joins train and val where it has no file. Without that
            folder, "train", "val" and "test" are 80, 10 and 10 % of the images, drawn with `seed`.
        names: the classes, in order; None takes all there are, sorted.

    Coordinates in the files count from 1; all four are moved by one, as in GluonCV. Boxes without width or
    height are left out and reported as problems.

    Raises:
        DataError: a missing or empty split, an annotation or an image that cannot be read, a box outside of its
            image, a class that is not in `names`; names the first few files of each kind and what to do.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    names = voc_class_names(root) if names is None else list(names)
    problems, errors = [], []
    images = {p.stem: p for p in (root / "JPEGImages").glob("*") if p.suffix.lower() in IMAGE_SUFFIXES}
    records = []
    for stem in _split(root, split, seed):
        try:
            records.append(_record(root / "Annotations" / f"{stem}.xml", images, names, problems))
        except DataError as error:
            errors.append(str(error))
    _raise_together(errors)
    return Dataset(names, records, problems)


def _raise_together(errors: list) -> None:
    if errors:
        more = f"\n... and {len(errors) - SHOWN} more files" if len(errors) > SHOWN else ""
        raise DataError("\n".join(errors[:SHOWN]) + more)


def _annotations(root: Path) -> list:
    files = sorted((root / "Annotations").glob("*.xml"))
    if not files:
        raise DataError(f"{root}: no annotations; expected Annotations/*.xml, JPEGImages/ and ImageSets/Main/*.txt")
    return files


def voc_split_names(root) -> list:
    """The splits of a folder: its files in ImageSets/Main, or those that are drawn where there are none."""
    return sorted(p.stem for p in (Path(root) / "ImageSets" / "Main").glob("*.txt")) or sorted(FRACTIONS)


def _split(root: Path, split: str, seed: int) -> list:
    """Stems of the images of a split."""
    folder = root / "ImageSets" / "Main"
    listed = {p.stem: p for p in folder.glob("*.txt")}
    if not listed:
        return _drawn_split(root, split, seed)
    parts = ("train", "val") if split == "trainval" and "trainval" not in listed else (split,)
    missing = [part for part in parts if part not in listed]
    if missing:
        raise DataError(f"{folder}: no split {missing[0]!r}; there are {', '.join(sorted(listed))}")
    lines = [line.strip() for part in parts for line in listed[part].read_text("utf-8-sig", "replace").splitlines()]
    stems = [_stem(root, line) for line in lines if line]
    if not stems:
        raise DataError(f"{listed[parts[0]]}: the split is empty")
    return stems


def _stem(root: Path, line: str) -> str:
    """The image that a line of a split names; in the files of single classes, -1, 0 or 1 stands behind it."""
    if (root / "Annotations" / f"{line}.xml").is_file():
        return line
    return re.sub(r"\s+(-1|0|1)$", "", line)


def _drawn_split(root: Path, split: str, seed: int) -> list:
    stems = [p.stem for p in _annotations(root)]
    order = np.random.default_rng(seed).permutation(len(stems))
    wanted = ("train", "val") if split == "trainval" else (split,)
    start, chosen = 0.0, []
    for part, fraction in FRACTIONS.items():
        begin, end = round(start * len(stems)), round((start + fraction) * len(stems))
        if part in wanted:
            chosen += [stems[i] for i in sorted(order[begin:end])]
        start += fraction
    if not chosen:
        known = f"without ImageSets/Main there are {', '.join(FRACTIONS)} and trainval, of {len(stems)} images in all"
        raise DataError(f"{root}: no images in split {split!r}; {known}")
    return chosen


def _record(path: Path, images: dict, names: list, problems: list) -> Record:
    tree = _parse(path)
    image = _image_of(path, tree, images)
    height, width = image_size(image)
    _check_size(path, tree, height, width)
    boxes, ids, difficult = [], [], []
    for number, element in enumerate(tree.iter("object"), 1):
        name = _text(element, "name", path)
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f"; do you mean {near[0]!r}?" if near else ""
            raise DataError(f"{path}: object {number} is of class {name!r}, which is not among {', '.join(names)}{hint}")
        corners = _corners(element, path, number)
        shown = ", ".join(f"{c:g}" for c in corners)
        inside = min(corners) >= 0 and corners[2] <= width + 1 and corners[3] <= height + 1
        box = geometry.clip(geometry.as_boxes(corners) - 1, height, width)[0] if inside else np.float32(corners)
        if box[2] <= box[0] or box[3] <= box[1]:
            problems.append(Problem(path, f"object {number} ({name}): box ({shown}) has no width or no height: left out"))
            continue
        if not inside:
            raise DataError(f"{path}: object {number} ({name}): box ({shown}) is outside of the {width}x{height} image")
        boxes.append(box)
        ids.append(names.index(name))
        difficult.append(_flag(element, "difficult"))
    hard = np.array(difficult, bool)
    return Record(image, geometry.as_boxes(boxes), np.array(ids, np.int32), hard, np.zeros_like(hard), height, width)


def _image_of(path: Path, tree, images: dict) -> Path:
    named = Path((tree.findtext("filename") or "").strip()).stem
    image = images.get(path.stem) or images.get(named)
    if image is None:
        raise DataError(f"{path}: its image JPEGImages/{path.stem}.jpg is missing")
    return image


def _check_size(path: Path, tree, height: int, width: int) -> None:
    declared = [tree.findtext(f"size/{side}") or "0" for side in ("height", "width")]
    try:
        declared = [int(float(text)) for text in declared]
    except ValueError:
        raise DataError(f"{path}: <size> is not a number: {declared}") from None
    if all(declared) and declared != [height, width]:
        raise DataError(
            f"{path}: says {declared[1]}x{declared[0]}, the image is {width}x{height}: an annotation of another image, or one "
            "from before a resize or a turn"
        )


def _parse(path: Path):
    try:
        tree = ElementTree.parse(path).getroot()
    except FileNotFoundError:
        raise DataError(f"{path}: no such annotation") from None
    except DefusedXmlException:
        raise DataError(f"{path}: declares XML entities, which are refused") from None
    except (ParseError, UnicodeDecodeError, LookupError, ValueError) as error:
        raise DataError(f"{path}: not XML: {error}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    if tree.tag != "annotation":  # anything else would pass for an image without objects
        raise DataError(f"{path}: not a Pascal VOC annotation; its outermost element is <{tree.tag}>, expected <annotation>")
    return tree


def _text(element, tag: str, path: Path) -> str:
    text = (element.findtext(tag) or "").strip()
    if not text:
        raise DataError(f"{path}: an object without <{tag}>")
    return text


def _corners(element, path: Path, number: int) -> list:
    try:
        corners = [float(element.findtext(f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax")]
    except (TypeError, ValueError):
        raise DataError(f"{path}: object {number} has no <bndbox> with the numbers xmin, ymin, xmax, ymax") from None
    if not np.isfinite(corners).all():
        raise DataError(f"{path}: object {number} has a box that is not finite")
    return corners


def _flag(element, tag: str) -> bool:
    return (element.findtext(tag) or "0").strip().lower() in ("1", "true", "yes")
