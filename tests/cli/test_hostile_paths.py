"""Every path that a command takes may name a FIFO, a device, a file of 40 GB without content, or a folder."""

import inspect
from importlib import import_module

import pytest

from ssdzoo.build import get_model
from ssdzoo.cli.app import VERBS
from ssdzoo.preset import read_preset
from ssdzoo.runtime import mx
from tests.command import ssdzoo
from tests.data.formats.written import write
from tests.hostile import limits, put  # noqa: F401

TABLE = """\
backbone = "mobilenet0.25"
base_size = 64
features = ["relu10_fwd", "relu22_fwd"]
filters = []
sizes = [12, 24, 48]
ratios = [[1, 2, 0.5], [1]]
"""
# By the verb and the argument that takes the path: the command line, in which X is the path, and the suffix of X. PRESET, RUN,
# DATA, IMAGE, IMAGES and NEW are a table with classes, a run, a data set, an image of it, their folder, and what does not exist.
LINES = {
    "check_data data": "check-data X",
    "check_data image_folder": "check-data DATA --image-folder X",
    "check_data model": "check-data DATA --model X.toml",
    "check_data weights": "check-data DATA --model PRESET --weights X.params",
    "anchors data": "anchors X --model PRESET",
    "anchors model": "anchors DATA --model X.toml",
    "anchors weights": "anchors DATA --model PRESET --weights X.params",
    "anchors image_folder": "anchors DATA --model PRESET --image-folder X",
    "train model": "train X.toml DATA --out NEW",
    "train data": "train PRESET X --out NEW",
    "train image_folder": "train PRESET DATA --out NEW --image-folder X",
    "train base_weights": "train PRESET DATA --out NEW --base-weights X.params",
    "train weights": "train PRESET DATA --out NEW --weights X.params",
    "train cache": "train PRESET DATA --out NEW --cache X --base-weights none --epochs 1",
    "launch hosts": "launch --hosts X -- train PRESET DATA --out NEW",
    "evaluate model": "eval X.onnx DATA",
    "evaluate data": "eval RUN X",
    "evaluate image_folder": "eval RUN DATA --image-folder X",
    "evaluate weights": "eval PRESET DATA --weights X.params",
    "export model": "export X.toml --out NEW",
    "export weights": "export PRESET --out NEW --weights X.params",
    "predict model": "predict X.onnx IMAGE --out NEW",
    "predict images": "predict RUN X.png --out NEW",
    "predict from_list": "predict RUN --from-list X.txt --out NEW",
    "predict weights": "predict PRESET IMAGE --out NEW --weights X.params",
    "serve model": "serve X.onnx --port 0",
    "serve weights": "serve PRESET --port 0 --weights X.params",
    "convert old": "convert X.pth NEW.params",
    "convert model": "convert X.params NEW.params --model X.toml",
    "compare a": "compare X.onnx PRESET --images IMAGE",
    "compare b": "compare X.toml X.toml --images IMAGE",
    "compare weights_a": "compare PRESET PRESET --images IMAGE --weights-a X.params",
    "quantize model": "quantize X.toml --images IMAGE --out NEW",
    "quantize weights": "quantize PRESET --images IMAGE --out NEW --weights X.params",
    "benchmark model": "benchmark X.toml --images IMAGES",
    "benchmark weights": "benchmark RUN --images IMAGES --weights X.params",
}
# What is read as the line of another verb: by the same function.
SAME = {
    "models root",  # a folder that need not be there
    "compare image_folder", "compare data", "compare images", "compare weights_b", "quantize data", "quantize image_folder",
    "quantize images", "benchmark images",
}  # fmt: skip
WRITTEN = {"out", "new", "picture", "jsonl"}


def test_every_path_is_in_the_table():
    taken = set()
    for verb in VERBS:
        function = getattr(import_module(f"ssdzoo.cli.{verb}"), verb)
        for name, parameter in inspect.signature(function).parameters.items():
            if "Path" in str(parameter.annotation) or name in ("model", "a", "b", "images"):
                taken |= {f"{verb} {name}"} if name not in WRITTEN else set()
    assert taken == LINES.keys() | SAME


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("places")
    data = write("voc", folder / "data")
    (folder / "own.toml").write_text(TABLE)
    named = read_preset(folder / "own.toml").with_classes(["ant", "bee", "cow"])
    (folder / "preset.toml").write_text(named.to_toml())
    (folder / "run").mkdir()
    (folder / "run" / "model.toml").write_text(named.to_toml())
    net = get_model(named)
    net.initialize()
    net(mx.nd.zeros((1, 3, 64, 64)))
    net.save_parameters(str(folder / "run" / "best.params"))
    images = data / "JPEGImages"
    return {
        "PRESET": folder / "preset.toml", "RUN": folder / "run", "DATA": data, "IMAGE": images / "a.png", "IMAGES": images,
    }  # fmt: skip


QUICK = ("check_data model", "train base_weights", "export weights", "predict model", "convert old", "launch hosts")


@pytest.mark.parametrize("kind", ["fifo", "sparse", *(pytest.param(k, marks=pytest.mark.long) for k in ("device", "folder"))])
@pytest.mark.parametrize(
    "line", [pytest.param(line, id=id, marks=[pytest.mark.long] * (id not in QUICK)) for id, line in LINES.items()]
)
def test_one_clear_error(line, kind, places, tmp_path, monkeypatch):
    if line == LINES["train cache"] and kind == "folder":
        pytest.skip("as it should be")
    monkeypatch.chdir(tmp_path)
    words = []
    for word in line.split():
        stem, dot, suffix = word.partition(".")
        if stem == "X":
            path = tmp_path / f"x{dot}{suffix}"
            if kind == "folder":
                path.mkdir(exist_ok=True)
            else:
                put(kind, path)
            word = path
        words.append(places.get(word, tmp_path / f"new{dot}{suffix}" if stem == "NEW" else word))
    out, err = ssdzoo(*words, status=None)
    lines = [text for text in err.splitlines() if text.startswith("ssdzoo: ")]
    goes_on = line == LINES["predict images"]  # with the other images
    assert len(lines) == 1 + (goes_on and kind != "folder") and len(err) < 1500, (out, err)
    assert goes_on or not list(tmp_path.glob("new*/*"))
