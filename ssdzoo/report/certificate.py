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
from ssdzoo.report.differences import draw_difference
from ssdzoo.report.evaluation import as_text
from ssdzoo.report.page import write_page
from ssdzoo.report.pictures import fitted

_WIDTH = 640  # pixels of a picture of one side
_STYLE = """
:root { color-scheme: light dark; --ink: #222; --paper: #fff; --soft: #555; --line: #bbb }
@media (prefers-color-scheme: dark) { :root { --ink: #ddd; --paper: #191919; --soft: #aaa; --line: #555 } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62em; margin: 2em auto; padding: 0 1em; color: var(--ink);
  background: var(--paper) }
h1 { font-size: 160% } h2 { font-size: 120%; margin-top: 2em }
table { border-collapse: collapse; margin: 1em 0 } td, th { padding: .25em 1.2em .25em 0; text-align: left; vertical-align: top }
th { border-bottom: 1px solid var(--line) } td { overflow-wrap: anywhere } td:first-child { overflow-wrap: normal }
code { word-break: break-all; font-size: 85%; color: var(--soft) } .file { margin-bottom: .5em }
.verdict { padding: .6em 1em; color: #fff; font-size: 120%; background: #17693a } .failed { background: #a3231f }
figure { margin: 2em 0 } figcaption { color: var(--soft); overflow-wrap: anywhere }
.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(22em, 100%), 1fr)); gap: .8em }
.sides img { display: block; width: 100% }
"""


def write_certificate(folder: str | Path, certificate: Certificate) -> list:
    """Writes certificate.json and certificate.html of a Certificate; returns their paths."""
    folder = Path(folder)
    paths = [folder / "certificate.json", folder / "certificate.html"]
    write_text(paths[0], as_text(certificate.summary) + "\n")
    write_page(paths[1], page(certificate))
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
        text = f"class logits {heads['logits']:.3g}, box offsets {heads['offsets']:.3g} ({heads['images']} images)"
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


def page(certificate: Certificate) -> str:
    """HTML with its style and pictures inside."""
    summary = certificate.summary
    failures = "".join(f"<li>{escape(line)}</li>" for line in summary["failures"])
    notes = "".join(f"<p>Note: {escape(line)}.</p>" for line in summary["notes"])
    figures = "".join(_figure(certificate, i, row) for i, row in zip(certificate.worst, summary["worst"]))
    figures = figures or "<p>All images agree to the last bit.</p>"
    color = "" if summary["passed"] else "failed"
    kept = {**summary["machine"], **summary["versions"]}
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>ssdzoo compare: {escape(verdict(summary).split(":")[0].lower())}</title><style>{_STYLE}</style></head><body>
<h1>Two models on the same images</h1>
<p class="verdict {color}">{escape(verdict(summary))}</p>
<ul>{failures}</ul>
{notes}
<h2>The models</h2>
{_models(summary)}
<h2>What differs</h2>
{_table(rows(summary))}
<h2>The images that differ most</h2>
{figures}
<h2>Where this was measured</h2>
{_table([(name, "not installed" if value is None else str(value)) for name, value in kept.items()])}
<h2>The files</h2>
{_files(summary)}
</body></html>
"""


def _table(pairs: list) -> str:
    lines = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>\n" for name, value in pairs)
    return f"<table>\n{lines}</table>"


def _models(summary: dict) -> str:
    lines = "<tr><th></th><th>model</th><th>runtime</th></tr>\n"
    for side in ("a", "b"):
        cells = side.upper(), escape(summary[side]["model"]), escape(summary[side]["runtime"])
        lines += f"<tr><td>{'</td><td>'.join(cells)}</td></tr>"
    return f"<table>{lines}</table>"


def _files(summary: dict) -> str:
    lines = "<tr><th></th><th>files, SHA-256</th></tr>\n"
    for side in ("a", "b"):
        file = '<div class="file">{}<br><code>{}</code></div>'
        files = "".join(file.format(escape(f["path"]), escape(f["sha256"])) for f in summary[side]["files"])
        lines += f"<tr><td>{side.upper()}</td><td>{files}</td></tr>"
    return f"<table>{lines}</table>"


def _figure(certificate: Certificate, index: int, row: dict) -> str:
    """A and B side by side, above lines with what differs; one above the other where the window is narrow."""
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
    return f'<figure><div class="sides">{pictures}</div><figcaption>{"<br>".join(lines)}</figcaption></figure>\n'


def _jpeg(picture: np.ndarray) -> str:
    """Base64 of a JPEG, no wider than it is shown."""
    height, width = picture.shape[:2]
    small = fitted(picture, min(height, 2 * _WIDTH), min(width, _WIDTH))
    return base64.b64encode(cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()).decode()
