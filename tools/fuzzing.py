"""What the fuzzers share: damaged values, trees and bytes, and the loop that runs a reader on them in a process of its own.

A fuzzer has a function `check(random, folder)`. It makes one input from `random`, writes it into the empty `folder`, gives it to
the code, and returns a few words that are counted. `main(check, __doc__)` runs it. An input passes where `check` returns, or
raises one of ssdzoo's errors with a short printable message. Every other exception, a crash, a hang and too much memory are
findings: their folders are kept, one for each kind.

20,000 inputs of seed 901 each for symbols, archives, annotations, tables and ONNX metadata found nothing.
"""

import argparse
import multiprocessing
import re
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ssdzoo.errors import SSDZooError

Check = Callable[[np.random.Generator, Path], str]

# Values that readers of JSON and TOML are bad at.
ODD_VALUES = (
    None, True, False, 0, -1, 1, 2, 4, 5, 8, 255, 20_000, 1_000_000, 1 << 31, 1 << 40, 1 << 63, -(1 << 63), 10**400, 0.5, -0.0,
    1e-320, 1e308, float("inf"), float("-inf"), float("nan"), "", "0", "8", "a", "None", "nan", "\x1b[2J\x1b]0;x\x07", "a\0b",
    "\ud800", "../../x", "x" * 20_000, "\u202e\n\r\t", [], [[]], [0], [1, 1], [-1, -1], [1, 2, 3], [1, 2, 3, 4], ["a"],
    {}, {"a": 1},
)  # fmt: skip
MESSAGE = 1500  # maximum characters of an error: a few paths, and values that are shortened


def odd_value(random: np.random.Generator) -> Any:
    return _copy(ODD_VALUES[int(random.integers(len(ODD_VALUES)))])


def mutate_tree(random: np.random.Generator, tree: Any, injuries: int = 3) -> Any:
    """A copy of a tree of dicts and lists after 1 to `injuries` random changes: values replaced, removed, repeated or swapped."""
    tree = _copy(tree)
    for _ in range(int(random.integers(1, injuries + 1))):
        places = list(_places(tree))
        if not places:
            return odd_value(random)
        parent, key = places[int(random.integers(len(places)))]
        kind = int(random.integers(6))
        if kind <= 2:
            parent[key] = odd_value(random)
        elif kind == 3:
            del parent[key]
        elif kind == 4 and isinstance(parent, list):
            parent[key:key] = [_copy(parent[key])] * int(random.integers(1, 4))
        else:
            other, at = places[int(random.integers(len(places)))]
            parent[key] = _copy(other[at])
    return tree


def mutate_bytes(random: np.random.Generator, data: bytes, injuries: int = 4) -> bytes:
    """`data` after 1 to `injuries` random changes of bits and bytes, cuts, repetitions and insertions."""
    changed = bytearray(data)
    for _ in range(int(random.integers(1, injuries + 1))):
        at, kind = int(random.integers(len(changed) + 1)), int(random.integers(5))
        end = at + int(random.integers(1, 40))
        if kind == 0 and at < len(changed):
            changed[at] ^= 1 << int(random.integers(8))
        elif kind == 1 and at < len(changed):
            changed[at] = int(random.integers(256))
        elif kind == 2:
            del changed[at:]
        elif kind == 3:
            changed[at:end] = b"" if random.integers(2) else bytes(changed[at:end]) * 2
        else:
            changed[at:at] = random.bytes(int(random.integers(1, 24)))
    return bytes(changed)


def _copy(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _copy(value) for key, value in tree.items()}
    return [_copy(value) for value in tree] if isinstance(tree, (list, tuple)) else tree


def _places(tree: Any) -> Any:
    """Yields (dict or list, key or index) of every value in a tree."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield tree, key
        yield from _places(value)


def explore(check: Check, inputs: int, seed: int = 0, first: int = 0, seconds: float = 20, memory: int = 4096,
            keep: Path | None = None, budget: float = 1e9) -> tuple[Counter, dict[str, list]]:  # fmt: skip
    """What `check` says to `inputs` inputs, as ({answer: count}, {finding: numbers of the inputs}).

    Input i depends on `seed` and i alone.

    Args:
        first: number of the first input.
        seconds: maximum time of one input.
        memory: MiB of address space of the process that runs them; 0 sets no limit.
        keep: folder for the first input of each finding.
        budget: seconds after which no further input is begun.
    """
    answers: Counter = Counter()
    findings: dict[str, list] = {}
    fork = multiprocessing.get_context("fork")
    end = time.monotonic() + budget
    with tempfile.TemporaryDirectory() as root:
        number = first
        while number < first + inputs and time.monotonic() < end:
            ours, theirs = fork.Pipe()
            process = fork.Process(target=_work, args=(check, seed, number, first + inputs, Path(root), memory, theirs))
            process.start()
            theirs.close()
            while number < first + inputs and time.monotonic() < end:
                finding = None
                try:
                    # A new process may import mxnet first.
                    if ours.poll(seconds + 30):
                        passed, answer = ours.recv()
                        answers.update([answer] if passed else [])
                        finding = None if passed else answer
                    else:
                        finding = f"a hang of more than {seconds:g} seconds"
                        process.kill()
                except EOFError:
                    process.join()
                    finding = f"the process ended with {process.exitcode}"
                if finding:
                    if keep and finding not in findings:
                        shutil.copytree(
                            Path(root) / str(number), keep / f"input-{seed}-{number}", dirs_exist_ok=True, ignore=_unfit
                        )
                    findings.setdefault(finding, []).append(number)
                shutil.rmtree(Path(root) / str(number), ignore_errors=True)
                number += 1
                if finding and (finding.startswith("a hang") or finding.startswith("the process")):
                    break
            ours.close()
            process.kill()
            process.join()
    return answers, findings


def _unfit(folder: str, names: list) -> list:
    """What is not kept of an input: FIFOs, links, and files of more than a MiB. The input can be made again from its number."""
    kept = [name for name in names if (path := Path(folder, name)).is_dir() or (path.is_file() and path.stat().st_size < 1 << 20)]
    return [name for name in names if name not in kept or Path(folder, name).is_symlink()]


def _work(check: Check, seed: int, number: int, stop: int, root: Path, memory: int, pipe: Any) -> None:
    """Sends (whether it passed, answer) of each input."""
    if memory:
        resource.setrlimit(resource.RLIMIT_AS, (memory << 20,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for i in range(number, stop):
        folder = root / str(i)
        folder.mkdir()
        try:
            answer = True, check(np.random.default_rng((seed, i)), folder)
        except SSDZooError as error:
            answer = judge_message(str(error).replace(str(folder), "FOLDER"))
        except BaseException as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            words = re.sub(r"[\d'\"(\[].*", "", str(error))[:60]
            answer = False, f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}: {words!r}"
        pipe.send(answer)


def judge_message(message: str) -> tuple[bool, str]:
    """Whether an error's message can be shown, and the message without what differs from input to input."""
    if len(message) > MESSAGE:
        return False, f"a message of thousands of characters: {message[:80]!r}"
    if not message or any(not c.isprintable() and c != "\n" for c in message) or message.count("\n") > 3:
        return False, f"a message that can't be shown: {message[:80]!r}"
    message = re.sub(r" is .*; expected", " is ..; expected", message, flags=re.S)
    words = re.sub(r"'[^']*'|\"[^\"]*\"|\[[^\]]*\]|\([^)]*\)", "..", message)
    return True, re.sub(r"-?\d[\d.,e+]*", "N", words)[:80]


def main(check: Check, doc: str, memory: int = 4096, seconds: float = 20) -> None:
    """The command line of a fuzzer; exits with 1 where there is a finding."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--memory", type=int, default=memory, help="MiB of address space")
    parser.add_argument("--seconds", type=float, default=seconds, help="maximum time of one input")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"), help="folder for the inputs of findings")
    parser.add_argument("--budget", type=float, default=1e9, help="seconds after which no further input is begun")
    a = parser.parse_args()
    since = time.perf_counter()
    answers, findings = explore(check, a.inputs, a.seed, a.first, a.seconds, a.memory, a.keep, a.budget)
    for answer, count in answers.most_common():
        print(f"{count:8d}  {answer}")
    for finding, numbers in findings.items():
        print(f"FINDING {len(numbers)} times, first input {numbers[0]} of seed {a.seed}: {finding}")
    count = answers.total() + sum(map(len, findings.values()))
    print(f"{count} inputs in {time.perf_counter() - since:.0f} s; {len(findings)} kinds of findings")
    sys.exit(1 if findings else 0)
