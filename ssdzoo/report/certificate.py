"""Writes the certificate of a comparison: certificate.json, and a page that needs no other file."""

import base64
from html import escape
from pathlib import Path

import cv2
import numpy as np

from ssdzoo.data.images import read_image
from ssdzoo.errors import DataError
from ssdzoo.files import write_text
from ssdzoo.measure.certificate import Certificate
from ssdzoo.progress import counted
from ssdzoo.report.differences import draw_difference
from ssdzoo.report.evaluation import as_text
from ssdzoo.report.page import files_table, number, page, values_list, write_page
from ssdzoo.report.pictures import fitted

_WIDTH = 640  # pixels of a picture of one side


def write_certificate(folder: str | Path, certificate: Certificate) -> list:
    """Writes certificate.json and certificate.html of a Certificate; returns their paths."""
    folder = Path(folder)
    paths = [folder / "certificate.json", folder / "certificate.html"]
    write_text(paths[0], as_text(certificate.summary) + "\n")
    write_page(paths[1], _page(certificate))
    return paths


def rows(summary: dict) -> list:
    """[(name, value)] of a summary, as texts."""
    found, box, score, heads = (summary[key] for key in ("detections", "boxes", "scores", "heads"))
    values = [
        ("images", str(summary["images"])),
        (f"detections, minimum score {summary['score']:g}", f"A {found['a']}, B {found['b']}, matched {found['matched']}"),
        ("missing in B, extra in B", f"{found['missing']}, {found['extra']}"),
    ]
    if found["agreement"] is not None:
        values.append(("share of the detections that agree", f"{found['agreement']:.4f}"))
    if found["cut_a"] or found["cut_b"]:
        values.append(("cut off at the limit, of A and of B", f"{found['cut_a']}, {found['cut_b']}"))
    if found["matched"]:
        values += [
            ("boxes, maximum difference", f"{box['largest_pixels']:.3g} pixels, IoU at least {box['least_iou']:.6f}"),
            ("scores, maximum difference", f"{score['largest']:.3g}"),
        ]
    reason = heads.get("not_compared")
    if reason:
        text = f"not compared: {reason}"
    else:
        text = f"class logits {heads['logits']:.3g}, box offsets {heads['offsets']:.3g} ({counted(heads['images'], 'image')})"
    values.append(("head outputs, maximum difference", text))
    return values + [("mAP (voc07)", _mean_ap(summary["mAP"]))]


def _mean_ap(values: dict) -> str:
    if "not_compared" in values:
        return f"not compared: {values['not_compared']}"
    if values["loss"] is None:
        return "none: no objects"
    return f"A {values['a']:.4f}, B {values['b']:.4f}, loss {values['loss']:.4f}"


def verdict(summary: dict) -> str:
    """One line: passed or failed, and within which tolerance."""
    limits = summary["tolerance"]
    if limits["map"] is not None or limits["agreement"] is not None:
        parts = [] if limits["map"] is None else [f"mAP not lower by more than {limits['map']:g}"]
        parts += [] if limits["agreement"] is None else [f"at least {limits['agreement']:g} of the detections agree"]
        within = ", ".join(parts)
    else:
        within = f"boxes within {limits['box']:g} pixels, scores within {limits['score']:g}, nothing missing or extra"
    return f"PASSED: {within}" if summary["passed"] else f"FAILED: expected {within}"


def _page(certificate: Certificate) -> str:
    summary = certificate.summary
    counts, sides = summary["detections"], {"A": summary["a"], "B": summary["b"]}
    numbers = [
        ("result", "passed" if summary["passed"] else "failed"),
        ("images", f"{summary['images']:,}"),
        ("detections of A", f"{counts['a']:,}"),
        ("detections of B", f"{counts['b']:,}"),
        ("share that agrees", number(counts["agreement"], 4)),
    ]
    failures = "".join(f"<li>{escape(line)}</li>" for line in summary["failures"])
    notes = f'<p class="note{"" if summary["passed"] else " bad"}">{escape(verdict(summary))}</p>\n'
    notes += f"<ul>{failures}</ul>\n" if failures else ""
    notes += "".join(f"<p>Note: {escape(line)}.</p>\n" for line in summary["notes"])
    models: dict[str, str] = {}
    for letter, side in sides.items():
        models |= {f"model {letter}": side["model"], f"runtime of {letter}": side["runtime"]}
    figures = "".join(_figure(certificate, i, row) for i, row in zip(certificate.worst, summary["worst"]))
    files = "".join(f"<h3>Of model {letter}</h3>{files_table(side['files'])}" for letter, side in sides.items())
    sections = [
        ("models", "The models", values_list(models)),
        ("differences", "What differs", values_list(dict(rows(summary)))),
        ("images", "The images that differ most", figures or "<p>All images agree to the last bit.</p>"),
        ("files", "The files", files),
        ("settings", "Versions and machine", values_list({**summary["versions"], **summary["machine"]})),
    ]
    return page("Two models on the same images", [], numbers, sections, notes)


def _figure(certificate: Certificate, index: int, row: dict) -> str:
    """A and B side by side, or one above the other where the window is narrow, and below them what differs."""
    summary, name = certificate.summary, escape(row["image"])
    differs = f"{row['missing']} missing in B, {row['extra']} extra in B, {row['matched']} matched"
    if row["matched"]:
        differs += f"; scores differ by up to {row['largest_score']:.3g}, boxes by up to {row['largest_pixels']:.3g} pixels"
    lines = [f"<b>{name}</b>", escape(differs)]
    try:
        item = certificate.items[index]
        image = read_image(item) if not hasattr(item, "shape") else item
    except DataError as error:  # it was there when the detectors read it
        return f"<figure><p>{escape(str(error))}</p><figcaption>{'<br>'.join(lines)}</figcaption></figure>"
    pair = tuple(found[index] for found in certificate.found)
    *sides, marked = draw_difference(image, pair, certificate.matches[index], summary["tolerance"], summary["score"])
    if marked:
        lines.append("In color: what differs by more than the tolerance. In thin gray: the rest.")
    else:
        lines.append("Nothing differs by more than the tolerance: all is in color.")
    pictures = "".join(
        f'<div>{letter}<img alt="{letter} on {name}" src="data:image/jpeg;base64,{_jpeg(side)}"></div>'
        for letter, side in zip("AB", sides)
    )
    side_by_side = f'<div class="grid" style="--cell: 340px">{pictures}</div>'
    return f"<figure>{side_by_side}<figcaption>{'<br>'.join(lines)}</figcaption></figure>\n"


def _jpeg(picture: np.ndarray) -> str:
    """Base64 of a JPEG, no wider than it is shown."""
    height, width = picture.shape[:2]
    small = fitted(picture, min(height, 2 * _WIDTH), min(width, _WIDTH))
    return base64.b64encode(cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()).decode()
