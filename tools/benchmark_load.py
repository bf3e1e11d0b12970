"""Times of `predict`, `eval` and `train` on a machine that is quiet, busy, or limited by a quota.

    python tools/benchmark_load.py [--other CHECKOUT] [--rounds 3] [--jobs predict:mxnet,train] [--json FILE]

It prints a table: a row for each job and each condition, and a column for each way to choose the threads.

Jobs are predict:mxnet, predict:onnxruntime and predict:openvino (milliseconds of an image, batch 1: the mean of 3 seconds, in
which the scheduler takes many turns), eval (60 images) and train (an epoch of 48 images; both in seconds), with
ssd_300_mobilenet0.25_custom. Each runs in a process of its own, in turn with the others.

    quiet      nothing else runs
    busy       beside one process for each core that does nothing but spin
    two        two of the same job at once
    quota N    in a control group with the time of N processors (needs root)

    here       the threads that this checkout chooses
    other      those that another checkout chooses (--other)
    one        one thread: OMP_NUM_THREADS=1

It takes about 15 minutes on two cores.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAME = "ssd_300_mobilenet0.25_custom"
JOBS = ("predict:mxnet", "predict:onnxruntime", "predict:openvino", "eval", "train")
CONDITIONS = ("quiet", "busy", "two", "quota 1", "quota 2")
_SECONDS, _WARM_UP = 3.0, 5
_VARIABLES = ("OMP_", "MXNET_", "GOMP_", "KMP_", "OPENCV_")
_GROUPS = Path("/sys/fs/cgroup")


def prepare(folder: Path) -> None:
    """The data set, the table and the weights of all jobs."""
    import ssdzoo
    from ssdzoo.demo.shapes import write_shapes
    from ssdzoo.export.onnx_file import export_onnx
    from ssdzoo.runtime import mx
    from ssdzoo.zoo import find_preset

    write_shapes(folder / "data", 48, 1, 60)
    preset = find_preset(NAME).with_classes(["circle", "cross", "square", "star", "triangle"])
    net = ssdzoo.get_model(preset)
    net.initialize(mx.init.Xavier())
    (folder / "run").mkdir()
    (folder / "run" / "model.toml").write_text(preset.to_toml())
    net.save_parameters(str(folder / "run" / "best.params"))
    export_onnx(folder / "run", folder / "net.onnx")


def predict(folder: Path, backend: str) -> float:
    """Milliseconds of an image."""
    from ssdzoo import runtime

    runtime.tune_cpu()
    import numpy as np

    import ssdzoo

    detector = ssdzoo.load(folder / ("run" if backend == "mxnet" else "net.onnx"), backend=backend)
    image = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    for _ in range(_WARM_UP):
        detector(image)
    start, count = time.perf_counter(), 0
    while time.perf_counter() < start + _SECONDS:
        detector(image)
        count += 1
    return 1000 * (time.perf_counter() - start) / count


def command(job: str, folder: Path, checkout: Path) -> list[str]:
    """The command line of a job."""
    python = [sys.executable]
    if job == "eval":
        return [*python, "-m", "ssdzoo", "eval", str(folder / "run"), str(folder / "data"), "--split", "test", "--json"]
    if job == "train":
        out = tempfile.mkdtemp(dir=folder)
        arguments = [str(folder / "run" / "model.toml"), str(folder / "data"), "--out", f"{out}/run", "--epochs", "1"]
        arguments += ["--weights", str(folder / "run" / "best.params"), "--batch-size", "8", "--workers", "1"]
        return [*python, "-m", "ssdzoo", "train", *arguments, "--val-split", "none"]
    return [*python, str(Path(__file__).resolve()), "--measure", job.partition(":")[2], "--folder", str(folder)]


def run(job: str, folder: Path, checkout: Path, variables: dict, copies: int, group: Path | None) -> float:
    """Milliseconds of an image, or seconds of a process; the mean of all copies that run at once."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(_VARIABLES)}
    environment.update(variables, PYTHONPATH=str(checkout))
    join = (lambda: (group / "cgroup.procs").write_text(str(os.getpid()))) if group else None
    start = time.perf_counter()
    processes = [
        subprocess.Popen(
            command(job, folder, checkout), env=environment, cwd=folder, text=True, preexec_fn=join,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(copies)
    ]  # fmt: skip
    results = []
    for process in processes:
        out, errors = process.communicate()
        if process.returncode:
            sys.exit(f"{job} failed:\n{errors}")
        results.append(float(out) if job.startswith("predict") else time.perf_counter() - start)
    return statistics.mean(results)


@contextmanager
def busy() -> Iterator[None]:
    """A spinning process for each core."""
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in os.sched_getaffinity(0)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


@contextmanager
def quota(processors: int) -> Iterator[Path]:
    """A control group with the time of some processors."""
    version_1 = _GROUPS / "cpu" / "cpu.cfs_quota_us"
    top = version_1.parent if version_1.is_file() else _GROUPS
    group = top / f"ssdzoo-benchmark-{os.getpid()}"
    group.mkdir()
    try:
        if version_1.is_file():
            (group / "cpu.cfs_quota_us").write_text(str(100_000 * processors))
        else:
            (group / "cpu.max").write_text(f"{100_000 * processors} 100000")
        yield group
    finally:
        for _ in range(50):  # a process stays in its group for a moment after it has ended
            try:
                group.rmdir()
                break
            except OSError:
                time.sleep(0.1)


def measure(job: str, condition: str, folder: Path, ways: dict, rounds: int) -> dict:
    """{way: median over the rounds} of a job under a condition."""
    found: dict[str, list] = {way: [] for way in ways}
    with ExitStack() as stack:
        if condition == "busy":
            stack.enter_context(busy())
        group = stack.enter_context(quota(int(condition[-1]))) if condition.startswith("quota") else None
        for _ in range(rounds):
            for way, (checkout, variables) in ways.items():
                found[way].append(run(job, folder, checkout, variables, 2 if condition == "two" else 1, group))
    return {way: round(statistics.median(values), 2) for way, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--other", type=Path, help="a checkout of another version")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", default=",".join(JOBS))
    parser.add_argument("--conditions", default=",".join(CONDITIONS))
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(predict(arguments.folder, arguments.measure))
        return
    ways = {"here": (ROOT, {}), "one": (ROOT, {"OMP_NUM_THREADS": "1", "MXNET_ENGINE_TYPE": "NaiveEngine"})}
    if arguments.other:
        ways["other"] = (arguments.other.resolve(), {})
    conditions = [c for c in arguments.conditions.split(",") if os.geteuid() == 0 or not c.startswith("quota")]
    rows = []
    print(f"{'job':20s} {'condition':10s}" + "".join(f"{way:>10s}" for way in ways) + f"{'here/one':>10s}")
    with tempfile.TemporaryDirectory() as folder:
        sys.path.insert(0, str(ROOT))
        prepare(Path(folder))
        for job in arguments.jobs.split(","):
            for condition in conditions:
                found = measure(job, condition, Path(folder), ways, arguments.rounds)
                rows.append({"job": job, "condition": condition, **found})
                values = "".join(f"{value:10.1f}" for value in found.values())
                print(f"{job:20s} {condition:10s}{values}{found['here'] / found['one']:10.2f}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
