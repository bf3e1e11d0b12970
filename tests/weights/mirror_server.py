"""A local http server with the manners of bad ones."""

import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ENDURANCE = 30  # seconds


class Mirror:
    """What the server does; tests change it while it runs.

    files: {path: bytes}.
    manner: "good"; "silent" (never answers); "stalls" (after half of the file); "drips" (a byte now and then); "breaks off"
        (after 1000 bytes); "lies long", "lies short" (both in Content-Length); "claims terabytes"; "error" (500); "forbidden"
        (403); "login" (another address, which answers with a web page).
    requests: paths that were asked for so far; sent: bytes of bodies so far.
    outlasted: how often a client was still there after `ENDURANCE` seconds without a byte, when the server gave up first.
    """

    def __init__(self):
        self.files, self.manner, self.slow = {}, "good", 0.0
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
            path = self.path.lstrip("/")
            mirror.requests.append(path)
            data, manner = mirror.files.get(path), mirror.manner
            if manner == "silent":
                mirror.keep_silent()
                return
            if manner == "login" and path != "login":
                self.send_response(302)
                self.send_header("Location", "/login")
                self.end_headers()
                return
            if manner == "login":
                data = b"\n<!DOCTYPE html><html><body>Who are you?</body></html>"
            error = {"error": 500, "forbidden": 403}.get(manner, 404 if data is None else None)
            if error:
                self.send_error(error)
                return
            lengths = {"lies long": 10 * len(data), "lies short": len(data) // 2, "claims terabytes": 10**13}
            self.send_response(200)
            self.send_header("Content-Length", str(lengths.get(manner, len(data))))
            self.end_headers()
            self._send(data, manner)

        def _send(self, body, manner):
            if manner == "drips":
                for byte in body:
                    self._write(bytes([byte]))
                    if mirror.closing.wait(0.05):
                        return
            if manner in ("stalls", "breaks off"):
                self._write(body[: len(body) // 2 if manner == "stalls" else 1000])
                if manner == "stalls":
                    mirror.keep_silent()
                return
            piece = 1000 if mirror.slow else max(1, len(body))
            for at in range(0, len(body), piece):
                self._write(body[at : at + piece])
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
