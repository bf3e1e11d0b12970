"""Public functions have complete type hints: the package carries py.typed, and mypy alone does not ask for them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import ssdzoo

ROOT = Path(ssdzoo.__file__).parent
ROOMS = sorted({path.relative_to(ROOT).parts[0] for path in ROOT.rglob("*.py")} - {"cli"})  # which has no public functions


def incomplete(node: ast.AST) -> Iterator[str]:
    """The public functions and methods in a module or a class that lack a type hint, each with what it lacks."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            yield from (f"{child.name}.{found}" for found in incomplete(child))
        elif isinstance(child, ast.FunctionDef) and (child.name in ("__init__", "__call__") or child.name[0] not in "_"):
            if child.name == "hybrid_forward":  # Gluon calls it, with arrays or with symbols
                continue
            a = child.args
            arguments = [*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, [a.vararg, a.kwarg])]
            lacking = [x.arg for x in arguments if x.annotation is None and x.arg not in ("self", "cls")]
            if child.returns is None and child.name != "__init__":
                lacking.append("return")
            if lacking:
                yield f"{child.name}({', '.join(lacking)})"


@pytest.mark.parametrize("room", ROOMS)
def test_public_functions_have_complete_hints(room):
    files = [ROOT / room] if room.endswith(".py") else sorted((ROOT / room).rglob("*.py"))
    found = [f"{path.relative_to(ROOT)}: {name}" for path in files for name in incomplete(ast.parse(path.read_text("utf-8")))]
    assert found == []


def test_what_counts_as_incomplete():
    source = "class A:\n def f(self, x, *y: int): ...\n def _g(self, x): ...\nclass _B:\n def f(self): ...\ndef h() -> int: ...\n"
    assert list(incomplete(ast.parse(source))) == ["A.f(x, return)"]
