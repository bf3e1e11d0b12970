"""A local http server with the manners of bad ones."""

import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ENDURANCE = 30  # seconds


class Mirror:
    """What the server does; tests change it while it runs.

    files: {path: bytes}.
    manner: "good"; "no ranges"; "silent" (never answers); "stalls" (after half of what is asked for); "drips" (a byte now and
        then); "breaks off", "breaks off, no ranges" (after `limit` bytes of an answer); "lies long", "lies long, no ranges",
        "lies short" (all three in Content-Length); "claims terabytes"; "wrong range"; "error" (500).
    requests: [(path, Range header or None)] so far; sent: bytes of bodies so far.
    outlasted: how often a client was still there after `ENDURANCE` seconds without a byte, when the server gave up first.
    """

    def __init__(self):
        self.files, self.manner, self.limit, self.slow = {}, "good", 1000, 0.0
        self.requests, self.sent, self.outlasted = [], 0, 0
        self.closing = threading.Event()

    def keep_silent(self):
        if not self.closing.wait(ENDURANCE):
            self.outlasted += 1


def _handler(mirror: Mirror):
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            path, wanted = self.path.lstrip("/"), self.headers.get("Range")
            mirror.requests.append((path, wanted))
            data, manner = mirror.files.get(path), mirror.manner
            if manner == "silent":
                mirror.keep_silent()
                return
            if data is None or manner == "error":
                self.send_error(500 if manner == "error" else 404)
                return
            start = int(wanted[6:-1]) if wanted and "no ranges" not in manner else 0
            if start >= len(data) and start:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(data)}")
                self.end_headers()
                return
            body = data[start:]
            length = 10 * len(body) if "lies long" in manner else len(body)
            length = {"lies short": len(body) // 2, "claims terabytes": 10**13}.get(manner, length)
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(length))
            if start:
                at = start + 7 if manner == "wrong range" else start
                self.send_header("Content-Range", f"bytes {at}-{len(data) - 1}/{len(data)}")
            self.end_headers()
            self._send(body, manner)

        def _send(self, body, manner):
            if manner == "drips":
                for byte in body:
                    self._write(bytes([byte]))
                    if mirror.closing.wait(0.05):
                        return
            if manner == "stalls" or "breaks off" in manner:
                self._write(body[: len(body) // 2 if manner == "stalls" else mirror.limit])
                if manner == "stalls":
                    mirror.keep_silent()
                return
            for at in range(0, len(body), 1000):
                self._write(body[at : at + 1000])
                time.sleep(mirror.slow)

        def _write(self, data):
            try:
                self.wfile.write(data)
                mirror.sent += len(data)
            except OSError:
                pass

    return Handler


@contextmanager
def serve():
    """Yields (Mirror, url)."""
    mirror = Mirror()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(mirror))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield mirror, f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        mirror.closing.set()
        server.shutdown()
        server.server_close()
