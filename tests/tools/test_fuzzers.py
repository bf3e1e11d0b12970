"""Short runs of the fuzzers, and what they share."""

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")

from ssdzoo.errors import CallError
from tools import fuzz_annotations, fuzz_archives, fuzz_onnx_metadata, fuzz_server, fuzz_symbols, fuzz_tables
from tools.fuzzing import explore, judge_message, mutate_bytes, mutate_tree


@pytest.mark.long
@pytest.mark.parametrize("fuzzer, inputs", [
    (fuzz_symbols, 60), (fuzz_onnx_metadata, 300), (fuzz_tables, 1000), (fuzz_annotations, 200), (fuzz_archives, 300),
    (fuzz_server, 600),
])  # fmt: skip
def test_nothing_but_clear_errors(fuzzer, inputs):
    answers, findings = explore(fuzzer.check, inputs, seed=7, memory=0, seconds=60)
    assert findings == {} and answers.total() == inputs


def test_findings_are_found():
    def check(random, folder):
        kind = int(random.integers(4))
        if kind == 0:
            raise CallError("expected 3, not 5")
        if kind == 1:
            raise KeyError("x")
        if kind == 2:
            raise CallError("")
        return "fine"

    answers, findings = explore(check, 40, memory=0)
    assert set(answers) == {"fine", "expected N not N"} and len(findings) == 2
    assert sum(map(len, findings.values())) + answers.total() == 40


def test_messages_and_mutations():
    assert judge_message("x is 5; expected 3") == (True, "x is ..; expected N")
    assert not judge_message("a\x1b[2J")[0] and not judge_message("")[0]
    tree = {"a": [1, {"b": 2}], "c": "d"}
    first, second = (mutate_tree(np.random.default_rng(1), tree) for _ in range(2))
    assert repr(first) == repr(second) and tree == {"a": [1, {"b": 2}], "c": "d"}
    assert mutate_bytes(np.random.default_rng(1), b"abc") == mutate_bytes(np.random.default_rng(1), b"abc")
