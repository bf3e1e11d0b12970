"""Reads damaged tables and tables' text, and builds what they describe: python tools/fuzz_tables.py --inputs 20000

Each input is a preset's table, or a sidecar, with 1 to 3 changed values, or with changed bytes. Tables that can be read are
written again and must stay the same.

20,000 inputs of seed 100 gave clear errors or equal presets. It showed that a key of 5,000 parts takes a second (such keys are
refused now), and that a table with a std above 255 could not be read again.
"""

import sys
from pathlib import Path

import tomli_w

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ssdzoo.preset import read_fields, read_preset
from tools.fuzzing import main, mutate_bytes, mutate_tree

ROW = {
    "name": "mine", "backbone": "mobilenet0.25", "base_size": [300, 300], "features": ["relu10_fwd", "relu26_fwd"],
    "filters": [64], "sizes": [20, 40, 80, 160], "ratios": [[1, 2, 0.5], [1, 2, 0.5], [1]], "steps": [8, 16, 32],
    "classes": ["a", "b"], "anchor_generator": "ssd", "predictor_kernel": 3, "min_depth": 16, "reduce_ratio": 1.0,
    "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "nms_thresh": 0.45, "nms_topk": 400, "post_nms": 100,
    "class_loss": "ohem", "shared_predictors": False, "separable": True, "dilation": 6,
    "augment": {
        "base": "light", "mosaic": 0.5, "rotate": {"probability": 0.5, "degrees": [-5, 5], "min_visible": 0.3},
        "crop": {"probability": 1, "min_iou": [0.1, 0.5]},
    },
}  # fmt: skip
_TEXTS = (
    "x = " + "[" * 20_000, "x = " + "9" * 5_000, "a." * 5_000 + "a = 1", "[" * 5_000, "x = " + "{a=" * 5_000, "\0", "\ufeff",
)  # fmt: skip


def _whole(value):
    """A value that TOML can hold."""
    if isinstance(value, dict):
        return {str(key): _whole(v) for key, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_whole(v) for v in value if v is not None]
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def check(random, folder: Path) -> str:
    row = mutate_tree(random, ROW) if random.integers(4) else ROW
    text = tomli_w.dumps(_whole(row) if isinstance(row, dict) else {}).encode()
    kind = int(random.integers(8))
    if kind == 0:
        text = mutate_bytes(random, text)
    elif kind == 1 and random.integers(8) == 0:
        text = str(random.choice(_TEXTS)).encode()
    path = folder / "x.toml"
    path.write_bytes(text)
    if kind == 2:
        return f"{len(read_fields(path)) > 0} fields"
    preset = read_preset(path)
    (folder / "again.toml").write_text(preset.to_toml(), "utf-8")
    assert read_preset(folder / "again.toml") == preset, "another preset the second time"
    return "read"


if __name__ == "__main__":
    main(check, __doc__, memory=1024)
