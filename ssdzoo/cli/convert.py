"""`ssdzoo convert`: a file of weights from GluonCV or another framework."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Optional

from ssdzoo.cli.messages import as_flags
from ssdzoo.cli.options import FORCE, Classes, Json, Mean, Std, argument, option
from ssdzoo.progress import counted

_OLD = (
    ".params in any naming of GluonCV's; .pth or .safetensors of a model that ssdzoo exported to torch, of torchvision's "
    "ssd300_vgg16 or of ssd.pytorch; .caffemodel with its .prototxt beside it; or a model of SageMaker or mxnet-ssd on VGG-16: "
    "model.tar.gz, or its folder."
)


def convert(
    old: Annotated[Path, argument(_OLD)],
    new: Annotated[Path, argument("Parameter file to write. Its table NEW.toml is written beside it.")],
    model: Annotated[Optional[str], option("The model of a .params: the name of a preset, or a table (.toml).")] = None,
    classes: Classes = None,
    mean: Mean = None,
    std: Std = None,
    force: Annotated[bool, FORCE] = False,
    as_json: Json = False,
) -> None:
    """Check a file of weights against a model, and write it as a parameter file that ssdzoo and GluonCV load."""
    from ssdzoo.convert import convert as convert_file

    done = convert_file(old, new, model, classes, force, mean, std)
    if as_json:
        print(json.dumps(asdict(done), indent=1, default=str))
        return
    changes = f"{done.renamed} renamed" + (f", {done.cast} cast to float32" if done.cast else "")
    size = f"{counted(len(done.classes), 'class')}: {counted(done.parameters, 'parameter')}"
    print(f"{done.model}, {size}, all shapes fit; {changes}")
    print(f"{done.source}  sha256 {done.source_hash}")
    print(f"{done.target}  sha256 {done.target_hash}")
    print(f"{done.sidecar}  classes, mean, std, input size")
    for note in done.notes:
        print(f"note: {as_flags(note)}")
