"""The part of an evaluation's page that shows the worst mistakes, with a script that shows one large."""

import base64
from collections.abc import Sequence
from html import escape
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np

from ssdzoo.metrics.mistakes import MEANINGS
from ssdzoo.report.mistakes import DrawnMistake, caption
from ssdzoo.report.pictures import fitted

BUDGET = 1_500_000  # bytes of all pictures together, before base64 makes a third more of them
# Widths in pixels and qualities of WebP to try until they fit.
_TRIES = ((720, 80), (480, 75), (480, 45), (320, 40), (240, 20))

# Without the script of the page the pictures are all there, only not large.
LARGE = """<dialog aria-labelledby="large-text"><img alt=""><div><p id="large-text" aria-live="polite"></p>
<button type="button" data-step="-1">Previous</button><button type="button" data-step="1">Next</button>
<button type="button" data-step="0">Close</button></div></dialog>
"""


def mistakes_body(drawn: Sequence[DrawnMistake], counts: dict, score: float, iou: float) -> str:
    """HTML of the section: how many of each kind, then the worst.

    Args:
        drawn: of `ssdzoo.report.mistakes.draw_mistakes`.
        counts: {kind: number of all mistakes}.
        score, iou: with which they were found.
    """
    intro = (
        f"<p>At a minimum score of {score:g} and a minimum IoU of {iou:g}; the kinds are those of TIDE (Bolya et al. 2020). "
        "In the pictures the object is green, the detection red, and other objects are white.</p>"
    )
    rows = "".join(
        f'<tr><th scope="row">{kind}</th><td class="right">{counts[kind]:,}</td><td>{MEANINGS[kind]}</td></tr>' for kind in counts
    )
    summary = (
        '<div class="scroll"><table><thead><tr><th scope="col">kind</th><th scope="col" class="right">number</th>'
        f'<th scope="col">meaning</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )
    if not drawn:
        return intro + summary + "<p>There are none.</p>"
    parts, encoded = [], iter(encode_pictures([one.picture for one in drawn]))
    for kind, group in groupby(drawn, lambda one: one.row["kind"]):
        figures = "".join(_figure(one.row, next(encoded)) for one in group)
        parts.append(f'<h3>{kind.capitalize()}</h3><div class="grid" style="--cell: 240px">{figures}</div>\n')
    return intro + summary + "".join(parts)


def _figure(row: dict, picture: bytes) -> str:
    words = escape(caption(row))
    score = "" if row["score"] is None else f", score {row['score']:.2f}"
    data = base64.b64encode(picture).decode()
    return (
        f'<figure><button type="button" class="zoom" aria-label="Larger: {words}">'
        f'<img alt="{words}" src="data:image/webp;base64,{data}"></button>'
        f"<figcaption><b>{words}</b>{score}, {escape(Path(row['image']).name)}</figcaption></figure>\n"
    )


def encode_pictures(pictures: Sequence[np.ndarray], budget: int = BUDGET) -> list[bytes]:
    """WebP files of pictures (H, W, 3) uint8 RGB, all at the first of several sizes and qualities with which they fit together
    into `budget` bytes; at the last one, whatever they take."""
    encoded: list[bytes] = []
    for width, quality in _TRIES:
        small = [picture if picture.shape[1] <= width else fitted(picture, np.inf, width) for picture in pictures]
        options = [cv2.IMWRITE_WEBP_QUALITY, quality]
        encoded = [cv2.imencode(".webp", np.ascontiguousarray(one[..., ::-1]), options)[1].tobytes() for one in small]
        if sum(map(len, encoded)) <= budget:
            break
    return encoded
