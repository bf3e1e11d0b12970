"""The page: one HTML file with its own style and script, which nothing else may run beside."""

import base64
import hashlib
import json
import re
from functools import lru_cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from ssdzoo.report.page import theme
from ssdzoo.report.pictures import PALETTE

_FILE = Path(__file__).with_name("page.html")
_COLORS, _THEME = "/*COLORS*/[]", "/*THEME*/"  # what takes the place of `ssdzoo.report`'s colors in the file


@lru_cache
def page() -> tuple[str, str]:
    """(the page, its Content-Security-Policy). The policy names its style and its script by their hashes."""
    text = _FILE.read_text("utf-8").replace(_THEME, theme())
    text = text.replace(_COLORS, json.dumps([f"#{r:02x}{g:02x}{b:02x}" for r, g, b in PALETTE]))
    allowed = {}
    for tag in ("style", "script"):
        match = re.search(rf"<{tag}>(.*)</{tag}>", text, re.DOTALL)
        assert match
        allowed[tag] = "sha256-" + base64.b64encode(hashlib.sha256(match[1].encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src '{allowed['style']}'; script-src '{allowed['script']}'; img-src blob: data:; "
        "connect-src 'self'; media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return text, policy


def routes() -> list[Route]:
    """GET /."""

    async def index(request: Request) -> Response:
        text, policy = page()
        headers = {"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache"}
        return HTMLResponse(text, headers=headers)

    return [Route("/", index)]
