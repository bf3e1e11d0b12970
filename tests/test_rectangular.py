"""An input that is wider than high on images that are higher than wide, from the table to detections: a training, its evaluation,
both exports and all backends. Whoever exchanges the two sides somewhere finds nothing."""

import json

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

import ssdzoo
from ssdzoo.boxes import center_to_corner, iou
from ssdzoo.cli.app import app
from ssdzoo.data import load_dataset
from ssdzoo.data.images import read_image
from ssdzoo.data.loading.loader import Loader
from ssdzoo.model_source import resolve
from ssdzoo.predict.backends.mxnet import symbol_block
from ssdzoo.preset import read_preset
from tests.data.formats.voc_folder import xml
from tests.networks import as_numpy, images, network_anchors

HEIGHT, WIDTH = 900, 600  # of the images, large enough for the cache
TABLE = """\
backbone = "mobilenet0.25"
base_size = [96, 160]
features = ["relu10_fwd"]
filters = [64]
sizes = [24, 40, 60]
ratios = [[1, 2, 0.5], [1, 2, 0.5]]
"""
COLORS = {"blue": (30, 60, 230), "orange": (250, 150, 20)}


def draw(folder, stem, rng):
    """An image with a flat object of each class, in other places of each image."""
    image = rng.integers(90, 130, (HEIGHT // 10, WIDTH // 10, 3), np.uint8)
    image = cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
    objects = []
    for name, rows in zip(COLORS, ((0, 400), (450, 850))):
        width, height = rng.integers(150, 240), rng.integers(200, 320)
        x, y = rng.integers(0, WIDTH - width), rng.integers(rows[0], rows[1] - height + 50)
        image[y : y + height, x : x + width] = COLORS[name]
        objects.append((name, x + 1, y + 1, x + width, y + height))
    cv2.imwrite(str(folder / "JPEGImages" / f"{stem}.jpg"), image[..., ::-1])
    (folder / "Annotations" / f"{stem}.xml").write_text(xml(objects, (WIDTH, HEIGHT)))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with data, a table and a run."""
    folder, rng = tmp_path_factory.mktemp("rectangular"), np.random.default_rng(0)
    for sub in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (folder / "data" / sub).mkdir(parents=True)
    for split, count in (("train", 40), ("test", 8)):
        stems = [f"{split}{i}" for i in range(count)]
        (folder / "data" / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(stems))
        for stem in stems:
            draw(folder / "data", stem, rng)
    (folder / "wide.toml").write_text(TABLE)
    call(
        "train", folder / "wide.toml", folder / "data", "--out", folder / "run", "--epochs", 10, "--lr", 0.01,
        "--optimizer", "adam", "--schedule", "cosine", "--batch-size", 4, "--workers", 0, "--cache", folder / "cache",
        "--augment", "light", "--base-weights", "none", "--val-split", "none",
    )  # fmt: skip
    return folder


def call(*arguments):
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def assert_all_found(found, record):
    """The best detection of each class lies on its object, in pixels of the image."""
    for box, class_id in zip(record.boxes, record.class_ids):
        mine = found.boxes[found.class_ids == class_id]
        assert len(mine) and iou(mine[:1], box[None])[0, 0] > 0.6, (record.image, mine[:1], box)


def test_the_run_describes_the_network(trained):
    preset = read_preset(trained / "run" / "model.toml")
    assert preset.base_size == (96, 160)
    net = ssdzoo.get_model(preset)
    assert net.map_sizes(96, 160) == [(12, 20), (6, 10)]
    assert len(list((trained / "cache").glob("*.jpg"))) == 40


def test_batches(trained):
    data = load_dataset(trained / "data", "test", list(COLORS))
    with Loader(data, 8, (96, 160), None) as loader:
        batch = next(iter(loader.epoch(0)))
    assert batch.images.shape == (8, 96, 160, 3)
    for record, boxes in zip(data.records, batch.boxes):
        np.testing.assert_allclose(boxes[:2], record.boxes * np.tile([160 / 600, 96 / 900], 2), rtol=1e-5)


@pytest.mark.parametrize("augment", ["ssd", "light", "none"])
def test_views_of_a_training_show_their_objects(augment, trained):
    """The color in the middle of each box is that of its class."""
    data, seen = load_dataset(trained / "data", "train", list(COLORS)), 0
    with Loader(data, 40, (96, 160), augment, cache=trained / "other_cache") as loader:
        batch = next(iter(loader.epoch(1)))
    for image, boxes, ids in zip(batch.images, batch.boxes, batch.class_ids):
        for (x1, y1, x2, y2), class_id in zip(boxes[ids >= 0], ids[ids >= 0]):
            red, _, blue = image[int((y1 + y2) / 2), int((x1 + x2) / 2)].astype(int)
            seen += (blue > red) == (list(COLORS)[int(class_id)] == "blue")
    assert seen > 0.9 * (batch.class_ids >= 0).sum() > 30


def test_evaluation(trained):
    result = json.loads(call("eval", trained / "run", trained / "data", "--split", "test", "--json"))
    assert result["mAP"] > 0.9


def test_every_backend_finds_the_objects_in_the_image(trained):
    """From the run, the exported pair, and ONNX for images, for pixels and for images of any size."""
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    pytest.importorskip("openvino", reason="needs the extra openvino")
    records = load_dataset(trained / "data", "test", list(COLORS)).records
    images = [record.image for record in records]
    call("export", trained / "run", "--out", trained / "pair")
    call("export", trained / "run", "--out", trained / "onnx", "--format", "onnx")
    call("export", trained / "run", "--out", trained / "pixels", "--format", "onnx", "--with-preprocess")
    call("export", trained / "run", "--out", trained / "any", "--format", "onnx", "--dynamic-size")
    expected = ssdzoo.load(trained / "run")(images, score=0.3)
    for found, record in zip(expected, records, strict=True):
        assert_all_found(found, record)
    detectors = [ssdzoo.load(trained / "pair")]
    for folder in ("onnx", "pixels", "any"):
        (model,) = (trained / folder).glob("*.onnx")
        detectors += [ssdzoo.load(model, backend=backend, precision="f32") for backend in ("onnxruntime", "openvino")]
    for detector in detectors:
        for a, b in zip(expected, detector(images, score=0.3), strict=True):
            np.testing.assert_array_equal(a.class_ids, b.class_ids)
            np.testing.assert_allclose(a.scores, b.scores, atol=1e-4)
            np.testing.assert_allclose(a.boxes, b.boxes, atol=0.2)  # of 900 pixels
    assert "nothing missing or extra" in call(
        "compare", trained / "run", next((trained / "onnx").glob("*.onnx")), "--data", trained / "data", "--box-tolerance", 0.2,
        "--out", trained / "certificate",
    )  # fmt: skip


def test_prediction_and_the_picture_of_the_data(trained):
    call("predict", trained / "run", trained / "data" / "JPEGImages" / "test3.jpg", "--out", trained / "found", "--score", 0.3)
    (found,) = json.loads((trained / "found" / "detections.json").read_text())
    assert (found["width"], found["height"]) == (WIDTH, HEIGHT)
    record = load_dataset(trained / "data", "test", list(COLORS)).records[3]
    best = {d["class"]: d["box"] for d in reversed(found["detections"])}
    for box, name in zip(record.boxes, COLORS):
        assert iou(np.float32([best[name]]), box[None])[0, 0] > 0.6
    picture = read_image(trained / "found" / "test3.jpg")
    assert picture.shape == (HEIGHT, WIDTH, 3)


def test_objects_against_the_anchors(trained):
    shown = json.loads(call("check-data", trained / "data", "--model", trained / "wide.toml", "--json", "--workers", 0))
    net, best = ssdzoo.get_model(trained / "wide.toml", classes=["a"]), []
    for record in [r for split in ("train", "test") for r in load_dataset(trained / "data", split, list(COLORS)).records]:
        boxes = record.boxes * np.tile([160 / WIDTH, 96 / HEIGHT], 2)
        best += list(iou(boxes, center_to_corner(network_anchors(net))).max(axis=1))
    text = " ".join(call("check-data", trained / "data", "--model", trained / "run", "--workers", 0).split())
    assert "stretched to 96x160 (H x W)" in text
    anchors = shown["anchors"]
    assert (anchors["size"], anchors["anchors"], anchors["objects"]) == ([96, 160], (12 * 20 + 6 * 10) * 4, 96)
    assert anchors["all"]["all"] == pytest.approx(np.mean(np.array(best) > 0.5), abs=1e-4) and anchors["all"]["all"] > 0.8
    assert anchors["all"]["IoU"] == pytest.approx(np.mean(best), abs=1e-4)


def test_a_pair_without_its_sidecar(tmp_path):
    net = ssdzoo.get_model("ssd_320x512_mobilenet1.0_s8_custom", classes=["a"])
    net.initialize()
    net.export(str(tmp_path / "net"))
    assert ssdzoo.load(tmp_path).preset.base_size == (320, 512)


def test_a_vgg_and_steps_of_both_axes():
    net = ssdzoo.get_model("ssd_512_vgg16_bn_atrous_custom", classes=["a"], base_size=(320, 512))
    maps = [(40, 64), (20, 32), (10, 16), (5, 8), (3, 4), (2, 2), (1, 1)]
    assert net.map_sizes(320, 512) == maps
    for (rows, columns), generator in zip(maps, net.anchor_generators):
        first, other = generator.anchors.value.asnumpy()[0, 0, [0, 1], [0, 1], :2]
        np.testing.assert_allclose(other - first, [512 / columns, 320 / rows], rtol=1e-5)


def test_a_map_wider_than_the_usual_grid(tmp_path):
    net = ssdzoo.get_model("ssd_300_mobilenet0.25_s8_custom", classes=["a"], base_size=(96, 1280))
    net.initialize()
    assert net.anchor_generators[0].anchors.shape[2:4] == (128, 160)
    assert network_anchors(net)[:, 0].max() > 1270
    net.export(str(tmp_path / "net"))
    x = images(1, 96, 1280)
    for a, b in zip(as_numpy(net(x)), as_numpy(symbol_block(resolve(tmp_path / "net"))(x))):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
