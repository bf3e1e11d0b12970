"""An SSD that reads and writes files: parameter files in any naming of GluonCV's, and symbols."""

import re
from pathlib import Path
from typing import Any

from ssdzoo.errors import CallError
from ssdzoo.exported_files import exported_paths
from ssdzoo.files import write_text
from ssdzoo.formats.params_file import write_params
from ssdzoo.nn.ssd import SSDNetwork
from ssdzoo.runtime import mx
from ssdzoo.weights.matching import load_network


class SSD(SSDNetwork):
    """An `SSDNetwork` with its files. `get_model` and `get_ssd` build it."""

    def load_parameters(self, filename: str | Path, ctx: Any = None, allow_missing: bool = False, ignore_extra: bool = False,
                        cast_dtype: bool = False, dtype_source: str = "current") -> None:  # fmt: skip
        """Loads a parameter file of this network or of GluonCV's; nothing changes unless all of it fits.

        Raises:
            WeightsError: unreadable, or of another model; names the first parameter that differs, and both shapes.
        """
        load_network(self, filename, ctx, allow_missing, ignore_extra, cast_dtype, dtype_source)

    def export(self, path: str | Path, epoch: int = 0, remove_amp_cast: bool = True, heads: bool = False) -> tuple:
        """Writes `path-symbol.json` and `path-EPOCH.params` (4 digits), and returns their paths.

        The input is named `data`. Needs neither `hybridize` nor a forward before.

        Args:
            heads: exports the head outputs (class logits, box offsets, anchors) instead of the detections.

        Raises:
            CallError: the network has no weights yet.
        """
        data = mx.sym.var("data")
        symbol = mx.sym.Group(list(self.head_outputs(data) if heads else self(data)))
        wanted = {**dict.fromkeys(symbol.list_arguments(), "arg"), **dict.fromkeys(symbol.list_auxiliary_states(), "aux")}
        parameters = {n: p for n, p in self.collect_params().items() if n in wanted}
        empty = [name for name, parameter in parameters.items() if parameter._data is None]
        if empty:
            raise CallError(f"nothing to export: parameter {empty[0]!r} has no value; initialize the network or load its weights")
        arrays = {f"{wanted[name]}:{name}": p.data(p.list_ctx()[0]).asnumpy() for name, p in parameters.items()}
        symbol_file, params_file, _ = exported_paths(path, epoch)
        write_params(params_file, arrays)  # mxnet itself writes no file whose name is not UTF-8
        text = symbol.tojson(remove_amp_cast=remove_amp_cast)
        # Gluon writes addresses in memory behind the names of constants: without them, the same network has the same file.
        write_text(symbol_file, re.sub(r'("__init__": "Constant_[^"]*)_\d+"', r'\1"', text))
        return symbol_file, params_file
