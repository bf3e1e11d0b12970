"""The forward pass of a `torch.fx` module as lines of Python that people can read."""

import operator
from typing import Any

import torch
from torch.fx import GraphModule, Node

from ssdzoo.export.torch import operations

_SIGNS = {
    operator.add: "+", operator.sub: "-", operator.mul: "*", operator.truediv: "/", operator.pow: "**", operator.gt: ">",
    operator.ge: ">=", operator.lt: "<", operator.le: "<=", operator.eq: "==", operator.ne: "!=",
}  # fmt: skip


def forward_lines(module: GraphModule) -> list[str]:
    """The statements of a module's forward pass, of a function of `self` and `images`.

    A value takes the variable of an input that nobody reads after it, so that memory is freed as soon as it may be.
    """
    lines: list[str] = []
    variables: dict[Node, str] = {}
    count = 0
    last = {source: node for node in module.graph.nodes for source in node.all_input_nodes}
    for node in module.graph.nodes:
        if node.op == "placeholder":
            variables[node] = node.name
        elif node.op == "get_attr":
            variables[node] = tensor_expression(node.target)
        elif node.op == "output":
            lines.append(f"return {_shown(tuple(node.args[0]), variables)[1:-1]}")
        else:
            text = _call(node, variables)
            free = [variables[n] for n in node.all_input_nodes if n.op.startswith("call") and last[n] is node]
            count += not free
            variables[node] = free[0] if free else f"x{count}"
            lines.append(f"{variables[node]} = {text}")
    return lines


def tensor_expression(name: str) -> str:
    """How the code of an exported network reads the tensor or module of a name."""
    text = "self"
    for part in name.split("."):
        text += f".{part}" if part.isidentifier() else f"[{part}]" if part.isdecimal() else f"[{part!r}]"
    return text


def _call(node: Node, variables: dict) -> str:
    arguments = [_shown(a, variables) for a in node.args]
    if node.target in _SIGNS:
        return f"{arguments[0]} {_SIGNS[node.target]} {arguments[1]}"
    if node.target is operator.getitem:
        return f"{arguments[0]}[{_index(node.args[1])}]"
    arguments += [f"{key}={_shown(value, variables)}" for key, value in node.kwargs.items()]
    if node.op == "call_method":
        return f"{arguments[0]}.{node.target}({', '.join(arguments[1:])})"
    if node.op == "call_module":
        return f"{tensor_expression(str(node.target))}({', '.join(arguments)})"
    return f"{_function(node.target)}({', '.join(arguments)})"


def _function(function: Any) -> str:
    """How the code calls a function of `operations` or of torch."""
    if function.__module__ == operations.__name__:
        return function.__name__
    name = str(function.__name__)
    if getattr(torch, name, None) is function:
        return f"torch.{name}"
    assert getattr(torch.nn.functional, name) is function, function
    return f"torch.nn.functional.{name}"


def _shown(value: Any, variables: dict) -> str:
    if isinstance(value, Node):
        return variables[value]
    if isinstance(value, (tuple, list)):
        inside = ", ".join(_shown(v, variables) for v in value)
        return f"({inside}{',' if len(value) == 1 else ''})" if isinstance(value, tuple) else f"[{inside}]"
    return repr(value)


def _index(index: Any) -> str:
    """The text between the brackets of x[...]."""
    if isinstance(index, tuple):
        return ", ".join(map(_index, index))
    if not isinstance(index, slice):
        return repr(index)
    begin, end, step = ("" if n is None else str(n) for n in (index.start, index.stop, index.step))
    return f"{begin}:{end}" + (f":{step}" if step else "")
