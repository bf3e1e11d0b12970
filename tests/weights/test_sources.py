"""Where the files of sources are looked for, and what is made of them. No mxnet here."""

import hashlib
import json
import os
import struct
from dataclasses import replace

import numpy as np
import pytest

from ssdzoo.errors import WeightsError
from ssdzoo.formats.params_file import read_params, write_params
from ssdzoo.weights import converted, download, mirrors, published, sources
from ssdzoo.weights.published import locate
from ssdzoo.weights.sources import Source
from tests.weights.mirror_server import serve


def safetensors(array: np.ndarray) -> bytes:
    """The contents of a `.safetensors` file with one float32 array, "x"."""
    entry = {"x": {"dtype": "F32", "shape": array.shape, "data_offsets": [0, array.nbytes]}}
    header = json.dumps(entry).encode()
    return struct.pack("<Q", len(header)) + header + array.tobytes()


DATA = np.random.default_rng(0).bytes(20_000)
HASH = hashlib.sha256(DATA).hexdigest()
TENSORS = safetensors(np.arange(3000, dtype=np.float32))
TORCH = Source("net-1.pth", "torchvision", "BSD-3-Clause", "https://download.pytorch.org/models/net-1.pth", HASH[:8], "sha256")
ONNX = Source(
    "net.onnx", "zoo", "Apache-2.0", "https://huggingface.co/zoo/models/resolve/main/sub/net.onnx", HASH, "sha256", len(DATA)
)
KERAS = Source("net.h5", "Keras", "Apache-2.0", "https://storage.googleapis.com/x/y/net.h5", hashlib.md5(DATA).hexdigest(), "md5")
CAFFE = Source("net.caffemodel", "Caffe", "BSD-3-Clause", "https://github.com/x/raw/master/net.caffemodel", size=len(DATA))
TIMM = Source("net.safetensors", "timm", "Apache-2.0", "https://huggingface.co/timm/net/resolve/main/model.safetensors")
DATA_OF = {source.file: DATA for source in (TORCH, ONNX, KERAS, CAFFE)} | {TIMM.file: TENSORS}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A machine with empty caches."""
    for variable in ("TORCH_HOME", "HF_HOME", "KERAS_HOME", "SSDZOO_CACHE"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    for variable in ("HF_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


@pytest.fixture
def table(monkeypatch):
    """Sets the sources of the backbone "net"."""

    def use(*rows):
        monkeypatch.setattr(sources, "_table", lambda: ({s.file: s for s in rows}, {"net": [s.file for s in rows]}))

    return use


@pytest.fixture
def mirror(monkeypatch):
    monkeypatch.setattr(download, "PATIENCE", 0.5)
    with serve() as (mirror, url):
        monkeypatch.setenv("SSDZOO_REPO", url)
        yield mirror


CACHES = [
    (TORCH, "TORCH_HOME/hub/checkpoints/net-1.pth"),
    (ONNX, "HF_HOME/hub/models--zoo--models/snapshots/0123/sub/net.onnx"),
    (TIMM, "HF_HOME/hub/models--timm--net/snapshots/0123/model.safetensors"),
    (KERAS, "KERAS_HOME/models/net.h5"),
]


@pytest.mark.parametrize("source, cache", CACHES, ids=lambda value: value.file if isinstance(value, Source) else "")
def test_from_this_machine(source, cache, home, table):
    """From the cache of the project's own library, and before that from `root`; a damaged file is passed over."""
    table(source)
    path = home / cache
    path.parent.mkdir(parents=True)
    path.write_bytes(DATA_OF[source.file])
    assert locate("net", True, home / "root").path == path
    other = home / "root" / source.file
    other.parent.mkdir()
    other.write_bytes(DATA_OF[source.file])
    assert locate("net", True, home / "root").path == other
    assert locate("anything", source.file, home / "root").path == other  # by the file's own name
    other.write_bytes(DATA_OF[source.file][:1000])
    assert locate("net", True, home / "root").path == path
    path.write_bytes(DATA_OF[source.file][:1000])
    with pytest.raises(WeightsError, match=rf"root: no net-\*.params; {source.file} is damaged: ") as error:
        locate("net", True, home / "root")
    assert f"{path.parent}: {path.name} is damaged: " in str(error.value)


def test_this_machine_comes_before_mirrors(home, table, mirror):
    table(TORCH)
    mirror.files = {TORCH.file: DATA}
    path = home / CACHES[0][1]
    path.parent.mkdir(parents=True)
    path.write_bytes(DATA)
    assert locate("net", True, home / "root").path == path and mirror.requests == []


def test_the_preferred_file_of_this_machine_is_taken(home, table):
    table(KERAS, TORCH)
    (home / KERAS.file).write_bytes(DATA)
    (home / TORCH.file).write_bytes(DATA)
    assert locate("net", True, home).source == KERAS
    write_params(home / "net-0a1b2c3d.params", {"x": np.zeros(3)})
    assert locate("net", True, home).path == home / "net-0a1b2c3d.params"  # GluonCV's naming comes first


@pytest.mark.parametrize("source", [TORCH, ONNX, KERAS, CAFFE, TIMM], ids=lambda source: source.file)
@pytest.mark.parametrize("by_name", [True, False])
def test_from_mirrors(source, by_name, home, table, mirror, monkeypatch):
    """By the name of the file, or at the path that it has on its own server."""
    table(source)
    place = source.file if by_name else source.url.split("/", 3)[3]
    mirror.files = {place: DATA_OF[source.file]}
    assert locate("net", True, home / "root").path.read_bytes() == DATA_OF[source.file]
    assert [p.name for p in (home / "root").iterdir()] == [source.file]
    asked = len(mirror.requests)
    assert locate("net", True, home / "root").source == source and len(mirror.requests) == asked
    folder = home / "mirror" / place
    folder.parent.mkdir(parents=True)
    folder.write_bytes(DATA_OF[source.file])
    monkeypatch.setenv("SSDZOO_REPO", str(home / "mirror"))
    assert locate("net", True, home / "second").path == home / "second" / source.file


@pytest.mark.parametrize("manner", ["good", "breaks off", "lies short", "error"])
@pytest.mark.parametrize("source", [TORCH, ONNX, KERAS, CAFFE, TIMM], ids=lambda source: source.file)
def test_a_damaged_file_never_gets_the_name(source, manner, home, table, mirror):
    table(source)
    whole = DATA_OF[source.file]
    damaged = whole[:-100] if source in (CAFFE, TIMM) else whole[:-1] + b"x"
    mirror.manner, mirror.files = manner, {source.file: damaged if manner == "good" else whole}
    with pytest.raises(WeightsError, match=r"the wrong file|broke off after 1000 of \d+ bytes|HTTP 500"):
        locate("net", True, home / "root")
    assert list((home / "root").iterdir()) == []
    mirror.manner, mirror.files = "good", {source.file: whole}
    assert locate("net", True, home / "root").path.read_bytes() == whole


def test_sizes_and_hashes_are_told(home):
    (home / "file").write_bytes(DATA[:-1])
    assert CAFFE.problem(home / "file") == "has 19999 bytes, not 20000"
    found = hashlib.md5(DATA[:-1]).hexdigest()[:8]
    assert KERAS.problem(home / "file") == f"its MD5 begins with {found}, not {KERAS.digest[:8]}"
    found = hashlib.sha256(DATA[:-1]).hexdigest()[:8]
    assert TORCH.problem(home / "file") == f"its SHA-256 begins with {found}, not {TORCH.digest[:8]}"


@pytest.fixture
def living(monkeypatch):
    """The server of the projects and MXNet's, both on this machine: (server, how to give a source an address on it)."""
    monkeypatch.setattr(download, "PATIENCE", 0.5)
    monkeypatch.delenv("SSDZOO_OFFLINE")
    monkeypatch.delenv("SSDZOO_REPO", raising=False)
    with serve() as (server, url):
        monkeypatch.setattr(mirrors, "ORIGINAL", f"{url}original/")
        monkeypatch.setattr(sources, "ORIGINAL", f"{url}original/")
        yield server, lambda source: replace(source, url=f"{url}{source.file}")


def test_the_order_of_the_places(home, table, living, monkeypatch, caplog):
    server, at = living
    first, second = at(ONNX), at(KERAS)
    table(first, second)
    sha1 = hashlib.sha1(DATA).hexdigest()
    monkeypatch.setattr(published, "published_hashes", lambda: {"net": [sha1]})
    (home / "mirror").mkdir()
    monkeypatch.setenv("SSDZOO_REPO", str(home / "mirror"))
    with pytest.raises(WeightsError) as error:
        locate("net", True, home / "root")
    stem = f"net-{sha1[:8]}"
    assert server.requests == [first.file, second.file, f"original/gluon/models/{stem}.zip"]
    assert str(error.value).splitlines() == [
        "no weights of net:",
        f"  {home}/root: no net-*.params; no net.onnx; no net.h5",
        f"  {home}/mirror: holds no {stem}.params; holds no net.onnx; holds no net.h5",
        f"  {first.url}: HTTP 404 Not Found",
        f"  {second.url}: HTTP 404 Not Found",
        f"  {mirrors.ORIGINAL}: HTTP 404 Not Found",
        f"put net.onnx from {first.url} into {home}/root, or name a file (base_weights=, or pretrained_base= in "
        "get_model); ssdzoo convert makes one from other frameworks' files",
    ]
    server.files = {second.file: DATA, f"original/gluon/models/{stem}.zip": DATA}
    with caplog.at_level("INFO", "ssdzoo"):
        assert locate("net", True, home / "root").source == second
    assert caplog.messages == [f"downloading {second.url}, 0.0 MB, Keras, Apache-2.0"]
    (home / "root" / second.file).unlink()
    (home / "mirror" / f"{stem}.params").write_bytes(DATA)
    assert locate("net", True, home / "root").path == home / "root" / f"{stem}.params"


def test_offline_asks_mirrors_alone(home, table, living, monkeypatch):
    server, at = living
    table(at(ONNX))
    monkeypatch.setenv("SSDZOO_OFFLINE", "1")
    with pytest.raises(WeightsError, match="the internet: not asked, because SSDZOO_OFFLINE is set"):
        locate("net", True, home)
    assert server.requests == []


def test_a_dead_server_is_asked_once(home, table, living):
    server, at = living
    table(at(ONNX), at(KERAS))
    server.manner = "silent"
    with pytest.raises(WeightsError, match=r"net.onnx: no answer for 0.5 s\n"):
        locate("net", True, home)
    assert server.requests == ["net.onnx"]


@pytest.fixture
def conversions(monkeypatch):
    """The files that were converted so far. What they become is a backbone with the file's size in it."""
    seen = []

    def read(path, wanted):
        seen.append(path)
        return {name: np.full(2, path.stat().st_size, np.float32) for name in wanted}

    monkeypatch.setattr(converted, "read_backbone", read)
    return seen


def test_a_file_is_converted_once(home, table, mirror, conversions):
    table(TORCH)
    mirror.files = {TORCH.file: DATA}
    for _ in range(2):
        arrays, found = converted.find_backbone("net", ["a", "b"], {}, True, home / "root")
        np.testing.assert_array_equal(arrays["b"], [20_000, 20_000])
        assert found.story == "net-1.pth (torchvision, BSD-3-Clause)"
    assert conversions == [home / "root" / TORCH.file]
    (home / "root" / TORCH.file).unlink()  # and offline
    mirror.files = {}
    assert converted.find_backbone("net", ["a", "b"], {}, True, home / "root")[0].keys() == {"a", "b"}
    assert len(conversions) == 1
    start = converted.find_start("net", home / "root")
    assert (start.here.state, start.here.source, start.source) == ("converted", TORCH, TORCH)
    [entry] = (home / "SSDZOO_CACHE" / "weights").iterdir()
    entry.write_bytes(entry.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="no weights of net"):  # there is nothing to make it of
        converted.find_backbone("net", ["a", "b"], {}, True, home / "root")
    mirror.files = {TORCH.file: DATA}
    converted.find_backbone("net", ["a", "b"], {}, True, home / "root")
    assert read_params(entry).keys() == {"a", "b"} and len(conversions) == 2
    converted.find_backbone("net", ["a"], {}, True, home / "root")  # another network
    assert len(conversions) == 3


def test_a_changed_file_without_a_published_hash_is_converted_again(home, table, conversions):
    table(TIMM)
    for count in (10, 20, 20):
        (home / TIMM.file).write_bytes(safetensors(np.zeros(count, np.float32)))
        arrays, _ = converted.find_backbone("net", ["a"], {}, True, home)
        assert arrays["a"][0] == (home / TIMM.file).stat().st_size
    assert len(conversions) == 2


def test_a_file_of_ones_own_is_not_kept(home, conversions):
    (home / "mine.pth").write_bytes(DATA)
    arrays, found = converted.find_backbone("net", ["a"], {}, home / "mine.pth")
    assert arrays["a"][0] == 20_000 and found.source is None and found.story == f"{home}/mine.pth"
    assert not (home / "SSDZOO_CACHE").exists()


def test_nothing_is_left_of_a_conversion_that_fails(home, table, monkeypatch):
    table(TORCH)
    (home / TORCH.file).write_bytes(DATA)
    with pytest.raises(WeightsError):
        converted.find_backbone("net", ["a"], {}, True, home)
    assert not os.path.exists(home / "SSDZOO_CACHE" / "weights")
