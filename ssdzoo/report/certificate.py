"""The certificate of a comparison: certificate.json, and a page that needs no other file."""

import base64
from html import escape
from pathlib import Path

import cv2

from ssdzoo.data.images import read_image
from ssdzoo.errors import DataError
from ssdzoo.files import write_text
from ssdzoo.report.evaluation import as_text
from ssdzoo.report.pictures import draw_detections, picture_grid

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222; background: #fff }
table { border-collapse: collapse; margin: 1em 0 } td, th { padding: .2em 1.2em .2em 0; text-align: left; vertical-align: top }
th { border-bottom: 1px solid #999 } img { max-width: 100% } code { word-break: break-all; font-size: 85% }
.verdict { padding: .6em 1em; color: #fff; font-size: 120%; background: #17693a } .failed { background: #a3231f }
figure { margin: 1.5em 0 } figcaption { color: #444; word-break: break-word }
"""


def write_certificate(folder, certificate) -> list:
    """Writes certificate.json and certificate.html of a Certificate; returns their paths."""
    folder = Path(folder)
    paths = [folder / "certificate.json", folder / "certificate.html"]
    write_text(paths[0], as_text(certificate.summary) + "\n")
    # Names of files need not be UTF-8.
    write_text(paths[1], page(certificate).encode("utf-8", "replace").decode("utf-8"))
    return paths


def rows(summary: dict) -> list:
    """[(what, value)] of a summary, for people."""
    found, box, score, heads = (summary[key] for key in ("detections", "boxes", "scores", "heads"))
    values = [
        ("images", str(summary["images"])),
        (f"detections from {summary['score']:g} on", f"A {found['a']}, B {found['b']}, matched {found['matched']}"),
        ("missing in B, extra in B", f"{found['missing']}, {found['extra']}"),
    ]
    if found["agreement"] is not None:
        values.append(("share that both have", f"{found['agreement']:.4f}"))
    if found["cut_a"] or found["cut_b"]:
        values.append(("cut off at the limit, of A and of B", f"{found['cut_a']}, {found['cut_b']}"))
    if found["matched"]:
        values += [
            ("boxes, largest difference", f"{box['largest_pixels']:.3g} pixels, IoU at least {box['least_iou']:.6f}"),
            ("scores, largest difference", f"{score['largest']:.3g}"),
        ]
    reason = heads.get("not_compared")
    if reason:
        text = f"not compared: {reason}"
    else:
        text = f"logits {heads['logits']:.3g}, offsets {heads['offsets']:.3g} ({heads['images']} images)"
    values.append(("raw heads, largest difference", text))
    return values + [("mAP (voc07)", _mean_ap(summary["mAP"]))]


def _mean_ap(values: dict) -> str:
    if "not_compared" in values:
        return f"not compared: {values['not_compared']}"
    if values["loss"] is None:
        return "none: no objects"
    return f"A {values['a']:.4f}, B {values['b']:.4f}, loss {values['loss']:.4f}"


def verdict(summary: dict) -> str:
    """A line: passed or failed, and within which tolerance."""
    limits = summary["tolerance"]
    if limits["map"] is not None or limits["agreement"] is not None:
        parts = [] if limits["map"] is None else [f"mAP within {limits['map']:g}"]
        parts += [] if limits["agreement"] is None else [f"at least {limits['agreement']:g} of the detections agree"]
        within = ", ".join(parts)
    else:
        within = f"boxes within {limits['box']:g} pixels, scores within {limits['score']:g}, nothing missing or extra"
    return f"{'PASSED' if summary['passed'] else 'FAILED'}: {within}"


def page(certificate) -> str:
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
</body></html>
"""


def _table(pairs: list) -> str:
    lines = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>\n" for name, value in pairs)
    return f"<table>\n{lines}</table>"


def _models(summary: dict) -> str:
    lines = []
    for side in ("a", "b"):
        known = summary[side]
        files = "<br>".join(f"{escape(f['path'])}<br><code>{escape(f['sha256'])}</code>" for f in known["files"])
        lines.append(
            f"<tr><td>{side.upper()}</td><td>{escape(known['model'])}</td><td>{escape(known['runtime'])}</td><td>{files}</td></tr>"
        )
    return f"<table><tr><th></th><th>model</th><th>runtime</th><th>files, SHA-256</th></tr>\n{''.join(lines)}</table>"


def _figure(certificate, index: int, row: dict) -> str:
    """A and B side by side, above a line with what differs."""
    differs = f"{row['missing']} missing, {row['extra']} extra, {row['matched']} matched"
    if row["matched"]:
        differs += f", scores differ by up to {row['largest_score']:.3g}, boxes by up to {row['largest_pixels']:.3g} pixels"
    name = escape(row["image"])
    caption = f"<figcaption>{name}<br>{escape(differs)}</figcaption>"
    try:
        item = certificate.items[index]
        image = read_image(item) if not hasattr(item, "shape") else item
    except DataError as error:  # it was there when the detectors read it
        return f"<figure><p>{escape(str(error))}</p>{caption}</figure>"
    score = certificate.summary["score"]
    sides = [draw_detections(image, found[index], score) for found in certificate.found]
    height, width = image.shape[:2]
    cell = (round(height * 460 / width), 460) if height < 2 * width else (920, round(width * 920 / height) or 1)
    grid = picture_grid(sides, 2, cell, captions=["A", "B"])
    data = base64.b64encode(cv2.imencode(".jpg", grid[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])[1]).decode()
    return f'<figure><img alt="A and B on {name}" src="data:image/jpeg;base64,{data}">{caption}</figure>\n'
