import pytest

import ssdzoo
from ssdzoo.errors import CallError
from ssdzoo.registry import Preset, check_preset, find_preset, read_preset, read_tables

ROW = {
    "name": "mine", "backbone": "mobilenet0.25", "base_size": 300, "features": ["relu10_fwd", "relu26_fwd"], "filters": [64],
    "sizes": [20, 40, 80, 160], "ratios": [[1, 2, 0.5]] * 3,
}  # fmt: skip


def test_names():
    names = ssdzoo.list_models()
    assert len(names) == 49 and names == sorted(names)
    assert ssdzoo.list_models("*mobilenet*") == [
        "ssd_300_mobilenet0.25_coco", "ssd_300_mobilenet0.25_custom", "ssd_300_mobilenet0.25_s8_custom",
        "ssd_300_mobilenet0.25_voc", "ssd_300_mobilenet0.5_custom", "ssd_300_mobilenet0.5_s8_custom",
        "ssd_300_mobilenet1.0_lite_coco", "ssd_300_mobilenet1.0_lite_custom", "ssd_300_mobilenet1.0_s8_custom",
        "ssd_320_mobilenetv2_1.0_lite_custom", "ssd_320x512_mobilenet1.0_s8_custom",
        "ssd_512_mobilenet0.25_s8_custom", "ssd_512_mobilenet0.5_s8_custom",
        "ssd_512_mobilenet1.0_coco", "ssd_512_mobilenet1.0_custom", "ssd_512_mobilenet1.0_s8_custom",
        "ssd_512_mobilenet1.0_voc",
    ]  # fmt: skip
    assert ssdzoo.list_models("no such thing") == []


def test_every_published_model_has_a_custom_sibling():
    names = set(ssdzoo.list_models())
    assert {n.rsplit("_", 1)[0] + "_custom" for n in names} <= names


@pytest.mark.parametrize("name", ["ssd_512_mobilenet1_0_voc", "SSD_512_MobileNet1.0_VOC"])
def test_old_spellings(name):
    assert find_preset(name).name == "ssd_512_mobilenet1.0_voc"


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(CallError, match="no model 'ssd_300_vgg16_atrous_vco'; do you mean ssd_300_vgg16_atrous_voc"):
        ssdzoo.get_model("ssd_300_vgg16_atrous_vco")
    with pytest.raises(CallError, match="`ssdzoo models` lists them"):
        ssdzoo.get_model("yolo")


def test_a_custom_model_needs_classes():
    with pytest.raises(CallError, match="needs classes="):
        ssdzoo.get_model("ssd_300_vgg16_atrous_custom")


def test_other_classes_for_a_published_architecture():
    net = ssdzoo.get_model("ssd_300_mobilenet0.25_voc", classes=["cat", "dog", "cup"])
    assert net.classes == ["cat", "dog", "cup"]
    assert net.class_predictors[0].predictor.weight.shape[0] == 4 * 4


def test_pretrained_on_a_custom_model_is_ignored_with_a_warning():
    with pytest.warns(UserWarning, match="no published weights"):
        ssdzoo.get_model("ssd_300_mobilenet0.25_custom", classes=["a"], pretrained=True)


@pytest.mark.parametrize("name", ssdzoo.list_models())
def test_a_row_survives_the_way_through_a_file(name, tmp_path):
    preset = find_preset(name)
    (tmp_path / "model.toml").write_text(preset.to_toml(), "utf-8")
    assert read_preset(tmp_path / "model.toml") == preset


def test_a_users_table(tmp_path):
    path = tmp_path / "my_preset.toml"
    path.write_text(
        'backbone = "mobilenet0.25"\nbase_size = [96, 160]\nfeatures = ["relu10_fwd", "relu26_fwd"]\nfilters = [64]\n'
        "sizes = [20, 40, 80, 160]\nratios = [[1, 2], [1, 2, 0.5], [1]]\n"
    )
    assert find_preset(path).name == "my_preset"
    net = ssdzoo.get_model(path, classes=["a"])
    assert net.map_sizes(96, 160) == [(12, 20), (3, 5), (2, 3)]
    assert [g.num_depth for g in net.anchor_generators] == [3, 4, 2]


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
        ({"filters": [64, 64]}, "makes 4 maps; there are 3"),
        ({"size": [1, 2]}, "unknown field 'size'; do you mean 'sizes'"),
        ({"classes": ["a", "a"]}, "field 'classes' .* different names"),
        ({"std": [0, 1, 1]}, "three positive numbers"),
        ({"anchor_generator": "yolo"}, '"ssd" or "lite"'),
        ({"predictor_kernel": 5}, "1 or 3"),
        ({"class_loss": "hinge"}, '"ohem" or "focal"'),
        ({"separable": "yes"}, "field 'separable' is 'yes'; expected true or false"),
        ({"shared_predictors": 1}, "field 'shared_predictors' is 1; expected true or false"),
        ({"dilation": 0}, "field 'dilation' is 0; expected a whole number, 6 or 1"),
        ({"sizes": None}, "field 'sizes' is missing"),
    ],
)
def test_a_wrong_row_names_file_field_and_value(change, message):
    row = {k: v for k, v in {**ROW, **change}.items() if v is not None}
    with pytest.raises(CallError, match=f"my.toml: .*{message}"):
        check_preset(row, "my.toml")
    assert isinstance(check_preset(ROW, "my.toml"), Preset)


def test_a_wrong_row_in_a_folder_of_tables(tmp_path):
    (tmp_path / "classes.toml").write_text('voc = ["a"]')
    text = '[ssd_9]\nbackbone = "x"\nbase_size = 9\nratios = [[1]]\n[ssd_9.voc]\nsizes = [1, 2]\n'
    (tmp_path / "good.toml").write_text(text)
    assert list(read_tables(tmp_path)) == ["ssd_9_voc"]
    (tmp_path / "twice.toml").write_text(text)
    with pytest.raises(CallError, match=r"twice.toml, row \[ssd_9.voc\]: 'ssd_9_voc' is there twice"):
        read_tables(tmp_path)
    (tmp_path / "twice.toml").write_text(text.replace("ssd_9", "ssd_8").replace("[1, 2]", "[1]"))
    with pytest.raises(CallError, match=r"twice.toml, row \[ssd_8.voc\]: field 'sizes'"):
        read_tables(tmp_path)


def test_files_that_are_no_tables(tmp_path):
    with pytest.raises(CallError, match="missing.toml: cannot be read"):
        find_preset(tmp_path / "missing.toml")
    (tmp_path / "bad.toml").write_text("sizes = [1,")
    with pytest.raises(CallError, match="bad.toml: not a TOML file"):
        find_preset(tmp_path / "bad.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CallError, match="binary.toml: cannot be read"):
        find_preset(tmp_path / "binary.toml")
