"""Reads the values in a pickle without Python's unpickler: nothing that a pickle names is imported, called or run."""

import pickletools
from collections.abc import Callable
from io import BytesIO
from typing import Any

_LITERALS = {
    "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINSTRING",
    "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES",
}  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_NO_EFFECT = {"PROTO", "FRAME", "STOP"}
# Each is a method of `_Machine`. No other operation is done.
_OPERATIONS = {
    "MEMOIZE", "MARK", "POP", "TUPLE", "EMPTY_LIST", "EMPTY_DICT", "EMPTY_SET", "FROZENSET", "ADDITEMS", "APPEND", "APPENDS",
    "SETITEM", "SETITEMS", "STACK_GLOBAL", "REDUCE", "NEWOBJ", "BUILD", "BINPERSID",
}  # fmt: skip


class _Skipped:
    """Stands for a value that may be in the file and is not needed. It takes whatever the pickle does to it."""

    def __repr__(self) -> str:
        return "SKIPPED"


SKIPPED = _Skipped()


class ForeignGlobal(ValueError):
    """A pickle asks for a class or function that is not on the list."""


def read_pickle(stream: BytesIO, known: dict[str, Any], load: Callable[[Any], Any]) -> Any:
    """The value in a pickle of protocol 2 to 5.

    Numbers, texts, tuples, lists and dicts are themselves. Sets are `SKIPPED`. Keys of a dict that are neither text nor small
    whole numbers become `SKIPPED` too. The attributes of an object are ignored.

    Args:
        stream: the bytes in which the pickle begins. It is left behind the end of the pickle.
        known: {"module.name": value} of the classes and functions that it may ask for. The value stands in their place. Where
            the pickle calls one, a function here is called with the same arguments, and `SKIPPED` gives `SKIPPED`.
        load: from the identifier of an object outside the pickle (a persistent id) to the value that stands for it.

    Raises:
        ForeignGlobal: it asks for something that is not `known`. The message is its name.
        ValueError: damaged, or with an operation that is not read here.
    """
    machine = _Machine(known, load)
    place = 0
    try:
        for opcode, argument, position in pickletools.genops(stream):
            place = position or 0
            machine.step(opcode.name, argument)
        (value,) = machine.stack
    except ForeignGlobal:
        raise
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"its pickle is damaged at byte {place} ({type(error).__name__})") from None
    except ValueError as error:
        raise ValueError(f"its pickle is damaged at byte {place}: {' '.join(str(error).split())[:100]}") from None
    return value


class _Machine:
    """The stack, the marks and the memo of a pickle. It never goes into a value, so that deep or circular ones do no harm."""

    def __init__(self, known: dict[str, Any], load: Callable[[Any], Any]):
        self.stack: list = []
        self._known, self._load = known, load
        self._marked: list[list] = []  # the stacks below the marks
        self._memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        """Does one operation.

        Raises:
            ForeignGlobal, ValueError: see `read_pickle`.
            LookupError, TypeError, AttributeError: too little on the stack, or the wrong thing.
        """
        if name in _LITERALS:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _TUPLES:
            count = _TUPLES[name]
            if len(self.stack) < count:
                raise IndexError
            self.stack[-count:] = [tuple(self.stack[-count:])]
        elif name in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = self.stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            self.stack.append(self._memo[argument])
        elif name == "GLOBAL":
            self._global(argument)
        elif name in _OPERATIONS:
            getattr(self, f"_{name.lower()}")()
        elif name not in _NO_EFFECT:
            raise ValueError(f"operation {name} is not read here")

    def _memoize(self) -> None:
        self._memo[len(self._memo)] = self.stack[-1]

    def _mark(self) -> None:
        self._marked.append(self.stack)
        self.stack = []

    def _above_mark(self) -> list:
        items, self.stack = self.stack, self._marked.pop()
        return items

    def _pop(self) -> None:
        self.stack.pop()

    def _tuple(self) -> None:
        items = self._above_mark()
        self.stack.append(tuple(items))

    def _empty_list(self) -> None:
        self.stack.append([])

    def _empty_dict(self) -> None:
        self.stack.append({})

    def _empty_set(self) -> None:
        self.stack.append(SKIPPED)

    def _frozenset(self) -> None:
        self._above_mark()
        self.stack.append(SKIPPED)

    def _additems(self) -> None:
        self._above_mark()
        if self.stack[-1] is not SKIPPED:
            raise TypeError

    def _append(self) -> None:
        item = self.stack.pop()
        self._extend([item])

    def _appends(self) -> None:
        items = self._above_mark()
        self._extend(items)

    def _extend(self, items: list) -> None:
        if self.stack[-1] is not SKIPPED:
            if not isinstance(self.stack[-1], list):
                raise TypeError
            self.stack[-1].extend(items)

    def _setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._update([key, value])

    def _setitems(self) -> None:
        items = self._above_mark()
        self._update(items)

    def _update(self, items: list) -> None:
        if self.stack[-1] is SKIPPED:
            return
        if not isinstance(self.stack[-1], dict) or len(items) % 2:
            raise TypeError
        for key, value in zip(items[::2], items[1::2]):
            # The hash of a deep tuple can overflow the stack, and large numbers can be chosen to have equal hashes.
            plain = isinstance(key, str) or (isinstance(key, int) and -(2**31) <= key < 2**31)
            self.stack[-1][key if plain else SKIPPED] = value

    def _global(self, argument: str) -> None:
        name = argument.replace(" ", ".", 1)
        if name not in self._known:
            raise ForeignGlobal(name)
        self.stack.append(self._known[name])

    def _stack_global(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise TypeError
        self._global(f"{module} {name}")

    def _reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(arguments, tuple):
            raise TypeError
        self.stack.append(SKIPPED if function is SKIPPED else function(*arguments))

    _newobj = _reduce

    def _build(self) -> None:
        self.stack.pop()
        if self.stack[-1] is not SKIPPED and not isinstance(self.stack[-1], dict):
            raise TypeError

    def _binpersid(self) -> None:
        identifier = self.stack.pop()
        self.stack.append(self._load(identifier))
