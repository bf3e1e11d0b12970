"""Operators of MXNet's numpy interface (`mx.npx.set_np()`) by the names of their older twins, which do the same.

Most of that interface writes the older names into a symbol itself. These are the ones that it does not.
"""

import ast

_BINARY = {"add": "add", "subtract": "sub", "multiply": "mul", "true_divide": "div", "power": "power"}
_SCALAR = {
    "add": "plus", "subtract": "minus", "multiply": "mul", "true_divide": "div", "power": "power", "rsubtract": "rminus",
    "rtrue_divide": "rdiv", "rpower": "rpower",
}  # fmt: skip
_COMPARE = {
    "greater": "greater", "greater_equal": "greater_equal", "less": "lesser", "less_equal": "lesser_equal", "equal": "equal",
    "not_equal": "not_equal",
}  # fmt: skip
_SAME = ("exp", "log", "sqrt", "abs", "negative", "floor", "ceil", "reciprocal", "tanh", "square", "mean", "where", "stack")
_TWINS = {
    **{f"_npi_{name}": f"broadcast_{twin}" for name, twin in {**_BINARY, **_COMPARE}.items()},
    **{f"_npi_{name}_scalar": f"_{twin}_scalar" for name, twin in {**_SCALAR, **_COMPARE}.items()},
    **{f"_npi_{name}": f"_{name}" for name in ("zeros", "ones", "full", "arange", "maximum", "minimum")},
    **{f"_npi_{name}_scalar": f"_{name}_scalar" for name in ("maximum", "minimum")},
    **{f"_npi_{name}": name for name in _SAME},
    **{f"_np_{name}": name for name in ("transpose", "squeeze", "sum", "max", "min")},
    **{f"_npx_{name}": name for name in ("relu", "sigmoid")},
    "_np_amax": "max", "_np_amin": "min", "_np_copy": "_copy", "_npi_absolute": "abs", "_npi_concatenate": "Concat",
    "_np_reshape": "Reshape", "_npi_reshape": "Reshape", "_npx_reshape": "Reshape",
}  # fmt: skip
_ATTRIBUTES = {"_npi_concatenate": {"axis": "dim"}, "_npi_full": {"fill_value": "value"}}
_RESHAPE_CODES = {-2: 0, -4: -2, -5: -3, -6: -4}  # of npx.reshape: copy an axis, copy the rest, merge two, split one


def older_name(op: str, attrs: dict) -> tuple[str, dict]:
    """(operator, attributes) of an operator of the numpy interface by its twin's names; others as they are.

    Args:
        attrs: {name: text} of the node.

    Raises:
        ValueError, SyntaxError: a shape that is none.
    """
    if op not in _TWINS:
        return op, attrs
    if op.endswith("_reshape"):
        shape = ast.literal_eval(attrs["newshape"])
        shape = list(shape) if isinstance(shape, tuple) else [shape]
        codes = _RESHAPE_CODES if op == "_npx_reshape" else {}
        if any(code < -1 and code not in codes for code in shape) or 0 in shape:
            return op, attrs  # what no twin has: npx's -3 drops an axis of size 1, and a size of 0 is one
        return "Reshape", {"shape": str(tuple(codes.get(code, code) for code in shape))}
    renamed = _ATTRIBUTES.get(op, {})
    return _TWINS[op], {renamed.get(name, name): value for name, value in attrs.items()}
