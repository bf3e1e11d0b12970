import pytest

from ssdzoo.errors import WeightsError
from ssdzoo.formats.prototxt import read_prototxt


def test_fields_messages_and_lists(tmp_path):
    (tmp_path / "x").write_text(
        """name: "net" # a comment with { and "
        layer { name: 'a"b' top: "x" top: "y" convolution_param: < kernel_size: [3, 5] pad: -1e-2; > include { phase: TEST } }
        layer { name: "" }"""
    )
    assert read_prototxt(tmp_path / "x") == {
        "name": ["net"],
        "layer": [
            {
                "name": ['a"b'], "top": ["x", "y"], "convolution_param": [{"kernel_size": ["3", "5"], "pad": ["-1e-2"]}],
                "include": [{"phase": ["TEST"]}],
            },
            {"name": [""]},
        ],
    }  # fmt: skip


@pytest.mark.parametrize("text, message", [
    ("layer {", "it ends within a message"), ("}", "a } too many"), ("a: }", "'}' stands where a value was expected"),
    ("a:", "'' stands where a value was expected"), ("5: 5", "'5' stands where the name of a field was expected"),
    ("a {" * 100, "nested deeper than 20 levels"), ("a: \\", "byte 3 is"), ('a: "b', "byte 3 is"),
    ("a: [1, {", "stands where a value"),
    ("\0", "cannot be read: not UTF-8 text: byte 0 is zero"), ("a: \u00e9 b: %", "byte 9 is '%'"),
])  # fmt: skip
def test_other_texts(text, message, tmp_path):
    (tmp_path / "x").write_text(text)
    with pytest.raises(WeightsError, match=f"x: .*{message}"):
        read_prototxt(tmp_path / "x")


def test_a_missing_file(tmp_path):
    with pytest.raises(WeightsError, match="x: no such file"):
        read_prototxt(tmp_path / "x")
