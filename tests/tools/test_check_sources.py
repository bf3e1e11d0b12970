"""The tool that asks the servers of the table of sources, against a local one."""

import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from ssdzoo.weights.sources import Source
from tests.tools.scripts import TOOLS, load_script

PATH = TOOLS / "check_sources.py"


@contextmanager
def head_server(sizes: dict):
    """The address of a server that answers HEAD requests with the size of {path: bytes, None for no size, or "page"}."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_HEAD(self):
            if self.path not in sizes:
                return self.send_error(404)
            self.send_response(200)
            if sizes[self.path] == "page":
                self.send_header("Content-Type", "text/html; charset=utf-8")
            elif sizes[self.path] is not None:
                self.send_header("Content-Length", str(sizes[self.path]))
            self.end_headers()

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def tool():
    return load_script("check_sources")


def test_sizes_are_compared(tool, monkeypatch, capsys):
    sizes = {"/a": 100, "/b": 1_572_864, "/c": 5, "/d": None, "/e": 99, "/f": 1_576_000, "/i": "page"}
    known = {
        "a": {"size": 100},
        "b": {"mib": 1.5},
        "c": {},
        "d": {"size": 3},
        "e": {"size": 100},
        "f": {"mib": 1.5},
        "g": {},
        "i": {},
    }
    with head_server(sizes) as url:
        rows = [Source(name, "Zoo", "MIT", f"{url}/{name}", **facts) for name, facts in known.items()]
        monkeypatch.setattr(tool, "all_sources", lambda: [*rows, Source("h", "Gone", "MIT", "http://127.0.0.1:1/h")])
        assert tool.main([]) == 1
        assert capsys.readouterr().out.splitlines() == [
            "ok      a  100 bytes",
            "ok      b  1572864 bytes",
            "ok      c  5 bytes, which the table does not say",
            "ok      d  there, of unknown size",
            f"FAILED  e  99 bytes, not 100  {url}/e",
            f"FAILED  f  1.503 MiB, not 1.5  {url}/f",
            f"FAILED  g  HTTP 404 Not Found  {url}/g",
            f"FAILED  i  a web page, such as one to log in  {url}/i",
            "FAILED  h  no answer: [Errno 111] Connection refused  http://127.0.0.1:1/h",
            "4 of 9 files are as the table says",
        ]
        assert tool.main(["a"]) == 0
        assert tool.main(["zoo"]) == 1 and "8 files" in capsys.readouterr().out
        assert tool.main(["nothing"]) == 1
        assert capsys.readouterr().out == "no file of the table has 'nothing' in its name or its project's\n"
    assert tool.main(["--help"]) == 0 and "HEAD requests only" in capsys.readouterr().out


def test_it_runs_without_the_large_packages():
    code = f"""
import runpy, sys
for package in ("mxnet", "gluoncv", "torch", "cv2"):
    sys.modules[package] = None
sys.argv = [{str(PATH)!r}, "nothing"]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (
        1,
        "no file of the table has 'nothing' in its name or its project's\n",
        "",
    )
