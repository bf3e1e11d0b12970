"""Changes modules of mxnet and gluoncv while they are imported: what refuses torch 2, and what is imported for nothing."""

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

_CHECK = "gluoncv.check"
_STATISTICS = "scipy.stats"


def install() -> None:
    """From here on these modules are changed; doing it again changes nothing."""
    if not any(isinstance(finder, _Hooks) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Hooks())
    if _CHECK in sys.modules:  # of an import that was refused before
        _without_torch(sys.modules[_CHECK])


class _Hooks(MetaPathFinder):
    """Finds these modules where Python would, and runs them in another way."""

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        change = _CHANGES.get(fullname)
        spec = PathFinder.find_spec(fullname, path) if change else None
        if change and spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def changed(module: ModuleType) -> None:
                change(module, execute)

            spec.loader.exec_module = changed  # type: ignore[method-assign]
        return spec


def _run_check(module: ModuleType, execute: Callable) -> None:
    execute(module)
    _without_torch(module)


def _without_torch(check: ModuleType) -> None:
    """gluoncv refuses to be imported where there is a torch of version 2, which its MXNet models don't need: it goes without
    torch. Torch itself stays as it is, imported before or not."""

    def refuse(*_: Any) -> None:
        raise ImportError("ssdzoo imports gluoncv for its MXNet models, without torch")

    check._require_pytorch_version = refuse  # type: ignore[attr-defined]


def _run_without_statistics(module: ModuleType, execute: Callable) -> None:
    with _imported_later(_STATISTICS):
        execute(module)


class _Later(ModuleType):
    """Stands for a module until something of it is used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what the import system asks of any module
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


@contextmanager
def _imported_later(name: str) -> Iterator[None]:
    """What imports a module inside of the block gets it when it uses something of it."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = later = _Later(name)
    try:
        yield
    finally:
        if sys.modules.get(name) is later:
            del sys.modules[name]


# The functions of mxnet for tests and for int8 alone use scipy's statistics, which take a third of the time of `import mxnet`.
_CHANGES: dict[str, Callable] = {
    _CHECK: _run_check,
    "mxnet.test_utils": _run_without_statistics,
    "mxnet.contrib.quantization": _run_without_statistics,
}
