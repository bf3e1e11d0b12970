"""Sends hostile requests to a server: python tools/fuzz_server.py --inputs 10000

One input is one connection: damaged images of five formats, forms, inference requests in JSON and with binary tensors, odd
methods, paths and headers, bodies that are cut off or longer than they say, slow clients, and bombs (images of many pixels or
scans, nested JSON). The server is a real one, in a thread of the process that runs the inputs; a stand-in takes the place of the
network. Whole requests are answered, never with 500, and with messages that can be shown; a good image is answered as before
after every 50 inputs, and memory does not grow.

10,000 inputs, and 20,000 of seed 901: nothing was found.
"""

import base64
import contextlib
import json
import os
import re
import socket
import struct
import sys
import threading
import time
import zlib
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ssdzoo.predict.detector import Detector
from ssdzoo.serve.limits import Limits
from ssdzoo.serve.server import bind, run
from ssdzoo.serve.service import Service
from ssdzoo.serve.worker import NetworkWorker
from ssdzoo.zoo import find_preset
from tools.fuzzing import judge_message, main, mutate_bytes, mutate_tree

LIMITS = Limits(body_bytes=1 << 20, body_seconds=0.3, answer_seconds=10, pixels=1 << 24)
REFUSALS = {400, 404, 405, 408, 411, 413, 415, 431, 501, 503}
CHECKED = 50  # inputs between two looks at the server's health
SETTLED = 500  # inputs after which memory counts
GROWTH = 100 << 20  # bytes
INFER = "/v2/models/stand-in/infer"
ODD_WORDS = (
    "", "0", "-1", "+5", "0x10", "1e3", "99999999999999999999", "a" * 70_000, "\x01", "é", "chunked", "chunked, chunked", "gzip",
    "identity, gzip", "multipart/form-data; boundary=", "multipart/form-data; boundary=" + "b" * 300, "text/html", "*/*",
    'multipart/form-data; boundary="', "application/json;annotation=1", "100-continue", "close, keep-alive", "upgrade",
    "websocket", "nan", "*/*;q=" + "9" * 4000,
)  # fmt: skip
ODD_HEADERS = (
    "Content-Length", "Transfer-Encoding", "Content-Type", "Content-Encoding", "Inference-Header-Content-Length", "Expect",
    "Accept", "Connection", "Upgrade", "Host", "Range", "X\0", "X Y", "", ":", "Cookie",
)  # fmt: skip
ODD_PATHS = (
    "/", "/predict?score=", "/predict?score=1e999", "/predict?score=%00", "/predict?score=0.5&score=x", "/../../etc/passwd",
    "/%2e%2e/x", "//x", "*", "http://x/predict", "/v2/models/%00", "/v2/models/%ff/infer", "/predict#x", "/" + "a" * 5000,
    "/model", "/metrics", "", "\\",
)  # fmt: skip


class StandIn:
    """A backend that finds one box in each image."""

    runtime, in_flight, file = "none", 1, None

    def __call__(self, images: np.ndarray) -> tuple:
        shape = (len(images), 1)
        return (
            np.zeros((*shape, 1)),
            np.full((*shape, 1), 0.9, np.float32),
            np.tile(np.float32([[[30, 60, 150, 300]]]), (shape[0], 1, 1)),
        )


@lru_cache
def port() -> int:
    """That of this process's server, which runs from now on."""
    preset = find_preset("ssd_300_mobilenet0.25_custom").with_classes(["a"])
    service = Service(NetworkWorker(lambda: Detector(StandIn(), preset)), {"name": "stand-in", "backend": "none"}, 0.5, LIMITS)
    listening = bind("127.0.0.1", 0)
    threading.Thread(target=run, args=(service, listening), daemon=True).start()
    found = listening.getsockname()[1]
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", found)).close()
            break
        except ConnectionRefusedError:
            time.sleep(0.05)
    return found


@lru_cache
def image(suffix: str = ".jpg") -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    return cv2.imencode(suffix, pixels)[1].tobytes()


def request(body: bytes, path: str = "/predict", **headers: str) -> bytes:
    """A whole request."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", "Connection: close", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def damaged_image(random: np.random.Generator) -> bytes:
    suffix = str(random.choice([".jpg", ".png", ".webp", ".bmp", ".tif"]))
    path = str(random.choice(["/predict", "/predict?score=0", "/invocations"]))
    return request(mutate_bytes(random, image(suffix)), path, Content_Type="image/jpeg")


def damaged_form(random: np.random.Generator) -> bytes:
    parts = [
        b'--b\r\nContent-Disposition: form-data; name="x"; filename="%s"\r\nContent-Type: image/png\r\n\r\n%s\r\n'
        % (name, image())
        for name in (b"a.jpg", b"../b.jpg", b"\xff\0" * 40)[: int(random.integers(1, 4))]
    ]
    body = b"".join(parts) + b"--b--\r\n"
    at = int(random.integers(len(body)))
    body = (
        mutate_bytes(random, body)
        if random.integers(2)
        else body[:at] + mutate_bytes(random, body[at : at + 60]) + body[at + 60 :]
    )
    return request(body, Content_Type="multipart/form-data; boundary=b")


def damaged_inference(random: np.random.Generator) -> bytes:
    encoded = base64.b64encode(image()).decode()
    tree = {
        "id": "1", "parameters": {"score": 0.5}, "outputs": [{"name": "boxes"}],
        "inputs": [{"name": "images", "shape": [2], "datatype": "BYTES", "parameters": {}, "data": [encoded, encoded]}],
    }  # fmt: skip
    if random.integers(2):
        text = json.dumps(mutate_tree(random, tree)).encode("utf-8", "replace")
        return request(mutate_bytes(random, text) if random.integers(3) == 0 else text, INFER)
    rest = b"".join(struct.pack("<I", len(image())) + image() for _ in range(2))
    tree["inputs"][0].pop("data")
    tree["inputs"][0]["parameters"] = {"binary_data_size": len(rest)}
    head = json.dumps(mutate_tree(random, tree, 1) if random.integers(2) else tree).encode("utf-8", "replace")
    length = str(random.choice(ODD_WORDS[:7])) if random.integers(5) == 0 else str(len(head))
    return request(head + mutate_bytes(random, rest), INFER, Inference_Header_Content_Length=length)


def odd_head(random: np.random.Generator) -> bytes:
    """A request whose method, path or headers are odd; it need not be answered."""

    def one(values: tuple) -> str:
        return str(values[int(random.integers(len(values)))])

    method = one(("GET", "POST", "HEAD", "PUT", "OPTIONS", "CONNECT", "TRACE", "", "get", "A" * 3000, "PRI * HTTP/2.0"))
    path = one(ODD_PATHS) if random.integers(2) else one(("/predict", "/invocations", INFER, "/ping"))
    lines = [f"{method} {path} HTTP/1.{int(random.integers(3))}", "Host: x"]
    lines += [f"{one(ODD_HEADERS)}: {one(ODD_WORDS)}" for _ in range(int(random.integers(1, 5)))]
    head = "\r\n".join(lines).encode("utf-8", "surrogatepass") + b"\r\n\r\n"
    body = b"5\r\nhello\r\n0\r\n\r\n" if random.integers(2) else image()
    return (mutate_bytes(random, head) if random.integers(2) else head) + body


@lru_cache
def bombs() -> list[bytes]:
    """Bodies that are small, and costly to whoever decodes them."""

    def png(width: int, height: int, pixels: bytes) -> bytes:
        def chunk(name: bytes, data: bytes) -> bytes:
            return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")

    zeros = zlib.compress(bytes(3 * 2000 * 2000 + 2000), 9)
    frame = b"\xff\xc2\0\x0b\x08" + struct.pack(">HH", 4000, 4000) + b"\1\1\x11\0"
    scans = b"\xff\xda\0\x08\1\1\0\0\0\0x" * 5000
    return [
        png(60_000, 60_000, zeros), png(1 << 31, 1, zeros), png(4000, 4000, zeros), png(2000, 2000, zeros), png(0, 0, b""),
        b"\xff\xd8" + frame + scans + b"\xff\xd9", b"\xff\xd8" + b"\xff" * 500_000, image() + b"\xff\xe1\xff\xff" * 9000,
        b"II*\0" + b"\xff" * 2000, b"P6 99999 99999 255\n", b"GIF89a\xff\xff\xff\xff" + bytes(900), bytes(900_000),
        b"RIFF\xff\xff\xff\xffWEBPVP8X" + b"\xff" * 100,
    ]  # fmt: skip


def bomb(random: np.random.Generator) -> bytes:
    kind = int(random.integers(4))
    if kind == 0:
        return request(b"[" * 900_000 if random.integers(2) else b'{"inputs":' * 90_000, INFER)
    if kind == 1:
        return request(b"--b\r\n\r\nx\r\n" * 20_000 + b"--b--\r\n", Content_Type="multipart/form-data; boundary=b")
    body = bombs()[int(random.integers(len(bombs())))]
    return request(body, str(random.choice(["/predict", "/invocations"])), Content_Type="image/png")


WHOLE = (damaged_image, damaged_form, damaged_inference, bomb)


def exchange(sent: bytes, how: str, at: int) -> bytes:
    """The answer to some bytes.

    Args:
        how: "whole", "cut" (the client leaves at byte `at`), "half" (it stops sending there, and reads), "slow" (it waits
            there) or "late" (it sends more than it said).
    """
    with socket.create_connection(("127.0.0.1", port()), timeout=15) as connection:
        try:
            connection.sendall(sent[:at] if how in ("cut", "half", "slow") else sent)
            if how == "cut":
                return b""
            if how == "half":
                with contextlib.suppress(OSError):  # the server has refused the head, and is gone
                    connection.shutdown(socket.SHUT_WR)
            if how == "slow":
                time.sleep(0.02)
                connection.sendall(sent[at : at + 5])
                connection.settimeout(0.5)
            if how == "late":
                connection.sendall(b"x" * (2 << 20))
            return b"".join(iter(lambda: connection.recv(1 << 16), b""))
        except (ConnectionError, BrokenPipeError):
            return b""
        except TimeoutError:
            if how == "whole":
                raise
            return b""


def check(random: np.random.Generator, folder: Path) -> str:
    kind = int(random.integers(6))
    make = odd_head if kind >= 4 else WHOLE[kind]
    sent = make(random)
    how = "whole" if make is not odd_head and random.integers(3) else str(random.choice(["cut", "half", "slow", "late"]))
    if make is odd_head and how == "late":
        how = "half"
    (folder / "request").write_bytes(sent)
    answer = exchange(sent, how, int(random.integers(len(sent))))
    status = judge(answer, make is not odd_head and how == "whole")
    _look(_count())
    return f"{make.__name__} {how}: {status}"


def judge(answer: bytes, is_due: bool) -> int | None:
    """The status of an answer, or None where there is none.

    Raises:
        AssertionError: there is none where it is due, or it is none that a server should give.
    """
    match = re.match(rb"HTTP/1\.1 (?:100 Continue\r\n\r\nHTTP/1\.1 )?(\d{3}) ", answer)
    if not match:
        assert not answer, f"no HTTP {answer[:40]!r}"
        assert not is_due, "no answer"
        return None
    status = int(match[1])
    assert status == 200 or status in REFUSALS, f"status {status}"
    head, _, rest = answer.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)\r\ncontent-type: application/json", head + b"\r\n")
    if (
        status != 200 and length and rest and not rest.startswith(b"HTTP/")
    ):  # of HEAD there is no body, but another answer behind it
        passed, message = judge_message(json.loads(rest[: int(length[1])])["error"])
        assert passed, message
    return status


_seen = {"count": 0, "memory": 0}


def _count() -> int:
    _seen["count"] += 1
    return _seen["count"]


def _look(count: int) -> None:
    """Whether the server is as it was."""
    if count % CHECKED:
        return
    answer = exchange(request(image()), "whole", 0)
    assert b'"width":32,"height":24,"detections":[{"class":"a"' in answer, "a good image is not answered as before"
    used = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    if count == SETTLED:
        _seen["memory"] = used
    assert count <= SETTLED or used < _seen["memory"] + GROWTH, f"memory grew by {used - _seen['memory'] >> 20} MiB"


if __name__ == "__main__":
    main(check, __doc__)
