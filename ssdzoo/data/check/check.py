"""Finding what is wrong with a data set before it is trained on: everything, not the first of it."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from ssdzoo.data import open_readers, read_items, read_records, split_names, united_names
from ssdzoo.data.check.decoding import inspect_all
from ssdzoo.data.check.similar_names import similar_names
from ssdzoo.data.check.statistics import anchor_table, class_table, split_table
from ssdzoo.data.formats.splits import split_word
from ssdzoo.data.record import ERROR, WARNING, Problem
from ssdzoo.errors import DataError

STANDARD = ("train", "val", "test")
COVERED = 0.5  # share of a class's objects below which its anchors are worth a warning


@dataclass
class Report:
    """What a check found.

    Attributes:
        data: the data set, as it was named.
        formats: its format, one for each joined path.
        names: the classes.
        records: {split: list of Record}, without what is too broken for one.
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
    def errors(self) -> list:
        return [p for p in self.problems if p.severity == ERROR]

    @property
    def warnings(self) -> list:
        return [p for p in self.problems if p.severity == WARNING]

    def to_dict(self) -> dict:
        """All of it as plain values for JSON, but for the records."""
        return {
            "data": self.data,
            "formats": self.formats,
            "names": self.names,
            "splits": self.splits,
            "repeated_splits": self.repeated,
            "classes": self.classes,
            "anchors": self.anchors,
            "errors": len(self.errors),
            "warnings": len(self.warnings),
            "problems": [
                {"severity": p.severity, "kind": p.kind, "file": str(p.path), "message": p.message} for p in self.problems
            ],
        }


def check_dataset(path, splits=None, format=None, model=None, workers=None, progress=None) -> Report:
    """Checks splits of a data set.

    Args:
        path, format: see `ssdzoo.data.load_dataset`.
        splits: names of splits; None takes all.
        model: (name, (height, width), a `ssdzoo.anchors.levels.Level` for each feature map, classes or None); None leaves the
            anchors out.
        workers: processes that decode; see `inspect_all`.
        progress: wraps an iterable, given the number of its items too.

    Raises:
        CallError, DataError: a data set, format or split that is not there, so that there is nothing to check.
    """
    progress = progress or (lambda results, count: results)
    readers, problems = open_readers(path, format), []
    names = united_names(readers, problems)
    report = Report(str(path), [reader.format for reader in readers], names)
    for split, items in _items(readers, path, splits, format, report, problems).items():
        records = progress(read_records(readers, items, names, problems), len(items))
        report.records[split] = list(records)
    images = list({str(r.image): r.image for rs in report.records.values() for r in rs}.values())
    inspections = dict(zip(map(str, images), progress(inspect_all(images, workers), len(images))))
    problems += [Problem(i, inspections[str(i)].message, "image", inspections[str(i)].severity)
                 for i in images if inspections[str(i)].message]  # fmt: skip
    problems += _same_images(report.records, {key: found.digest for key, found in inspections.items()})
    problems += _same_boxes(report.records, names)
    problems += _classes(report.records, names, readers[0].path, model)
    report.splits, report.classes = split_table(report.records), class_table(report.records, names)
    if model:
        report.anchors = anchor_table(report.records, names, *model[:3])
        problems += _uncovered(report.anchors, readers[0].path)
    unique = {(str(p.path), p.message): p for p in problems}
    report.problems = sorted(unique.values(), key=lambda p: p.severity != ERROR)
    return report


def _items(readers, path, splits, format, report, problems) -> dict:
    """{split: items}; without those that only repeat images, unless the user named them."""
    if splits:
        return {split: read_items(readers, split, problems) for split in splits}
    found, seen = {}, set()
    known = split_names(path, format)
    for split in sorted(known, key=lambda s: (_rank(s), s)):
        try:
            items = read_items(readers, split, problems)
        except DataError as error:
            if len(known) == 1:
                raise
            file, _, message = str(error).partition(": ")
            problems.append(Problem(Path(file), message, "split", ERROR))
            continue
        keys = {(id(reader), str(item)) for reader, item in items}
        if _rank(split) == len(STANDARD) and keys <= seen:
            report.repeated.append(split)
        else:
            found[split] = items
        seen |= keys
    return found


def _rank(split: str) -> int:
    word = split_word(split)
    return STANDARD.index(word) if word in STANDARD else len(STANDARD)


def _same_images(records: dict, digests: dict) -> list:
    """Images that are there twice; in two splits, that is leakage."""
    groups = defaultdict(list)
    for split, found in records.items():
        for record in found:
            groups[digests[str(record.image)] or str(record.image)].append((split, record.image))
    problems = []
    for (first_split, first), *others in groups.values():
        for split, image in others:
            itself = str(image) == str(first)
            if split != first_split:
                what = (
                    f"is in {split} and in {first_split}"
                    if itself
                    else f"in {split}, has the same bytes as {first} in {first_split}"
                )
                message, kind = f"{what}: {split} tells less about new images", "leakage"
            else:
                message, kind = f"is in {split} " + ("twice" if itself else f"with the same bytes as {first}"), "duplicated image"
            problems.append(Problem(image, message, kind))
    return problems


def _same_boxes(records: dict, names: list) -> list:
    problems = []
    for record in (r for found in records.values() for r in found):
        seen = {}
        for box, i in zip(map(tuple, record.boxes.tolist()), record.class_ids.tolist()):
            if box in seen:
                what = f"twice as {names[i]}" if seen[box] == i else f"as {names[seen[box]]} and as {names[i]}"
                shown = ", ".join(f"{v:g}" for v in box)
                problems.append(Problem(record.image, f"box ({shown}), counted from 0, is marked {what}", "duplicated box"))
            seen[box] = i
    return problems


def _classes(records: dict, names: list, path, model) -> list:
    problems = [
        Problem(path, f"classes {a!r} and {b!r} differ in {difference} only: one class, or two?", "class names")
        for a, b, difference in similar_names(names)
    ]
    counts = {split: Counter(i for r in found for i in r.class_ids.tolist()) for split, found in records.items()}
    everywhere = sum(counts.values(), Counter())
    empty = [name for i, name in enumerate(names) if not everywhere[i]]
    if empty:
        problems.append(Problem(path, f"no objects of {_listed(empty)}", "class balance"))
    learned = sum((count for split, count in counts.items() if split_word(split) in ("train", "trainval")), Counter())
    if learned:
        new = [name for i, name in enumerate(names) if everywhere[i] and not learned[i]]
        if new:
            problems.append(Problem(path, f"no objects of {_listed(new)} in train: cannot be learned", "class balance"))
    known = model[3] if model else None
    strange = [name for name in names if known and name not in known]
    if strange:
        problems.append(Problem(path, f"{model[0]} does not know {_listed(strange)}", "unknown class"))
    return problems


def _listed(names: list) -> str:
    shown = ", ".join(map(repr, names[:10]))
    return f"{len(names)} classes: {shown}, ..." if len(names) > 10 else shown


def _uncovered(table: dict, path) -> list:
    low = {name: row["all"] for name, row in table["classes"].items() if row["all"] is not None and row["all"] < COVERED}
    why = f"have an anchor of {table['model']} at IoU 0.5: the others are hard to learn"
    return [Problem(path, f"only {share:.0%} of the objects of class {name!r} {why}", "anchors") for name, share in low.items()]
