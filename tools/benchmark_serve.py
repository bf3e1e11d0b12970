"""Compares a server's images per second with those of `ssdzoo benchmark`: python tools/benchmark_serve.py MODEL --images photos/

Both run the same photos with the same backend, in turns, each time in processes of their own. The server's clients are threads
of this process, on the same machine, that send the next photo when the last one is answered. A ratio is that of one round;
their median is reported, and the 50th and 99th percentile of a request.
"""

import argparse
import json
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ssdzoo.demo.shapes import draw_jpegs
from ssdzoo.measure.benchmark import Subject, benchmark, find_subject, list_jpegs

WARM_UP = 5  # requests of each client that are not counted
HEAD = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n"
LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n(?:.+\r\n)*\r\n", re.IGNORECASE)


def serve(subject: Subject, backend: str, paths: list, clients: int) -> tuple[float, list[float]]:
    """(images per second, seconds of each request) of a server of its own."""
    command = [sys.executable, "-m", "ssdzoo", "serve", str(subject.model), "--port", "0", "--backend", backend]
    command += ["--weights", str(subject.weights)] if subject.weights else []
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            lines = iter(process.stderr.readline, "")
            port = next((int(match[1]) for line in lines if (match := re.search(r"http://\S+:(\d+)$", line))), None)
            if port is None:
                sys.exit(f"{' '.join(command)} does not start")
            bodies = [Path(path).read_bytes() for path in paths]
            with ThreadPoolExecutor(clients) as threads:
                list(threads.map(lambda _: ask(port, bodies[:WARM_UP]), range(clients)))
                start = time.perf_counter()
                times = list(threads.map(lambda i: ask(port, bodies[i::clients]), range(clients)))
                return len(bodies) / (time.perf_counter() - start), [t for part in times for t in part]
        finally:
            process.terminate()


def ask(port: int, bodies: list[bytes]) -> list[float]:
    """Seconds of each request of one client, one after another.

    It shares the server's cores: http.client would take a third of a millisecond of them for each request, this takes a tenth.
    """
    times = []
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for body in bodies:
            start = time.perf_counter()
            connection.sendall(HEAD % len(body) + body)
            answer = b""
            while not (match := LENGTH.search(answer)) or len(answer) < match.end() + int(match[1]):
                answer += connection.recv(1 << 16)
            times.append(time.perf_counter() - start)
            assert answer.startswith(b"HTTP/1.1 200 "), answer
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--images", type=Path, help="folder with JPEG files; drawn ones by default")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--backend", default="openvino", choices=["mxnet", "onnxruntime", "openvino"])
    parser.add_argument("--count", type=int, default=200, help="images per measurement")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    a = parser.parse_args()
    ratios, times, rates = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        subject = find_subject(a.model, folder, a.weights)
        paths = list_jpegs(a.images or draw_jpegs(folder), a.count)
        for number in range(a.rounds):
            alone = benchmark(subject, paths, [a.backend], rounds=1, against_gluoncv=False)[0]["images_per_s"]
            served, seconds = serve(subject, a.backend, paths, a.clients)
            ratios.append(served / alone)
            rates.append((alone, served))
            times += seconds
            print(f"round {number + 1}: benchmark {alone:.1f}, server {served:.1f} images/s, ratio {ratios[-1]:.3f}", flush=True)
    p50, p99 = np.percentile(times, (50, 99)) * 1000
    alone, served = (statistics.median(values) for values in zip(*rates))
    result = {"ratio": statistics.median(ratios), "benchmark": alone, "server": served, "p50_ms": p50, "p99_ms": p99}
    print(json.dumps({key: round(float(value), 3) for key, value in result.items()}))


if __name__ == "__main__":
    main()
