"""Published weights: on this machine, in folders, and on servers that misbehave."""

import hashlib
import io
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest

import ssdzoo
from ssdzoo.errors import WeightsError
from ssdzoo.runtime import mxnet
from ssdzoo.weights import download, mirrors, sources, write_params
from ssdzoo.weights import published as store
from ssdzoo.weights.published import locate, survey
from ssdzoo.zoo import find_preset
from tests.weights.mirror_server import serve

mx = mxnet()

DATA = np.random.default_rng(0).bytes(20_000)
SHA1, SHA256 = hashlib.sha1(DATA).hexdigest(), hashlib.sha256(DATA).hexdigest()
STEM = f"some_ssd-{SHA1[:8]}"
ZIPPED, PLAIN = f"gluon/models/{STEM}.zip", f"gluon/models/{STEM}.params"


def zipped(members: dict) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.fixture
def mirror(monkeypatch):
    monkeypatch.setattr(download, "PATIENCE", 0.5)
    with serve() as (mirror, url):
        monkeypatch.setenv("SSDZOO_REPO", url)
        mirror.files = {ZIPPED: zipped({f"{STEM}.params": DATA})}
        yield mirror
        assert mirror.outlasted == 0


def fetch(folder):
    path = locate("some_ssd", SHA1[:8], folder).path
    assert path == folder / f"{STEM}.params" and path.read_bytes() == DATA
    assert [p.name for p in folder.iterdir()] == [path.name]


def fails(folder, message):
    """Fetching fails with `message` and leaves nothing."""
    with pytest.raises(WeightsError, match=message):
        locate("some_ssd", SHA1[:8], folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("files", [{ZIPPED: zipped({f"{STEM}.params": DATA})}, {PLAIN: DATA}, {f"{STEM}.params": DATA}])
def test_from_a_server(files, mirror, tmp_path):
    mirror.files = files
    fetch(tmp_path / "new" / "folder")
    asked = len(mirror.requests)
    fetch(tmp_path / "new" / "folder")
    assert len(mirror.requests) == asked  # the second time it is there


def test_sha256_and_the_other_variable(mirror, tmp_path, monkeypatch):
    monkeypatch.setenv("MXNET_GLUON_REPO", os.environ["SSDZOO_REPO"])
    monkeypatch.setenv("SSDZOO_REPO", str(tmp_path / "nowhere"))
    mirror.files = {f"some_ssd-{SHA256[:8]}.params": DATA}
    assert locate("some_ssd", SHA256, tmp_path).path.name == f"some_ssd-{SHA256[:8]}.params"
    with pytest.raises(WeightsError, match=r"nowhere: no such folder\n"):
        locate("some_ssd", "f" * 64, tmp_path)


@pytest.mark.parametrize(
    "manner, message",
    [
        ("silent", r"http://127\.0\.0\.1:\d+/: no answer for 0\.5 s"),
        ("stalls", "no answer for 0.5 s"),
        ("drips", r"sent \d+ bytes in 0\.5 s"),
        ("error", "HTTP 500"),
        ("breaks off", r"broke off after 1000 of \d+ bytes"),
        ("lies short", "a damaged archive|the wrong file"),
        ("claims terabytes", "says that the file has 10000000000000 bytes"),
    ],
)
def test_servers_that_misbehave(manner, message, mirror, tmp_path):
    mirror.manner = manner
    fails(tmp_path, message)
    mirror.manner = "good"
    fetch(tmp_path)


def test_a_wrong_length_does_not_matter_where_the_hash_is_right(mirror, tmp_path):
    mirror.manner = "lies long"
    fetch(tmp_path)


@pytest.mark.parametrize(
    "files, message",
    [
        ({PLAIN: DATA[:-1] + b"x"}, rf"the wrong file: its SHA-1 begins with \w+, not {SHA1[:8]}"),
        ({ZIPPED: zipped({f"{STEM}.params": b"other"})}, "the wrong file"),
        ({ZIPPED: zipped({"other.params": DATA})}, f"an archive without {STEM}.params"),
        ({ZIPPED: zipped({f"../{STEM}.params": DATA, f"/tmp/{STEM}.params": DATA})}, f"an archive without {STEM}.params"),
        ({ZIPPED: zipped({f"{STEM}.params": bytes(10_000_000)})}, r"larger than \d+ bytes when unpacked"),
        ({ZIPPED: zipped({f"{STEM}.params": DATA})[:-30]}, "a damaged archive"),
        ({ZIPPED: zipped({f"{STEM}.params": DATA}).replace(DATA[5000:5010], b"0123456789")}, "a damaged archive"),
        ({ZIPPED: b"<html>all is well</html>"}, "a web page, such as one to log in, instead of the file"),
        ({}, rf"{ZIPPED}: HTTP 404"),
    ],
)
def test_wrong_files_never_get_the_name(files, message, mirror, tmp_path):
    mirror.files = files
    fails(tmp_path / "root", message)
    assert not (tmp_path / f"{STEM}.params").exists()


def test_other_members_of_an_archive_stay_in_it(mirror, tmp_path):
    mirror.files = {ZIPPED: zipped({"../evil": b"x", "evil": b"x", f"{STEM}.params": DATA})}
    fetch(tmp_path / "root")
    assert [p.name for p in tmp_path.iterdir()] == ["root"]


CHILD = """
import sys
from pathlib import Path
from ssdzoo.weights import download
from ssdzoo.weights.published import locate
download.PATIENCE = 5
print(locate("some_ssd", sys.argv[1], Path(sys.argv[2])).path)
"""


def child(folder):
    return subprocess.Popen([sys.executable, "-c", CHILD, SHA1[:8], str(folder)], stdout=subprocess.PIPE, text=True)


def wait_for(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_processes_at_once_download_once(mirror, tmp_path):
    mirror.files, mirror.slow = {PLAIN: DATA}, 0.05
    children = [child(tmp_path) for _ in range(2)]
    assert [process.communicate(timeout=30)[0].strip() for process in children] == [str(tmp_path / f"{STEM}.params")] * 2
    assert mirror.sent == len(DATA)
    fetch(tmp_path)


def test_a_dead_process_leaves_no_lock(mirror, tmp_path):
    mirror.files, mirror.manner = {PLAIN: DATA}, "stalls"
    process = child(tmp_path)
    wait_for(lambda: mirror.sent)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    mirror.manner = "good"
    fetch(tmp_path)


def test_total_failure_is_one_error_with_every_place(mirror, tmp_path, monkeypatch):
    """A silent mirror, one that nobody listens at, and the original one, which here is silent too."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{nobody.getsockname()[1]}/"
    mirror.manner = "silent"
    monkeypatch.setenv("MXNET_GLUON_REPO", closed)
    monkeypatch.delenv("SSDZOO_OFFLINE")
    monkeypatch.setattr(mirrors, "ORIGINAL", os.environ["SSDZOO_REPO"] + "original/")
    monkeypatch.setattr(sources, "ORIGINAL", mirrors.ORIGINAL)
    monkeypatch.setattr(store, "published_hashes", lambda: {"some_ssd": [SHA1]})
    with pytest.raises(WeightsError) as error:
        locate("some_ssd", True, tmp_path)
    assert len(mirror.requests) == 2  # a dead server is asked once
    lines = str(error.value).splitlines()
    assert lines[0] == "no weights of some_ssd:"
    assert lines[1] == f"  {tmp_path}: no some_ssd-*.params"
    assert lines[2] == f"  {os.environ['SSDZOO_REPO']}: no answer for 0.5 s"
    assert lines[3] == f"  {closed}: Connection refused"
    assert lines[4] == f"  {os.environ['SSDZOO_REPO']}original/: no answer for 0.5 s"
    assert lines[5].startswith(f"put {STEM}.params from an old machine into {tmp_path}, or name a file")
    assert "ssdzoo convert" in lines[5] and len(lines) == 6


def test_patience_for_three_dead_places_is_half_a_minute():
    assert 3 * download.PATIENCE <= 30


def test_places(monkeypatch):
    monkeypatch.setenv("SSDZOO_REPO", "/a")
    monkeypatch.setenv("MXNET_GLUON_REPO", "http://b")
    assert mirrors.places() == ["/a", "http://b"]
    monkeypatch.delenv("SSDZOO_OFFLINE")
    assert mirrors.places() == ["/a", "http://b", mirrors.LIVING, mirrors.ORIGINAL]
    assert mirrors.ORIGINAL.startswith("https://apache-mxnet.")


@pytest.mark.parametrize("name", [ZIPPED, PLAIN, f"{STEM}.params"])
def test_from_a_folder(name, tmp_path, monkeypatch):
    monkeypatch.setenv("SSDZOO_REPO", str(tmp_path / "mirror"))
    path = tmp_path / "mirror" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(zipped({f"{STEM}.params": DATA}) if name == ZIPPED else DATA)
    fetch(tmp_path / "root")
    path.write_bytes(b"damaged")
    (tmp_path / "root" / f"{STEM}.params").unlink()
    with pytest.raises(WeightsError, match=f"mirror: {path.name}: the wrong file"):
        locate("some_ssd", SHA1[:8], tmp_path / "root")


def test_other_addresses(tmp_path, monkeypatch):
    monkeypatch.setenv("SSDZOO_REPO", "ftp://somewhere")
    with pytest.raises(WeightsError, match=r"ftp://somewhere: neither http\(s\) nor a folder"):
        locate("some_ssd", SHA1[:8], tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(WeightsError, match="file: cannot be written"):
        locate("some_ssd", SHA1[:8], tmp_path / "file")


def test_what_lies_in_the_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "published_hashes", lambda: {"some_ssd": [SHA1]})
    other = tmp_path / "some_ssd-0a1b2c3d.params"
    write_params(other, {"x": np.zeros(3)})
    assert locate("some_ssd", True, tmp_path).path == other
    good = tmp_path / f"{STEM}.params"
    good.write_bytes(DATA)
    os.utime(good, (0, 0))
    assert locate("some_ssd", True, tmp_path).path == good  # older, but the published one
    assert locate("some_ssd", "0a1b", tmp_path).path == other
    assert [(f.path, f.state, f.usable) for f in survey("some_ssd", tmp_path)] == [
        (other, "other", True), (good, "published", True),
    ]  # fmt: skip
    good.write_bytes(b"damaged")
    assert locate("some_ssd", True, tmp_path).path == other
    other.write_bytes(b"damaged")
    assert [f.state for f in survey("some_ssd", tmp_path)] == [
        "damaged: not an MXNet parameter file, or a damaged one: byte 0: truncated: the file header needs 24 bytes, 7 are left",
        f"damaged: its SHA-1 begins with {hashlib.sha1(b'damaged').hexdigest()[:8]}",
    ]
    other.unlink()
    with pytest.raises(WeightsError, match=rf"{tmp_path}: {STEM}\.params is damaged: its SHA-1 begins with"):
        locate("some_ssd", True, tmp_path)


def test_a_damaged_file_is_fetched_again(mirror, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "published_hashes", lambda: {"some_ssd": [SHA1]})
    (tmp_path / f"{STEM}.params").write_bytes(b"damaged")
    assert locate("some_ssd", True, tmp_path).path.read_bytes() == DATA


def test_mxnet_home_moves_the_default_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MXNET_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "some_ssd-0a1b2c3d.params").write_bytes(b"")
    assert locate("some_ssd", True).path.parent == tmp_path / "models"


def test_published_hashes():
    hashes = store.published_hashes()
    assert hashes["ssd_300_vgg16_atrous_voc"][0][:8] == "0e169fbb" and len(hashes) == 28
    assert all(len(digest) == 40 for digests in hashes.values() for digest in digests)
    published = [name for name in hashes if name.startswith("ssd_")]
    assert set(published) <= set(ssdzoo.list_models()) and len(published) == 10
    classifiers = {find_preset(name).classifier for name in ssdzoo.list_models()}
    assert {name for name in classifiers if name not in hashes} == {f"vgg{n}_bn_atrous" for n in (11, 13, 16, 19)}


def test_models_get_their_weights_from_a_mirror(mirror, tmp_path, monkeypatch):
    net = ssdzoo.get_model("ssd_300_mobilenet0.25_voc")
    net.initialize(mx.init.Xavier())
    net.save_parameters(str(tmp_path / "net.params"))
    classifier = mx.gluon.model_zoo.vision.mobilenet0_25()
    classifier.initialize(mx.init.Xavier())
    classifier(mx.nd.zeros((1, 3, 64, 64)))
    classifier.save_parameters(str(tmp_path / "base.params"))
    hashes, mirror.files = {}, {}
    for name, file in (("ssd_300_mobilenet0.25_voc", "net.params"), ("mobilenet0.25", "base.params")):
        data = (tmp_path / file).read_bytes()
        hashes[name] = [hashlib.sha1(data).hexdigest()]
        stem = f"{name}-{hashes[name][0][:8]}"
        mirror.files[f"gluon/models/{stem}.zip"] = zipped({f"{stem}.params": data})
    monkeypatch.setattr(store, "published_hashes", lambda: hashes)
    loaded = ssdzoo.get_model("ssd_300_mobilenet0.25_voc", pretrained=True, root=tmp_path / "root")
    for (name, a), b in zip(net._collect_params_with_prefix().items(), loaded._collect_params_with_prefix().values()):
        np.testing.assert_array_equal(a.data().asnumpy(), b.data().asnumpy(), name)
    stored = classifier.features[0].weight.data().asnumpy()
    built = ssdzoo.get_model("ssd_300_mobilenet0.25_voc", pretrained_base=True, root=tmp_path / "root")
    np.testing.assert_array_equal(built.features.backbone_parameters["features.0.weight"].data().asnumpy(), stored)
    assert len(list((tmp_path / "root").iterdir())) == 2
