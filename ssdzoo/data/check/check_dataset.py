"""Finds everything that is wrong with a data set, before it is trained on."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ssdzoo.data.check.decoding import decode_all
from ssdzoo.data.check.duplicates import same_boxes, same_images
from ssdzoo.data.check.object_limit import too_many_objects
from ssdzoo.data.check.similar_names import COMPARED, similar_names
from ssdzoo.data.check.statistics import ModelAnchors, anchor_table, class_table, different_records, split_table
from ssdzoo.data.formats.annotation import turned, wrong_size
from ssdzoo.data.formats.recognize import open_readers
from ssdzoo.data.formats.splits import EmptySplitError, own_splits, split_word
from ssdzoo.data.reading import has_objects, no_objects, read_items, read_records, split_names, united_names
from ssdzoo.data.record import ERROR, WARNING, Problem
from ssdzoo.errors import DataError
from ssdzoo.progress import Silent
from ssdzoo.quote import brief

STANDARD = ("train", "val", "test")
COVERED = 0.5  # share of a class's objects below which its anchors are worth a warning


@dataclass
class DataCheck:
    """What `check_dataset` found.

    Attributes:
        data: the data set, as the user named it.
        formats: its format, one for each joined path.
        names: the classes.
        records: {split: Records}, without what is too broken for one.
        repeated: splits whose images are all in those before, such as trainval.
        problems: list of Problem, errors first.
        splits, classes, anchors: tables; see `ssdzoo.data.check.statistics`. `anchors` is None without a model.
    """

    data: str
    formats: list
    names: list
    records: dict = field(default_factory=dict)
    repeated: list = field(default_factory=list)
    problems: list = field(default_factory=list)
    splits: dict = field(default_factory=dict)
    classes: dict = field(default_factory=dict)
    anchors: dict | None = None

    @property
    def errors(self) -> list[Problem]:
        return [p for p in self.problems if p.severity == ERROR]

    @property
    def warnings(self) -> list[Problem]:
        return [p for p in self.problems if p.severity == WARNING]

    def to_dict(self) -> dict:
        """All of it as plain values for JSON, but for the records."""
        problems = [{"severity": p.severity, "kind": p.kind, "file": str(p.path), "message": p.message} for p in self.problems]
        return {
            "data": self.data, "formats": self.formats, "names": self.names, "splits": self.splits,
            "repeated_splits": self.repeated, "classes": self.classes, "anchors": self.anchors,
            "errors": len(self.errors), "warnings": len(self.warnings), "problems": problems,
        }  # fmt: skip


def check_dataset(path: str | Path | list, splits: list | None = None, format: str | None = None,
                  model: ModelAnchors | None = None, workers: int | None = None,
                  progress: Silent | None = None, image_folder: str | Path | None = None) -> DataCheck:  # fmt: skip
    """Checks splits of a data set.

    Args:
        path, format, image_folder: see `ssdzoo.data.load_dataset`.
        splits: names of splits; None takes all.
        model: whose anchors and classes are compared with the objects; None leaves that out.
        workers: processes that decode images; see `decode_all`.
        progress: shows the images: `ssdzoo.progress.Printed()` prints lines. By default nothing is shown.

    Raises:
        CallError, DataError: a data set, format or split that is not there, so that there is nothing to check.
    """
    progress = progress or Silent()
    readers = open_readers(path, format, image_folder)
    problems: list[Problem] = []
    names = united_names(readers, problems)
    check = DataCheck(str(path), [reader.format for reader in readers], names)
    for split, items in _items(readers, path, splits, format, check, problems).items():
        check.records[split] = read_records(readers, items, names, problems, progress.images)
    different = different_records(check.records)
    images = [check.records[split].image(i) for split, i in different.values()]
    decoded = dict(zip(map(str, images), progress.images(decode_all(images, workers), len(images))))
    if not any(problem.kind == "normalized boxes" for problem in problems):  # which explain where the objects are
        problems += _no_objects(check.records, readers)
    problems += image_problems(check.records, decoded, problems, readers[0].path)
    problems += same_images(check.records, {image: result.digest for image, result in decoded.items()})
    problems += same_boxes(check.records, names)
    problems += _class_problems(check.records, names, readers[0].path, model)
    known = (model.post_nms, model.name) if model else ()
    if crowded := too_many_objects((check.records[split][i] for split, i in different.values()), *known):
        problems.append(Problem(readers[0].path, crowded, "many objects"))
    check.splits, check.classes = split_table(check.records), class_table(check.records, names)
    if model:
        check.anchors = anchor_table(check.records, names, model)
        problems += _poorly_covered(check.anchors, readers[0].path)
    unique = {(str(p.path), p.message): p for p in problems}
    check.problems = sorted(unique.values(), key=lambda p: p.severity != ERROR)
    return check


def _items(readers, path, splits, format, check, problems):
    """{split: items}; without those that only repeat images, unless the user named them."""
    if splits:
        return {split: read_items(readers, split, problems) for split in splits}
    found, seen = {}, set[tuple]()
    known = split_names(path, format)
    for split in sorted(known, key=lambda s: (_rank(s), s)):
        try:
            items = read_items(readers, split, problems)
        except DataError as error:
            if len(known) == 1:
                raise
            file, _, message = str(error).partition(": ")
            severity = _severity(split, readers) if isinstance(error, EmptySplitError) else ERROR
            problems.append(Problem(Path(file), message, "split", severity))
            continue
        keys = set(items)
        if _rank(split) == len(STANDARD) and keys <= seen:
            check.repeated.append(split)
        else:
            found[split] = items
        seen |= keys
    return found


def _rank(split: str) -> int:
    word = split_word(split)
    return STANDARD.index(word) if word in STANDARD else len(STANDARD)


def _severity(split: str, readers: list) -> str:
    """Of a split without images or objects: a training goes on without val, where that was drawn, and needs no test."""
    is_drawn = not any(map(own_splits, readers))
    return WARNING if split_word(split) == "test" or (is_drawn and split_word(split) == "val") else ERROR


def _no_objects(records: dict, readers: list) -> list[Problem]:
    return [
        Problem(readers[0].path, no_objects(split, len(found), []), "no objects", _severity(split, readers))
        for split, found in records.items()
        if len(found) and not has_objects(found)
    ]


def image_problems(records: dict, decoded: dict, known: list, path: Path) -> list[Problem]:
    """What decoding showed: damage, sizes other than those that the annotations give, orientations, 16 bits."""
    problems, deep = [], []
    reported = {str(problem.path) for problem in known if problem.kind == "EXIF orientation"}
    for image, (split, i) in different_records(records).items():
        found = records[split]
        result, size = decoded[image], tuple(found.sizes[i].tolist())
        if result.message:
            problems.append(Problem(found.image(i), result.message, "image", result.severity))
        if result.size and result.size != size:
            problems.append(wrong_size(found.image(i), size, result.size))
        elif 2 <= result.orientation <= 4 and len(found[i].boxes) and image not in reported:
            problems.append(turned(found.image(i), "both have the size that the annotation gives"))
        if result.bits > 8:
            deep.append(image)
    if deep:
        images = f"{len(deep)} images have" if len(deep) > 1 else "1 image has"
        how = "each is scaled from its lowest to its highest value, in training and prediction alike"
        problems.append(Problem(path, f"{images} more than 8 bits, such as {deep[0]}: {how}", "16 bits"))
    return problems


def _class_problems(records: dict, names: list, path: Path, model: ModelAnchors | None) -> list[Problem]:
    problems = [
        Problem(path, f"classes {brief(a)} and {brief(b)} differ in {difference} only: one class, or two?", "class names")
        for a, b, difference in similar_names(names)
    ]
    if len(names) > COMPARED:
        message = f"has {len(names):,} classes; of these the first {COMPARED:,} were compared for names that mean the same"
        problems.append(Problem(path, message, "many classes"))
    counts = {split: Counter(found.class_ids.tolist()) for split, found in records.items()}
    everywhere = sum(counts.values(), Counter())
    empty = [name for i, name in enumerate(names) if not everywhere[i]]
    if empty:
        problems.append(Problem(path, f"no objects of {_listed(empty)}", "class balance"))
    learned = sum((count for split, count in counts.items() if split_word(split) in ("train", "trainval")), Counter())
    if learned:
        new = [name for i, name in enumerate(names) if everywhere[i] and not learned[i]]
        if new:
            problems.append(Problem(path, f"no objects of {_listed(new)} in train: cannot be learned", "class balance"))
    if model and model.classes and not set(names) <= set(model.classes):
        known = set(model.classes)
        strange = [name for name in names if name not in known]
        problems.append(Problem(path, f"{model.name} does not know {_listed(strange)}", "unknown class"))
    return problems


def _listed(names: list) -> str:
    shown = ", ".join(map(brief, names[:10]))
    return f"{len(names)} classes: {shown}, ..." if len(names) > 10 else shown


def _poorly_covered(table: dict, path: Path) -> list[Problem]:
    low = {name: row["all"] for name, row in table["classes"].items() if row["all"] is not None and row["all"] < COVERED}
    why = f"have an anchor of {table['model']} at IoU 0.5: the others are hard to learn"
    return [
        Problem(path, f"only {share:.0%} of the objects of class {brief(name)} {why}", "anchors") for name, share in low.items()
    ]
