"""YOLO's data: images, and for each image a text file with a line "class cx cy w h" for each object, in normalized coordinates.

A data.yaml may name any folders, also by absolute paths and `..`, because that is how it is used. What it names is only read as
images and labels.
"""

import os
from pathlib import Path

from ssdzoo.data.formats.annotation import AnnotatedObject, ImageAnnotation
from ssdzoo.data.formats.image_files import images_below, is_image, named_image
from ssdzoo.data.formats.image_finder import ImageFinder
from ssdzoo.data.formats.reader import Reader
from ssdzoo.data.formats.splits import EmptySplitError, split_word
from ssdzoo.data.formats.text_files import nfc, number, read_text, repeated
from ssdzoo.data.formats.yolo_layouts import LAYOUTS, find_layout, find_place, has_labels, label_folder, unlike
from ssdzoo.data.images import IMAGE_SUFFIXES
from ssdzoo.data.record import ERROR, Problem
from ssdzoo.errors import DataError
from ssdzoo.quote import brief, short

MOST_WRONG = 1000  # lines of a list
_FAR_OUTSIDE = 0.05  # of the image: a coordinate that leaves it by more is not one that was rounded


class YOLOReader(Reader):
    """A data.yaml, Darknet's .data, or a folder with one of them or with a classes.txt; items are paths of images."""

    format, layout = "yolo", "YOLO's data.yaml or obj.data, or a classes.txt beside images/ and labels/"

    def __init__(self, path: str | Path):
        super().__init__(path)
        self._file, layout = find_layout(self.path) or (self.path, LAYOUTS[0])
        folder = self.path if os.path.isdir(self.path) else self._file.parent
        self._table = layout.read(self._file, folder)
        root = self._table.get("path")
        given = folder / root if isinstance(root, str) and root else folder
        # A folder that is not there was written on another machine: the images lie beside the file then.
        self._root = given if os.path.isdir(given) else folder
        self._has_names = True
        self._names = self._read_names(layout.count_key)
        self._keypoints = self._read_keypoints()
        self._label_places: dict[str, list] = {}

    @staticmethod
    def recognizes(path: Path) -> bool:
        return find_layout(path) is not None

    @classmethod
    def why_not(cls, path: Path) -> str | None:
        return unlike(path)

    @property
    def nameless(self) -> bool:
        return not self._has_names

    def splits(self) -> list:
        return [key for key, value in self._table.items() if isinstance(key, str) and split_word(key) and value]

    def class_names(self, problems: list) -> list:
        return list(self._names)

    def _read_names(self, counted: str) -> list:
        names, count = self._table.get("names"), self._table.get("nc")
        if isinstance(names, dict):
            if sorted(names, key=str) != sorted(range(len(names)), key=str):
                keys = ", ".join(brief(key) for key in list(names)[:5])
                raise DataError(f"{self._file}: names has the ids {keys}; expected 0 to {len(names) - 1}, each once")
            names = [names[i] for i in range(len(names))]
        if names is None and isinstance(count, int) and 0 < count < 100_000:
            self._has_names = False
            names = [str(i) for i in range(count)]
        names = [nfc(str(name)) if type(name) in (int, str) else name for name in names] if isinstance(names, list) else None
        for name in names or []:
            if not isinstance(name, str) or not name:
                raise DataError(f"{self._file}: a class is called {brief(name)}; expected a text, in quotes if it is yes or no")
        if not names:
            raise DataError(f"{self._file}: no class names; expected names: [first, second] or names: {{0: first, 1: second}}")
        if len(set(names)) < len(names):
            raise DataError(f"{self._file}: class {brief(repeated(names))} is there twice")
        if count is not None and count != len(names):
            raise DataError(f"{self._file}: {counted} is {brief(count)}, but there are {len(names)} names")
        return names

    def _read_keypoints(self) -> tuple | None:
        """(number of keypoints, numbers for each) behind the box of each object; None where there are none."""
        shape = self._table.get("kpt_shape")
        if shape is None:
            return None
        if not isinstance(shape, list) or [type(n) for n in shape] != [int, int] or shape[0] < 1 or shape[1] not in (2, 3):
            raise DataError(f"{self._file}: kpt_shape is {brief(shape)}; expected [number of keypoints, 2 or 3]")
        return tuple(shape)

    def items(self, split: str | None, problems: list) -> list:
        if split not in self._table:
            raise DataError(f"{self._file}: names no images; expected train: FOLDER and val: FOLDER")
        value, known = self._table[split], len(problems)
        about = f"{self._file}:" + (f" {split}:" if split else "")
        images = []
        for text in self._values(split):
            if not isinstance(text, str):
                raise DataError(
                    f"{self._file}: {short(split)} is {brief(text)}; expected a folder or a .txt file, or a list of them"
                )
            images += self._images(self._place(text, split), problems)
        if not images and len(problems) == known:
            labeled = any(has_labels(self._root / text) for text in self._values(split))
            hint = ", though there are labels: put the images there, or export them too" if labeled else ""
            raise EmptySplitError(f"{about} no images in {brief(value)}{hint}")
        stems: dict[str, Path] = {}
        for image in dict.fromkeys(images):
            first = stems.setdefault(os.path.splitext(image)[0], image)
            if first != image and os.path.exists(label := self._label(image)):
                message = f"belongs to {first.name} and to {image.name}, two images of one name: keep one of them"
                problems.append(Problem(label, message, "labels", ERROR))
        if images and not any(os.path.isfile(self._label(image)) for image in dict.fromkeys(images)):
            message = (
                f"none of the {len(images)} images of {split or self.path.name} has labels, such as {self._label(images[0])}"
            )
            problems.append(Problem(self._file, message, "labels", ERROR))
        return images

    def _place(self, text: str, split: str | None) -> Path:
        """What a split names.

        Raises:
            DataError: see `find_place`; or another split that is written otherwise leads there too.
        """
        folders, about = [self._root, self._file.parent], f"{self._file}:" + (f" {split}:" if split else "")
        place = find_place(text, folders, about)
        guessed = not os.path.exists(self._root / text)
        for other, value in [(split, value) for split in self.splits() for value in self._values(split)] if guessed else []:
            if isinstance(value, str) and value != text and _leads_to(value, folders) == place:
                raise DataError(f"{about} {brief(text)} and {other}: {brief(value)} both lead to {place}; correct the paths")
        return place

    def _values(self, split: str | None) -> list:
        """The folders and lists of a split, as they are written."""
        value = self._table[split]
        return value if isinstance(value, list) else [value]

    def _images(self, place: Path, problems: list) -> list:
        if os.path.isdir(place):
            return images_below(place)
        images, finder, found = [], ImageFinder([place.parent, self._root]), dict[str, Path]()
        lines, known = read_text(place).splitlines(), len(problems)
        for line_number, line in enumerate(lines, 1):
            if len(problems) - known == MOST_WRONG:  # looking for a missing image takes a millisecond
                message = f"{MOST_WRONG:,} of its first {line_number - 1:,} lines name no image; the others were not looked at"
                problems.append(Problem(place, message, "image", ERROR))
                break
            line = line.strip()
            if not line:
                continue
            try:
                if line not in found:
                    found[line] = self._listed(line, place, finder, f"{place}: line {line_number}")
                images.append(found[line])
            except DataError as error:
                problems.append(Problem.of(error, place, "image"))
        return images

    def _listed(self, line: str, place: Path, finder: ImageFinder, where: str) -> Path:
        """The image of a line: an absolute path, or one that starts from the list's folder or the data set's, or its end."""
        known = Path(line).suffix.lower() in IMAGE_SUFFIXES
        if not known and not is_image(place.parent / line) and not is_image(self._root / line):
            raise DataError(f"{where}: {brief(line)} is no image ({', '.join(sorted(IMAGE_SUFFIXES))})")
        if os.path.isabs(line) and os.path.exists(line):
            return Path(line)
        beside = Path(os.path.normpath(place.parent / line))  # from lists/train.txt, ../images is inside the data set
        if beside.is_relative_to(os.path.normpath(self._root)) and os.path.exists(beside):
            return beside
        return finder.find(line, where)

    def annotation(self, item: Path) -> ImageAnnotation:
        path, objects = self._label(item), []
        try:
            lines = read_text(path).splitlines() if os.path.lexists(path) else []
            rows = [(i, line.split()) for i, line in enumerate(lines, 1) if line.strip()]
            objects = [_object(fields, i, self._names, self._keypoints, path) for i, fields in rows]
        except DataError as error:
            objects = [Problem.of(error, path, "labels")]
        return ImageAnnotation(item, path, objects, normalized=True)

    def _label(self, image: Path) -> Path:
        """labels/x.txt for images/x.jpg; x.txt beside the image where its folder has no such parallel one."""
        folder, name = os.path.split(image)
        if folder not in self._label_places:
            parallel = label_folder(image.parent)
            self._label_places[folder] = [parallel] if os.path.isdir(parallel) else [image.parent, parallel]
        places, name = self._label_places[folder], f"{os.path.splitext(name)[0]}.txt"
        for path in (os.path.join(place, name) for place in places):
            if os.path.lexists(path):
                return Path(path)
        return next(filter(None, (named_image(place, name, str(image)) for place in places)), places[-1] / name)


def _leads_to(text: str, folders: list) -> Path | None:
    try:
        return find_place(text, folders, "")
    except DataError:
        return None


def _object(fields: list, line: int, names: list, keypoints: tuple | None, path: Path) -> AnnotatedObject | Problem:
    where = f"line {line}"
    values = [number(field) for field in fields]
    if fault := _fault(values, keypoints):
        return Problem(path, f"{where} is {brief(' '.join(fields))}; {fault}", "no box", ERROR)
    id_ = values[0]
    if not 0 <= id_ < len(names) or id_ != int(id_):
        message = f"{where} has class {brief(fields[0])}, but there are {len(names)} classes: 0 to {len(names) - 1}"
        return Problem(path, message, "unknown class", ERROR)
    if len(values) == 5 or keypoints:
        x, y, width, height = values[1:5]
        box, shown = (x - width / 2, y - height / 2, x + width / 2, y + height / 2), values[1:5]
    else:  # an outline, as for segmentation
        box = min(values[1::2]), min(values[2::2]), max(values[1::2]), max(values[2::2])
        shown = list(box)
    return AnnotatedObject(names[int(id_)], box, where, ", ".join(f"{v:g}" for v in shown))


def _fault(values: list, keypoints: tuple | None) -> str | None:
    """Why the numbers of a line are no box, no box with keypoints and no outline."""
    count, five = len(values), "expected five numbers: class, center x, center y, width, height"
    if any(v != v for v in values) or count < 5:
        return five
    if keypoints:
        wanted = 5 + keypoints[0] * keypoints[1]
        return (
            None
            if count == wanted
            else f"{count} numbers; with kpt_shape {list(keypoints)} expected {wanted}: a box and its keypoints"
        )
    if count == 6:
        return f"{five}. If the sixth is the confidence of a prediction, take it out"
    hint = "If keypoints follow the box, say kpt_shape: [number, 2 or 3] in data.yaml"
    if count % 2 == 0:
        return f"{five}, or an outline: class and pairs of x, y. {hint}"
    if count > 5 and _is_box(values[1:5]) and not all(-_FAR_OUTSIDE <= v <= 1 + _FAR_OUTSIDE for v in values[1:]):
        return f"{count} numbers, but not an outline: it leaves the image. {hint}"
    return None


def _is_box(values: list) -> bool:
    x, y, width, height = values
    ends = x - width / 2, y - height / 2, x + width / 2, y + height / 2
    return width > 0 and height > 0 and all(-_FAR_OUTSIDE <= v <= 1 + _FAR_OUTSIDE for v in ends)
