"""mAP of fine-tunings of one model on small data sets, with other settings each time: what the defaults rest on.

    python tools/measure_recipes.py --data ../shared/data --base-weights BASE [--recipes "ssd step;light cosine"]
        [--sets bccd,shapes] [--seeds 0,1] [--out build/recipes]

`--data` holds BCCD (`bccd`) and the raccoons (`raccoon`); the shapes and the characters are drawn. A set has as many epochs with
every recipe. The test images are evaluated with the weights of the last epoch. `results.jsonl` in the folder `--out` gets a
line for each training; those that are there already are not repeated. docs/training.md has the table.
"""

import argparse
import json
import shutil
import sys
import time
from pathlib import Path
from typing import NamedTuple

from ssdzoo.runtime import tune_cpu

tune_cpu()

import ssdzoo  # noqa: E402
from ssdzoo.demo.shapes import write_shapes  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from characters import write_characters  # noqa: E402

MODEL = "ssd_300_mobilenet0.25_s8_custom"


class Part(NamedTuple):
    """A data set: its folder, images to train and to test on, and epochs, which give each about 2,000 images to learn from."""

    folder: str
    train: str
    test: str
    epochs: int


SETS = {
    "bccd": Part("bccd", "train", "test", 10),
    "bccd quarter": Part("bccd", "train[:25%]", "test", 40),
    "raccoon": Part("raccoon", "all[:70%]", "all[70%:]", 15),
    "shapes": Part("shapes", "train", "test", 9),
    "characters": Part("characters", "train", "test", 18),
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
}  # fmt: skip


def measure(model: str, name: str, recipe: str, seed: int, data: Path, base: Path, out: Path, epochs: int | None) -> dict:
    """One training and its test: a line of results.jsonl."""
    part, run = SETS[name], out / "run"
    shutil.rmtree(run, ignore_errors=True)
    settings = {"lr": 0.005, "epochs": epochs or part.epochs, "workers": 1, "eval_every": 1000, **RECIPES[recipe]}
    started = time.perf_counter()
    result = ssdzoo.fine_tune(
        model, data / part.folder, run, split=part.train, val_split="none", base_weights=base, seed=seed, **settings
    )
    seconds = time.perf_counter() - started
    found = ssdzoo.evaluate(run, data / part.folder, split=part.test)
    return {
        "model": model, "set": name, "recipe": recipe, "seed": seed, "epochs": settings["epochs"], "mAP": round(found["mAP"], 4),
        "seconds": round(seconds, 1), "loss": result.rows[-1]["loss"], "AP": {k: round(v, 3) for k, v in found["AP"].items()},
    }  # fmt: skip


def prepare(data: Path, out: Path) -> Path:
    """A folder with all data sets."""
    folder = out / "data"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("bccd", "raccoon"):
        if not (folder / name).exists():
            (folder / name).symlink_to((data / name).resolve())
    for name, write in (("shapes", write_shapes), ("characters", write_characters)):
        if not (folder / name).exists():
            write(folder / name)
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
    folder, results = prepare(given.data, given.out), given.out / "results.jsonl"
    done = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    seen = {tuple(row[key] for key in ("model", "set", "recipe", "seed", "epochs")) for row in done}
    for seed in map(int, given.seeds.split(",")):
        for recipe in given.recipes.split(";"):
            for name in given.sets.split(","):
                if (given.model, name, recipe, seed, given.epochs or SETS[name].epochs) in seen:
                    continue
                row = measure(given.model, name, recipe, seed, folder, given.base_weights, given.out, given.epochs)
                print(json.dumps(row), flush=True)
                with open(results, "a") as file:
                    file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
