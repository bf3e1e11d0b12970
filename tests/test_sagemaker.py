"""SageMaker's `model.tar.gz`, its folder, and checkpoints of mxnet-ssd as models: mxnet's own detections against those of every
backend, and every command."""

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")

import ssdzoo
from ssdzoo.data.images import encode_image
from ssdzoo.errors import CallError, WeightsError
from ssdzoo.measure.normalizations import NORMALIZATIONS, try_normalizations, verdict
from ssdzoo.model_source import installed_backends, resolve
from ssdzoo.report.pictures import save_image
from tests import mxnet_ssd
from tests.command import ssdzoo as command

MEAN = (123, 117, 104)
PHOTOS = mxnet_ssd.photos(2)
HEIGHT, WIDTH = PHOTOS[0].shape[:2]
SIZES = {"vgg16_reduced": 300, "resnet50": 128}
OTHER = {False: "across", True: "per-class"}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """{(network, of the training, NMS across classes): (its archive, its Model)}, made when it is first asked for."""
    folder, made = tmp_path_factory.mktemp("models"), {}

    def model(network, training, force):
        if (network, training, force) not in made:
            built = mxnet_ssd.build(network, SIZES[network], training=training, force_suppress=force)
            name = f"{network}-{training}-{force}"
            built.write(folder / name, "model_algo_1" if training else "deploy_model_algo_1", epoch=7)
            (folder / f"{name}-packed").mkdir()
            archive = mxnet_ssd.pack(folder / name, folder / f"{name}-packed" / "model.tar.gz", "./")
            made[network, training, force] = archive, built
        return made[network, training, force]

    return model


def assert_finds(expected, found):
    """Every one of mxnet's best 100, in pixels of the image."""
    expected, limits = expected[:100], [WIDTH, HEIGHT] * 2
    assert len(found) == len(expected) == 100
    boxes = np.clip(expected[:, 2:] * limits, 0, limits)
    free = np.ones(len(found), bool)
    for row, box in zip(expected, boxes):
        alike = free & (found.class_ids == row[0]) & (np.abs(found.scores - row[1]) < 1e-5)
        alike &= np.abs(found.boxes - box).max(axis=1) < 0.01
        assert alike.any(), row
        free[alike.argmax()] = False


@pytest.mark.parametrize(
    "network, training, force",
    [
        ("resnet50", True, False),
        ("vgg16_reduced", False, True),
        pytest.param("resnet50", False, True, marks=pytest.mark.long),
        pytest.param("vgg16_reduced", True, False, marks=pytest.mark.long),
    ],
)
def test_every_backend_finds_what_mxnet_finds(network, training, force, models):
    """With the graph's own NMS, and with the other one, which a graph with that NMS finds by itself."""
    archive, own = models(network, training, force)
    _, other = models(network, training, not force)
    prepared = [ssdzoo.load(archive, mean=MEAN, std=1).prepare(photo)[1] for photo in PHOTOS]
    for backend in installed_backends():
        for model, suppress in ((own, None), (other, OTHER[force])):
            detector = ssdzoo.load(archive, backend, mean=MEAN, std=1, suppress=suppress, precision="f32")
            assert detector.names == ["class 0", "class 1", "class 2"] and detector.size == (SIZES[network],) * 2
            for photo, planes in zip(PHOTOS if suppress is None else PHOTOS[:1], prepared):
                detections = detector(photo, 0.0)[0]
                expected = model.detections(planes)
                assert len(expected) > 180
                assert_finds(expected, detections)
    assert -0.5 < prepared[0].mean(axis=(1, 2)).max() - (PHOTOS[0].mean(axis=(0, 1)) - MEAN).max() < 0.5  # 0..255 less the mean


def test_a_folder_is_the_same_model(models, tmp_path):
    archive, built = models("resnet50", True, False)
    folder = built.write(tmp_path / "unpacked")
    expected = ssdzoo.load(archive, mean=MEAN, std=1)(PHOTOS[0], 0.0)[0]
    for path in (folder, folder / "model_algo_1", folder / "model_algo_1-0000.params"):
        found = ssdzoo.load(path, mean=MEAN, std=1)(PHOTOS[0], 0.0)[0]
        np.testing.assert_array_equal(found.boxes, expected.boxes)
    (folder / "hyperparams.json").unlink()  # a checkpoint of mxnet-ssd
    with pytest.raises(
        WeightsError, match=r"its input size .* write base_size = \[HEIGHT, WIDTH\] into .*unpacked/model_algo_1.toml"
    ):
        ssdzoo.load(folder, mean=MEAN, std=1)
    (folder / "model_algo_1.toml").write_text("base_size = 128\nmean = [123, 117, 104]\nstd = [1, 1, 1]")
    np.testing.assert_array_equal(ssdzoo.load(folder)(PHOTOS[0], 0.0)[0].boxes, expected.boxes)


def test_the_digest_and_the_cache_of_an_archive(models):
    archive, _ = models("resnet50", True, False)
    given = [{}, {"mean": MEAN, "std": 1}, {"suppress": "across"}, {"suppress": "per-class"}, {"classes": ["a", "b", "c"]}]
    sources = [resolve(archive, **some) for some in given]
    assert len({source.digest() for source in sources}) == len(given)
    assert all(source.files == [archive] and source.name == "model_algo_1" for source in sources)
    ssdzoo.load(archive, "onnxruntime", mean=MEAN, std=1)
    made = sorted((archive.parent / ".onnx").iterdir())
    ssdzoo.load(archive, "onnxruntime", mean=MEAN, std=1)
    assert sorted((archive.parent / ".onnx").iterdir()) == made and made
    assert [p.name for p in archive.parent.iterdir() if p.name != ".onnx"] == ["model.tar.gz"]


def test_names_of_classes(models, tmp_path):
    _, built = models("resnet50", True, False)
    folder = built.write(tmp_path / "m")

    def names(**given):
        return list(resolve(folder, mean=0, std=1, **given).preset.classes)

    assert names() == ["class 0", "class 1", "class 2"]
    (folder / "classes.txt").write_text("red\ngreen\n\nblue\n")
    assert names() == ["red", "green", "blue"] and names(classes=["x", "y", "z"]) == ["x", "y", "z"]
    (folder / "model_algo_1.toml").write_text('classes = ["r", "g", "b"]')
    assert names() == ["r", "g", "b"]
    sidecar, listed, hyperparams = (folder / name for name in ("model_algo_1.toml", "classes.txt", "hyperparams.json"))
    for change, message in (
        (lambda: sidecar.write_text('classes = ["r"]'), "has 3 classes, its sidecar names 1"),
        (sidecar.unlink, None),
        (lambda: listed.write_text("a\nb"), "has 3 classes, .*classes.txt names 2"),
        (lambda: listed.write_text("a\na"), "class 'a' is there twice"),
        (lambda: listed.write_text("\n"), "no class names; expected one a line"),
        (listed.unlink, None),
        (
            lambda: hyperparams.write_text('{"image_shape": "128", "num_classes": "5"}'),
            "has 3 classes, .*hyperparams.json says 5",
        ),
    ):
        change()
        if message:
            with pytest.raises(CallError, match=message):
                names()
    with pytest.raises(CallError, match="has 3 classes, classes= names 2"):
        names(classes=["x", "y"])


def test_what_other_models_say_themselves(tmp_path):
    for given, message in (
        ({"classes": ["a"]}, "has its own class names: leave classes= out"),
        ({"suppress": "both"}, "suppress=both: expected per-class or across"),
    ):
        with pytest.raises(CallError, match=message):
            resolve("ssd_300_mobilenet0.25_voc", **given)


@pytest.fixture(scope="module")
def data(models, tmp_path_factory):
    """A manifest of images whose true boxes are what the model finds with mxnet-ssd's normalization."""
    archive, _ = models("resnet50", True, False)
    folder, detector = tmp_path_factory.mktemp("data"), ssdzoo.load(archive, mean=MEAN, std=1)
    lines = []
    for i, photo in enumerate(mxnet_ssd.photos(3, seed=1)):
        save_image(folder / f"{i}.png", photo)
        found, boxes = detector(photo, 0.9)[0], []
        for class_id, (left, top, right, bottom) in zip(found.class_ids.tolist(), found.boxes.astype(int).tolist()):
            if right - left > 8 and bottom - top > 8:
                size = {"width": right - left, "height": bottom - top}
                boxes.append({"class_id": class_id, "left": left, "top": top, **size})
        label = {"image_size": [{"width": WIDTH, "height": HEIGHT, "depth": 3}], "annotations": boxes}
        about = {"class-map": {"0": "red", "1": "green", "2": "blue"}, "type": "groundtruth/object-detection"}
        lines.append(json.dumps({"source-ref": f"s3://bucket/{i}.png", "boxes": label, "boxes-metadata": about}))
    (folder / "test.manifest").write_text("\n".join(lines))
    return folder / "test.manifest"


def test_the_right_normalization_is_found(models, data):
    archive, _ = models("resnet50", True, False)
    out, _ = command("compare", archive, "--data", data, "--split", "test", "--try-normalizations")
    assert "trained with: --mean 123,117,104 --std 1" in out and "SageMaker's samples" in out
    out, _ = command("compare", archive, "--data", data, "--split", "test", "--try-normalizations", "--json")
    assert json.loads(out)["best"] == "--mean 123,117,104 --std 1"
    tried = json.loads(out)["tried"]
    assert tried[0]["used_by"] == "mxnet-ssd" and tried[0]["mAP"] > 0.8 > tried[1]["mAP"] >= tried[2]["mAP"]
    with pytest.raises(CallError, match="has its own mean and std"):
        try_normalizations("ssd_300_mobilenet0.25_voc", data)
    for more, message in (
        ([archive, "--data", data, "--try-normalizations"], "is for one model"),
        (["--try-normalizations"], "needs true boxes: name a data set with --data"),
        (["--data", data], "name the model to check, too"),
    ):
        assert message in command("compare", archive, *more, status=2)[1]


def test_when_the_normalization_is_not_clear():
    def of(*values):
        return [replace(each, mAP=value) for each, value in zip(NORMALIZATIONS, values)]

    assert verdict(of(0.7, 0.6, 0.1)) is None
    assert "nearly equal (0.7000 and 0.6900)" in verdict(of(0.7, 0.69, 0.1))
    for nothing in (of(0.0, 0.0, 0.0), of(float("nan"), 0.0, 0.0)):
        assert "with none of them the model finds an object" in verdict(nothing)


def test_evaluation_takes_the_names_of_the_data(models, data, tmp_path):
    archive, _ = models("resnet50", True, False)
    normalized = "--mean", "123,117,104", "--std", "1"
    out, errors = command("eval", archive, data, "--split", "test", "--json", *normalized)
    assert list(json.loads(out)["AP"]) == ["red", "green", "blue"] and json.loads(out)["mAP"] > 0.8
    assert "the model does not name its classes: taken for those of the data, red, green, blue" in errors
    other = ssdzoo.evaluate(archive, data, mean=MEAN, std=1, classes=["red", "green", "blue"], suppress="across")
    assert list(other["AP"]) == ["red", "green", "blue"] and other["mAP"] < json.loads(out)["mAP"]
    _, errors = command("eval", archive, data, "--classes", "red,green", *normalized, status=2)
    assert "has 3 classes, --classes names 2" in errors
    fewer = tmp_path / "fewer.manifest"
    fewer.write_text(data.read_text().replace(', "2": "blue"', "").replace('"class_id": 2', '"class_id": 0'))
    _, errors = command("eval", archive, fewer, "--image-folder", data.parent, *normalized, status=2)
    assert "has 2 classes, the model 3 without names: name them with --classes" in errors


def test_every_command(models, data, tmp_path):
    archive, _ = models("resnet50", True, False)
    image, normalized = data.parent / "0.png", ("--mean", "123,117,104", "--std", "1")
    (tmp_path / "names.txt").write_text("a\nb\nc\n")
    _, errors = command("predict", archive, image, "--out", tmp_path / "out", status=2)
    assert "model.tar.gz/model_algo_1-symbol.json: " in errors and "give --mean and --std" in errors
    assert "--try-normalizations" in errors
    named = "--classes", tmp_path / "names.txt", "--suppress", "across"
    command("predict", archive, image, "--out", tmp_path / "out", "--score", "0.1", *named, *normalized)
    found = json.loads((tmp_path / "out" / "detections.json").read_text())[0]["detections"]
    assert {each["class"] for each in found} == {"a", "b", "c"} and len(found) > 50
    command("export", archive, "--out", tmp_path, "--format", "onnx", *named, *normalized)
    detector = ssdzoo.load(tmp_path / "model_algo_1.onnx", "onnxruntime")
    assert detector.names == ["a", "b", "c"] and len(detector(image, 0.1)[0]) == len(found)
    command("export", archive, "--out", tmp_path / "cut", *named, *normalized)
    symbol = (tmp_path / "cut" / "model_algo_1-symbol.json").read_text()
    assert "MultiBoxTarget" not in symbol and "MakeLoss" not in symbol and '"label"' not in symbol
    again = ssdzoo.load(tmp_path / "cut")  # which knows its size, classes, mean, std and NMS
    assert again.names == ["a", "b", "c"] and len(again(image, 0.1)[0]) == len(found)
    options = "--mean-a", "123,117,104", "--std-a", "1", "--mean-b", "123,117,104", "--std-b", "1", "--backend-b", "onnxruntime"
    command("compare", archive, archive, "--data", data, *options, "--out", tmp_path / "same")
    certificate = json.loads((tmp_path / "same" / "certificate.json").read_text())
    assert certificate["a"]["files"][0]["path"] == str(archive) and len(certificate["a"]["files"][0]["sha256"]) == 64
    command(
        "compare", archive, archive, "--images", image, *options, "--suppress-b", "across", "--out", tmp_path / "other", status=1
    )
    calibration = "--images", data.parent, "--count", "1", "--agreement", "0", "--float-first", "1"
    command("quantize", archive, *calibration, "--out", tmp_path / "q", *normalized)
    assert (tmp_path / "q" / "model_algo_1-int8.onnx").is_file()
    _, errors = command("convert", archive, tmp_path / "new.params", *normalized, status=1)
    assert "can be converted, and this one looks like a pre-activation ResNet-50" in errors
    assert not (tmp_path / "new.params").exists()


def test_serve(models, monkeypatch):
    """`ssdzoo serve` with the options of `predict`: what its routes answer is what `predict` finds."""
    client = pytest.importorskip("starlette.testclient", reason="needs the extra serve").TestClient
    from ssdzoo.serve import server
    from ssdzoo.serve.app import make_app

    archive, _ = models("resnet50", True, False)
    served = []
    monkeypatch.setattr(server, "run", lambda service, socket: (served.append(service), socket.close()))
    given = "--mean", "123,117,104", "--std", "1", "--classes", "red,green,blue", "--suppress", "across"
    command("serve", archive, "--port", "0", "--backend", "mxnet", *given)
    body = encode_image(PHOTOS[0], ".png")
    with client(make_app(served[0])) as opened:
        assert opened.get("/model").json()["classes"] == ["red", "green", "blue"]
        answer = opened.post("/predict?score=0.1", content=body).json()[0]["detections"]
        rows = opened.post("/invocations", content=body, headers={"content-type": "image/png"}).json()["prediction"]
    found = ssdzoo.load(archive, mean=MEAN, std=1, classes=["red", "green", "blue"], suppress="across")(PHOTOS[0], 0.1)[0]
    assert [each["class"] for each in answer] == found.labels and len(found) > 50 and len(rows) == 100
    np.testing.assert_allclose([each["box"] for each in answer], found.boxes, atol=0.01)
    np.testing.assert_allclose(np.array(rows)[: len(found), 2:] * ([WIDTH, HEIGHT] * 2), found.boxes, atol=0.01)
    _, errors = command("serve", archive, "--port", "0", status=2)
    assert "give --mean and --std" in errors and served[1:] == []


@pytest.mark.long
def test_the_benchmark(models):
    archive, _ = models("resnet50", True, False)
    options = "--count", "2", "--rounds", "1", "--backends", "onnxruntime", "--suppress", "across", "--json"
    out, _ = command("benchmark", archive, "--mean", "0", "--std", "1", *options)
    assert json.loads(out)["rows"][0]["images_per_s"] > 0
