"""The tables of augmentations, and what is refused in them."""

from dataclasses import fields
from pathlib import Path

import pytest

from ssdzoo.augmentation.named import NAMES, augmentation_of, find_augmentation, named_augmentation
from ssdzoo.augmentation.table import Augmentation, Blur, Colors, Crop, Expand, Mirror, Rotate
from ssdzoo.errors import CallError
from ssdzoo.preset import check_preset, read_preset
from ssdzoo.toml_file import parse_toml
from tests.train.jobs import TABLE

ALL = {f.name: 0.25 for f in fields(Augmentation)}


def test_the_named_ones():
    ssd = Augmentation(expand=Expand(0.5), crop=Crop(1.0), mirror=Mirror(0.5), colors=Colors(1.0))
    light = Augmentation(crop=Crop(0.3), mirror=Mirror(0.5), colors=Colors(0.5))
    assert [named_augmentation(name) for name in NAMES] == [ssd, light, Augmentation()]
    assert ssd.expand.ratio == (1, 4) and ssd.crop.min_iou == (0, 0.1, 0.3, 0.5, 0.7, 0.9) and ssd.colors.hue == (-18, 18)


def test_a_table_starts_from_its_base():
    table = {"base": "light", "mirror": 0, "rotate": {"probability": 0.5, "degrees": [-5, 5]}, "blur": {"probability": 1}}
    found = augmentation_of(table, "here")
    assert found.crop == Crop(0.3) and found.mirror == Mirror(0) and found.blur == Blur(1, (0.5, 1.5))
    assert found.rotate == Rotate(0.5, (-5, 5), 0.3)
    assert augmentation_of({"mirror": 1}, "here") == Augmentation(mirror=Mirror(1))
    assert augmentation_of({}, "here") == Augmentation() == augmentation_of({"blur": {"probability": 0, "sigma": [1, 2]}}, "here")


def test_plain_values_and_back():
    made = augmentation_of(ALL, "here")
    table = made.to_table()
    assert list(table) == [f.name for f in fields(Augmentation)] and table["blur"] == {"probability": 0.25, "sigma": [0.5, 1.5]}
    assert find_augmentation(table) == made == find_augmentation(made)
    assert list(named_augmentation("light").to_table()) == ["crop", "colors", "mirror"]


@pytest.mark.parametrize(
    "table, message",
    [
        ({"mosiac": 0.5}, r"t: unknown operation 'mosiac'; do you mean 'mosaic'\?"),
        ({"xyz": 0.5}, "t: unknown operation 'xyz'; the operations are mosaic, expand, scale, crop, rotate, colors, gra"),
        ({"flip": 1.5}, "t: probability of flip is 1.5; expected a number from 0 to 1"),
        ({"flip": -0.1}, "probability of flip is -0.1"),
        ({"flip": True}, "probability of flip is True; expected a number"),
        ({"flip": float("nan")}, "probability of flip is nan"),
        ({"flip": "often"}, "probability of flip is 'often'"),
        ({"flip": {}}, "t: flip has no probability"),
        ({"rotate": {"degrees": [-5, 5]}}, "rotate has no probability"),
        ({"rotate": {"probability": 1, "degrees": [5, -5]}}, r"degrees of rotate is \[5, -5\]; expected \[lowest, highest\]"),
        ({"rotate": {"probability": 1, "degrees": [-90, 90]}}, r"expected \[lowest, highest\] from -45 to 45"),
        ({"rotate": {"probability": 1, "degrees": 10}}, "degrees of rotate is 10; expected"),
        ({"rotate": {"probability": 1, "degrees": [1, 2, 3]}}, "degrees of rotate"),
        ({"rotate": {"probability": 1, "degress": [-5, 5]}}, r"rotate has no field 'degress'; do you mean 'degrees'\?"),
        ({"flip": {"probability": 1, "angle": 5}}, "flip has no field 'angle'; the fields of flip are probability"),
        ({"scale": {"probability": 1, "ratio": [0, 1]}}, "ratio of scale"),
        ({"crop": {"probability": 1, "min_iou": []}}, "min_iou of crop is .*; expected a list of numbers from 0 to 1"),
        ({"crop": {"probability": 1, "min_iou": [[1]]}}, "min_iou of crop is a list of 1"),
        ({"base": "lihgt"}, r"t: base is 'lihgt'; expected ssd, light, none; do you mean 'light'\?"),
        ({"base": 5}, "base is 5"),
        ([0.5], "t: a list of 1 is no table; expected operations"),
    ],
)
def test_what_a_table_cannot_hold(table, message):
    with pytest.raises(CallError, match=message):
        augmentation_of(table, "t")


def test_files(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('base = "light"\nmosaic = 0.5\n[blur]\nprobability = 0.1\nsigma = [1, 2]\n')
    found = find_augmentation(path)
    assert found == find_augmentation(str(path)) and found.mosaic.probability == 0.5 and found.blur == Blur(0.1, (1, 2))
    path.write_text("mosaic = \n")
    with pytest.raises(CallError, match=r"mine.toml: not a TOML file"):
        find_augmentation(path)
    with pytest.raises(CallError, match=r"other.toml: cannot be read as a table: No such file"):
        find_augmentation(tmp_path / "other.toml")
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(CallError, match=r"no augmentation .*; the name of a table ends with .toml"):
        find_augmentation(tmp_path / "mine.txt")
    for value, hint in (("lite", r"; do you mean 'light'\?"), ("wild", ", and tables .* of your own"), (5, "there are ssd")):
        with pytest.raises(CallError, match=f"no augmentation .*{hint}"):
            find_augmentation(value)


def test_the_documentation_lists_every_field_with_its_default():
    page = (Path(__file__).parents[1] / "docs" / "training.md").read_text("utf-8")
    for operation in fields(Augmentation):
        line = next(line for line in page.splitlines() if line.startswith(f"| `{operation.name}` |"))
        for field in fields(operation.default):
            shown = list(field.default) if isinstance(field.default, tuple) else field.default
            assert field.name == "probability" or f"`{field.name}` = {shown}" in line
    for name in NAMES:
        shown = ", ".join(f"`{key} = {values['probability']}`" for key, values in named_augmentation(name).to_table().items())
        assert shown in page


def test_a_models_table(tmp_path):
    path = tmp_path / "model.toml"
    path.write_text(TABLE + '[augment]\nbase = "light"\nmosaic = 0.5\n')
    preset = read_preset(path)
    assert preset.augment == augmentation_of({"base": "light", "mosaic": 0.5}, "here")
    assert check_preset(parse_toml(preset.to_toml(), "again"), "again") == preset
    assert "[augment]\nmosaic = { probability = 0.5, center = [0.3, 0.7], scale = [0.5, 1.0], min_visible = 0.3 }\ncrop = " in (
        preset.to_toml()
    )
    path.write_text(TABLE)
    assert read_preset(path).augment is None and "augment" not in read_preset(path).to_toml()
    path.write_text(TABLE + "[augment]\nmosaik = 0.5\n")
    with pytest.raises(CallError, match=rf"{path}: augment: unknown operation 'mosaik'; do you mean 'mosaic'\?"):
        read_preset(path)
    path.write_text("augment = 0.5\n" + TABLE)
    with pytest.raises(CallError, match="field 'augment' is 0.5; expected a table of operations"):
        read_preset(path)
