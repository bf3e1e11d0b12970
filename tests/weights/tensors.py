"""Small weight files in the formats of other projects."""

import json
import struct

import numpy as np


def safetensors(arrays: dict) -> bytes:
    """The contents of a `.safetensors` file with {name: float32 array}."""
    header, data = {}, b""
    for name, array in arrays.items():
        content = np.ascontiguousarray(array, "<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(np.shape(array)), "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data
