"""Building a `torch.fx` graph node by node, with the shape of every value known for one size of images."""

import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.fx import Graph, Node
from torch.fx.node import map_arg

from ssdzoo.errors import ExportError
from ssdzoo.export.torch import operations
from ssdzoo.export.torch.graph_module import DetectorModule
from ssdzoo.quote import brief

# Names become a part of the code of the module, so they must not be able to end a string in it.
_NAME = re.compile(r"[\w:/+-]+(\.[\w:/+-]+)*")
_SHAPE = "shape"


class Builder:
    """Collects the nodes and the tensors of a graph.

    Each node is run on values without content (torch's device "meta"), so that what does not fit is found while the graph is
    built. The first of these runs but views imports torch's compiler, which takes seconds. So the translators of what most
    networks consist of say the shapes of their results themselves (`shaped`, `like`, `module`), and check their inputs.
    """

    def __init__(self) -> None:
        self.graph = Graph()
        self._root = torch.nn.Module()
        self._prefix = ""

    def at(self, name: str) -> None:
        """The following nodes get names that begin with this one."""
        self._prefix = re.sub(r"\W+", "_", name) or "node"

    def input(self, name: str, shape: tuple) -> Node:
        """An input of the module; `shape` is the one that shapes are checked with."""
        return self._known(self.graph.placeholder(name), torch.empty(shape, device="meta"))

    def tensor(self, name: str, tensor: torch.Tensor, trainable: bool | None) -> Node:
        """A tensor of the module, under its name: a parameter, or where it is not of floats or `trainable` is None, a buffer.

        Raises:
            ExportError: a name that no parameter of a module can have.
        """
        *folders, last = name.split(".")
        module = self._root
        try:
            if not _NAME.fullmatch(name):
                raise KeyError("it has other characters than letters, digits and . _ : / + -")
            for folder in folders:
                if not isinstance(getattr(module, folder, None), torch.nn.Module):
                    module.add_module(folder, torch.nn.Module())
                module = module.get_submodule(folder)
            if trainable is None or not tensor.is_floating_point():
                module.register_buffer(last, tensor)
            else:
                module.register_parameter(last, torch.nn.Parameter(tensor, requires_grad=trainable))
        except KeyError as error:
            raise ExportError(f"parameter {brief(name)} cannot be one of a torch module: {error}") from None
        return self._known(self.graph.get_attr(name), tensor.to("meta"))

    def add(self, function: Callable, *args: Any, **kwargs: Any) -> Node:
        """A node that calls a function of torch, of `operator`, or of `operations`."""
        return self._known(self._call(function, args, kwargs), self._run(function, *args, **kwargs))

    def shaped(self, shape: Sequence[int], function: Callable, *args: Any, **kwargs: Any) -> Node:
        """As `add`, of a function whose result is float32 and has this shape."""
        return self._known(self._call(function, args, kwargs), torch.empty(tuple(shape), device="meta"))

    def like(self, function: Callable, x: Node, *args: Any) -> Node:
        """As `add`, of a function whose result has the shape and type of `x`."""
        return self._known(self._call(function, (x, *args), {}), x.meta[_SHAPE])

    def method(self, name: str, x: Node, *args: Any, **kwargs: Any) -> Node:
        """A node that calls a method of a tensor."""
        node = self.graph.create_node("call_method", name, (x, *args), kwargs, self._prefix)
        return self._known(node, self._run(getattr(torch.Tensor, name), x, *args, **kwargs))

    def module(self, folder: str, module: torch.nn.Module, x: Node, *args: Any) -> Node:
        """A node that calls a module, which is put into a folder under the name of the node. Its result has the shape and type of
        `x`."""
        if not hasattr(self._root, folder):
            self._root.add_module(folder, torch.nn.Module())
        node = self.graph.create_node("call_module", "", (x, *args), {}, self._prefix)
        node.target = f"{folder}.{node.name}"
        self._root.get_submodule(folder).add_module(node.name, module)
        return self._known(node, x.meta[_SHAPE])

    def parts(self, x: Node, count: int) -> tuple[Node, ...]:
        """The values of a node that gives several."""
        return tuple(self.add(operator.getitem, x, i) for i in range(count))

    def finish(self, outputs: tuple[Node, ...]) -> DetectorModule:
        """The module that returns these values, without the nodes that they don't need."""
        self.graph.output(outputs)
        # Tensors stay, needed or not: a file that is written from the module has all of them.
        self.graph.eliminate_dead_code(lambda node: node.op in ("placeholder", "get_attr", "output"))
        for node in self.graph.nodes:
            node.meta.pop(_SHAPE, None)
        self.graph.lint()
        return DetectorModule(self._root, self.graph, "DetectorModule")

    def _call(self, function: Callable, args: tuple, kwargs: dict) -> Node:
        node = self.graph.create_node("call_function", function, args, kwargs, self._prefix)
        if function.__module__ == operations.__name__:
            node.meta["is_wrapped"] = True  # it stays one node where a pickled module is traced again
        return node

    def _run(self, function: Callable, *args: Any, **kwargs: Any) -> Any:
        args, kwargs = map_arg((args, kwargs), lambda node: node.meta[_SHAPE])
        with torch.no_grad():
            return function(*args, **kwargs)

    @staticmethod
    def _known(node: Node, value: Any) -> Node:
        node.meta[_SHAPE] = value
        return node


def shape_of(node: Node) -> tuple[int, ...]:
    """The shape of a value, for the images that the graph is built with."""
    return tuple(node.meta[_SHAPE].shape)


def is_float(node: Node) -> bool:
    """Whether a value is of floating point."""
    return node.meta[_SHAPE].is_floating_point()
