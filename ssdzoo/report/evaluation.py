"""Writes the folder of an evaluation."""

import json
import re
from pathlib import Path
from typing import Any

from ssdzoo.files import write_text
from ssdzoo.machine import DETECTING, versions
from ssdzoo.measure.evaluate import Evaluation
from ssdzoo.report.coco_results import write_coco
from ssdzoo.report.mistakes import draw_mistakes, write_mistakes
from ssdzoo.report.page_evaluation import write_evaluation_page
from ssdzoo.report.plots import plot_confusion, plot_curves

PACKAGES = (*DETECTING, "faster-coco-eval")  # whose versions can change the numbers


def write_evaluation(folder: str | Path, evaluation: Evaluation, about: dict, coco_ids: tuple | None = None) -> dict:
    """Writes eval.json, report.html, pr.png, confusion.png, mistakes/ and mistakes.png, replacing those of an earlier evaluation.
    The numbers are written first, so that they are there whatever happens to the pictures.

    Args:
        folder: made where it is missing.
        evaluation: an Evaluation.
        about: first keys of eval.json: model, data, split, runtime, model_files, machine.
        coco_ids: (image ids, category ids); then coco_results.json and coco_annotations.json are written too.

    Returns:
        What eval.json holds.
    """
    folder = Path(folder)
    about = {**about, "versions": about.get("versions") or versions(PACKAGES)}
    numbers = {**about, **evaluation.summary}
    coco = write_coco(folder, evaluation, *coco_ids) if coco_ids else []
    write_text(folder / "eval.json", as_text({**numbers, "mistakes": [], "files": ["eval.json", *coco]}))
    plot_curves(folder / "pr.png", evaluation)
    plot_confusion(folder / "confusion.png", evaluation)
    confusion = evaluation.summary["confusion"]
    drawn, counts = draw_mistakes(evaluation, confusion["score"], confusion["iou"])
    mistakes = write_mistakes(folder, drawn)
    write_evaluation_page(folder / "report.html", evaluation, about, drawn, counts)
    files = ["report.html", "eval.json", "pr.png", "confusion.png", *(["mistakes.png"] if mistakes else []), *coco]
    whole = {**numbers, "mistake_counts": counts, "mistakes": mistakes, "files": files}
    write_text(folder / "eval.json", as_text(whole))
    return whole


def as_text(value: Any) -> str:
    """JSON with a line for each value and each list of numbers, such as a row of a matrix."""
    text = json.dumps(value, indent=1, allow_nan=False)
    return re.sub(r"\[[\s\d.,eE+-]+\]", lambda numbers: f"[{' '.join(numbers[0][1:-1].split())}]", text)
