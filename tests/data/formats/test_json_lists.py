import json

import numpy as np
import pytest

from ssdzoo.data.formats import json_lists
from ssdzoo.data.formats.json_lists import list_pieces


def read(file):
    found: dict = {}
    for key, piece in list_pieces(file):
        found.setdefault(key, []).extend(json.loads(piece))
    return found


def draw(rng, depth=0):
    """A random value with characters that brackets and quotes may be mistaken for."""
    texts = ['a"b', "[{", "\\", '}]\\"', "é", "", "x,y"]
    kind = rng.integers(6 if depth < 4 else 3)
    if kind < 3:
        return [int(rng.integers(100)), None, texts[rng.integers(len(texts))]][kind]
    if kind < 5:
        return [draw(rng, depth + 1) for _ in range(rng.integers(5))]
    return {f"{texts[rng.integers(len(texts))]}{i}": draw(rng, depth + 1) for i in range(rng.integers(4))}


@pytest.mark.parametrize("block", [1, 2, 7, 50, 1 << 22])
@pytest.mark.parametrize("indent", [None, 1])
def test_the_same_as_json_reads(block, indent, tmp_path, monkeypatch):
    monkeypatch.setattr(json_lists, "BLOCK", block)
    rng = np.random.default_rng(block)
    for _ in range(20):
        content = {f'k"[{i}': draw(rng) for i in range(rng.integers(6))}
        (tmp_path / "a.json").write_text(json.dumps(content, indent=indent, ensure_ascii=bool(rng.integers(2))), "utf-8")
        assert read(tmp_path / "a.json") == {key: value for key, value in content.items() if isinstance(value, list)}


def test_a_long_list_comes_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(json_lists, "BLOCK", 64)
    rows = [{"id": i, "outline": [[i] * 9]} for i in range(100)]
    (tmp_path / "a.json").write_text("\ufeff" + json.dumps({"info": {"x": [1]}, "rows": rows}), "utf-8")
    pieces = [json.loads(piece) for _, piece in list_pieces(tmp_path / "a.json")]
    assert len(pieces) > 20 and [row for piece in pieces for row in piece] == rows


@pytest.mark.parametrize("block", [1, 1000])
@pytest.mark.parametrize("text", [
    "", "{", "[]", "[[", "1", '{"a":[1,2}', '{"a":[1]]}', '{"a":[1]} x', '{"a" [1]}', '{"a":[1] "b":[2]}', '{"a":[1],}',
    '{"a":"[1}',
])  # fmt: skip
def test_what_is_no_object(text, block, tmp_path, monkeypatch):
    monkeypatch.setattr(json_lists, "BLOCK", block)
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError):
        read(tmp_path / "a.json")
