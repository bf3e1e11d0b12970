"""Images, raw outputs and files that the tests of imports share."""

import json
import struct

import numpy as np

import ssdzoo
from ssdzoo.preset import read_preset
from ssdzoo.runtime import mxnet

mx = mxnet()


def pixels(size, seed=0):
    """(3, size, size) float32 RGB, whole numbers 0..255, in squares of 20 pixels."""
    coarse = np.random.default_rng(seed).integers(0, 256, (3, -(-size // 20), -(-size // 20)))
    return np.kron(coarse, np.ones((20, 20)))[:, :size, :size].astype(np.float32)


def raw_outputs(params, table, image) -> list:
    """Logits (N, C + 1), offsets (N, 4) and anchors (N, 4) of a converted model, loaded as a user would, of `pixels`."""
    preset = read_preset(table)
    net = ssdzoo.get_model(str(table), pretrained=str(params))
    mean, std = (np.array(v, np.float32).reshape(3, 1, 1) for v in (preset.mean, preset.std))
    return [output.asnumpy()[0] for output in net.head_outputs(mx.nd.array(((image / 255 - mean) / std)[None]))]


def write_safetensors(path, arrays: dict, zeros=()) -> None:
    """A .safetensors file by the letter of its format; `zeros` {name: shape} are float32 that take no room on the disk."""
    kinds = {"float32": "F32", "float16": "F16", "int64": "I64", "uint8": "U8"}
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    entries = [(name, array.dtype.name, array.shape, array.nbytes) for name, array in arrays.items()]
    entries += [(name, "float32", shape, 4 * int(np.prod(shape))) for name, shape in dict(zeros).items()]
    for name, dtype, shape, size in entries:
        header[name] = {"dtype": kinds[dtype], "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in arrays.values():
            file.write(array.tobytes())
        file.truncate(8 + len(text) + offset)
