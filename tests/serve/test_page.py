"""The page: what it may load, and what it does in a real browser."""

import base64
import hashlib
import json
import re
import shutil

import cv2
import numpy as np
import pytest

from ssdzoo.report.pictures import PALETTE
from ssdzoo.serve.page import page
from tests.serve.processes import serving
from tests.serve.servers import client

CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None)


def test_the_page_runs_its_own_code_alone():
    with client() as opened:
        answer = opened.get("/")
    text, policy = page()
    assert answer.text == text and answer.headers["content-security-policy"] == policy
    for tag, kind in (("style", "style-src"), ("script", "script-src")):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy
    assert not re.search(r"https?://|\son\w+=|\sstyle=|innerHTML|eval\(", text)
    assert f'COLORS = ["#{PALETTE[0][0]:02x}' in text
    assert all(f'id="{name}"' in text for name in re.findall(r'\$\("([\w-]+)"\)', text))
    assert re.findall(r'<(?:img|script|link)[^>]*(?:src|href)="([^"]*)"', text) == ["data:,"]


@pytest.fixture
def tab():
    """A tab of a browser that shows the page; the errors of its console are in `tab.said`."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    if BROWSER is None:
        pytest.skip("needs chromium: apt-get install chromium")
    with serving("-m", "tests.serve.processes", "0") as server, playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", *CAMERA])
        opened = browser.new_page(viewport={"width": 1280, "height": 900})
        opened.said = []
        opened.on("console", lambda message: opened.said.append(message.text) if message.type == "error" else None)
        opened.on("pageerror", lambda error: opened.said.append(str(error)))
        opened.goto(server.url)
        opened.get_by_text("Finds a, b, c").wait_for()
        yield opened
        browser.close()


GRAY = (128, 128, 128)
EDGES = ((8, 40), (40, 40), (30, 12))  # left, right and top of the box of b


def hand_over(tab, event, name, kind, content):
    """Drops or pastes a file."""
    handle = tab.evaluate_handle(
        """([name, type, text]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([Uint8Array.from(atob(text), c => c.charCodeAt(0))], name, {type}));
            return transfer;
        }""",
        [name, kind, base64.b64encode(content).decode()],
    )
    tab.evaluate(
        """([event, transfer]) => document.body.dispatchEvent(event === "drop"
            ? new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true})
            : new ClipboardEvent("paste", {clipboardData: transfer, bubbles: true, cancelable: true}))""",
        [event, handle],
    )


def colors_at(tab, x, y):
    """The (R, G, B) of the canvas at a place of the picture and around it; the picture is 80 wide, and its lines are 2 wide."""
    pixels = tab.evaluate(
        """([x, y]) => {
            const canvas = document.querySelector("canvas"), scale = canvas.width / 80;
            return [...canvas.getContext("2d").getImageData(Math.round(x * scale) - 1, Math.round(y * scale) - 1, 3, 3).data];
        }""",
        [x, y],
    )
    return {tuple(pixels[i : i + 3]) for i in range(0, 36, 4)}


@pytest.mark.long
def test_the_page_in_a_browser(tab, tmp_path):
    gray = cv2.imencode(".png", np.full((60, 80, 3), 128, np.uint8))[1].tobytes()
    hand_over(tab, "drop", "gray.png", "image/png", gray)
    tab.wait_for_selector("#results:not([hidden])")
    # b with 0.9 at (8, 12, 40, 60); a with 0.25, the whole picture, is below the score.
    assert tab.inner_text("#summary") == "1 b" and all(PALETTE[1] in colors_at(tab, *place) for place in EDGES)
    assert colors_at(tab, 24, 40) == colors_at(tab, 1, 30) == {GRAY}
    tab.locator("#score").fill("0.2")
    assert tab.inner_text("#found") == "2 objects" and PALETTE[0] in colors_at(tab, 0.1, 30)
    tab.locator("#score").fill("0.95")
    assert tab.inner_text("#found") == "0 objects" and colors_at(tab, 8, 40) == {GRAY}
    tab.locator("#score").fill("0.2")
    tab.get_by_role("checkbox").nth(1).uncheck()  # b
    assert tab.inner_text("#summary") == "1 a" and colors_at(tab, 8, 40) == {GRAY}
    assert json.loads(tab.text_content("#json"))[0]["detections"][0]["box"] == [8, 12, 40, 60]
    assert re.fullmatch(r"curl --data-binary '@gray.png' 'http://127.0.0.1:\d+/predict\?score=0.2'", tab.inner_text("#curl"))
    assert [row.split("\n")[0] for row in tab.locator("dt").all_inner_texts()] == ["decoding", "waiting", "network", "round trip"]
    assert tab.said == []

    tab.set_input_files("#file", {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"hello"})
    tab.wait_for_selector("#error:not([hidden])")
    assert tab.inner_text("#error-title") == "That could not be read as a picture." and tab.locator("#results").is_hidden()
    assert tab.inner_text("#error-text") == "notes.txt: not an image that OpenCV can decode"
    hand_over(tab, "paste", "image.png", "image/png", gray)
    tab.wait_for_selector("#results:not([hidden])")
    assert tab.locator("#error").is_hidden() and tab.inner_text("#found") == "2 objects"
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(21 << 20)
    tab.set_input_files("#file", tmp_path / "huge.png")
    tab.wait_for_selector("#error:not([hidden])")
    assert "too large" in tab.inner_text("#error-title")

    tab.click("#camera")
    tab.locator("#json", has_text="camera.jpg").wait_for(state="attached")
    assert tab.inner_text("#camera") == "Stop the camera" and tab.inner_text("#found") == "2 objects"
    tab.keyboard.press("Escape")
    assert tab.inner_text("#camera") == "Use the camera"

    tab.set_viewport_size({"width": 390, "height": 844})
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
