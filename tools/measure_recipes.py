"""mAP of fine-tunings of one model on small data sets, with other settings each time: what the defaults rest on.

    python tools/measure_recipes.py --data ../shared/data --base-weights BASE [--recipes "ssd step;light cosine"]
        [--sets bccd,shapes] [--seeds 0,1] [--out build/recipes]

`--data` holds BCCD (`bccd`), the raccoons (`raccoon`) and 100 photos of Pascal VOC (`voc100`, whose split is called test); the
shapes, the characters, the lines and the cards are drawn. A set has as many epochs with every recipe. The test images are
evaluated with the weights of the last epoch. `results.jsonl` in the folder `--out` gets a line for each training; those that are
there already are not repeated. docs/training.md has the table.
"""

import argparse
import json
import shutil
import sys
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ssdzoo.runtime import tune_cpu

tune_cpu()

import ssdzoo  # noqa: E402
from ssdzoo.data import load_dataset  # noqa: E402
from ssdzoo.demo.shapes import write_shapes  # noqa: E402
from ssdzoo.train.auto_rules import few_anchors, grid_levels  # noqa: E402
from ssdzoo.zoo import find_preset  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from cards import write_cards  # noqa: E402
from characters import write_characters, write_lines  # noqa: E402

MODEL = "ssd_300_mobilenet0.25_s8_custom"


class Part(NamedTuple):
    """A data set: its folder, images to train and to test on, and epochs, which give each about 2,000 images to learn from."""

    folder: str
    train: str
    test: str
    epochs: int


SETS = {
    "bccd": Part("bccd", "train", "test", 10),
    "bccd half": Part("bccd", "train[:50%]", "test", 20),
    "bccd quarter": Part("bccd", "train[:25%]", "test", 40),
    "raccoon": Part("raccoon", "all[:70%]", "all[70%:]", 15),
    "photos": Part("voc100", "test[:70%]", "test[70%:]", 28),
    "shapes": Part("shapes", "train", "test", 9),
    "characters": Part("characters", "train", "test", 18),
    "lines": Part("lines", "train", "test", 16),
    "lines of 4": Part("lines4", "train", "test", 16),
    "lines of 3": Part("lines3", "train", "test", 16),
    "cards": Part("cards", "train", "test", 8),
    "cards and suits": Part("suits", "train", "test", 8),
}
RECIPES = {
    "ssd step": {"augment": "ssd", "schedule": "step"},
    "ssd cosine": {"augment": "ssd", "schedule": "cosine"},
    "light step": {"augment": "light", "schedule": "step"},
    "light cosine": {"augment": "light", "schedule": "cosine"},
    "light cosine, twice the rate": {"augment": "light", "schedule": "cosine", "lr": 0.01},
    "light cosine, half the rate": {"augment": "light", "schedule": "cosine", "lr": 0.0025},
    "light cosine, batches of 4": {"augment": "light", "schedule": "cosine", "batch_size": 4},
    "light cosine, no flip": {"augment": "light", "schedule": "cosine", "flip": "none"},
    "light cosine, fitted anchors": {"augment": "light", "schedule": "cosine", "fitted": True},
}  # fmt: skip


def measure(model: str, name: str, recipe: str, seed: int, data: Path, base: Path, out: Path, epochs: int | None) -> dict:
    """One training and its test: a line of results.jsonl."""
    part, run = SETS[name], out / "run"
    shutil.rmtree(run, ignore_errors=True)
    settings = {"lr": 0.005, "epochs": epochs or part.epochs, "workers": 1, "eval_every": 1000, **RECIPES[recipe]}
    trained = with_fitted_anchors(model, data / part.folder, part.train, out) if settings.pop("fitted", False) else model
    started = time.perf_counter()
    result = ssdzoo.fine_tune(
        trained, data / part.folder, run, split=part.train, val_split="none", base_weights=base, seed=seed, **settings
    )
    seconds = time.perf_counter() - started
    found = ssdzoo.evaluate(run, data / part.folder, split=part.test)
    return {
        "model": model, "set": name, "recipe": recipe, "seed": seed, "epochs": settings["epochs"], "mAP": round(found["mAP"], 4),
        "seconds": round(seconds, 1), "loss": result.rows[-1]["loss"], "AP": {k: round(v, 3) for k, v in found["AP"].items()},
    }  # fmt: skip


def with_fitted_anchors(model: str, data: Path, split: str, out: Path) -> Path:
    """The table of a preset with anchors that fit the objects to train on, as `ssdzoo train auto` fits them."""
    dataset = load_dataset(data, split)
    preset = find_preset(model).with_classes(dataset.names)
    table = out / "fitted.toml"
    table.write_text(few_anchors(dataset, preset, grid_levels(preset)).presets[1].to_toml())
    return table


def prepare(data: Path, out: Path, names: list[str]) -> Path:
    """A folder with the data sets of these names."""
    folder = out / "data"
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {
        "shapes": write_shapes, "characters": write_characters, "cards": write_cards, "suits": partial(write_cards, suits=True),
        "lines": write_lines, "lines4": partial(write_lines, length=4), "lines3": partial(write_lines, length=3),
    }  # fmt: skip
    for name in {SETS[name].folder for name in names}:
        if name in drawn and not (folder / name).exists():
            drawn[name](folder / name)
        elif not (folder / name).exists():
            (folder / name).symlink_to((data / name).resolve())
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--base-weights", type=Path, required=True)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--recipes", default=";".join(RECIPES), help="separated by ;")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--out", type=Path, default=Path("build/recipes"))
    given = parser.parse_args()
    sets, recipes, results = given.sets.split(","), given.recipes.split(";"), given.out / "results.jsonl"
    for kind, names, known in (("set", sets, SETS), ("recipe", recipes, RECIPES)):
        if unknown := [name for name in names if name not in known]:
            parser.error(f"no {kind} {unknown[0]!r}; there are {', '.join(known)}")
    folder = prepare(given.data, given.out, sets)
    done = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    seen = {tuple(row[key] for key in ("model", "set", "recipe", "seed", "epochs")) for row in done}
    for seed in map(int, given.seeds.split(",")):
        for recipe in recipes:
            for name in sets:
                if (given.model, name, recipe, seed, given.epochs or SETS[name].epochs) in seen:
                    continue
                row = measure(given.model, name, recipe, seed, folder, given.base_weights, given.out, given.epochs)
                print(json.dumps(row), flush=True)
                with open(results, "a") as file:
                    file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
