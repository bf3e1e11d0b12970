"""Each kind of hostile input that was seen to end badly has a test, which runs with limits of time and memory."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
BY_HAND = "predict/test_detectors_by_hand.py"
ROWS = {
    # Crashes of the process
    "symbol: an output that its node lacks": "formats/test_symbol_file.py::test_damage_is_named",
    "symbol: num_group 0": "formats/test_symbol_file.py::test_damage_is_named",
    "symbol: inputs that the operator does not have": f"{BY_HAND}::test_what_mxnet_would_crash_on_is_refused",
    "symbol: shapes that the operators write beyond": f"{BY_HAND}::test_shapes_that_mxnet_infers_and_crashes_on",
    "image: a name that is not UTF-8": "report/test_predictions.py::test_names_that_are_not_utf_8",
    "caffemodel: damaged": "formats/test_protobuf_files.py::test_caffemodels_that_lie",
    "Ctrl-C after OpenVINO": "predict/test_signal_stack.py::test_ctrl_c_after_openvino_has_ended",
    # Exceptions of Python and of libraries
    "ONNX: metadata of a wrong type or length": "formats/test_onnx_metadata.py::test_a_wrong_field_is_named",
    "ONNX: outputs missing, input of another type": "formats/test_onnx_metadata.py::test_another_interface",
    "symbol: inputs as text or infinity": "formats/test_symbol_file.py::test_damage_is_named",
    "symbol: attributes of another type": "formats/test_symbol_file.py::test_attributes_of_another_type",
    "table: base_size, channels, post_nms without measure": "test_preset.py::test_a_wrong_row_names_file_field_and_value",
    "TOML: nested deeply, numbers of 5,000 digits": "test_preset.py::test_hostile_text_is_refused_in_a_line",
    "args.toml: a number for a path": "train/test_refusals.py::test_damaged_arguments_are_reported",
    "archive: odd names of members": "formats/test_model_archive.py::test_hostile_members",
    "archive: damaged zip": "formats/test_torch_file.py::test_archives_that_lie",
    "parameters: a zero byte in a name": "formats/test_symbol_file.py::test_damage_is_named",
    "image: a sparse file of 40 GB": "data/test_hostile_files.py::test_images_that_are_none",
    "data: FIFOs as .json, .csv, .rec": "data/test_hostile_files.py::test_no_reader_waits_for_a_file",
    # Hangs
    "any path: FIFOs, devices, sockets": "data/test_hostile_files.py::test_only_files_are_opened",
    "any option that takes a path": "cli/test_hostile_paths.py::test_one_clear_error",
    "JPEG: 3,000 scans": "data/test_hostile_files.py::test_a_jpeg_of_many_scans",
    "symbol: a chain of thousands of nodes": "formats/test_symbol_file.py::test_a_long_chain_takes_no_time",
    "names with terminal escapes": "test_quote.py::test_what_steers_a_terminal_is_escaped",
    "data: 1,000,000 equal lines": "data/test_many_lines.py::test_a_list_of_equal_lines",
    "data: 1,000,000 lines that name nothing": "data/test_many_lines.py::test_a_list_of_many_images_that_are_missing",
    "data: 200,000 objects in an image": "data/test_many_lines.py::test_many_objects_in_an_image",
    "data: 20,000 classes": "data/test_many_lines.py::test_many_classes_of_single_objects",
    "data: 50,000 categories": "data/test_many_lines.py::test_many_categories",
    "near names among 1,000,000": "data/test_many_lines.py::test_near_names_among_a_million",
    # Memory
    "image: 30,000 x 30,000 in few bytes": "data/test_hostile_files.py::test_few_bytes_of_any_format_claim_many_pixels",
    "XML: nested a million deep": "data/test_hostile_files.py::test_xml_that_is_nested_deeply",
    "label: a sparse file": "data/test_hostile_files.py::test_no_reader_waits_for_a_file",
    "ONNX: size 20,000": "formats/test_onnx_metadata.py::test_a_wrong_field_is_named",
    # Messages
    "values of thousands of characters": "test_quote.py::test_a_value_is_short_and_printable",
    "names of thousands of characters": "data/test_hostile_files.py::test_names_of_thousands_of_characters",
}
UNLIMITED = {"train/test_refusals.py"}  # reads a file of a few bytes beside trainings, which take memory


@pytest.mark.parametrize("row", ROWS)
def test_a_row_has_its_test(row):
    file, _, name = ROWS[row].partition("::")
    text = (TESTS / file).read_text("utf-8")
    assert re.search(rf"^def {name}\(", text, re.M)
    assert file in UNLIMITED or "from tests.hostile import limits" in text
