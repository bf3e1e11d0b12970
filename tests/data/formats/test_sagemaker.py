import json

import pytest

from ssdzoo.data import class_names, load_dataset
from ssdzoo.errors import CallError, DataError
from tests.data.formats.exported import BOX, check_export, write_files
from tests.data.formats.written import chain, record, write

LABELS = [{"class_id": 1, "left": 20, "top": 30, "width": 60, "height": 40}]
SIZE = [{"width": 100, "height": 80, "depth": 3}]


def line(ref, labels=LABELS, names=None, name="dogs", **more):
    """A line as Ground Truth writes it."""
    about = {
        "objects": [{"confidence": 0.9} for _ in labels],
        "class-map": {str(each["class_id"]): "dog" for each in labels} if names is None else names,
        "type": "groundtruth/object-detection",
        "human-annotated": "yes",
        "creation-date": "2024-05-01T12:00:00.000000",
        "job-name": "labeling-job/dogs",
    }
    return json.dumps(
        {"source-ref": ref, name: {"image_size": SIZE, "annotations": labels}, f"{name}-metadata": {**about, **more}}
    )


def manifest(root, *lines, **files):
    return write_files(root / "d", {"output.manifest": "\n".join(lines), "images/a.jpg": 1, "images/b.jpg": 2, **files})


@pytest.mark.parametrize("ref", ["s3://bucket/key/images/{}", "s3://bucket/other/{}", "images/{}", "/opt/ml/input/{}"])
def test_a_manifest(ref, tmp_path):
    lines = line(ref.format("a.jpg")), line(ref.format("b.jpg"), [])
    data = manifest(tmp_path, *lines)
    images = {"a.jpg": "dog", "b.jpg": None}
    for path in (data, data / "output.manifest"):
        check_export(path, {"all": images})
    (data / "output.manifest").rename(data / "labels.jsonl")
    check_export(data / "labels.jsonl", {"all": images})


def test_the_output_of_a_job(tmp_path):
    """Below the folder of the job; with the images of two folders of one bucket."""
    lines = line("s3://bucket/2023/a.jpg"), line("s3://bucket/2024/a.jpg", [])
    files = {"manifests/output/output.manifest": "\n".join(lines), "2023/a.jpg": 1, "2024/a.jpg": 2}
    data = load_dataset(write_files(tmp_path / "job", files), "all")
    assert [(r.image.parent.name, len(r.boxes)) for r in data.records] == [("2023", 1), ("2024", 0)]
    moved = write_files(tmp_path / "flat", {"manifests/output/output.manifest": "\n".join(lines), "a.jpg": 1})
    with pytest.raises(DataError, match=r"line 2: 's3://bucket/2024/a.jpg' and 'bucket/2023/a.jpg' both lead to .*flat/a.jpg"):
        load_dataset(moved, "all")


def test_a_manifest_for_each_split(tmp_path):
    files = {f"{s}.manifest": line(f"s3://bucket/{s}/a.jpg") for s in ("train", "validation")}
    images = {"train/a.jpg": 1, "validation/a.jpg": 2}
    splits = {"train": {"a.jpg": "dog"}, "validation": {"a.jpg": "dog"}}
    check_export(write_files(tmp_path / "d", {**files, **images}), splits)
    assert load_dataset(tmp_path / "d", "val")[0].image == tmp_path / "d" / "validation" / "a.jpg"
    channels = {f"{s}/{s}.manifest": line("s3://bucket/a.jpg") for s in ("train", "validation")}
    check_export(write_files(tmp_path / "channels", {**channels, **images}), splits)


def test_class_maps_are_united(tmp_path):
    """Each holds the classes of its line only."""
    cat = [{**LABELS[0], "class_id": 0}]
    data = manifest(tmp_path, line("a.jpg"), line("b.jpg", cat, {"0": "cat"}))
    check_export(data, {"all": {"a.jpg": "dog", "b.jpg": "cat"}}, ["cat", "dog"])
    with pytest.raises(DataError, match="output.manifest: line 2 calls class 1 'cat', others call it 'dog'; expected one name"):
        class_names(manifest(tmp_path, line("a.jpg"), line("b.jpg", LABELS, {"1": "cat"})))
    with pytest.raises(DataError, match="line 2, annotation 1 has class_id 0; expected 1"):
        load_dataset(manifest(tmp_path, line("a.jpg"), line("b.jpg", cat, {})), "all")


def test_a_manifest_without_names(tmp_path):
    data = manifest(tmp_path, line("a.jpg", names={}), line("b.jpg", []))
    check_export(data, {"all": {"a.jpg": "1", "b.jpg": None}}, ["0", "1"])
    assert load_dataset(data, "all", ["cat", "dog"])[0].class_ids.tolist() == [1]
    (data / "classes.txt").write_text("cat\ndog\n")
    check_export(data, {"all": {"a.jpg": "dog", "b.jpg": None}}, ["cat", "dog"])


def test_an_image_that_nobody_labeled_is_no_negative(tmp_path):
    failed = {"source-ref": "b.jpg", "dogs-metadata": {"failure-reason": "ClientError: cannot be fetched"}}
    data = load_dataset(manifest(tmp_path, line("a.jpg"), json.dumps(failed)), "all")
    assert [r.image.name for r in data.records] == ["a.jpg"]
    assert [p.message for p in data.problems] == ["line 2 has no labels 'dogs' ('ClientError: cannot be fetched'): left out"]


def test_labels_of_two_jobs(tmp_path):
    first, second = json.loads(line("a.jpg", [])), json.loads(line("a.jpg", name="checked"))
    with pytest.raises(DataError, match="output.manifest: boxes under 'dogs' and 'checked'; keep the labels of one job"):
        load_dataset(manifest(tmp_path, json.dumps({**first, **second})), "all")
    second = json.loads(line("a.jpg", name="checked", **{"adjustment-status": "adjusted"}))
    assert load_dataset(manifest(tmp_path, json.dumps({**first, **second})), "all")[0].boxes.tolist() == [BOX]
    classified = {"kind": 3, "kind-metadata": {"type": "groundtruth/image-classification", "class-name": "x"}}
    check_export(manifest(tmp_path, json.dumps({**json.loads(line("a.jpg")), **classified})), {"all": {"a.jpg": "dog"}})


def test_images_in_another_folder(tmp_path):
    data = write_files(tmp_path / "d", {"output.manifest": line("s3://bucket/key/a.jpg")})
    images = write_files(tmp_path / "photos", {"key/a.jpg": 1, "a.jpg": 2})
    check_export(data, {"all": {"a.jpg": "dog"}}, image_folder=images)
    assert load_dataset(data, "all", image_folder=str(images))[0].image == images / "key" / "a.jpg"
    with pytest.raises(DataError, match=f"'s3://bucket/key/a.jpg' leads out of {data}, and no image .* with image_folder="):
        load_dataset(data, "all")
    with pytest.raises(CallError, match="image_folder=nowhere: no such folder"):
        load_dataset(data, "all", image_folder="nowhere")


@pytest.mark.parametrize("kind", ["voc", "coco", "yolo", "recordio", "lst", "csv"])
def test_which_formats_take_a_folder_of_images(kind, tmp_path):
    data = write(kind, tmp_path / "d")
    if kind in ("coco", "lst", "csv"):
        (data / ("train2017" if kind == "coco" else "images")).rename(tmp_path / "images")
        assert len(load_dataset(data, "train", image_folder=tmp_path / "images")) == 4
    else:
        with pytest.raises(
            CallError, match=f"image_folder= is for files that name their images by paths; .* is {kind}, without it"
        ):
            load_dataset(data, "train", image_folder=tmp_path)


@pytest.mark.parametrize("text, message", [
    ("{", "output.manifest: line 1: not JSON"),
    ("[1]", "line 1: is a list of 1; expected an object with keys"),
    ('{"source": "x"}', 'line 1 has no source-ref; expected lines with "source-ref" and labels with "annotations"'),
    ('{"source-ref": "a.jpg"}', "no labels of boxes; expected lines"),
    ("", "no labels of boxes; expected lines"),
    (line("s3://bucket/z.jpg"), "'s3://bucket/z.jpg' leads out of .*, and no image of its name is there; .* image_folder="),
    (line("a.jpg", [{**LABELS[0], "left": "x"}]), "line 1, annotation 1 is .*; expected the numbers left, top, width, height"),
    (line("a.jpg", [{**LABELS[0], "width": 90}]), r"annotation 1 \(dog\): box \(20, 30, 90, 40\) is outside of the 100x80 image"),
    (line("a.jpg", LABELS, {"x": "dog"}), "line 1: its classes are .*; expected ids from 0 on, each once with a name"),
    (line("a.jpg").replace('"width": 100', '"width": 90'), "says 90x80, the image of .*a.jpg is 100x80"),
])  # fmt: skip
def test_wrong_manifests(text, message, tmp_path):
    with pytest.raises(DataError, match=message):
        load_dataset(manifest(tmp_path, text) / "output.manifest", "all")


def channel(name, labels=LABELS, **more):
    names = [{"class_id": 0, "name": "cat"}, {"class_id": 1, "name": "dog"}]
    return json.dumps({"file": name, "image_size": SIZE, "annotations": labels, "categories": names, **more})


def test_channels_of_images_and_json(tmp_path):
    files = {"train_annotation/a.json": channel("a.jpg"), "train_annotation/b.json": channel("b.jpg", [])}
    files |= {"train/a.jpg": 1, "train/b.jpg": 2, "validation/a.jpg": 3, "validation_annotation/a.json": channel("folder/a.jpg")}
    data = write_files(tmp_path / "d", files)
    check_export(data, {"train": {"a.jpg": "dog", "b.jpg": None}, "validation": {"a.jpg": "dog"}}, ["cat", "dog"])
    assert load_dataset(data, "val")[0].image == data / "validation" / "a.jpg"
    (data / "train_annotation" / "b.json").write_text(channel("b.jpg", categories=[{"class_id": [0], "name": "cat"}]))
    with pytest.raises(DataError, match="b.json: its classes are .*; expected ids from 0 on, each once with a name"):
        load_dataset(data, "train")
    (data / "train_annotation" / "b.json").write_text("{}")
    with pytest.raises(DataError, match="b.json: not an annotation of SageMaker; expected the keys file, image_size"):
        load_dataset(data, "train")


def test_its_record_files(tmp_path):
    """Header 2 and objects of 5 numbers, a file in the folder of each channel."""
    labels = [2, 5, 1, 0.2, 0.375, 0.8, 0.875]
    text = "\t".join(map(str, labels))
    files = {f"{s}/{s}.lst": f"0\t{text}\ta.jpg\n" for s in ("train", "validation")}
    data = write_files(tmp_path / "d", {**files, "train/a.jpg": 1, "validation/a.jpg": 2, "classes.txt": "cat\ndog"})
    check_export(data, {"train": {"a.jpg": "dog"}, "validation": {"a.jpg": "dog"}}, ["cat", "dog"])
    (data / "train" / "train.rec").write_bytes(chain([record(labels, (data / "train" / "a.jpg").read_bytes())])[0])
    found = load_dataset(data, "train")[0]
    assert found.image.path == data / "train" / "train.rec" and found.boxes.tolist() == [BOX] and found.class_ids.tolist() == [1]
