"""What only a real process shows: sockets, signals, its exit status, and slow connections."""

import asyncio
import re
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from ssdzoo.errors import CallError
from ssdzoo.predict.load import load
from ssdzoo.report.predictions import image_entry
from ssdzoo.serve.server import address, bind
from tests.command import ssdzoo
from tests.networks import small_network
from tests.serve.processes import serving
from tests.serve.servers import PRESET, photo
from tests.shared import BCCD

# Requests to /predict that wait, and those that are answered.
ACCEPTED = re.compile(r'^ssdzoo_(?:queue_requests|requests_total\{route="/predict",status="200"\}) (\d+)$', re.MULTILINE)


@pytest.mark.parametrize("sign", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.long)])
def test_a_signal_lets_all_that_was_accepted_be_answered(sign):
    async def job(server):
        async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
            tasks = [asyncio.create_task(client.post("/predict", content=photo())) for _ in range(6)]
            while sum(map(int, ACCEPTED.findall((await client.get("/metrics")).text))) < 6:
                await asyncio.sleep(0.01)
            silent, half = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
            half[1].write(b"POST /predict HTTP/1.1\r\nHost: x\r\n")
            server.process.send_signal(sign)
            answers = await asyncio.gather(*tasks)
            ends = [await reader.read() for reader, _ in (silent, half)]
            return [answer.status_code for answer in answers], ends

    with serving("-m", "tests.serve.processes", "0.1") as server:
        statuses, ends = asyncio.run(job(server))
        assert statuses == [200] * 6 and ends == [b"", b""]
        assert server.process.wait(30) == 0
        assert "Traceback" not in server.process.stderr.read()


@pytest.mark.long
def test_slow_connections_are_ended_and_cost_nobody_else():
    """The server gives a request one second, and its connection five more."""
    with serving("-m", "tests.serve.processes", "0") as server:
        connections = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(60)]
        for i, connection in enumerate(connections):
            connection.settimeout(20)
            head = b"POST /predict HTTP/1.1\r\nHost: x\r\n"
            connection.sendall([b"", head, head + b"Content-Length: 1000\r\n\r\nabc"][i % 3])
        assert httpx.post(f"{server.url}/predict", content=photo()).status_code == 200
        ends = [b"".join(iter(lambda c=connection: c.recv(4096), b"")) for connection in connections]
        assert [end[:12] for end in ends] == [b"", b"", b"HTTP/1.1 408"] * 20
        assert server.end() == 0


def test_addresses():
    with bind("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        assert address(taken) == f"http://127.0.0.1:{port}"
        with pytest.raises(CallError, match=rf"host=127.0.0.1 port={port} cannot be used: Address already in use"):
            bind("127.0.0.1", port)
    with pytest.raises(CallError, match="host=no.such.host.invalid port=1 cannot be used"):
        bind("no.such.host.invalid", 1)


def test_calls_that_are_wrong(monkeypatch):
    assert "no model 'nothing'" in ssdzoo("serve", "nothing", status=2)[1]
    assert "--port" in ssdzoo("serve", "nothing", "--port", "70000", status=2)[1]
    assert "Missing argument" in ssdzoo("serve", status=2)[1]
    monkeypatch.setenv("SSDZOO_MODEL", "of-a-container")
    assert "no model 'of-a-container'" in ssdzoo("serve", status=2)[1]
    preset = "ssd_300_mobilenet0.25_voc"
    monkeypatch.setenv("SSDZOO_PORT", "tcp://10.0.0.1:8080")  # Kubernetes' word, not ours
    assert "no model 'of-a-container'" in ssdzoo("serve", status=2)[1]
    for name, value in (("SSDZOO_MEAN", "1,2"), ("SSDZOO_SCORE", "7")):
        with monkeypatch.context() as patched:
            patched.setenv(name, value)
            assert f"--{name[7:].lower()}" in ssdzoo("serve", preset, status=2)[1]
    assert (
        "--host no.such.host.invalid --port 8080 cannot be used"
        in ssdzoo("serve", preset, "--host", "no.such.host.invalid", status=2)[1]
    )


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert "pip install 'ssdzoo[serve]'" in ssdzoo("serve", "ssd_300_mobilenet0.25_voc", status=1)[1]


@pytest.mark.long
def test_a_client_that_does_not_read_is_left():
    """It asks for more answers than the sockets' buffers hold."""
    with serving("-m", "tests.serve.processes", "0") as server, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", server.port))
        connection.settimeout(1)
        with pytest.raises(OSError):  # at first a timeout, when it is left a reset
            for _ in range(100_000):
                connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
        connection.settimeout(30)
        with pytest.raises(ConnectionError):
            while connection.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"):
                pass
        assert server.end() == 0


@pytest.mark.long
def test_many_clients_get_the_answers_of_predict(tmp_path):
    """500 requests from 8 clients, broken and oversized ones among them: each gets its own answer, and memory does not grow."""
    (tmp_path / "model.toml").write_text(PRESET.to_toml())
    small_network().save_parameters(str(tmp_path / "best.params"))
    photos = sorted((BCCD / "JPEGImages").glob("*.jpg"))[:4]
    detector = load(tmp_path, backend="onnxruntime")
    good = [(path.read_bytes(), (200, [image_entry("image", (480, 640), detector(path, 0.05)[0])])) for path in photos]
    bad = [(b"hello", 400), (photos[0].read_bytes()[:-500], 400), (bytes(21 << 20), 413)]

    def ask(url, first):
        """Asks every eighth of 500 things, beginning with `first`."""
        with httpx.Client(base_url=url, timeout=60) as client:
            for i in range(first, 500, 8):
                body, expected = good[i % 4] if i % 12 else bad[i // 12 % 3]
                answer = client.post("/predict?score=0.05", content=body)
                assert (answer.status_code, answer.json()) == expected if i % 12 else answer.status_code == expected
                if first == 0 and i == 160:
                    memory.append(server.memory())
        return True

    memory: list[int] = []
    command = ("serve", str(tmp_path), "--port", "0", "--backend", "onnxruntime")
    with serving("-c", "from ssdzoo.cli import main; main()", *command) as server, ThreadPoolExecutor(8) as clients:
        assert all(clients.map(ask, [server.url] * 8, range(8)))
        assert server.memory() < memory[0] + (64 << 20)
        metrics = httpx.get(f"{server.url}/metrics").text
        assert 'route="/predict",status="200"} 458\n' in metrics and "ssdzoo_images_total 458\n" in metrics
        assert server.end() == 0
