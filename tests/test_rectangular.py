"""An input that is wider than high on images that are higher than wide, from the table to detections: a training, its evaluation,
both exports and all backends. Whoever exchanges the two sides somewhere finds nothing."""

import json

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

import ssdzoo
from ssdzoo.boxes import iou
from ssdzoo.cli.app import app
from ssdzoo.data import load_dataset
from ssdzoo.data.loader import Loader
from ssdzoo.registry import read_preset
from tests.data.voc_folder import xml

HEIGHT, WIDTH = 900, 600  # of the images, large enough for the cache
TABLE = """\
backbone = "mobilenet0.25"
base_size = [96, 160]
features = ["relu10_fwd", "relu22_fwd", "relu26_fwd"]
filters = [64]
sizes = [16, 32, 60, 90, 120]
ratios = [[1, 2, 0.5], [1, 2, 0.5], [1, 2, 0.5], [1, 2, 0.5]]
"""
COLORS = {"blue": (30, 60, 230), "orange": (250, 150, 20)}


def draw(folder, stem, rng):
    """An image with a flat object of each class, in other places of each image."""
    image = rng.integers(90, 130, (HEIGHT // 10, WIDTH // 10, 3), np.uint8)
    image = cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
    objects = []
    for name, rows in zip(COLORS, ((0, 400), (450, 850))):
        width, height = rng.integers(120, 260), rng.integers(150, 350)
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
        "train", folder / "wide.toml", folder / "data", "--out", folder / "run", "--epochs", 12, "--lr", 0.02, "--workers", 0,
        "--cache", folder / "cache", "--augment", "light", "--clip-norm", 5,
    )  # fmt: skip
    return folder


def call(*arguments):
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == 0, done.output
    return done.output


BACKENDS = ["mxnet", "onnxruntime", "openvino"]


def assert_all_found(found, record):
    """The best detection of each class lies on its object, in pixels of the image."""
    for box, class_id in zip(record.boxes, record.class_ids):
        mine = found.boxes[found.class_ids == class_id]
        assert len(mine) and iou(mine[:1], box[None])[0, 0] > 0.6, (record.image, mine[:1], box)


def test_the_run_describes_the_network(trained):
    preset = read_preset(trained / "run" / "model.toml")
    assert preset.base_size == (96, 160)
    net = ssdzoo.get_model(preset)
    assert net.map_sizes(96, 160) == [(12, 20), (6, 10), (3, 5), (2, 3)]
    assert len(list((trained / "cache").glob("*.jpg"))) == 40


def test_batches(trained):
    data = load_dataset(trained / "data", "test", list(COLORS))
    with Loader(data, 8, (96, 160), None) as loader:
        batch = next(iter(loader.epoch(0)))
    assert batch.images.shape == (8, 96, 160, 3)
    for record, boxes in zip(data.records, batch.boxes):
        np.testing.assert_allclose(boxes[:2], record.boxes * [160 / 600, 96 / 900] * 2, rtol=1e-5)


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
    assert result["mAP"] > 0.8
