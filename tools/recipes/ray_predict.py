"""Detections of many images on a Ray cluster, written line by line as `ssdzoo predict --jsonl` writes them.

    pip install 'ssdzoo[onnx,ray]'
    python tools/recipes/ray_predict.py MODEL IMAGES... --out found.jsonl [--workers 2] [--address auto] [--resume]
        [--parquet found.parquet]

Each worker is an actor that loads the model once. The names of the images go to the workers and their detections come back, never
the pixels: MODEL and IMAGES must be readable on each machine, as on a shared file system or at s3:// addresses. The lines are
written by this process alone, once the batch they are from is complete. So an image whose worker dies is predicted again by
another one and written once, and after the death of this process --resume continues.

--parquet writes a Parquet file of the lines, too, with a row for each. This process writes it when all lines are there: Ray's own
`write_parquet` would let each worker write files, and could not continue them after a death. So each image is in it once, and it
is whole or not there at all; --resume writes it again.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray
import ray.data

from ssdzoo.errors import CallError, DataError, SSDZooError
from ssdzoo.files import replacing
from ssdzoo.model_source import resolve
from ssdzoo.predict.sources import list_names
from ssdzoo.predict.stream import is_video, stream_names
from ssdzoo.report.predictions import error_entry, found_entry
from ssdzoo.report.results_file import ResultsFile, results_settings

BATCH = 32  # images that a worker takes at once, and does again when it died meanwhile
_BLOCKS = 5000  # tasks of Ray at most
_ROWS = 10_000  # of a group in a Parquet file
_DETECTION = pa.struct(
    [("class", pa.string()), ("class_id", pa.int32()), ("score", pa.float64()), ("box", pa.list_(pa.float64(), 4))]
)
_COLUMNS = pa.schema(
    {
        "image": pa.string(), "frame": pa.int64(), "width": pa.int32(), "height": pa.int32(),
        "detections": pa.list_(_DETECTION), "error": pa.string(),
    }
)  # fmt: skip


class Predictor:
    """A worker: a detector that is loaded when it starts."""

    def __init__(self, model: str, backend: str, score: float):
        from ssdzoo.predict.load import load
        from ssdzoo.runtime import tune_cpu

        tune_cpu()  # for as many cores as Ray gives to the worker
        self._detector, self._score = load(model, backend), score

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[str]]:
        """{"line": JSON} of each image and each frame of {"name": JSON, "done": number of frames that are known}."""
        names, entries = [json.loads(name) for name in batch["name"]], []
        done = {name: int(count) for name, count in zip(names, batch["done"]) if count}
        for found in stream_names(
            self._detector, names, self._score, lambda name, error: entries.append(error_entry(name, error)), done
        ):
            entries.append(found_entry(found))
        return {"line": [json.dumps(entry) for entry in entries]}


def predict(
    names: list[str], done: dict[str, int], model: str, backend: str, score: float, workers: int, cores: float
) -> Iterator:
    """Yields the line of each image, in any order."""
    # As JSON, because a name may hold bytes that are not UTF-8, which Arrow refuses.
    rows = [{"name": json.dumps(name), "done": done.get(name, 0)} for name in names if is_video(name) or name not in done]
    if not rows:
        return
    blocks = min(_BLOCKS, -(-len(rows) // BATCH))
    results = ray.data.from_items(rows, override_num_blocks=blocks).map_batches(
        Predictor,
        fn_constructor_args=(model, backend, score),
        batch_size=BATCH,
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=cores,
    )
    for row in results.iter_rows():
        yield json.loads(row["line"])


def write_parquet(lines: Path, path: Path) -> None:
    """Writes the rows of a file of JSON lines as a Parquet file, in place of one that is there."""
    with open(lines, "rb") as file, replacing(path) as temporary, pq.ParquetWriter(temporary, _COLUMNS) as writer:
        while some := list(islice(file, _ROWS)):
            writer.write_table(pa.Table.from_pylist([_row(json.loads(line)) for line in some], _COLUMNS))


def _row(entry: dict) -> dict:
    """A line for Arrow, which has no bytes that are not UTF-8: in a name, and in an error with it, they become \\xff."""
    texts = {key: entry[key].encode("utf-8", "surrogateescape") for key in ("image", "error") if key in entry}
    return entry | {key: text.decode("utf-8", "backslashreplace") for key, text in texts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("images", nargs="*", help="as those of `ssdzoo predict`")
    parser.add_argument("--from-list", help="file with the path of an image on each line")
    parser.add_argument("--out", required=True, type=Path, help="file of JSON lines")
    parser.add_argument("--resume", action="store_true", help="continue that file")
    parser.add_argument("--score", type=float, default=0.5)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cores", type=float, default=1, help="of each worker")
    parser.add_argument("--parquet", type=Path, help="file of Parquet with the same lines, written when all are done")
    parser.add_argument("--address", help="of a cluster, or auto; by default one is started on this machine")
    given = parser.parse_args()
    names = list(dict.fromkeys(list_names(given.images, given.from_list)))
    settings = results_settings(resolve(given.model), given.score)
    with ResultsFile(given.out, settings, given.resume) as file:
        ray.init(address=given.address, include_dashboard=False, **({} if given.address else {"num_cpus": given.workers}))
        count = 0
        for line in predict(names, file.done, given.model, given.backend, given.score, given.workers, given.cores):
            file.add(line)
            count += 1
        ray.shutdown()
    if given.parquet:
        write_parquet(given.out, given.parquet)
    print(f"{count:,} lines: {given.out}")
    if failed := sum(name in file.failed for name in names):
        raise DataError(f'{failed} of {len(names)} images could not be read; in {given.out} each has a line with its "error"')


if __name__ == "__main__":
    try:
        main()
    except SSDZooError as error:
        print(f"ray_predict.py: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, CallError) else 1)
