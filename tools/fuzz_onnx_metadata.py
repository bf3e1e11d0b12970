"""Reads ONNX files with damaged metadata, inputs, outputs and bytes: python tools/fuzz_onnx_metadata.py --inputs 20000

Each input is a small file with the interface of `to_onnx`. Most have changed metadata: values of other types and lengths, or JSON
after random changes of its bytes. Some have another input or output, or changed bytes of the whole file. Files that can be read
find objects in one image with onnxruntime.

It found an `nms` that is a number, texts that are not UTF-8 (onnxruntime raises UnicodeDecodeError, protobuf gives bytes), and
outputs of shapes that don't fit each other. 20,000 inputs of seed 100 gave nothing else.
"""

import json
import os
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import onnx

from ssdzoo.formats.onnx_metadata import read_metadata
from ssdzoo.predict.load import load
from tools.fuzzing import main, mutate_bytes, mutate_tree

METADATA = {
    "classes": ["a", "b"], "mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2], "size": [8, 8], "raw": False, "preprocess": False,
    "nms": {"thresh": 0.45, "topk": 400, "valid_thresh": 0.01, "post": 3}, "heads": ["logits", "offsets"],
    "stds": [0.1, 0.1, 0.2, 0.2],
}  # fmt: skip
_SHAPES = {"boxes": [3, 4], "scores": [3], "class_ids": [3]}


@lru_cache(maxsize=1)
def seed() -> onnx.ModelProto:
    """A model that takes images and gives constants, with the interface of `to_onnx`."""
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [helper.make_node("Shape", ["images"], ["batch"], end=1)]
    for name, shape in _SHAPES.items():
        sizes = helper.make_tensor(f"{name}/sizes", onnx.TensorProto.INT64, [len(shape)], shape)
        nodes += [
            helper.make_node("Constant", [], [sizes.name], value=sizes),
            helper.make_node("Concat", ["batch", sizes.name], [f"{name}/shape"], axis=0),
            helper.make_node("ConstantOfShape", [f"{name}/shape"], [name], value=helper.make_tensor("one", float32, [1], [1])),
        ]
    graph = helper.make_graph(
        nodes, "ssd", [helper.make_tensor_value_info("images", float32, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info(name, float32, ["batch", *shape]) for name, shape in _SHAPES.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def model(metadata: dict, texts: dict | None = None) -> onnx.ModelProto:
    """The small model with these metadata; `texts` go in as they are."""
    made = onnx.ModelProto()
    made.CopyFrom(seed())
    whole = {"preset": "x", **{key: json.dumps(value) for key, value in metadata.items()}, **(texts or {})}
    for key, value in whole.items():
        made.metadata_props.add(key=str(key), value=value)
    return made


def _change_interface(random, made: onnx.ModelProto) -> None:
    graph, kind = made.graph, int(random.integers(6))
    if kind == 0:
        del graph.output[int(random.integers(3))]
    elif kind == 1:
        graph.input[0].type.tensor_type.elem_type = int(random.integers(17))
    elif kind == 2:
        graph.input[0].name = "data"
    elif kind == 3:
        graph.output[int(random.integers(3))].type.tensor_type.elem_type = int(random.integers(17))
    elif kind == 4:
        dim = graph.input[0].type.tensor_type.shape.dim
        dim[int(random.integers(4))].dim_value = int(random.choice([-1, 0, 1, 4, 9, 1 << 40]))
    else:
        node = graph.node[int(random.integers(len(graph.node)))]
        node.op_type = str(random.choice(["Relu", "Loop", "Nothing", "Reshape"]))


def check(random, folder: Path) -> str:
    kind, texts = int(random.integers(8)), {}
    metadata = mutate_tree(random, METADATA, 2) if kind < 5 else METADATA
    metadata = metadata if isinstance(metadata, dict) else {}
    if kind == 5:
        field = str(random.choice(list(METADATA)))
        texts[field] = mutate_bytes(random, json.dumps(METADATA[field]).encode()).decode("utf-8", "replace")
        if random.integers(10) == 0:
            texts[field] = str(random.choice(["[" * 50_000, "9" * 5_000, "[" + "9" * 5_000 + "]"]))
    made = model(metadata, texts)
    if kind == 6:
        _change_interface(random, made)
    data = made.SerializeToString()
    path = folder / "x.onnx"
    path.write_bytes(mutate_bytes(random, data) if kind == 7 else data)
    if random.integers(4) == 0:
        read_metadata(path)
    found = load(path, "onnxruntime")([np.full((9, 7, 3), 128, np.uint8)], 0.0)
    return f"found {len(found)}"


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(check, __doc__, memory=4096)
