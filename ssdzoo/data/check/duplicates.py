"""Images and boxes that a data set holds twice."""

from collections import defaultdict

from ssdzoo.data.record import Problem


def same_images(records: dict, digests: dict) -> list[Problem]:
    """Images that are there twice; in two splits, that is leakage.

    Args:
        records: {split: Records}.
        digests: {image as text: digest of its bytes, or "" where they cannot be read}.
    """
    groups = defaultdict(list)
    for split, found in records.items():
        for i, image in enumerate(found.images):
            groups[digests[str(image)] or str(image)].append((split, found.image(i)))
    problems = []
    for (first_split, first), *others in groups.values():
        for split, image in others:
            itself = str(image) == str(first)
            if split == first_split:
                message = f"is in {split} " + ("twice" if itself else f"with the same bytes as {first}")
                problems.append(Problem(image, message, "duplicated image"))
            else:
                same = f"in {split}, has the same bytes as {first} in {first_split}"
                where = f"is in {split} and in {first_split}" if itself else same
                problems.append(Problem(image, f"{where}: results on {split} will look better than they are", "leakage"))
    return problems


def same_boxes(records: dict, names: list) -> list[Problem]:
    """Boxes that an image has twice, of one class or of two.

    Args:
        records: {split: Records}.
        names: the classes.
    """
    problems = []
    for record in (r for found in records.values() for r in found):
        seen: dict = {}
        for box, i in zip(map(tuple, record.boxes.tolist()), record.class_ids.tolist()):
            if box in seen:
                what = f"twice as {names[i]}" if seen[box] == i else f"as {names[seen[box]]} and as {names[i]}"
                shown = ", ".join(f"{v:g}" for v in box)
                problems.append(Problem(record.image, f"box ({shown}), counted from 0, is annotated {what}", "duplicated box"))
            seen[box] = i
    return problems
