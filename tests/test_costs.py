"""The counted costs of the zoo, and costs of other presets."""

import os
import subprocess
import sys
from dataclasses import replace
from importlib import resources

import pytest

import ssdzoo
from ssdzoo import costs
from ssdzoo.costs import Cost, count_cost, find_cost, preset_key
from ssdzoo.toml_file import parse_toml
from ssdzoo.zoo import find_preset


def test_the_counted_costs_are_those_of_the_presets():
    """Where this fails, run tools/count_costs.py."""
    rows = parse_toml((resources.files("ssdzoo") / "costs.toml").read_text("utf-8"), "costs.toml")
    assert list(rows) == ssdzoo.list_models()
    assert {name: row["preset"] for name, row in rows.items()} == {name: preset_key(find_preset(name)) for name in rows}
    for name in ("ssd_300_vgg16_atrous_voc", "ssd_320x512_mobilenet1.0_s8_custom", "ssd_320_mobilenetv2_1.0_lite_custom"):
        assert Cost(rows[name]["parameters"], rows[name]["macs"]) == count_cost(find_preset(name)), name


@pytest.mark.long
def test_all_counted_costs():
    rows = parse_toml((resources.files("ssdzoo") / "costs.toml").read_text("utf-8"), "costs.toml")
    for name, row in rows.items():
        assert Cost(row["parameters"], row["macs"]) == count_cost(find_preset(name)), name


def test_other_presets_are_counted(monkeypatch):
    preset = find_preset("ssd_300_mobilenet0.25_custom")
    known = find_cost(preset)
    # One class less is one output less of each of 2268 anchors' class heads.
    fewer = find_cost(preset.with_classes([f"other {i}" for i in range(19)]))
    assert 0 < known.parameters - fewer.parameters < 0.05 * known.parameters and fewer.macs < known.macs
    monkeypatch.setattr(costs, "count_cost", lambda preset: pytest.fail("counted again"))
    assert find_cost(replace(preset, name="mine").with_classes([f"other {i}" for i in range(20)])) == known


def test_a_preset_key_is_of_what_is_built():
    preset = find_preset("ssd_300_mobilenet0.25_custom")
    assert preset_key(preset) == preset_key(replace(preset, name="x")) == preset_key(preset.with_classes(map(str, range(20))))
    others = [replace(preset, base_size=(320, 300)), preset.with_classes("ab"), find_preset("ssd_300_mobilenet0.25_s8_custom")]
    assert len({preset_key(p) for p in [preset, *others]}) == 4


def test_the_zoo_is_listed_without_mxnet(tmp_path):
    code = (
        "import sys; sys.modules['mxnet'] = sys.modules['gluoncv'] = None\n"
        "from ssdzoo.cli import main\nmain(['models', '*300_vgg16_atrous*'])"
    )
    nothing_measured = {**os.environ, "SSDZOO_CACHE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=nothing_measured)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[3].split()[-2:] == ["26.3M", "31.37"]
