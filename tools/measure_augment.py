"""What augmentations and class balance do: AP on the test images of BCCD after short trainings, which differ in one setting.

    python tools/measure_augment.py --data ../shared/data/bccd --base-weights BASE [--cases rare,views] [--seeds 0,1]
        [--epochs 20] [--out build/augment]

`rare` makes the platelets rare: of the training images that show some, RARE stay. It trains without and with class balance.
`views` trains on the first VIEWS of the training images with several augmentations. The weights of the last epoch are evaluated.
`results.jsonl` in the folder `--out` gets a line per training; those that are there already are not repeated. docs/training.md
states the numbers; those of `views` are of 16 epochs and seed 0.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from ssdzoo.runtime import tune_cpu

tune_cpu()

import ssdzoo  # noqa: E402
from ssdzoo.data import load_dataset  # noqa: E402
from ssdzoo.progress import Printed  # noqa: E402

MODEL = "ssd_300_mobilenet0.25_s8_custom"
RARE_CLASS, RARE, VIEWS = "Platelets", 6, 60
EVERY_DIRECTION = {"base": "light", "flip": 0.5, "rotate90": 0.75}  # all eight are equally likely
CASES = {
    "rare": {"light": {}, "light, class balance": {"class_balance": "sqrt"}},
    "views": {
        "light": {},
        "light, mosaic": {"augment": {"base": "light", "mosaic": 0.5}},
        "light, flip, rotate90": {"augment": EVERY_DIRECTION},
        "light, scale": {"augment": {"base": "light", "scale": 0.5}},
        "ssd": {"augment": "ssd"},
    },
}


def link_images(data: Path, folder: Path, case: str) -> Path:
    """A Pascal VOC folder with the images of the case as its split train, and links to the rest."""
    dataset = load_dataset(data, "train")
    rare = np.array([dataset.names.index(RARE_CLASS) in record.class_ids for record in dataset.records])
    kept = (~rare | (np.cumsum(rare) <= RARE)) if case == "rare" else np.arange(len(rare)) < VIEWS
    sets = folder / case / "ImageSets" / "Main"
    sets.mkdir(parents=True, exist_ok=True)
    for part in ("Annotations", "JPEGImages"):
        if not (folder / case / part).exists():
            (folder / case / part).symlink_to((data / part).resolve())
    stems = [dataset.records[i].image.stem for i in np.flatnonzero(kept)]
    (sets / "train.txt").write_text("\n".join(stems))
    (sets / "test.txt").write_text((data / "ImageSets" / "Main" / "test.txt").read_text())
    return folder / case


def measure(case: str, name: str, seed: int, options: argparse.Namespace) -> dict:
    """Trains and evaluates; a plain dict with the numbers."""
    data = link_images(options.data, options.out / "data", case)
    settings = {"augment": "light", "schedule": "cosine", "workers": 0, **CASES[case][name]}
    run, began = options.out / f"{case}-{name}-{seed}".replace(", ", "-").replace(" ", "_"), time.perf_counter()
    ssdzoo.fine_tune(
        MODEL, data, run, base_weights=options.base_weights, val_split="none", seed=seed, epochs=options.epochs,
        progress=Printed(every=30), **settings,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    result = ssdzoo.evaluate(run, data, "test")
    AP = {key: round(float(value), 4) for key, value in result["AP"].items()}
    return {
        "case": case, "name": name, "seed": seed, "epochs": options.epochs, "mAP": round(float(result["mAP"]), 4), "AP": AP,
        "minutes": round(seconds / 60, 1),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--base-weights", type=Path, required=True)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--names", help="with ; in between; all by default")
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("build/augment"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "results.jsonl"
    done = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    for seed in map(int, options.seeds.split(",")):
        for case in options.cases.split(","):
            for name in options.names.split(";") if options.names else CASES[case]:
                key = {"case": case, "name": name, "seed": seed, "epochs": options.epochs}
                if any(key.items() <= result.items() for result in done):
                    continue
                with open(file, "a", encoding="utf-8") as lines:
                    result = measure(case, name, seed, options)
                    lines.write(json.dumps(result) + "\n")
                print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
