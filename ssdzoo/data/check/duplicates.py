"""Images and boxes that a data set holds twice."""

from collections import defaultdict
from collections.abc import Iterator

from ssdzoo.data.record import Problem, Record


def same_images(records: dict, digests: dict) -> list[Problem]:
    """Images that are there twice; in two splits, that is leakage.

    Args:
        records: {split: Records}.
        digests: {image as text: digest of its bytes, or "" where they cannot be read}.
    """
    groups: dict = defaultdict(dict)  # by digest: {(split, image as text): [how often, one of its places]}
    for split, found in records.items():
        for i, image in enumerate(found.images):
            group = groups[digests[str(image)] or str(image)]
            place = group.setdefault((split, str(image)), [0, i])
            place[0] += 1
    problems = []
    for group in groups.values():
        (first_split, _), (_, place) = next(iter(group.items()))
        first = records[first_split].image(place)
        for (split, name), (count, place) in group.items():
            image = records[split].image(place)
            if count > 1:
                often = "twice" if count == 2 else f"{count:,} times"
                problems.append(Problem(image, f"is in {split} {often}", "duplicated image"))
            if split == first_split and name != str(first):
                problems.append(Problem(image, f"is in {split} with the same bytes as {first}", "duplicated image"))
            elif split != first_split:
                same = f"in {split}, has the same bytes as {first} in {first_split}"
                where = f"is in {split} and in {first_split}" if name == str(first) else same
                problems.append(Problem(image, f"{where}: results on {split} will look better than they are", "leakage"))
    return problems


def same_boxes(records: dict, names: list) -> list[Problem]:
    """Boxes that an image has twice, of one class or of two.

    Args:
        records: {split: Records}.
        names: the classes.
    """
    problems = []
    for record in _annotated_differently(records):
        seen: dict = {}
        for box, i in zip(map(tuple, record.boxes.tolist()), record.class_ids.tolist()):
            if box in seen:
                what = f"twice as {names[i]}" if seen[box] == i else f"as {names[seen[box]]} and as {names[i]}"
                shown = ", ".join(f"{v:g}" for v in box)
                problems.append(Problem(record.image, f"box ({shown}), counted from 0, is annotated {what}", "duplicated box"))
            seen[box] = i
    return problems


def _annotated_differently(records: dict) -> Iterator[Record]:
    """The records of {split: Records}; of those with the same image and objects, the first."""
    seen = set[tuple]()
    for found in records.values():
        offsets = found.offsets.tolist()
        for i, image in enumerate(found.images):
            rows = slice(offsets[i], offsets[i + 1])
            content = str(image), found.boxes[rows].tobytes(), found.class_ids[rows].tobytes()
            if content not in seen:
                seen.add(content)
                yield found[i]
