"""Exported pairs: `NAME-symbol.json` with `NAME-0000.params`, and the sidecar `NAME.toml` where there is one."""

from pathlib import Path

from ssdzoo.errors import CallError, WeightsError


def find_pair(model):
    """(symbol file, parameter file of the highest epoch, sidecar or None) of an exported model named by its folder, one of its
    files or their common path; None where there is none.

    Raises:
        CallError: several models in a folder.
        WeightsError: a symbol without its parameters.
    """
    path = Path(model)
    if path.is_dir():
        symbols = sorted(path.glob("*-symbol.json"))
        if len(symbols) > 1:
            raise CallError(f"{path} holds {len(symbols)} exported models; name one of {', '.join(p.name for p in symbols)}")
    else:
        stem = path.name.removesuffix("-symbol.json")
        symbols = [p for p in [path.with_name(f"{stem}-symbol.json")] if p.is_file()]
    if not symbols:
        return None
    stem = symbols[0].name.removesuffix("-symbol.json")
    params = sorted(symbols[0].parent.glob(f"{stem}-[0-9][0-9][0-9][0-9].params"))
    if not params:
        raise WeightsError(f"{symbols[0]}: its parameters {stem}-0000.params are missing")
    sidecar = symbols[0].with_name(f"{stem}.toml")
    return symbols[0], params[-1], sidecar if sidecar.is_file() else None
