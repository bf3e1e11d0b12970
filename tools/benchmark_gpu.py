"""Images per second of training and of prediction on a GPU, with torch and with onnxruntime; needs no data.

    python tools/benchmark_gpu.py [--device cuda:0] [--train ssd_512_resnet50_v1_custom] [--predict ssd_300_vgg16_atrous_voc]
        [--train-batch 32] [--batches 1,8,32] [--seconds 10] [--workers 16] [--only training|prediction] [--json]

Training: steps of `ssdzoo train --engine torch` on drawn images of 640x480 pixels, read from JPEG files, cropped and flipped; and
without the loading, one batch on the device again and again. Its float32 is torch's own, which rounds to TF32 in convolutions.
Prediction: from the same files to their detections, as `ssdzoo predict` finds them; and without the loading, from a batch in the
computer's memory that is of the network's size, NMS included. torch runs as it is ("eager") and compiled, in float32 (without
TF32, as `--backend torch` does) and in bf16, or in f16 where the GPU has no bf16; onnxruntime through each provider of its
package that fits the device, which decides on TF32 itself. Weights are random. What fails is printed with its reason, and the
rest is measured.

Building the network needs mxnet. A machine that does nothing else gives numbers that mean something; the first minutes go into
compiling, and TensorRT's into a minute or more for each batch size. A trial on the CPU:

    python tools/benchmark_gpu.py --device cpu --train ssd_300_mobilenet0.25_custom --predict ssd_300_mobilenet0.25_custom
        --train-batch 2 --batches 1,2 --seconds 1 --workers 0
"""

import argparse
import gc
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import chain, count, cycle, islice, repeat
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ssdzoo.data import Dataset
from ssdzoo.data.images import encode_image
from ssdzoo.data.loading.loader import AHEAD, Batch, Loader
from ssdzoo.data.record import Record
from ssdzoo.demo.shapes import SHAPES, draw_scene
from ssdzoo.export import to_torch
from ssdzoo.export.rule import rule_of
from ssdzoo.machine import cores, package_version, versions
from ssdzoo.measure.benchmark import find_subject
from ssdzoo.model_source import ModelSource, resolve
from ssdzoo.predict.backends.protocol import Backend
from ssdzoo.predict.backends.torch import BF16_SINCE, TorchBackend, torch_device
from ssdzoo.predict.detector import Detector
from ssdzoo.runtime import tune_cpu
from ssdzoo.train.settings import Arguments
from ssdzoo.train.torch.engine import TorchEngine
from ssdzoo.train.torch.start import join, start_engine
from ssdzoo.zoo import find_preset

WARM_UP = 5  # calls that are not counted; the first compiles
IMAGES = 64  # that are drawn; an epoch goes through them again and again
PACKAGES = ("torch", "onnxruntime", "onnxruntime-gpu", "mxnet", "numpy")


def draw_data(folder: Path) -> Dataset:
    """Drawn scenes of 640x480 pixels as JPEG files, named again and again, so that an epoch hardly ends while it is measured."""
    names, records = list(SHAPES), []
    for i in range(IMAGES):
        image, boxes, found = draw_scene(np.random.default_rng(i))
        (folder / f"{i}.jpg").write_bytes(encode_image(cv2.resize(image, (640, 480)), ".jpg"))
        none, ids = np.zeros(len(boxes), bool), np.array([names.index(name) for name in found], np.int32)
        records.append(Record(folder / f"{i}.jpg", boxes * 2, ids, none, none, 480, 640))
    return Dataset(names, records * 1000, [])


def rate(images: int, seconds: float, action: Callable, *given: Any, warm_up: int = 0) -> float:
    """Images per second of calls of `action` that take `images` each, after WARM_UP and `warm_up` calls that do not count."""
    for _ in range(WARM_UP + warm_up):
        action(*given)
    wait_for_gpu()
    calls, started = 0, time.perf_counter()
    while calls < 3 or time.perf_counter() - started < seconds:
        action(*given)
        calls += 1
    wait_for_gpu()
    return round(images * calls / (time.perf_counter() - started), 2)


def wait_for_gpu() -> None:
    """Waits until the GPU has done what it was given: a step returns before its update of the weights is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def training(model: str, device: str, batch: int, workers: int, seconds: float, data: Dataset, folder: Path) -> Iterator[dict]:
    """Rows of a model's training: with its data loading, and without."""
    preset = find_preset(model).with_classes(data.names)
    for amp, compiled in ((False, False), (True, False), (True, True)):
        row = {"what": "training", "model": model, "batch": batch}
        row["runtime"] = f"torch {'compiled' if compiled else 'eager'} {half(device) if amp else 'f32'}"
        try:
            settings = {"engine": "torch", "batch_size": batch, "amp": amp, "compile": compiled, "base_weights": "none"}
            arguments = Arguments.of({"model": model, "data": folder, "out": folder / "run", **settings})
            arguments = replace(arguments, settings=arguments.settings.completed(preset, from_scratch=True))
            engine, _ = start_engine(arguments, preset, join(arguments.settings, device))
            with Loader(data, batch, preset.base_size, arguments.settings.augment, workers=workers) as loader:
                batches = engine.ahead(chain.from_iterable(map(loader.epoch, count())))
                # The workers have prepared these while the first step was compiled.
                row["images_per_s"] = rate(batch, seconds, step, engine, batches, warm_up=AHEAD * workers)
                row["images_per_s_without_loading"] = rate(batch, seconds, step, engine, repeat(engine.place(next(batches))))
            engine.finish()
        except Exception as error:  # of torch's compiler, the driver, and others: the rest is measured all the same
            row["error"] = reason(error)
        yield row
        engine = batches = None
        free()


def half(device: str) -> str:
    """The half precision that the device, or the GPU that was chosen, computes fastest."""
    lacking = device != "cpu" and torch.cuda.is_available() and torch.cuda.get_device_capability() < BF16_SINCE
    return "f16" if lacking else "bf16"


def step(engine: TorchEngine, batches: Iterator[Batch]) -> None:
    engine.step([next(batches)], 1e-5)


def prediction(model: str, device: str, batches: list, seconds: float, images: list[Path], folder: Path) -> Iterator[dict]:
    """Rows of a model's detections, from files and from batches in memory."""
    subject = find_subject(model, folder)
    source = resolve(subject.model, subject.weights)
    for runtime, make in runtimes(source, device):
        backend = None
        for batch in batches:
            row = {"what": "prediction", "model": model, "batch": batch, "runtime": runtime}
            try:
                backend = backend or make()
                detector = Detector(backend, source.preset, batch)
                row["images_per_s"] = stream_rate(detector, images, seconds)
                made = np.stack([detector.prepare(images[i % len(images)])[1] for i in range(batch)])
                with ThreadPoolExecutor(backend.in_flight) as callers:
                    calls = [made] * backend.in_flight
                    row["images_per_s_without_loading"] = rate(batch * len(calls), seconds, each, callers, backend, calls)
                row["version"] = backend.runtime
            except Exception as error:
                row["error"] = reason(error)
            yield row
        backend = None
        free()


def each(callers: ThreadPoolExecutor, backend: Backend, calls: list) -> None:
    """Calls a backend with each of `calls` at once; a single one in this thread, as a Detector does."""
    list(callers.map(backend, calls) if len(calls) > 1 else map(backend, calls))


def stream_rate(detector: Detector, images: list[Path], seconds: float) -> float:
    """Images per second of a Detector that reads files, after those of WARM_UP batches."""
    found = detector.stream(cycle(images))
    for _ in islice(found, WARM_UP * detector.batch_size):
        pass
    number, started = 0, time.perf_counter()
    while number < 3 * detector.batch_size or time.perf_counter() - started < seconds:
        number += sum(1 for _ in islice(found, detector.batch_size))
    return round(number / (time.perf_counter() - started), 2)


def runtimes(source: ModelSource, device: str) -> list[tuple[str, Callable]]:
    """(name, function that makes a backend) of what is measured."""

    def of_torch(precision: str, compiled: bool) -> TorchBackend:
        module = to_torch(source).to(torch_device(device)).to(memory_format=torch.channels_last)
        return TorchBackend(
            torch.compile(module, dynamic=False) if compiled else module, source.preset, rule_of(source), precision
        )

    found = [
        (f"torch {'compiled' if compiled else 'eager'} {precision}", partial(of_torch, precision, compiled))
        for precision, compiled in (("f32", False), (half(device), False), (half(device), True))
    ]
    if not any(package_version(name) for name in ("onnxruntime", "onnxruntime-gpu")):
        return found
    import onnxruntime

    from ssdzoo.predict.backends.onnxruntime import OnnxRuntimeBackend
    from ssdzoo.predict.onnx_cache import cached_onnx

    def of_onnxruntime(name: str) -> OnnxRuntimeBackend:
        options = {} if name == "CPU" else {"device_id": torch_device(device).index or 0}
        names = ("Tensorrt", "CUDA") if name == "Tensorrt" else (name,)  # CUDA runs what TensorRT has not
        backend = OnnxRuntimeBackend(cached_onnx(source), [(f"{n}ExecutionProvider", options) for n in names])
        # Where it cannot load the libraries of a provider, it says nothing and runs on the CPU.
        if f" {name}" not in backend.runtime:
            raise RuntimeError(f"onnxruntime could not start {name} and would run as {backend.runtime}")
        return backend

    for name in ("CPU",) if device == "cpu" else ("CUDA", "Tensorrt"):
        if f"{name}ExecutionProvider" in onnxruntime.get_available_providers():
            found.append((f"onnxruntime {name}", partial(of_onnxruntime, name)))
    return found


def reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200] if lines else ''}"


def free() -> None:
    """Gives the memory of the last network back."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def about(device: str) -> dict:
    """What is measured on."""
    if device == "cpu":
        return {"device": f"CPU, {cores()} cores", "versions": versions(PACKAGES)}
    place = torch_device(device)
    capability = "{}.{}".format(*torch.cuda.get_device_capability(place))
    name = f"{torch.cuda.get_device_name(place)}, compute capability {capability}"
    return {"device": name, "cuda": torch.version.cuda, "versions": versions(PACKAGES)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--train", default="ssd_512_resnet50_v1_custom")
    parser.add_argument("--predict", default="ssd_300_vgg16_atrous_voc")
    parser.add_argument("--train-batch", type=int, default=32)
    parser.add_argument("--batches", default="1,8,32")
    parser.add_argument("--seconds", type=float, default=10, help="of each measurement")
    parser.add_argument("--workers", type=int, default=min(16, cores()), help="processes that load images")
    parser.add_argument("--only", choices=("training", "prediction"))
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.device == "cpu":
        tune_cpu()
    else:
        torch.cuda.set_device(torch_device(given.device))  # for what is synchronized, and what caches give back
        torch.backends.cudnn.benchmark = True  # as `--engine torch` and `--backend torch` do
    result = {**about(given.device), "rows": []}
    if not given.json:
        print(result["device"])
        print(f"{'':10s} {'model':28s} {'runtime':24s} {'batch':>5s} {'images/s':>10s} {'without loading':>16s}", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder, parts = Path(temporary), []
        data = draw_data(folder)
        if given.only != "prediction":
            parts.append(training(given.train, given.device, given.train_batch, given.workers, given.seconds, data, folder))
        if given.only != "training":
            batches = [int(number) for number in given.batches.split(",")]
            images = [record.image for record in data.records[:IMAGES]]
            parts.append(prediction(given.predict, given.device, batches, given.seconds, images, folder))
        for row in (row for part in parts for row in part):
            result["rows"].append(row)
            if not given.json:
                numbers = [row.get(key, "") for key in ("images_per_s", "images_per_s_without_loading")]
                shown = f"{numbers[0]!s:>10s} {numbers[1]!s:>16s}" if "error" not in row else row["error"]
                print(f"{row['what']:10s} {row['model']:28s} {row['runtime']:24s} {row['batch']:5d} {shown}", flush=True)
    if given.json:
        print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
