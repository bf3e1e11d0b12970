"""Servers in processes of their own.

`python -m tests.serve.processes SECONDS` is one with a stand-in for its network, which takes so long for an image.
"""

import contextlib
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Server:
    """A running server.

    Attributes:
        url: where it listens.
        process: of it.
    """

    def __init__(self, command: list[str]):
        self.process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        lines = []
        while line := self.process.stderr.readline():
            lines.append(line)
            if match := re.search(r"http://\S+$", line):
                self.url = match[0]
                return
        raise AssertionError("".join(lines))

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def memory(self) -> int:
        """Bytes that it holds in memory."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def end(self) -> int:
        """The exit status after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextlib.contextmanager
def serving(*command: str) -> Iterator[Server]:
    server = Server([sys.executable, *command])
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()
        server.process.stderr.close()


def main(seconds: float) -> None:
    from ssdzoo.serve.limits import Limits
    from ssdzoo.serve.server import bind, run
    from tests.serve.servers import StandIn, service

    class Slow(StandIn):
        def __call__(self, images):
            time.sleep(seconds)
            return super().__call__(images)

    logging.basicConfig(level=logging.INFO)
    run(service(Slow(), limits=Limits(body_seconds=1)), bind("127.0.0.1", 0))


if __name__ == "__main__":
    main(float(sys.argv[1]))
