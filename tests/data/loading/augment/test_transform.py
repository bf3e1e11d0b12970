"""Code of the user's in the place of a table: what it is given, what it may return, and that an error names the image."""

import random

import numpy as np
import pytest

from ssdzoo.data import load_dataset
from ssdzoo.data.loading.augment.transform import Transform, as_augmentation, is_import_path
from ssdzoo.data.loading.loader import Loader
from ssdzoo.data.loading.preparation import Preparation
from ssdzoo.errors import CallError, DataError
from tests.data.formats.voc_folder import write_voc, xml

HERE = __name__


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    texts = {f"i{n}": xml([("cat", 11, 21, 51, 61), ("dog", 61, 41, 91, 71)][: n % 3]) for n in range(5)}
    return load_dataset(write_voc(tmp_path_factory.mktemp("transform") / "data", texts, {"train": list(texts)}), "train")


def upside_down(image, bboxes, class_ids):
    """Flips at random, by all kinds of random numbers; twice the size."""
    assert image.dtype == np.uint8 and bboxes.dtype == np.float32 and class_ids.dtype == np.int32
    if random.random() + np.random.random() < 1:
        image = image[::-1]
        bboxes = np.stack([bboxes[:, 0], len(image) - bboxes[:, 3], bboxes[:, 2], len(image) - bboxes[:, 1]], axis=1)
    return {"image": image.repeat(2, axis=0).repeat(2, axis=1), "bboxes": (2 * bboxes).tolist(), "class_ids": list(class_ids)}


class Shifted:
    """As Albumentations' Compose: an object with a seed of its own, which returns lists."""

    def set_random_seed(self, seed):
        self.rng = np.random.default_rng(seed)

    def __call__(self, image, bboxes, class_ids):
        by = int(self.rng.integers(0, 40))
        return {"image": np.roll(image, by, axis=1), "bboxes": [(x + by, y, z + by, w) for x, y, z, w in bboxes],
                "class_ids": class_ids.tolist(), "more": None}  # fmt: skip


def fails(image, bboxes, class_ids):
    raise ZeroDivisionError("of three")


ANSWERS = {
    "none": (lambda **_: None, "NoneType; expected a dict with image, bboxes and class_ids"),
    "missing": (lambda image, **_: {"image": image, "bboxes": []}, "no 'class_ids'"),
    "floats": (lambda image, **a: {**a, "image": image / 255}, r"an image \(80, 100, 3\) of float64; expected \(H, W, 3\)"),
    "gray": (lambda image, **a: {**a, "image": image[..., 0]}, r"an image \(80, 100\) of uint8"),
    "empty": (lambda image, **a: {**a, "image": image[:0]}, r"an image \(0, 100, 3\)"),
    "fewer": (lambda bboxes, **a: {**a, "bboxes": bboxes[:1]}, "1 boxes and 2 class_ids"),
    "infinite": (lambda bboxes, **a: {**a, "bboxes": bboxes * np.inf}, "finite numbers"),
    "class": (lambda class_ids, **a: {**a, "class_ids": class_ids + 1}, "class_ids 2; expected 0 to 1"),
}


@pytest.mark.parametrize("source", [upside_down, f"{HERE}:upside_down", Shifted()], ids=["function", "path", "object"])
def test_samples_derive_from_seed_epoch_and_index(data, source):
    alone = list(Loader(data, 2, (40, 50), source, seed=4).epoch(1))
    states = random.getstate(), np.random.get_state()[1].tolist()
    again = list(Loader(data, 2, (40, 50), source, seed=4).epoch(1))
    assert states == (random.getstate(), np.random.get_state()[1].tolist())  # what the user draws is not disturbed
    assert all(_same(*batches) for batches in zip(alone, again, strict=True))
    views = [Preparation(data, (40, 50), Transform(source), 4).sample(epoch, 2)[1].tolist() for epoch in range(8)]
    assert len(set(map(str, views))) > 1


def test_processes_make_the_same_samples(data):
    alone = list(Loader(data, 2, (40, 50), Shifted(), seed=4).epoch(1))
    with Loader(data, 2, (40, 50), Shifted(), seed=4, workers=1) as loader:
        assert all(_same(*batches) for batches in zip(alone, loader.epoch(1), strict=True))


def _same(one, other):
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("images", "boxes", "class_ids", "indices"))


def test_boxes_come_back_in_pixels_of_the_input(data):
    """Record 2 has boxes (10, 20, 50, 60) and (60, 40, 90, 70) in 100x80; flipped they are at 80 - y."""
    found = [Preparation(data, (40, 50), Transform(upside_down), 4).sample(epoch, 2) for epoch in range(8)]
    assert {str(boxes.tolist()) for _, boxes, _ in found} == {
        "[[5.0, 10.0, 25.0, 30.0], [30.0, 20.0, 45.0, 35.0]]", "[[5.0, 10.0, 25.0, 30.0], [30.0, 5.0, 45.0, 20.0]]",
    }  # fmt: skip
    assert all(image.shape == (40, 50, 3) and ids.tolist() == [0, 1] for image, _, ids in found)
    image, boxes, ids = Preparation(data, (40, 50), Transform(Shifted()), 4).sample(0, 0)
    assert boxes.shape == (0, 4) and ids.shape == (0,) and image.shape == (40, 50, 3)


def test_boxes_are_clipped_and_specks_are_left_out(data):
    def moved(image, bboxes, class_ids):
        return {"image": image, "bboxes": bboxes + [60, 0, 60, 0], "class_ids": class_ids}

    _, boxes, ids = Preparation(data, (80, 100), Transform(moved), 0).sample(0, 2)
    assert boxes.tolist() == [[70, 20, 100, 60]] and ids.tolist() == [0]  # the second is beyond 100


def test_an_error_in_a_process_names_the_image(data):
    with (
        Loader(data, 1, (40, 50), f"{HERE}:fails", workers=1) as loader,
        pytest.raises(DataError, match=rf"i\d.jpg: augment={HERE}:fails failed: ZeroDivisionError: of three"),
    ):
        list(loader.epoch(0))


@pytest.mark.parametrize("name", ANSWERS)
def test_what_is_no_sample(data, name):
    function, message = ANSWERS[name]
    with pytest.raises(DataError, match=rf"i2.jpg: augment={HERE}:_lambda_ returned what is no sample: .*{message}"):
        Preparation(data, (40, 50), Transform(function), 0).sample(0, 2)


@pytest.mark.parametrize("path, message", [
    ("no_such_module:f", "cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"),
    (f"{HERE}:nothing", "cannot be imported: AttributeError"), (f"{HERE}:HERE", "it is 'tests.*, which cannot be called"),
])  # fmt: skip
def test_what_cannot_be_imported(path, message):
    with pytest.raises(CallError, match=f"augment={path}: {message}"):
        assert as_augmentation(path).function


class Params:
    def __init__(self, format, label_fields):
        self.format, self.label_fields = format, label_fields


@pytest.mark.parametrize(
    "params, fits", [(Params("pascal_voc", ["class_ids"]), True), (Params("coco", ["class_ids"]), False),
                     (Params("pascal_voc", ["labels"]), False), (Params("pascal_voc", None), False), (None, False)],
)  # fmt: skip
def test_a_transform_of_albumentations_that_would_lose_boxes(params, fits):
    """It has a dict of processors, of which one moves the boxes."""
    compose = Shifted()
    compose.processors = {"bboxes": type("Processor", (), {"params": params})()} if params else {}
    if fits:
        assert Transform(compose).function is compose
    else:
        with pytest.raises(CallError, match=f'augment={HERE}:Shifted: expected an Alb.*format="pascal_voc", label_fields='):
            assert Transform(compose).function


def test_albumentations_itself(data):
    A = pytest.importorskip("albumentations", reason="no extra brings it: it comes with an OpenCV of its own")
    params = A.BboxParams(format="pascal_voc", label_fields=["class_ids"])
    flip = A.Compose([A.HorizontalFlip(p=1)], bbox_params=params)
    _, boxes, ids = Preparation(data, (80, 100), Transform(flip), 0).sample(0, 2)
    np.testing.assert_allclose(boxes, [[50, 20, 90, 60], [10, 40, 40, 70]], rtol=1e-5)
    assert ids.tolist() == [0, 1]
    noise = A.Compose([A.HorizontalFlip(p=0.5), A.RandomBrightnessContrast(p=1)], bbox_params=params)
    one, other = ([Preparation(data, (40, 50), Transform(noise), 4).sample(epoch, 2)[0] for epoch in range(4)] for _ in "ab")
    assert (np.stack(one) == np.stack(other)).all() and (one[0] != one[1]).any()
    with pytest.raises(CallError, match="expected an Albumentations' transform with bbox_params"):
        assert Transform(A.Compose([A.HorizontalFlip(p=1)])).function


def test_what_processes_cannot_be_given(data):
    with pytest.raises(CallError, match=r"augment=.*_lambda_: cannot be given to loader processes .* or workers=0"):
        Loader(data, 1, (40, 50), lambda **sample: sample, workers=1)


def test_what_is_an_import_path():
    assert all(is_import_path(value) for value in ("a:f", "a.b.c:A.f", "_a1:_f"))
    assert not any(is_import_path(value) for value in ("a", "a.toml", ":f", "a:", "a:b:c", "C:\\x.toml", "a b:c", 5, None, {}))
