"""`ssdzoo train`: fine-tune a model on a data set."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from ssdzoo.cli.options import PARTS, Data, Format, Gpus, Weights, check_folder, prepare

_HOW, _LOSS, _SAVE = "Optimizer", "Loss", "Keeping and showing"


def _option(help: str, panel: str | None = None, **kwargs):
    return typer.Option(help=help, rich_help_panel=panel, **kwargs)


def train(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="A preset's name, such as ssd_300_mobilenet0.25_custom, or a table (.toml).")],
    data: Data,
    out: Annotated[Path, _option("Folder of the run; must not hold one yet.", show_default=False)],
    epochs: Annotated[int, _option("Passes over the training images.")] = 40,
    batch_size: Annotated[int, _option("Images per step, over all contexts.")] = 8,
    lr: Annotated[
        Optional[float],
        _option("Learning rate after the warm-up.", show_default="0.001 for VGG, else 0.005; a tenth for adam"),
    ] = None,
    seed: Annotated[int, _option("Everything random derives from it.")] = 0,
    workers: Annotated[int, _option("Processes that prepare images; 0 prepares them in this one.")] = 1,
    split: Annotated[str, _option(f"Images to train on. {PARTS}")] = "train",
    val_split: Annotated[
        Optional[str],
        _option("Images that choose the best epoch; 'none' for none.", show_default="val, if there is one"),
    ] = None,
    eval_every: Annotated[int, _option("Epochs between two evaluations.")] = 5,
    augment: Annotated[str, _option("ssd (the paper's), light, or none.")] = "ssd",
    cache: Annotated[Optional[Path], _option("Folder for smaller copies of large photos, which later epochs read.")] = None,
    base_weights: Annotated[Optional[Path], _option("Weights of the backbone: .params, .pth, .safetensors or .h5.")] = None,
    weights: Weights = None,
    format: Format = None,
    gpus: Gpus = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in --out, with its arguments where none are given.")
    ] = False,
    optimizer: Annotated[str, _option("sgd or adam.", _HOW)] = "sgd",
    momentum: Annotated[float, _option("Of sgd.", _HOW)] = 0.9,
    weight_decay: Annotated[float, _option("Pulls weights to zero.", _HOW)] = 5e-4,
    bias_decay: Annotated[bool, _option("Whether it pulls biases and norms too.", _HOW)] = True,
    schedule: Annotated[str, _option("step (a tenth at 70 and 90 % of the epochs), cosine, or poly.", _HOW)] = "step",
    warmup_epochs: Annotated[float, _option("Epochs in which the rate rises.", _HOW)] = 1.0,
    clip_norm: Annotated[Optional[float], _option("Largest norm of all gradients together.", _HOW)] = None,
    accumulate: Annotated[int, _option("Batches per update of the weights.", _HOW)] = 1,
    ema: Annotated[
        Optional[float], _option("Decay of a moving average of the weights, which is then evaluated: 0.998, say.", _HOW)
    ] = None,
    freeze: Annotated[int, _option("First stages of the backbone that stay as they are.", _HOW)] = 0,
    freeze_norm: Annotated[bool, _option("Keep all batch norms of the backbone as they are.", _HOW)] = False,
    amp: Annotated[bool, typer.Option("--amp", help="Half precision, on GPUs.", rich_help_panel=_HOW)] = False,
    kvstore: Annotated[Optional[str], _option("dist_sync trains with other processes; see ssdzoo launch.", _HOW)] = None,
    class_loss: Annotated[
        Optional[str],
        _option("ohem (the hardest negatives, as in the paper) or focal.", _LOSS, show_default="the model's: focal on FPNs"),
    ] = None,
    box_loss: Annotated[str, _option("smooth_l1, giou or diou.", _LOSS)] = "smooth_l1",
    box_weight: Annotated[float, _option("Factor of the box loss.", _LOSS)] = 1.0,
    min_negatives: Annotated[int, _option("Hard negatives of an image without objects.", _LOSS)] = 3,
    checkpoint_every: Annotated[
        Optional[int], _option("Steps between two savings, besides those at the end of epochs.", _SAVE)
    ] = None,
    patience: Annotated[Optional[int], _option("Stop after so many evaluations without a better mAP.", _SAVE)] = None,
    keep: Annotated[int, _option("Epochs whose weights stay in the run folder.", _SAVE)] = 1,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write curves for TensorBoard too.", rich_help_panel=_SAVE)
    ] = False,
) -> None:
    """Fine-tune a model on a data set and keep the best epoch in a run folder."""
    arguments = {k: v for k, v in locals().items() if k not in ("context", "gpus", "resume")}
    arguments["cache"] = str(cache) if cache else None
    check_folder(out)
    contexts = prepare(gpus)
    from ssdzoo.cli.progress import WorkProgress
    from ssdzoo.train.fine_tune import TrainingJob, run_job

    if resume:
        # What the command line does not say is as it was when the run began.
        said = {k: v for k, v in arguments.items() if context.get_parameter_source(k).name == "COMMANDLINE"}
        job = TrainingJob.of_run(**{**said, "out": out})
    else:
        job = TrainingJob.of(**arguments)
    with WorkProgress() as progress:
        run_job(job, contexts, progress, resume)
