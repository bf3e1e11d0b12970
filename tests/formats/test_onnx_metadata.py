"""ONNX files whose metadata or interface are wrong: one clear error that names the field."""

import json

import pytest

pytest.importorskip("onnx", reason="needs the extra onnx")

from ssdzoo.errors import ExportError
from ssdzoo.formats.onnx_metadata import read_onnx_preset
from tests.hostile import limits  # noqa: F401
from tools.fuzz_onnx_metadata import METADATA, model


def read(tmp_path, metadata, change=lambda made: None, texts=None):
    made = model(metadata, texts)
    change(made)
    (tmp_path / "x.onnx").write_bytes(made.SerializeToString())
    return read_onnx_preset(tmp_path / "x.onnx")


def test_a_good_file(tmp_path):
    preset = read(tmp_path, METADATA)
    assert preset.base_size == (8, 8) and preset.classes == ("a", "b") and preset.post_nms == 3


@pytest.mark.parametrize("field, value, message", [
    ("classes", 5, "'classes' is '5'; expected a list of names"),
    ("classes", ["a", 5], "'classes' is .*; expected a list of names"),
    ("classes", ["a", "a"], r"'classes' is \['a', 'a'\]; expected different names"),
    ("classes", [], "does not name its classes"),
    ("mean", [1, 2, 3, 4], r"'mean' is \[1, 2, 3, 4\]; expected three numbers"),
    ("mean", "a", "'mean' is .*; expected three numbers, or null"),
    ("std", [0, 0, 0], "'std' is .*; expected three positive numbers"),
    ("nms", None, "'nms' is 'null'; expected thresh, topk and post"),
    ("nms", {"thresh": "a"}, "'nms' is .*; expected thresh, topk and post"),
    ("nms", {"post": 1 << 40}, "'nms' is .*; expected thresh, topk and post"),
    ("size", -1, r"'size' is '-1'; expected \[height, width\]"),
    ("size", [-1, 8], r"'base_size' is \[-1, 8\]; expected pixels"),
    ("size", [20_000, 20_000], r"'base_size' is \[20000, 20000\]; expected pixels, .* from 1 to 4096"),
    ("raw", "no", "'raw' is .*; expected true or false"),
    ("preprocess", 1, "'preprocess' is '1'; expected true or false"),
    ("heads", [1, 2], "'heads' is .*; expected the names of two tensors"),
])  # fmt: skip
def test_a_wrong_field_is_named(field, value, message, tmp_path):
    with pytest.raises(ExportError, match=f"x.onnx.*{message}"):
        read(tmp_path, {**METADATA, field: value})


@pytest.mark.parametrize("text", ["[" * 50_000, "[" + "9" * 5_000 + "]", "nothing", ""])
def test_text_that_is_no_json(text, tmp_path):
    with pytest.raises(ExportError, match="its metadata field 'size' is .*; expected JSON") as caught:
        read(tmp_path, METADATA, texts={"size": text})
    assert len(str(caught.value)) < 400


def _uint8(made):
    made.graph.input[0].type.tensor_type.elem_type = 2


def _without_output(made):
    del made.graph.output[0]


@pytest.mark.parametrize("change, message", [
    (_uint8, r"its inputs \[images\] are not the one of `ssdzoo export`: images, float32 \(B, 3, H, W\)"),
    (_without_output, r"its outputs \[scores, class_ids\] lack float32 'boxes' of 3 axes"),
])  # fmt: skip
def test_another_interface(change, message, tmp_path):
    with pytest.raises(ExportError, match=message):
        read(tmp_path, METADATA, change)


def test_missing_metadata_and_other_files(tmp_path):
    with pytest.raises(ExportError, match="not a model of `ssdzoo export --format onnx`: its metadata has no 'heads'"):
        read(tmp_path, {k: v for k, v in METADATA.items() if k != "heads"})
    for content in (b"", b"hello", json.dumps(METADATA).encode()):
        (tmp_path / "y.onnx").write_bytes(content)
        with pytest.raises(ExportError, match="y.onnx: not (an ONNX file|a model of)"):
            read_onnx_preset(tmp_path / "y.onnx")
    with pytest.raises(ExportError, match="no such ONNX file"):
        read_onnx_preset(tmp_path / "z.onnx")
