"""The page of an evaluation: numbers, curves, the confusion matrix and the worst mistakes, in one file to show to others."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from ssdzoo.measure.evaluate import Evaluation
from ssdzoo.report.mistakes import DrawnMistake
from ssdzoo.report.page import NONE, files_table, number, page, script, scrolled, table, values_list, write_page
from ssdzoo.report.page_charts import curve_panel, shared_curves
from ssdzoo.report.page_mistakes import LARGE, mistakes_body
from ssdzoo.report.plots import CONFUSED, PANELS, commonest, most_confused, thinned
from ssdzoo.report.tables import shown_threshold

_POINTS = 100  # of a curve: a panel is about 200 pixels wide


def write_evaluation_page(path: str | Path, evaluation: Evaluation, about: dict, drawn: Sequence[DrawnMistake],
                          counts: dict) -> None:  # fmt: skip
    """Writes the page.

    Args:
        path: of the .html.
        evaluation: an Evaluation.
        about: what eval.json says besides `evaluation.summary`: model, data, split, runtime, model_files, versions, machine.
            Any of them may be missing.
        drawn: pictures of the worst mistakes; `counts`: {kind: number of all}.
    """
    summary = evaluation.summary
    confusion = summary["confusion"]
    sections = [
        ("classes", "Classes", _classes(evaluation)),
        ("more", "COCO's numbers" if "coco" in summary else "Sizes of objects", _numbers(summary)),
        ("curves", "Precision and recall", _curves(evaluation)),
        ("confusion", "Confusion matrix", _confusion(confusion)),
        ("mistakes", "The worst mistakes", mistakes_body(drawn, counts, confusion["score"], confusion["iou"])),
        ("settings", "Settings and versions", _settings(summary, about)),
    ]
    end = f"{LARGE}<script>\n{script()}</script>" if drawn else ""
    title = f"Evaluation of {_name(about.get('model', 'a detector'))}"
    write_page(path, page(title, [_sentence(about)], _headline(summary), sections, end=end))


def _name(model: str) -> str:
    return Path(model).name or str(model)


def _sentence(about: dict) -> str:
    parts = [f"{name} {about[key]}" for name, key in (("data", "data"), ("split", "split"), ("on", "runtime")) if key in about]
    return ", ".join(parts)


def _headline(summary: dict) -> list[tuple[str, str]]:
    counts, metric = summary["counts"], summary["metric"]
    speed = summary["images_per_s"]
    return [
        (f"mAP, {metric}" + ("" if metric == "coco" else f" at IoU {summary['iou']:g}"), number(summary["mAP"], 4)),
        ("classes", f"{len(summary['AP']):,}"),
        ("images", f"{counts['images']:,}"),
        ("objects", f"{counts['objects']:,}"),
        ("images per second", number(speed, 1)),
    ]


def _classes(evaluation: Evaluation) -> str:
    """A row for each class, with the score threshold of the best F1."""
    summary = evaluation.summary
    rows = []
    for name, value in summary["AP"].items():
        best, objects = summary["best_threshold"][name], summary["counts"]["by_class"][name]["objects"]
        values = [NONE] * 4
        if best:
            values = [shown_threshold(best["score"]), *(number(best[key]) for key in ("f1", "precision", "recall"))]
        rows.append([name, number(value, 4) if objects else "no objects", f"{objects:,}", *values])
    foot = ["mAP", number(summary["mAP"], 4), f"{summary['counts']['objects']:,}", *[""] * 4]
    head = ["class", "AP", "objects", "best score", "F1 there", "precision", "recall"]
    note = (
        '<p class="soft">The best score is the minimum score with which F1, the harmonic mean of precision and recall, is '
        "highest: a first choice for the score threshold of a class.</p>"
    )
    return table(head, rows, foot, name="Classes") + note


def _numbers(summary: dict) -> str:
    if "coco" in summary:
        return table(["", "value"], [[name, number(value, 4)] for name, value in summary["coco"].items()])
    counts = summary["counts"]["by_size"]
    rows = [[size, number(value["mAP"], 4), f"{sum(counts[size].values()):,}"] for size, value in summary["by_size"].items()]
    note = '<p class="soft">Small: area below 32x32 pixels; large: from 96x96.</p>'
    return table(["size", "mAP", "objects"], rows) + note


def _curves(evaluation: Evaluation) -> str:
    summary, names = evaluation.summary, commonest(evaluation, PANELS)
    curves = {}
    for name in names:
        recall, precision, _ = evaluation.curves.curve(name)
        curves[name] = thinned(recall, precision, _POINTS).tolist()
    figures = []
    for name in names:
        best, value = summary["best_threshold"][name], summary["AP"][name]
        about = f"AP {number(value)}" if value is not None else "no objects"
        about += f"; best F1 {best['f1']:.3f} at score {shown_threshold(best['score'])}" if best else ""
        panel = curve_panel(f"Precision over recall of {name}: {about}", curves[name], best)
        figures.append(f'<figure class="panel">{panel}<figcaption><b>{escape(name)}</b> {about}</figcaption></figure>\n')
    intro = f"Precision (upwards) over recall at IoU {summary['iou']:g}; the other classes are faint, and the dot is the best F1."
    if len(names) < len(evaluation.names):
        intro += f" These are the {len(names)} of {len(evaluation.names):,} classes with the most objects."
    width = "clamp(150px, 20vw, 220px)" if len(names) <= 12 else "150px"
    grid = f'<div class="grid" style="--cell: {width}">{"".join(figures)}</div>'
    return f"<p>{intro}</p>{shared_curves(curves.values())}{grid}"


def _confusion(summary: dict) -> str:
    matrix, names = np.array(summary["matrix"]), summary["names"]
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)  # also of what is not shown
    shown = most_confused(matrix, CONFUSED)
    background = len(names) - 1
    head = "".join(f'<th scope="col" title="{escape(names[i])}"><span>{escape(names[i])}</span></th>' for i in shown)
    rows = []
    for i in shown:
        cells = "".join(_cell(int(matrix[i, j]), share[i, j], i == j == background) for j in shown)
        rows.append(f'<tr><th scope="row" title="{escape(names[i])}">{escape(names[i])}</th>{cells}</tr>\n')
    intro = (
        f"A row for each true class, a column for each predicted class, at a minimum score of {summary['score']:g} and a minimum "
        f"IoU of {summary['iou']:g}. The last column has the missed objects, the last row the detections of background. The "
        "shade is the share of the row."
    )
    if len(shown) < len(names):
        intro += f" These are the {len(shown) - 1} most confused of {background:,} classes."
    grid = f'<table class="matrix"><thead><tr><td class="none"></td>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    return f"<p>{intro}</p>" + scrolled(grid, "Confusion matrix")


def _cell(count: int, share: float, is_corner: bool) -> str:
    if is_corner:
        return '<td class="none"></td>'
    if not count:
        return "<td></td>"
    return f'<td class="hit" style="--share: {0.06 + 0.44 * share:.2f}">{count}</td>'


def _settings(summary: dict, about: dict) -> str:
    chosen = {
        **{key: about[key] for key in ("model", "data", "split", "runtime") if key in about},
        "metric": summary["metric"], "minimum IoU of a hit": summary["iou"],
        "minimum score of a mistake": summary["confusion"]["score"],
    }  # fmt: skip
    parts = [values_list(chosen)]
    if about.get("model_files"):
        parts.append("<h3>Files of the model</h3>" + files_table(about["model_files"]))
    parts.append("<h3>Versions and machine</h3>" + values_list({**about.get("versions", {}), **about.get("machine", {})}))
    return "".join(parts)
