"""Which format a folder has, and what the error says where it has none that is read."""

import shlex

import pytest

from ssdzoo.data import class_names, load_dataset
from ssdzoo.data.formats import labelme, text_files, unread
from ssdzoo.data.formats.recognize import open_readers
from ssdzoo.errors import DataError
from tests.data.formats.test_labelme import annotation, shape
from tests.data.formats.test_voc_layouts import image, label_studio, labelimg, roboflow, text
from tests.data.formats.written import WRITERS, write


def error_of(path, format=None):
    with pytest.raises(DataError) as error:
        load_dataset(path, "train", format=format)
    return str(error.value)


def tf_record(root):
    text(root / "train" / "cells.tfrecord", "\x10\0\0")
    text(root / "train" / "cells_label_map.pbtxt", "item {}")
    return "cells.tfrecord is a TFRecord"


def sharded(root):
    text(root / "train.record-00000-of-00010", "\x10\0\0")
    return "train.record-00000-of-00010 is a TFRecord"


def open_images(root):
    header = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"
    text(root / "train-annotations-bbox.csv", f"{header}\n000002b66c9c498e,xclick,/m/01g317,1,0.01,0.19,0.14,0.57,0,1,0,0,0\n")
    return "train-annotations-bbox.csv is a table of Open Images"


UNREAD = {"tf_detection_api": tf_record, "open_images": open_images}


@pytest.mark.parametrize("name", UNREAD)
def test_the_command_that_converts_a_format_that_is_not_read(name, tmp_path):
    root = tmp_path / "my data"
    found = UNREAD[name](root)
    message = error_of(root)
    command = f"datum convert -i {shlex.quote(str(root))} -if {name} -f coco -o NEW -- --save-media"
    assert message.startswith(f"{root}: not a data set; ") and found in message and f"`{command}`" in message
    assert message.count("\n") == 0 and "pip install 'datumaro[cli" in message


def test_parts_of_a_tf_record(tmp_path):
    assert sharded(tmp_path) in error_of(tmp_path)


COCO_OR_VOC, CONVERT = "export COCO or Pascal VOC", "convert it to COCO's format, or to a .csv with the columns image,xmin,"
DARWIN = '{"version": "2.0", "item": {"name": "a.jpg", "slots": [{"width": 128}]}, "annotations": [{"bounding_box": {"h": 4}}]}'
LABELBOX = '{"data_row": {"external_id": "a.jpg"}, "media_attributes": {}, "projects": {"p": {"labels": []}}}'
FIFTYONE = '{"classes": ["cat"], "labels": {"a": [{"label": 0, "bounding_box": [0.1, 0.2, 0.3, 0.4]}]}}'
HASTY = '{"project_name": "x", "export_format_version": "1.1", "label_classes": [], "images": []}'


@pytest.mark.parametrize("file, content, words, way", [
    ("wider_face_split/wider_face_train_bbx_gt.txt", "0--Parade/a.jpg\n1\n", "a list of WIDER FACE", "-if wider_face"),
    ("gt/gt.txt", "1,1,10,20,100,100,1,1,1.0\n", "a table of MOT", "-if mot_seq"),
    ("labelTxt/a.txt", "imagesource:GoogleEarth\ngsd:0.1\n", "a label file of DOTA", "YOLO's labels of oriented"),
    ("labelTxt/a.txt", "1.0 2.0 3.0 2.0 3.0 4.0 1.0 4.0 ship 0\n", "a label file of DOTA", "YOLO's labels of oriented boxes"),
    ("annotations/a.txt", "10,20,100,100,1,4,0,0\n", "a label file of VisDrone", "convert it to YOLO's labels"),
    ("train/_annotations.txt", "a.jpg 1,2,3,4,0\n", "Roboflow's list for YOLO v3 Keras", COCO_OR_VOC),
    ("train/_classes.csv", "filename, cat, dog\na.jpg, 1, 0\n", "Roboflow's table of classes of whole images", "it has no boxes"),
    ("_annotations.train.jsonl", '{"image": "a.jpg", "prefix": "detect cat", "suffix": "cat"}', "a list of prompts", COCO_OR_VOC),
    ("import.csv", "TRAINING,gs://cells/a.jpg,cat,0.1,0.1,,,0.3,0.3,,\n", "Vertex AI's table", "which writes .jsonl"),
    ("annotation_train.odgt", '{"ID": "a", "gtboxes": []}', "a list of CrowdHuman", CONVERT),
    ("export.ndjson", LABELBOX, "Labelbox's export", CONVERT), ("annotations/a.json", DARWIN, "V7 Darwin's JSON", COCO_OR_VOC),
    ("a.jpg.json", '{"metadata": {"name": "a.jpg"}, "instances": []}', "SuperAnnotate's JSON", "SuperAnnotate's SDK"),
    ("labels.json", FIFTYONE, "FiftyOne's own JSON", "fo.types.COCODetectionDataset"),
    ("samples.json", '{"samples": [{"filepath": "data/a.jpg"}]}', "FiftyOne's own JSON", "fo.types.COCODetectionDataset"),
    ("export.json", '[{"label_hash": "h", "data_units": {}}]', "Encord's JSON", COCO_OR_VOC),
    ("x.json", HASTY, "Hasty's JSON", COCO_OR_VOC),
    ("p.json", '{"project": {}, "attribute": {}, "view": {"1": {"fid_list": ["1"]}}}', "a project of VIA 3", "use VIA 2"),
    ("data/train-00000-of-00001.parquet", "PAR1", "a table of Hugging Face", "a metadata.jsonl"),
    ("task_1.zip", "PK", "an archive", "unpack it, and name the folder"),
])  # fmt: skip
def test_what_a_tool_s_user_can_do(file, content, words, way, tmp_path):
    image(tmp_path / "a.jpg")
    text(tmp_path / file, content)
    for path in (tmp_path, tmp_path / file):
        assert f"{file} is {words}" in error_of(path) and way in error_of(path)


def test_a_file_that_is_not_read(tmp_path):
    found, file = open_images(tmp_path), tmp_path / "train-annotations-bbox.csv"
    assert found in error_of(file) and f"-i {tmp_path} -if open_images" in error_of(file)


def test_an_empty_folder(tmp_path):
    message = error_of(tmp_path)
    assert message.startswith(
        f"{tmp_path}: not a data set; the folder is empty; expected a Pascal VOC folder (.xml in Annotations/"
    )
    assert all(word in message for word in ("COCO", "data.yaml", ".rec or .lst", ".csv", "LabelMe"))


def test_images_alone(tmp_path):
    for name in ("a.jpg", "b.jfif", "deep/c.png"):
        image(tmp_path / name)
    text(tmp_path / "README.md", "cells")
    assert "not a data set; it holds 3 images, but no annotations of a known format; expected a Pascal VOC" in error_of(tmp_path)


def test_neither_images_nor_annotations(tmp_path):
    text(tmp_path / "a.md", "x")
    text(tmp_path / "b.md", "x")
    text(tmp_path / "c", "x")
    found = "it holds neither annotations nor images, but other files: 2 .md, 1 without suffix; expected a Pascal VOC"
    assert found in error_of(tmp_path)


def test_a_table_without_the_columns(tmp_path):
    image(tmp_path / "a.jpg")
    text(tmp_path / "labels.csv", "name,age\nx,3\n")
    message = error_of(tmp_path)
    assert "labels.csv" in message and "'name,age'" in message and "expected a" not in message


def test_xml_that_is_no_annotation(tmp_path):
    text(tmp_path / "drawing.xml", "<?xml version='1.0'?><!-- <annotation> --><svg></svg>")
    found = "drawing.xml is no Pascal VOC annotation; its outermost element is <svg>, expected <annotation>"
    assert found in error_of(tmp_path)


def test_json_that_is_no_annotation(tmp_path):
    text(tmp_path / "settings.json", '{"shape": []}')
    assert "settings.json is not COCO's json" in error_of(tmp_path)


def test_annotations_without_a_file(tmp_path):
    (tmp_path / "Annotations").mkdir()
    assert "Annotations is empty: no annotations; expected .xml of Pascal VOC or .json of LabelMe" in error_of(tmp_path)


def test_one_annotation_is_no_data_set(tmp_path):
    labelimg(tmp_path)
    found = "IMG_1.xml: not a data set; it is the annotation of one image; name its folder"
    assert found in error_of(tmp_path / "IMG_1.xml")
    write("labelme", tmp_path / "labelme")
    assert "a.json: not a data set; it is the annotation of one image" in error_of(tmp_path / "labelme" / "train" / "a.json")


def test_a_format_that_the_folder_has_not(tmp_path):
    labelimg(tmp_path)
    assert "not a data set of format csv; it holds 2 images" in error_of(tmp_path, "csv")
    assert len(class_names(tmp_path, "voc")) == 1


@pytest.mark.parametrize("kind", ["coco", "yolo", "recordio", "csv"])
def test_annotations_that_are_left_over_from_before_the_data_were_converted(kind, tmp_path):
    write(kind, tmp_path / "d")
    labelimg(tmp_path / "d")
    annotation(tmp_path / "d" / "train" / "a.json", shape([[20, 30], [80, 70]]))
    assert open_readers(tmp_path / "d")[0].format == kind
    (tmp_path / "d" / "Annotations").mkdir()
    (tmp_path / "d" / "IMG_1.xml").rename(tmp_path / "d" / "Annotations" / "IMG_1.xml")
    assert open_readers(tmp_path / "d")[0].format == "voc"


@pytest.mark.parametrize("kind", WRITERS)
def test_a_folder_around_a_data_set_of_any_format(kind, tmp_path):
    write(kind, tmp_path / "zip" / "data" / "inner")
    (tmp_path / "zip" / "docs").mkdir()
    (tmp_path / "zip" / "__MACOSX").mkdir()
    text(tmp_path / "zip" / "data" / "README.txt", "cells")
    assert len(load_dataset(tmp_path / "zip", "train")) == 4 == len(load_dataset(tmp_path, "train"))


def test_several_data_sets_in_one_folder(tmp_path):
    write("coco", tmp_path / "one")
    roboflow(tmp_path / "two")
    found = f"holds 2 data sets; name one of them, or several with commas in between: {tmp_path}/one, {tmp_path}/two"
    assert found in error_of(tmp_path)
    assert len(load_dataset(f"{tmp_path}/one,{tmp_path}/two", "train")) == 5
    assert len(load_dataset(tmp_path, "train", format="coco")) == 4


def test_images_beside_a_data_set_are_not_left_out_in_silence(tmp_path):
    label_studio(tmp_path / "some")
    image(tmp_path / "a.jpg")
    found = f"images lie beside {tmp_path / 'some'}, which can be read: name the one that you mean"
    assert found in error_of(tmp_path)


def test_few_of_many_files_are_looked_into(tmp_path, monkeypatch):
    for i in range(40):
        text(tmp_path / f"{i}.xml", "<annotation/>")
        text(tmp_path / f"{i}.json", "{}")
    looked = []
    read = text_files.read_head
    for module in (unread, labelme):
        monkeypatch.setattr(module, "read_head", lambda path, size=65536: looked.append(path) or read(path, size))
    assert open_readers(tmp_path)[0].format == "voc" and 2 <= len(looked) <= 20
