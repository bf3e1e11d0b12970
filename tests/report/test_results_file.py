"""A file of results that is stopped and continued."""

import errno
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from ssdzoo.errors import CallError, DataError, SSDZooError
from ssdzoo.predict.detector import Detector
from ssdzoo.predict.sources import list_names
from ssdzoo.report.predictions import append_predictions, write_predictions
from ssdzoo.report.results_file import ResultsFile
from tests.command import ssdzoo
from tests.report.test_predictions import PRESET, OneBox, folder  # noqa: F401

SETTINGS = {"model digest": "1234", "score": 0.5}


def lines_of(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def append(names, path, resume=False, detector=None, settings=SETTINGS):
    with ResultsFile(path, settings, resume) as file:
        return append_predictions(detector or Detector(OneBox(), PRESET), list(map(str, names)), file, 0.5)


@pytest.mark.parametrize("batch_size, in_flight", [(1, 1), (2, 3)])
def test_a_line_for_each_image(batch_size, in_flight, folder, tmp_path):  # noqa: F811
    detector = Detector(OneBox(), PRESET, batch_size)
    detector.backend.in_flight = in_flight
    names = [*list_names([folder, tmp_path / "clip.mp4"]), str(folder), "none.jpg", str(folder / "b.jpg"), "x\0.jpg"]
    done = append(names, tmp_path / "new" / "out.jsonl", detector=detector)
    assert done[:4] == (2, 2, 0, 7) and done.seconds > 0
    lines = lines_of(tmp_path / "new" / "out.jsonl")
    expected = write_predictions(detector, [folder / "b.jpg", folder / "d.jpg"], tmp_path, 0.5, pictures=False)
    assert [line for line in lines if "error" not in line] == expected == json.loads((tmp_path / "detections.json").read_text())
    assert not list(tmp_path.glob("*.jpg")) and "picture" not in expected[0]
    errors = {line["image"]: line["error"] for line in lines if "error" in line}
    assert errors.keys() | {str(folder / "b.jpg"), str(folder / "d.jpg")} == set(names) and len(lines) == 9
    assert errors["none.jpg"] == "none.jpg: no such image; put it there, or take it out of the data"
    assert errors[str(folder)].startswith(f"{folder}: cannot be read: Is a directory")
    assert errors["x\0.jpg"].startswith("x\\x00.jpg: cannot be read: no file can have this name")
    assert errors[str(tmp_path / "clip.mp4")].endswith("clip.mp4: no such video, or not one that OpenCV can decode")


@pytest.mark.parametrize("torn", [b"", b'{"image": "', b"\0\0\0", b'{"image": "b.jpg", "detections": []}'])
def test_what_is_there_is_left_out_and_a_torn_line_removed(torn, folder, tmp_path):  # noqa: F811
    path, names = tmp_path / "out.jsonl", list_names([folder])
    append(names, tmp_path / "whole.jsonl")
    append(names[:3], path)
    with open(path, "ab") as file:
        file.write(torn)
    done = append(names[::-1], path, resume=True)
    assert done[:4] == (1, 1, 3, 3)
    whole = (tmp_path / "whole.jsonl").read_bytes().splitlines()
    assert sorted(path.read_bytes().splitlines()) == sorted(whole) and len(whole) == 5
    before = path.read_bytes()
    assert append(names, path, resume=True)[:4] == (0, 0, 5, 3) and path.read_bytes() == before


def test_a_video_is_continued_in_its_middle(tmp_path):
    path, video = tmp_path / "out.jsonl", tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"MJPG"), 5, (64, 48))
    for value in range(6):
        writer.write(np.full((48, 64, 3), value, np.uint8))
    writer.release()
    append([video], path)
    whole = path.read_bytes()
    path.write_bytes(b"".join(whole.splitlines(True)[:4])[:-5])
    assert append([video], path, resume=True)[:3] == (3, 3, 1) and path.read_bytes() == whole
    assert [line["frame"] for line in lines_of(path)] == [0, 1, 2, 3, 4, 5]


def test_what_may_not_be_continued(folder, tmp_path, monkeypatch):  # noqa: F811
    path, names = tmp_path / "out.jsonl", list_names([folder])
    append(names[:2], path, resume=True)  # nothing is there yet
    before = path.read_bytes()

    def refused(match, error=CallError, **given):
        with pytest.raises(error, match=match):
            append(**{"names": names, "path": path, "resume": True, **given})
        assert path.read_bytes() == before

    refused("out.jsonl is there already: continue it with resume=True, or choose another jsonl=", resume=False)
    refused("was written with model digest '1234', not '5678'", settings={**SETTINGS, "model digest": "5678"})
    refused("was written with tiles None, not '2x2': continue it with the same", settings={**SETTINGS, "tiles": "2x2"})
    refused("was written with score 0.5, not None", settings={"model digest": "1234"})
    refused(r"holds other images, such as .*/a\.jpg, and not other/b\.jpg: name them as before", names=["other/b.jpg"])
    with pytest.raises(CallError, match="/dev/null is not a file"):
        append(names, "/dev/null", resume=True)
    with pytest.raises(CallError, match="no file can have this name: choose another jsonl="):
        append(names, tmp_path / "x\0.jsonl")
    with pytest.raises(FileExistsError):
        append(names, path / "x.jsonl")
    with ResultsFile(path, SETTINGS, resume=True):
        refused("another process is writing")
    (tmp_path / "out.jsonl.settings.json").write_text("{")
    refused("cannot be continued: .*settings.json is missing or damaged")
    (tmp_path / "out.jsonl.settings.json").write_text(json.dumps(SETTINGS))
    for line in (b"text\n", b"[1]\n", b'{"image": 3}\n', b"\0\0\n"):
        path.write_bytes(before + line)
        with pytest.raises(DataError, match="line 3 is no result, it is b.*; remove this line"):
            append(names, path, resume=True)
    path.write_bytes(b"")  # killed before its first line
    assert append(names, path, resume=True, settings={})[0] == 2


def test_a_full_disk(folder, tmp_path):  # noqa: F811
    with ResultsFile(tmp_path / "out.jsonl", SETTINGS) as file:
        usual, file._file = file._file, open("/dev/full", "ab")  # noqa: SIM115
        with pytest.raises(
            SSDZooError, match=r"out.jsonl cannot be written: No space left .* continue with resume=True"
        ) as error:
            append_predictions(Detector(OneBox(), PRESET), list_names([folder]), file, 0.5)
        assert error.value.__cause__.errno == errno.ENOSPC
        usual.close()


def test_ctrl_c_says_how_to_go_on(folder, tmp_path):  # noqa: F811
    class Stopped(OneBox):
        def __call__(self, batch):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"out\.jsonl is kept: continue it with resume=True"):
        append([folder / "b.jpg"], tmp_path / "out.jsonl", detector=Detector(Stopped(), PRESET))
    assert append([folder / "b.jpg"], tmp_path / "out.jsonl", resume=True)[:3] == (1, 1, 0)


def test_other_file_systems(folder, tmp_path):  # noqa: F811
    files = pytest.importorskip("fsspec", reason="needs the extra fsspec").filesystem("memory")
    for path in folder.iterdir():
        files.pipe(f"/photos/{path.name}", path.read_bytes())
    names = [*list_names(["memory://photos"]), "memory:///photos/none.jpg"]
    try:
        assert append(names, tmp_path / "out.jsonl")[:4] == (2, 2, 0, 4)
        written = write_predictions(Detector(OneBox(), PRESET), ["memory://photos/b.jpg"], tmp_path / "out", 0.5)
    finally:
        files.rm("/photos", recursive=True)
    lines = {line.pop("image"): line for line in lines_of(tmp_path / "out.jsonl")}
    assert lines["memory:///photos/b.jpg"] == {"width": 20, "height": 20, "detections": written[0]["detections"]}
    assert written[0]["picture"] == "b.jpg" and (tmp_path / "out" / "b.jpg").stat().st_size > 300
    assert "c.jpg: the file is empty" in lines["memory:///photos/c.jpg"]["error"]
    assert lines["memory:///photos/none.jpg"]["error"].startswith("memory:///photos/none.jpg: no such image")


def test_on_the_command_line(folder, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr("ssdzoo.predict.load.open_source", lambda *_, **__: Detector(OneBox(), PRESET))
    monkeypatch.setattr("ssdzoo.model_kinds.NetworkSource.digest", lambda *_: "0123456789abcdef0123")
    monkeypatch.setattr("ssdzoo.model_kinds.NetworkSource.located", lambda source: source)
    out = tmp_path / "out.jsonl"
    command = ("predict", "ssd_300_mobilenet0.25_custom", folder, "--no-pictures", "--jsonl", out)
    shown, errors = ssdzoo(*command, status=1)
    assert shown.startswith(f"2 objects in 2 images: {out}  (") and shown.endswith(" images/s)\n")
    assert errors.splitlines()[-1] == f'ssdzoo: 3 of 5 images could not be read; in {out} each has a line with its "error"'
    assert "out.jsonl is there already: continue it with --resume, or choose another --jsonl" in ssdzoo(*command, status=2)[1]
    shown, errors = ssdzoo(*command, "--resume", "--json", status=1)
    assert {k: v for k, v in json.loads(shown).items() if k in ("images", "skipped", "failed")} == dict(
        images=0, skipped=5, failed=3
    )
    assert "was written with score 0.5, not 0.4" in ssdzoo(*command, "--resume", "--score", 0.4, status=2)[1]
    parts = [tmp_path / "1.jsonl", tmp_path / "2.jsonl"]
    for number, part in enumerate(parts, 1):
        ssdzoo(*command[:-1], part, "--shard", f"{number}/2", status=None)
    assert sorted(line for part in parts for line in part.read_text().splitlines()) == sorted(out.read_text().splitlines())
    assert json.loads((tmp_path / "2.jsonl.settings.json").read_text()) == {
        "model digest": "0123456789abcdef", "score": 0.5, "shard": "2/2", "precision": "auto",
    }  # fmt: skip
    (folder / "list.txt").write_text("b.jpg\nd.jpg\n")
    shown, _ = ssdzoo("predict", "any.onnx", "--from-list", folder / "list.txt", "--no-pictures", "--out", tmp_path / "found")
    assert shown == f"2 objects in 2 images: {tmp_path}/found/detections.json\n"


@pytest.mark.parametrize("words, message", [
    ((), "name images, or a list of them with --from-list"), (("a.jpg",), "name a folder for the pictures"),
    (("a.jpg", "--jsonl", "x"), "--jsonl writes no pictures: add --no-pictures"),
    (("a.jpg", "--jsonl", "x", "--out", "y"), "--jsonl FILE takes the place of --out"),
    (("a.jpg", "--out", "y", "--resume"), "--resume belongs to --jsonl FILE"),
    (("a.jpg", "--out", "y", "--shard", "0/4"), "--shard '0/4': expected a part from 1 on and their number, such as 3/16"),
])  # fmt: skip
def test_wrong_calls(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, errors = ssdzoo("predict", "any.onnx", *words, status=2)
    assert message in " ".join(errors.replace("│", " ").split()) and not list(tmp_path.iterdir())


SLOW = """
import sys, time
from ssdzoo.predict.detector import Detector
from tests.report.test_predictions import PRESET, OneBox
from tests.report.test_results_file import append
from ssdzoo.predict.sources import list_names

class Slow(OneBox):
    def __call__(self, batch):
        time.sleep(0.01)
        return super().__call__(batch)

append(list_names([sys.argv[1]]), sys.argv[2], detector=Detector(Slow(), PRESET))
"""


def test_killed_in_the_middle(tmp_path):
    """What is continued has each image once, with the same results as without a SIGKILL."""
    photos, out = tmp_path / "photos", tmp_path / "out.jsonl"
    photos.mkdir()
    for number in range(120):
        cv2.imwrite(str(photos / f"{number:03d}.png"), np.full((20, 10 + number, 3), 99, np.uint8))
    for number in (7, 77):
        (photos / f"{number:03d}.png").write_bytes(b"no image")
    append(list_names([photos]), tmp_path / "whole.jsonl")
    command = [sys.executable, "-c", SLOW, str(photos), str(out)]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2])
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        if out.exists() and out.read_bytes().count(b"\n") >= 40:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert 40 <= out.read_bytes().count(b"\n") < 120
    assert append(list_names([photos]), out, resume=True).skipped >= 40
    assert sorted(out.read_bytes().splitlines()) == sorted((tmp_path / "whole.jsonl").read_bytes().splitlines())
