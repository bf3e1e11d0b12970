from dataclasses import asdict

import pytest

import ssdzoo
from ssdzoo.errors import CallError
from ssdzoo.preset import Preset, check_preset, read_preset, to_toml
from ssdzoo.zoo import find_preset
from tests.hostile import limits  # noqa: F401

ROW = {
    "name": "mine", "backbone": "mobilenet0.25", "base_size": 300, "features": ["relu10_fwd", "relu26_fwd"], "filters": [64],
    "sizes": [20, 40, 80, 160], "ratios": [[1, 2, 0.5]] * 3,
}  # fmt: skip


@pytest.mark.parametrize("name", ssdzoo.list_models())
def test_a_row_survives_the_way_through_a_file(name, tmp_path):
    preset = find_preset(name)
    (tmp_path / "model.toml").write_text(preset.to_toml(), "utf-8")
    assert read_preset(tmp_path / "model.toml") == preset


def test_a_table_that_lists_its_anchors(tmp_path):
    path = tmp_path / "listed.toml"
    listed = {"sizes": [[20.5, 30], [60], [90, 80]], "ratios": [[1, 0.4], [2], [1, 1]]}
    preset = check_preset({**ROW, **listed, "classes": ["a b", 'c"d']}, "row")
    path.write_text(preset.to_toml(), "utf-8")
    assert "sizes = [\n    [20.5, 30],\n    [60],\n    [90, 80],\n]\n" in path.read_text("utf-8")
    assert "filters = [64]\n" in path.read_text("utf-8")
    assert read_preset(path) == preset
    net = ssdzoo.get_model(path)
    assert [g.num_depth for g in net.anchor_generators] == [2, 1, 2]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"sizes": [40, 20, 80, 160]}, r"field 'sizes' is \[40, 20, 80, 160\]; expected rising positive numbers"),
        ({"sizes": [20, 40, 80]}, "field 'sizes' has 3 values; 3 lists of ratios need 4"),
        ({"sizes": [[20], [40, 50]]}, "field 'sizes' has 2 values; 3 lists of ratios need 3"),
        ({"sizes": [[20], [40, -1], [9]]}, "expected rising positive numbers, in pixels, or a list of positive numbers for each"),
        ({"sizes": [[20], 40, 80]}, r"field 'sizes' is \[\[20\], 40, 80\]; expected rising"),
        ({"sizes": [[20], [], [80]]}, "expected rising"),
        (
            {"sizes": [[20], [40, 50], [80]], "ratios": [[1], [1], [1]]},
            "map 1 has 2 sizes and 1 ratios; sizes in lists need a ratio each",
        ),
        ({"steps": [8, 16]}, "field 'steps' has 2 values; 3 lists of ratios need 3"),
        ({"ratios": [[2, 1], [1], [1]]}, "each beginning with 1"),
        ({"ratios": [[1], [1], []]}, "each beginning with 1"),
        ({"ratios": [[1, -2], [1], [1]]}, "each beginning with 1"),
        ({"base_size": "300"}, "field 'base_size' is '300'; expected pixels"),
        ({"base_size": 0}, "expected pixels"),
        ({"base_size": [300, 300, 3]}, "expected pixels"),
        ({"filters": [64, 64]}, "makes 4 feature maps; there are 3"),
        ({"size": [1, 2]}, "unknown field 'size'; do you mean 'sizes'"),
        ({"classes": ["a", "a"]}, "field 'classes' .* different names"),
        ({"std": [0, 1, 1]}, "three positive numbers"),
        ({"mean": ["a", "b", "c"]}, "three numbers"),
        ({"nms_thresh": float("nan")}, "field 'nms_thresh' is nan; expected a number"),
        ({"predictor_kernel": True}, "1 or 3"),
        ({"anchor_generator": "yolo"}, '"ssd" or "lite"'),
        ({"predictor_kernel": 5}, "1 or 3"),
        ({"class_loss": "hinge"}, '"ohem" or "focal"'),
        ({"separable": "yes"}, "field 'separable' is 'yes'; expected true or false"),
        ({"shared_predictors": 1}, "field 'shared_predictors' is 1; expected true or false"),
        ({"dilation": 0}, "field 'dilation' is 0; expected a whole number, 6 or 1"),
        ({"sizes": None}, "field 'sizes' is missing"),
        ({"base_size": 1_000_000}, r"field 'base_size' is \[1000000, 1000000\]; expected pixels, .* from 1 to 4096"),
        (
            {"filters": [1 << 63]},
            r"field 'filters' is \[9223372036854775808\]; expected whole numbers of channels, from 1 to 65536",
        ),
        ({"post_nms": 1 << 40}, "field 'post_nms' is 1099511627776; expected a whole number, at most 1000000"),
        ({"nms_thresh": 10**400}, "field 'nms_thresh' is 1000000.*; expected a number"),
        ({"nms_topk": 10**5000}, "field 'nms_topk' is a number of 16610 bits; expected a whole number"),
        ({"classes": ["a"] * 10_001}, "field 'classes' has 10001 values; at most 10000 are read"),
    ],
)
def test_a_wrong_row_names_file_field_and_value(change, message):
    row = {k: v for k, v in {**ROW, **change}.items() if v is not None}
    with pytest.raises(CallError, match=f"my.toml: .*{message}"):
        check_preset(row, "my.toml")
    assert isinstance(check_preset(ROW, "my.toml"), Preset)


def test_mean_and_std_of_pixels(tmp_path):
    """Numbers above 1 are of pixels 0..255; all others are of RGB in 0..1."""
    table, preset = tmp_path / "x.toml", find_preset("ssd_300_mobilenet0.25_custom")
    for mean, std, expected in (
        ((123, 117, 104), (1, 1, 1), ((123 / 255, 117 / 255, 104 / 255), (1 / 255,) * 3)),
        ((0, 0, 0), (1, 1, 1), ((0, 0, 0), (1, 1, 1))),
        ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25), ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))),
    ):
        table.write_text(to_toml({**asdict(preset), "mean": mean, "std": std}))
        found = read_preset(table)
        assert (found.mean, found.std) == expected
    table.write_text(to_toml({**asdict(preset), "mean": (123, 117, 104)}))
    with pytest.raises(CallError, match=r"x.toml: mean \[123, 117, 104\] and std \[0.229, 0.224, 0.225\] are of two units"):
        read_preset(table)


@pytest.mark.parametrize("text, message", [
    ("x = " + "[" * 20_000, "nested too deeply|not a TOML file"),
    ("x = " + "{a=" * 5_000, "nested too deeply|not a TOML file"),
    ("base_size = " + "9" * 5_000, "not a TOML file"),
    ("a." * 50_000 + "a = 1", "one of its keys has 32 parts or more"),
    ("\0", "x.toml: cannot be read as a table: not UTF-8 text"),
])  # fmt: skip
def test_hostile_text_is_refused_in_a_line(text, message, tmp_path):
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(CallError, match=message) as caught:
        read_preset(path)
    assert len(str(caught.value)) < 400


def test_a_std_above_255_is_read_again(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text(to_toml({**asdict(find_preset("ssd_300_mobilenet0.25_custom")), "mean": (128,) * 3, "std": (256,) * 3}))
    preset = read_preset(path)
    path.write_text(preset.to_toml())
    assert read_preset(path) == preset and preset.std == (256 / 255,) * 3
