"""How fast a model finds objects: each runtime in a process of its own, in alternation, with GluonCV where it is installed.

`python -m ssdzoo.measure.benchmark` is such a process: its task comes as JSON on standard input, its answer on standard output.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from ssdzoo.costs import with_some_classes
from ssdzoo.errors import CallError, SSDZooError
from ssdzoo.files import write_text
from ssdzoo.formats.params_file import write_params
from ssdzoo.machine import package_version
from ssdzoo.model_source import NetworkSource, resolve
from ssdzoo.predict.detector import Detector
from ssdzoo.predict.load import load
from ssdzoo.preset import Preset, read_preset
from ssdzoo.runtime import gluoncv, mxnet, tune_cpu
from ssdzoo.zoo import list_models

GLUONCV = "gluoncv"
INT8 = "-int8"  # after a backend's name: with the network in int8
_CHOSEN = ("OMP_", "MXNET_", "KMP_", "DMLC_")  # settings that a process of ours makes for itself
_WARM_UP = 3
_CALIBRATED = 20  # images; more would change the result, but hardly its speed


class Subject(NamedTuple):
    """What is measured.

    Attributes:
        model: a table, or an exported model.
        weights: the parameter file of a table.
        name: of the preset, under which GluonCV may know the model, which is then a table with a parameter file; else None.
        trained: False for random weights.
        given: other arguments of `ssdzoo.load`, by name, for an exported model that does not say them: `mean`, `std` and so on.
    """

    model: str | Path
    weights: str | Path | None = None
    name: str | None = None
    trained: bool = True
    given: Mapping[str, Any] = MappingProxyType({})

    def load(self, backend: str) -> Detector:
        return load(self.model, backend, weights=self.weights, **self.given)


class Task(NamedTuple):
    """One measurement, which a process of its own does.

    Attributes:
        subject: what is measured.
        runtime: GLUONCV, or one of `runtimes()`.
        batch: images per call of the network.
        images: paths of JPEG files.
    """

    subject: Subject
    runtime: str
    batch: int
    images: Sequence[str | Path]

    def to_json(self) -> str:
        subject = {**self.subject._asdict(), "given": dict(self.subject.given)}
        return json.dumps({**self._asdict(), "subject": subject}, default=str)

    @classmethod
    def from_json(cls, text: str) -> "Task":
        task = json.loads(text)
        return cls(**{**task, "subject": Subject(**task["subject"])})


def runtimes(backends: list[str]) -> list[str]:
    """What can be measured with these backends: each of them, and those that run ONNX again with the network in int8, which only
    onnxruntime's tools can make."""
    int8 = [name + INT8 for name in backends if name not in ("mxnet", "torch")] if "onnxruntime" in backends else []
    return [*backends, *int8]


def benchmark(subject: Subject, images: list, backends: list[str], batches: Sequence[int] = (1,), rounds: int = 2,
              against_gluoncv: bool = True, progress: Callable[[str], None] | None = None) -> list[dict]:  # fmt: skip
    """Rows of measurements, one for each runtime and batch size.

    Args:
        images: paths of JPEG files.
        backends: some of `runtimes()`. What runs in int8 is calibrated on `images` (`ssdzoo.export.int8.quantize`).
        batches: images per call of the network.
        rounds: how often each runtime is measured, in turns, so that a noisy machine is unfair to none.
        progress: called with a line of text before each measurement.

    Returns:
        [{"runtime", "batch", "net_ms": {"p50", "p90", "p99"}, "image_ms": {...}, "images_per_s"}]: the time of a call of
        the network, that of one image after another from its file to its detections, and how many images get through when
        files are read while the network works. GluonCV has neither batches nor reading ahead here, as in its demos.

    Raises:
        SSDZooError: a measurement failed.
    """
    tasks = [(backend, batch) for backend in backends for batch in batches]
    if against_gluoncv and subject.name and importlib.util.find_spec("gluoncv"):
        tasks.insert(0, (GLUONCV, 1))
    taken: dict[tuple, list] = {task: [] for task in tasks}
    say = progress or (lambda line: None)
    with tempfile.TemporaryDirectory() as folder:
        quantized = Path(folder) / "int8.onnx"
        if any(backend.endswith(INT8) for backend in backends):
            say("calibration of int8")
            _write_int8(subject, images, quantized)
        for number in range(rounds):
            for runtime, batch in tasks:
                if None in taken[runtime, batch]:  # GluonCV does not know the model
                    continue
                say(f"round {number + 1} of {rounds}: {runtime}, batch {batch}")
                which = Subject(quantized) if runtime.endswith(INT8) else subject
                taken[runtime, batch].append(_measure_apart(Task(which, runtime, batch, images)))
    return [_row(runtime, batch, results) for (runtime, batch), results in taken.items() if None not in results]


def _write_int8(subject: Subject, images: list, out: Path) -> None:
    from ssdzoo.export.int8.quantize import quantize_onnx

    detector = subject.load("onnxruntime")
    chosen = list(dict.fromkeys(images))[:_CALIBRATED]
    # Random weights do not show how many convolutions must stay in float.
    float_first = None if subject.trained else 1
    assert detector.backend.file  # onnxruntime runs a file
    quantize_onnx(detector.backend.file, out, (detector.prepare(path)[1][None] for path in chosen), float_first)


def _row(runtime: str, batch: int, results: list) -> dict:
    def percentiles(key):
        values = np.concatenate([result[key] for result in results]) * 1000
        return {f"p{p}": round(float(np.percentile(values, p)), 3) for p in (50, 90, 99)}

    rates = [result["images_per_s"] for result in results]
    return {
        "runtime": runtime, "version": results[0]["version"], "batch": batch, "net_ms": percentiles("net"),
        "image_ms": percentiles("image"), "images_per_s": round(float(np.mean(rates)), 3),
    }  # fmt: skip


def _measure_apart(task: Task) -> dict | None:
    """What `_measure` says, in a process of its own."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(_CHOSEN)}
    command = [sys.executable, "-m", "ssdzoo.measure.benchmark"]
    done = subprocess.run(command, input=task.to_json(), capture_output=True, text=True, env=environment)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
        raise SSDZooError(f"the measurement of {task.runtime} failed: {lines[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def _measure(task: Task) -> dict | None:
    """{"net", "image": seconds of each call, "images_per_s", "version"}; None for a model that GluonCV does not know."""
    if task.runtime == GLUONCV:
        return _measure_gluoncv(task)
    tune_cpu()
    detector, images = task.subject.load(task.runtime.removesuffix(INT8)), task.images
    detector.batch_size = batch = task.batch
    one = [detector.prepare(path)[1] for path in images[:batch]]
    pixels = np.stack([one[i % len(one)] for i in range(batch)])
    net = _times(lambda _: detector.backend(pixels), range(max(5, len(images) // batch)))
    image = _times(lambda path: detector(path), images)
    many = [*images] * batch
    started = time.perf_counter()
    for _ in detector.stream(many, 0.5):
        pass
    rate = len(many) / (time.perf_counter() - started)
    return {"net": net, "image": image, "images_per_s": rate, "version": detector.runtime}


def _measure_gluoncv(task: Task) -> dict | None:
    """GluonCV's network hybridized, with its own reading and transform, one image after another; threads and engine are MXNet's
    defaults."""
    mx, gcv = mxnet(), gluoncv()
    from gluoncv.data.transforms.presets.ssd import SSDDefaultValTransform

    subject = task.subject
    if subject.name is None or subject.name not in gcv.model_zoo.get_model_list():
        return None
    preset = read_preset(subject.model)
    known = {"classes": list(preset.classes or ())} if subject.name.endswith("_custom") else {}
    net = gcv.model_zoo.get_model(subject.name, pretrained=False, pretrained_base=False, **known)
    net.load_parameters(str(subject.weights))
    net.hybridize()
    transform = SSDDefaultValTransform(preset.base_size[1], preset.base_size[0])

    def prepare(path):
        return transform(mx.image.imread(path), np.zeros((1, 5)))[0].expand_dims(0)

    def detect(pixels):
        return [output.asnumpy() for output in net(pixels)]

    first = prepare(task.images[0])
    first.wait_to_read()
    net_times = _times(lambda _: detect(first), range(max(5, len(task.images))))
    image_times = _times(lambda path: detect(prepare(path)), task.images)
    rate = len(image_times) / sum(image_times)
    return {
        "net": net_times,
        "image": image_times,
        "images_per_s": rate,
        "version": f"gluoncv {package_version('gluoncv') or gcv.__version__}",
    }


def _times(action: Callable, items: Iterable) -> list[float]:
    """Seconds of each call, after a few that are not counted."""
    items, times = list(items), []
    for item in items[:_WARM_UP]:
        action(item)
    for item in items:
        started = time.perf_counter()
        action(item)
        times.append(time.perf_counter() - started)
    return times


def find_subject(model: str | Path, folder: str | Path, weights: str | Path | None = None, **given: Any) -> Subject:
    """What a user calls a model: a table and a parameter file, written to `folder`, with random parameters for a preset without
    weights; or an exported model as it is.

    Args:
        model, weights, given: arguments of `ssdzoo.model_source.resolve`.

    Raises:
        CallError: no such model.
    """
    source = resolve(model, weights, **given)
    if not isinstance(source, NetworkSource):
        return Subject(source.model, given=given)
    preset, trained, table = with_some_classes(source.preset), source.has_weights, Path(folder) / "model.toml"
    params = source.params if trained else _write_random(preset, Path(folder) / "random.params")
    write_text(table, preset.to_toml())
    return Subject(table, params, preset.name if preset.name in list_models() else None, trained)


def _write_random(preset: Preset, path: Path) -> Path:
    """Random parameters of a preset."""
    from ssdzoo.build import get_model  # mxnet, which a process that measures imports after `tune_cpu`
    from ssdzoo.runtime import mx

    net = get_model(preset)
    net.initialize(mx.init.Xavier())
    write_params(path, {name: p.data().asnumpy() for name, p in net._collect_params_with_prefix().items()})
    return path


def list_jpegs(images: str | Path, count: int) -> list[Path]:
    """The JPEGs of a folder and the folders in it, from the first one again until there are `count`.

    Raises:
        CallError: there are none.
    """
    found = sorted(p for p in Path(images).rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
    if not found:
        raise CallError(f"{images}: no {'JPEG files in this folder' if Path(images).is_dir() else 'such folder'}")
    return [found[i % len(found)] for i in range(count)]


if __name__ == "__main__":
    print(json.dumps(_measure(Task.from_json(sys.stdin.read()))))
