"""Feeds damaged parameter files to the reader, and counts what it says: python tools/fuzz_params.py --inputs 200000

Anything but an error that names a place, or arrays no larger than the file, stops it, with the input in fuzz-params-crash.bin.
`--memory` limits the process in MiB, so that an allocation that only a header claims fails loudly.
"""

import argparse
import io
import resource
import struct
import sys
import time
import tracemalloc
from collections import Counter
from functools import lru_cache
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ssdzoo.errors import WeightsError
from ssdzoo.formats.params_file import read_params, read_stream, write_params

# Numbers that formats are bad at: borders of widths and signs, and this format's own magic numbers.
_ODD = [0, 1, 2, 7, 12, 31, 32, 33, 127, 128, 255, 0x112, 1 << 15, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32]
_ODD += [0xF993FAC8, 0xF993FAC9, 0xF993FACA, 1 << 40, 1 << 47, 1 << 53, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]


@lru_cache(maxsize=1)
def seeds() -> tuple:
    """Small whole files of every generation and dtype."""
    files = []
    for dtype in ("f4", "f8", "f2", "u1", "i1", "i4", "i8", "?"):
        files.append(_written({"arg:a_weight": np.ones((2, 3), dtype), "aux:b_mean": np.zeros(4, dtype), "c": np.ones(1, dtype)}))
    files.append(_written({"scalar": np.float32(1), "empty": np.zeros((0, 3), np.float32), "x": np.arange(5.0)}))
    body = struct.pack("<III3i2f", 2, 1, 2, 1, 0, 0, 1, 2)
    first = struct.pack("<QQQ", 0x112, 0, 2) + body * 2
    files.append(first + struct.pack("<QQ1sQ1s", 2, 1, b"x", 1, b"y"))
    files.append(first + struct.pack("<Q", 0))
    v1 = struct.pack("<Ii2q3i2f", 0xF993FAC8, 2, 1, 2, 1, 0, 0, 1, 2)
    files.append(struct.pack("<QQQ", 0x112, 0, 1) + v1 + struct.pack("<QQ1s", 1, 1, b"x"))
    return tuple(files)


def _written(arrays: dict) -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        write_params(Path(folder) / "x", arrays)
        return (Path(folder) / "x").read_bytes()


def mutate(random, files: tuple) -> bytes:
    """One of `files` after 1 to 4 random injuries."""
    data = bytearray(files[random.integers(len(files))])
    for _ in range(random.integers(1, 5)):
        at = int(random.integers(len(data))) if data else 0
        kind = random.integers(7)
        if kind == 0 and data:
            data[at] ^= 1 << int(random.integers(8))
        elif kind == 1 and data:
            data[at] = int(random.integers(256))
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            width = int(random.choice([1, 2, 4, 8]))
            number = _ODD[random.integers(len(_ODD))] & ((1 << 8 * width) - 1)
            at = at // 4 * 4 if random.integers(2) else at
            data[at : at + width] = number.to_bytes(width, "little")
        elif kind == 4:
            end = at + int(random.integers(1, 40))
            data[at:end] = b"" if random.integers(2) else bytes(data[at:end]) * 2
        elif kind == 5:
            other = files[random.integers(len(files))]
            data[at:] = other[int(random.integers(len(other))) :]
        else:
            data[at:at] = random.bytes(int(random.integers(1, 24)))
    return bytes(data)


def check(data: bytes, path: Path | None = None) -> str:
    """What the reader makes of `data`: "read", or its error without numbers. With a `path` it goes through that file, and what
    was read is written and read again.

    Raises:
        AssertionError: more arrays than the file can hold, an error without a place, or other arrays the second time.
    """
    try:
        if path is not None:
            path.write_bytes(data)
        found = read_stream(io.BytesIO(data), len(data), "bytes") if path is None else read_params(path)
    except WeightsError as error:
        message = str(error)
        assert "byte " in message, message
        return " ".join(word for word in message.split("byte ", 1)[1].split() if not any(c.isdigit() for c in word))[:60]
    assert sum(array.nbytes for array in found.values()) <= len(data)
    if path is not None:
        write_params(path, found)
        again = read_params(path)
        assert list(again) == list(found)
        for name, array in found.items():
            assert (array.dtype, array.shape, array.tobytes()) == (again[name].dtype, again[name].shape, again[name].tobytes())
    return "read"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--memory", type=int, default=2048, help="MiB of address space")
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (arguments.memory << 20,) * 2)
    random, counts, since, peak = np.random.default_rng(arguments.seed), Counter(), time.perf_counter(), 0
    seeds()
    file = Path("fuzz-params-crash.bin")
    for i in range(arguments.inputs):
        data = mutate(random, seeds())
        traced = i % 100 == 0  # tracing slows it down ten times
        try:
            if traced:
                tracemalloc.start()
            # Every tenth through a real file, the others from memory.
            counts[check(data, file if i % 10 == 0 else None)] += 1
            if traced:
                peak = max(peak, tracemalloc.get_traced_memory()[1])
                tracemalloc.stop()
        except BaseException:
            file.write_bytes(data)
            print(f"input {i} of seed {arguments.seed} broke the reader: it is in {file}")
            raise
    file.unlink(missing_ok=True)
    for what, count in counts.most_common():
        print(f"{count:8d}  {what}")
    seconds = time.perf_counter() - since
    print(f"{arguments.inputs} inputs in {seconds:.0f} s; most memory of one (every 100th measured) {peak} bytes")


if __name__ == "__main__":
    main()
