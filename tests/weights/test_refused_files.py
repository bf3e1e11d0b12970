"""Files that are damaged, of another hash, or not there at all, by the ways on which users ask for them: one error that names the
file and the reason, and nothing under the file's name."""

import hashlib
import re
from dataclasses import replace

import pytest

import ssdzoo
from ssdzoo.errors import WeightsError
from ssdzoo.weights import download, sources
from tests.command import ssdzoo as command
from tests.shared import BCCD
from tests.weights.importers.keras_files import mobilenet, write_keras
from tests.weights.mirror_server import serve

FILE, DETECTOR = "mobilenet_2_5_224_tf_no_top.h5", "ssd300_vgg16_coco-b556d3b4.pth"
MODEL = "ssd_300_mobilenet0.25_custom"
MANNERS = {
    "silent": "no answer for 0.5 s",
    "stalls": r"no answer for 0.5 s|sent \d+ bytes in 0.5 s",
    "drips": r"no answer for 0.5 s|sent \d+ bytes in 0.5 s",
    "breaks off": r"broke off after 1000 of \d+ bytes",
    "error": "HTTP 500 Internal Server Error",
    "forbidden": "HTTP 403 Forbidden",
    "missing": "HTTP 404 Not Found",
    "login": "a web page, such as one to log in, instead of the file",
    "lies short": "the wrong file: ",
    "wrong hash": r"the wrong file: its SHA-256 begins with \w{8}, not 00000000",
    "wrong size": r"the wrong file: has \d+ bytes, not 1234567",
}


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    return write_keras(tmp_path_factory.mktemp("keras") / FILE, mobilenet()).read_bytes()


@pytest.fixture
def mirror(content, tmp_path, monkeypatch):
    """A mirror on a machine without weights; it has the file of a backbone."""
    for variable in ("MXNET_HOME", "TORCH_HOME", "HF_HOME", "KERAS_HOME", "SSDZOO_CACHE"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    with serve() as (mirror, url):
        monkeypatch.setenv("SSDZOO_REPO", url)
        mirror.files[FILE] = content
        yield mirror


def misbehave(manner, mirror, monkeypatch):
    table, starts = sources._table()
    changes = {"wrong hash": {"digest": "0" * 64, "algorithm": "sha256"}, "wrong size": {"size": 1_234_567}}.get(manner, {})
    monkeypatch.setattr(sources, "_table", lambda: ({**table, FILE: replace(table[FILE], **changes)}, starts))
    if manner == "missing":
        mirror.files.clear()
    elif not changes:
        mirror.manner = manner
    if manner in ("silent", "stalls", "drips"):
        monkeypatch.setattr(download, "PATIENCE", 0.5)


def check(message, reason, tmp_path, mirror):
    """The lines of the error; nothing is left in the folder of the weights, and nothing was made of the file."""
    lines = message[message.index("no weights of mobilenet0.25:\n") :].splitlines()
    assert sum("http://127.0.0.1" in line for line in lines) == 1
    assert re.search(reason, message)
    assert f"put {FILE} from https://storage.googleapis.com/" in lines[-1]
    assert list((tmp_path / "MXNET_HOME" / "models").iterdir()) == []
    assert not (tmp_path / "SSDZOO_CACHE" / "weights").exists()


@pytest.mark.parametrize("manner", MANNERS)
def test_get_model(manner, mirror, monkeypatch, tmp_path):
    misbehave(manner, mirror, monkeypatch)
    with pytest.raises(WeightsError) as error:
        ssdzoo.get_model(MODEL, classes=["a"], pretrained_base=True)
    check(str(error.value), MANNERS[manner], tmp_path, mirror)


@pytest.mark.parametrize("manner", ["stalls", "login", "wrong hash"])
def test_train(manner, mirror, monkeypatch, tmp_path):
    misbehave(manner, mirror, monkeypatch)
    _, shown = command("train", MODEL, BCCD, "--out", tmp_path / "run", status=1)
    check(shown, MANNERS[manner], tmp_path, mirror)
    assert "\nssdzoo: no weights of " in f"\n{shown}" and not (tmp_path / "run").exists()


def test_a_detector_of_another_hash(mirror, tmp_path, monkeypatch):
    """A file of one's own under the name of the published one, in a mirror that is a folder."""
    data = b"my own weights"
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / DETECTOR).write_bytes(data)
    monkeypatch.setenv("SSDZOO_REPO", str(tmp_path / "mirror"))
    with pytest.raises(WeightsError) as error:
        ssdzoo.get_model("ssd_300_vgg16_atrous_coco", pretrained=True)
    found = hashlib.sha256(data).hexdigest()[:8]
    assert f"{DETECTOR}: the wrong file: its SHA-256 begins with {found}, not b556d3b4" in str(error.value)
    assert "or name a file (weights=, or pretrained= in get_model)" in str(error.value)
    assert list((tmp_path / "MXNET_HOME" / "models").iterdir()) == []
