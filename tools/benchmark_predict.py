"""Whether `ssdzoo predict --jsonl` keeps its speed and its memory over many images.

    python tools/benchmark_predict.py [--images 20000] [--photos FOLDER] [--model MODEL] [--backend onnxruntime]

It makes a folder of that many links to a few photos, and prints

1. the resident memory of `ssdzoo predict` on the way from a tenth to the last of the images, and its images per second;
2. its images per second against those of `ssdzoo benchmark` with the same backend and photos: each in a process of its own, in
   turns, so that other work on the machine falls on both, and the median of the ratios;
3. the same in one process, with one detector, in turns of 100 images: wall time and time of the processor.

With 20,000 images and ssd_300_mobilenet0.25 it takes about 10 minutes on two cores that do nothing else.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAME = "ssd_300_mobilenet0.25_custom"
_BLOCK = 100  # images of a turn in one process
_POLL = 0.2  # seconds


def prepare_model(folder: Path) -> Path:
    """A run folder with random weights."""
    import ssdzoo
    from ssdzoo.runtime import mx
    from ssdzoo.zoo import find_preset

    preset = find_preset(NAME).with_classes(["a", "b", "c", "d", "e"])
    net = ssdzoo.get_model(preset)
    net.initialize(mx.init.Xavier())
    run = folder / "run"
    run.mkdir()
    (run / "model.toml").write_text(preset.to_toml())
    net.save_parameters(str(run / "best.params"))
    return run


def link_photos(photos: list[Path], count: int, folder: Path) -> Path:
    """A folder of `count` links to the photos, in turn."""
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:07d}.jpg").symlink_to(photos[number % len(photos)])
    return folder


def ssdzoo(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "ssdzoo", *map(str, arguments)]


def predict(model: Path, images: Path, backend: str, out: Path) -> list[str]:
    out.unlink(missing_ok=True)
    return ssdzoo("predict", model, images, "--no-pictures", "--jsonl", out, "--backend", backend, "--json")


def resident(process: int) -> float:
    """MiB of a process in memory; 0 when it has ended."""
    try:
        text = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("VmRSS")), 0.0)


def watch(command: list[str], out: Path, count: int) -> dict:
    """What the command printed; prints its memory on the way."""
    shares, lines = [10, 25, 50, 75, 99], 0
    with tempfile.TemporaryFile("w+") as printed:
        process = subprocess.Popen(command, stdout=printed, stderr=subprocess.DEVNULL, cwd=ROOT)
        while process.poll() is None and not out.exists():
            time.sleep(_POLL)
        with open(out, "rb") as file:
            while process.poll() is None:
                size = resident(process.pid)
                lines += file.read().count(b"\n")
                while shares and size and lines >= count * shares[0] / 100:
                    print(f"   {shares.pop(0)} % of {count:,} images: {size:.1f} MiB", flush=True)
                time.sleep(_POLL)
        if process.returncode:
            sys.exit(f"{command} failed")
        printed.seek(0)
        return json.load(printed)


def in_turns(model: Path, photos: Path, backend: str, rounds: int, folder: Path) -> list[tuple[float, float]]:
    """[(images/s of `benchmark`, images/s of `predict`)] of each round."""
    count, pairs = len(list(photos.iterdir())), []
    for _ in range(rounds):
        command = ssdzoo("benchmark", model, "--images", photos, "--backends", backend, "--count", count, "--rounds", 1)
        done = subprocess.run([*command, "--no-gluoncv", "--json"], capture_output=True, text=True, check=True, cwd=ROOT)
        usual = json.loads(done.stdout)["rows"][0]["images_per_s"]
        command = predict(model, photos, backend, folder / "turn.jsonl")
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
        pairs.append((usual, json.loads(done.stdout)["images_per_s"]))
        print(
            f"   benchmark {pairs[-1][0]:.1f}, predict {pairs[-1][1]:.1f} images/s: {pairs[-1][1] / pairs[-1][0]:.3f}", flush=True
        )
    return pairs


def in_one_process(model: Path, photos: Path, backend: str, rounds: int, folder: Path) -> list[tuple[float, float, float, float]]:
    """[(wall and processor seconds of what `benchmark` measures, those of `append_predictions`)] of each round."""
    from ssdzoo.predict.load import load
    from ssdzoo.report.predictions import append_predictions
    from ssdzoo.report.results_file import ResultsFile
    from ssdzoo.runtime import tune_cpu

    tune_cpu()
    detector, names = load(model, backend), sorted(map(str, photos.iterdir()))[:_BLOCK]
    found = []
    for number in range(rounds + 1):
        times = []
        for appends in (False, True) if number % 2 else (True, False):
            wall, processor = time.perf_counter(), time.process_time()
            if appends:
                with ResultsFile(folder / f"block-{number}.jsonl", {}) as file:
                    append_predictions(detector, names, file, 0.5)
            else:
                for _ in detector.stream(names, 0.5):
                    pass
            times.append((appends, time.perf_counter() - wall, time.process_time() - processor))
        (_, *usual), (_, *appended) = sorted(times)
        found.append((*usual, *appended))
    return found[1:]  # the first one warms up


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20000)
    parser.add_argument("--photos", type=Path, help="folder of JPEG files; by default some are drawn, 640x480")
    parser.add_argument("--model", type=Path, help=f"by default {NAME} with random weights")
    parser.add_argument("--backend", default="onnxruntime")
    parser.add_argument("--rounds", type=int, default=9, help="of the measurements in turns; 0 measures the memory alone")
    parser.add_argument("--count", type=int, default=400, help="images of a turn in a process of its own")
    given = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from ssdzoo.demo.shapes import draw_jpegs

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = sorted(p.resolve() for p in (given.photos or Path(draw_jpegs(name))).rglob("*.jpg"))
        model = given.model.resolve() if given.model else prepare_model(folder)
        many, few = link_photos(photos, given.images, folder / "many"), link_photos(photos, given.count, folder / "few")
        print("1. memory", flush=True)
        done = watch(predict(model, many, given.backend, folder / "all.jsonl"), folder / "all.jsonl", given.images)
        print(f"   {done['images']:,} images, {done['runtime']}, {os.cpu_count()} cores: {done['images_per_s']:.1f} images/s")
        if not given.rounds:
            return
        print(f"2. {given.count} images in processes of their own, in turns")
        pairs = in_turns(model, few, given.backend, given.rounds, folder)
        print(f"   median of the ratios: {statistics.median(b / a for a, b in pairs):.3f}", flush=True)
        blocks = in_one_process(model, few, given.backend, 2 * given.rounds, folder)
        speed, work = statistics.median(u / a for u, _, a, _ in blocks), statistics.median(a / u for _, u, _, a in blocks)
        print(f"3. in one process, {_BLOCK} images in turns: images/s {speed:.3f}, time of the processor {work:.3f}")


if __name__ == "__main__":
    main()
