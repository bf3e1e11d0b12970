"""Where published weights lie on this machine."""

from pathlib import Path

from ssdzoo.errors import WeightsError


def find_weights(name: str, which, root="~/.mxnet/models") -> Path:
    """The file with the published weights of `name`.

    Args:
        name: model or backbone, such as "ssd_300_vgg16_atrous_voc" or "mobilenet0.25".
        which: True for any version; the first digits of a hash for one version; or the path of a file, which is returned.
        root: folder in GluonCV's layout: `NAME-HASH.params`, where HASH are 8 hexadecimal digits, or `NAME.params`.

    Raises:
        WeightsError: no such file; names the places and the alternatives.
    """
    if isinstance(which, (str, Path)) and Path(which).expanduser().is_file():
        return Path(which).expanduser()
    folder = Path(root).expanduser()
    tag = "" if which is True else str(which)
    found = sorted(folder.glob(f"{name}-{tag}*.params"), key=lambda p: p.stat().st_mtime)
    if not found and not tag:
        found = [p for p in [folder / f"{name}.params"] if p.is_file()]
    if not found:
        wanted = "" if which is True else f" ({str(which)!r} is neither a file nor the hash of one)"
        raise WeightsError(
            f"no weights of {name} in {folder}{wanted}; the server of the published files is gone: put NAME-HASH.params from an "
            "old machine there, or name a file: pretrained=PATH, pretrained_base=PATH (--weights, --base-weights)"
        )
    return found[-1]
