"""Building an ONNX graph node by node, with the type of every value known and constants folded on the way."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from ssdzoo.quote import brief

_FOLD = 1 << 24  # elements of a constant that is computed here; a larger one is left to the runtime
_PROPAGATE = 1024  # elements of a constant whose values take part in the inference of shapes


@dataclass(frozen=True)
class Value:
    """A tensor of the graph: its name, its ONNX type, and its array where it is a constant."""

    name: str
    type: onnx.TypeProto
    array: np.ndarray | None = None

    @property
    def dims(self) -> list:
        """The size of each axis: a number, a name such as "batch", or None."""
        if not self.type.tensor_type.HasField("shape"):
            raise ValueError(f"the number of axes of {brief(self.name)} is not known before the model runs")
        shape = self.type.tensor_type.shape
        return [d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in shape.dim]

    def __str__(self) -> str:
        return str(self.dims) if self.type.tensor_type.HasField("shape") else "unknown"

    @property
    def rank(self) -> int:
        return len(self.dims)


class Builder:
    """Collects the nodes and constants of a graph.

    Args:
        opset: version of ONNX's operators, 13 or newer.
    """

    def __init__(self, opset: int):
        self.opset = opset
        self.inputs: list[onnx.ValueInfoProto] = []
        self._imports = [helper.make_opsetid("", opset)]
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, np.ndarray] = {}
        self._small: dict[tuple, Value] = {}
        self._names: set[str] = set()
        self._counts: dict[str, int] = {}  # how often a name was wanted
        self._prefix = ""

    def at(self, name: str) -> None:
        """The following nodes get names that begin with this one."""
        self._prefix = name

    def input(self, name: str, dims: list, elem_type: int = TensorProto.FLOAT) -> Value:
        """An input of the graph; an axis is a number or a name."""
        value = Value(self._unique(name), helper.make_tensor_type_proto(elem_type, dims))
        self.inputs.append(helper.make_value_info(value.name, value.type))
        return value

    def constant(self, array: ArrayLike, name: str | None = None) -> Value:
        """A constant; equal small ones are stored once."""
        array = np.asarray(array)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        key = (str(array.dtype), array.shape, array.tobytes()) if name is None and array.size <= 64 else None
        if key in self._small:
            return self._small[key]
        elem_type = helper.np_dtype_to_tensor_dtype(array.dtype)
        value = Value(
            self._unique(name or f"{self._prefix}/constant"), helper.make_tensor_type_proto(elem_type, array.shape), array
        )
        self._constants[value.name] = array
        if key:
            self._small[key] = value
        return value

    def add(self, op: str, *inputs: Any, outputs: int = 1, **attrs: Any) -> Any:
        """Appends a node and returns its output (a tuple of several). Arrays, numbers and lists become constants: whole numbers
        int64, others float32. An input of None is left out."""
        values = [None if v is None else self._value(v) for v in inputs]
        names = [self._unique(f"{self._prefix}/{op}" + (f"_{i}" if outputs > 1 else "")) for i in range(outputs)]
        node = helper.make_node(op, [v.name if v else "" for v in values], names, name=names[0], **attrs)
        given = {v.name: v for v in values if v}
        known = {n: v.array for n, v in given.items() if v.array is not None and v.array.size <= _PROPAGATE}
        schema = onnx.defs.get_schema(op, self.opset, "")
        types = shape_inference.infer_node_outputs(
            schema, node, {n: v.type for n, v in given.items()}, {n: numpy_helper.from_array(a, n) for n, a in known.items()},
            opset_imports=self._imports, ir_version=ir_version(self.opset),
        )  # fmt: skip
        results = [Value(name, types[name]) for name in names]
        negative = next((d.dim_value for r in results for d in r.type.tensor_type.shape.dim if d.dim_value < 0), None)
        if negative is not None:  # which inference gives, and crashes on in a later node
            raise ValueError(f"{op} makes an axis of {negative} values")
        if all(v.array is not None for v in given.values()) and all(_elements(r) <= _FOLD for r in results):
            results = self._fold(node, given, results)
        else:
            self._nodes.append(node)
        return results[0] if outputs == 1 else tuple(results)

    def size(self, value: Value, axis: int) -> Value:
        """The size of an axis as an int64 of shape (1,): a constant where it is known."""
        dim = value.dims[axis]
        if isinstance(dim, int):
            return self.constant(np.array([dim], np.int64))
        return self.add("Gather", self.add("Shape", value), np.array([axis % value.rank], np.int64), axis=0)

    def shaped(self, op: str, value: Any, like: Value) -> Value:
        """A value that "Expand" or "Reshape" brings to the shape of another one, whose axes it keeps by number or by name."""
        result = self.add(op, value, self.add("Shape", like))
        if result.array is not None:
            return result
        # Shape inference does not know sizes that come from a Shape, only how many there are.
        return Value(result.name, helper.make_tensor_type_proto(result.type.tensor_type.elem_type, like.dims))

    def model(self, outputs: dict, metadata: dict, doc: str) -> onnx.ModelProto:
        """The model of the given outputs {name: (Value, dims)}; what they don't depend on is left out."""
        kept, needed = self._needed(outputs)
        kept += [helper.make_node("Identity", [v.name], [n], name=f"output/{n}") for n, (v, _) in outputs.items()]
        infos = [helper.make_tensor_value_info(n, v.type.tensor_type.elem_type, dims) for n, (v, dims) in outputs.items()]
        constants = [numpy_helper.from_array(a, n) for n, a in self._constants.items() if n in needed]
        graph = helper.make_graph(kept, metadata.get("preset") or "ssd", self.inputs, infos, constants)
        model = helper.make_model(
            graph, opset_imports=self._imports, ir_version=ir_version(self.opset), producer_name="ssdzoo", doc_string=doc
        )
        helper.set_model_props(model, metadata)
        return model

    def constant_bytes(self, outputs: dict) -> int:
        """Bytes of the constants that the outputs depend on."""
        return sum(self._constants[name].nbytes for name in self._needed(outputs)[1] & self._constants.keys())

    def _needed(self, outputs: dict) -> tuple:
        """The nodes, and the names of all values, that the outputs depend on."""
        needed, kept = {value.name for value, _ in outputs.values()}, []
        for node in reversed(self._nodes):
            if needed & set(node.output):
                needed.update(node.input)
                kept.append(node)
        return kept[::-1], needed

    def _fold(self, node: onnx.NodeProto, given: dict, results: list) -> list:
        infos = [helper.make_value_info(n, v.type) for n, v in given.items()]
        graph = helper.make_graph([node], "fold", infos, [helper.make_value_info(r.name, r.type) for r in results])
        model = helper.make_model(graph, opset_imports=self._imports, ir_version=ir_version(self.opset))
        arrays = ReferenceEvaluator(model).run(None, {n: v.array for n, v in given.items()})
        return [self.constant(np.asarray(array)) for array in arrays]

    def _value(self, value: Any) -> Value:
        if isinstance(value, Value):
            return value
        array = np.asarray(value)
        return self.constant(array.astype(np.int64) if array.dtype == int else array)

    def _unique(self, name: str) -> str:
        candidate = name
        while candidate in self._names:
            count = self._counts[name] = self._counts.get(name, 1) + 1
            candidate = f"{name}_{count}"
        self._names.add(candidate)
        return candidate


def ir_version(opset: int) -> int:
    """The oldest version of the file format that holds this opset: 8 for 17."""
    return helper.find_min_ir_version_for([helper.make_opsetid("", opset)])


def _elements(value: Value) -> float:
    """How many there are; infinitely many where a size is not known."""
    if not value.type.tensor_type.HasField("shape"):
        return np.inf
    return float(np.prod([d if isinstance(d, int) else np.inf for d in value.dims], dtype=np.float64))
