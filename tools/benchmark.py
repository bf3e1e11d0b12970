"""Images per second of `ssdzoo train` and of GluonCV's training loop, in alternation on the same machine and data.

    python tools/benchmark.py DATA [--split train] [--repeats 2] [--json]

DATA is a Pascal VOC folder. Each training runs three short epochs, of which the last two count; GluonCV has the threads and the
engine that MXNet gives it by default, ssdzoo those that it chooses. Needs a machine that does nothing else.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EPOCHS, WORKERS = 3, 2
CASES = (  # model, batch size, images per epoch
    ("ssd_300_mobilenet0.25_custom", 8, 160),
    ("ssd_512_resnet50_v1_custom", 2, 12),
    ("ssd_300_vgg16_atrous_custom", 2, 12),
)


def run(*command) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "MXNET_", "KMP_"))}
    environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, env=environment, cwd=ROOT)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stderr}")
    return done.stdout


def ssdzoo_rate(model, data, batch, out) -> tuple:
    """Images per second, and the part of the time in which the data were waited for."""
    run(
        "-m", "ssdzoo", "train", model, data, "--split", "part", "--val-split", "none", "--epochs", EPOCHS, "--batch-size", batch,
        "--workers", WORKERS, "--lr", "1e-4", "--augment", "ssd", "--out", out,
    )  # fmt: skip
    with open(out / "metrics.csv") as file:
        rows = list(csv.DictReader(file))[1:]
    seconds = [1 / float(row["images_per_s"]) for row in rows]  # per image; epochs are equally long
    images = len((data / "ImageSets" / "Main" / "part.txt").read_text().split())
    waited = sum(float(row["data_wait_s"]) for row in rows) / (sum(seconds) * images)
    return len(rows) / sum(seconds), waited


def gluoncv_rate(model, data, batch, classes) -> float:
    names = ",".join(name.lower() for name in classes)
    output = run("tools/gluoncv_train.py", model, data, "part", names, batch, WORKERS, EPOCHS)
    return json.loads(output.splitlines()[-1])["images_per_s"]


def partial_data(source: Path, split: str, count: int, folder: Path) -> Path:
    """The first images of a split as a folder of its own."""
    folder.mkdir()
    for name in ("Annotations", "JPEGImages"):
        (folder / name).symlink_to(source / name)
    (folder / "ImageSets" / "Main").mkdir(parents=True)
    stems = (source / "ImageSets" / "Main" / f"{split}.txt").read_text().split()[:count]
    (folder / "ImageSets" / "Main" / "part.txt").write_text("\n".join(stems) + "\n")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default="train")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from ssdzoo.data import class_names

    classes, results = class_names(arguments.data), []
    if not arguments.json:
        print(f"{'model':34s} {'batch':>5s} {'GluonCV':>9s} {'ssdzoo':>9s} {'ratio':>6s} {'data wait':>10s}")
    for model, batch, count in CASES:
        ours, theirs, waits = [], [], []
        with tempfile.TemporaryDirectory() as temporary:
            data = partial_data(arguments.data.resolve(), arguments.split, count, Path(temporary) / "data")
            for i in range(arguments.repeats):
                theirs.append(gluoncv_rate(model, data, batch, classes))
                rate, waited = ssdzoo_rate(model, data, batch, Path(temporary) / f"run{i}")
                ours.append(rate)
                waits.append(waited)
        row = {
            "model": model, "batch": batch, "gluoncv_images_per_s": theirs, "ssdzoo_images_per_s": ours,
            "ratio": sum(ours) / sum(theirs), "data_wait": sum(waits) / len(waits),
        }  # fmt: skip
        results.append(row)
        if not arguments.json:
            means = [sum(values) / len(values) for values in (theirs, ours)]
            print(
                f"{model:34s} {batch:5d} {means[0]:9.2f} {means[1]:9.2f} {row['ratio']:6.2f} {row['data_wait']:10.1%}", flush=True
            )
    if arguments.json:
        print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
