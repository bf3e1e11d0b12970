"""`ssdzoo train`: fine-tune a model on a data set."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from ssdzoo.cli.options import PARTS, Data, Format, Gpus, Weights, prepare


def train(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="A preset's name, such as ssd_300_mobilenet0.25_custom, or a table (.toml).")],
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder of the run; must not hold one yet.", show_default=False)],
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training images.")] = 40,
    batch_size: Annotated[int, typer.Option(min=1, help="Images per step, over all contexts.")] = 8,
    lr: Annotated[
        Optional[float], typer.Option(help="Learning rate after the warm-up.", show_default="0.001 for VGG, else 0.005")
    ] = None,
    seed: Annotated[int, typer.Option(help="Everything random derives from it.")] = 0,
    workers: Annotated[int, typer.Option(min=0, help="Processes that prepare images; 0 prepares them in this one.")] = 1,
    split: Annotated[str, typer.Option(help=f"Images to train on. {PARTS}")] = "train",
    val_split: Annotated[
        Optional[str],
        typer.Option(help="Images that choose the best epoch; 'none' for none.", show_default="val, if there is one"),
    ] = None,
    eval_every: Annotated[int, typer.Option(min=1, help="Epochs between two evaluations.")] = 5,
    augment: Annotated[str, typer.Option(help="ssd (the paper's), light, or none.")] = "ssd",
    base_weights: Annotated[Optional[Path], typer.Option(help="Parameter file of the backbone.")] = None,
    weights: Weights = None,
    format: Format = None,
    gpus: Gpus = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in --out, with its arguments where none are given.")
    ] = False,
) -> None:
    """Fine-tune a model on a data set and keep the best epoch in a run folder."""
    contexts = prepare(gpus)
    from ssdzoo.cli.progress import TrainingProgress
    from ssdzoo.train.job import TrainingJob, run_job

    arguments = dict(
        model=model, data=data, out=out, epochs=epochs, batch_size=batch_size, lr=lr, seed=seed, workers=workers,
        split=split, val_split=val_split, eval_every=eval_every, augment=augment,
        base_weights=base_weights, weights=weights, format=format,
    )  # fmt: skip
    if resume:
        # What the command line does not say is as it was when the run began.
        said = {k: v for k, v in arguments.items() if context.get_parameter_source(k).name == "COMMANDLINE"}
        job = TrainingJob.of_run(**{**said, "out": out})
    else:
        job = TrainingJob(**arguments)
    with TrainingProgress() as progress:
        run_job(job, contexts, progress, resume)
