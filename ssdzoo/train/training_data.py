"""The images of a training: those to learn from, and those that choose its best epoch."""

from ssdzoo.data import Dataset, has_split, load_dataset
from ssdzoo.data.formats.splits import EmptySplitError
from ssdzoo.data.held_out import hold_out
from ssdzoo.data.record import brief_problems
from ssdzoo.progress import Silent, counted
from ssdzoo.train.settings import HELD_OUT, NO_VAL, Arguments
from ssdzoo.train.trainer import TrainingData

NO_IMAGES = "no images to evaluate on (val_split=): the last epoch is kept as the best one"


def load_training_data(arguments: Arguments, names: list, progress: Silent) -> TrainingData:
    """Loads the images to train on, and those to evaluate on, and says what they hold.

    Args:
        names: the classes, in order.

    Raises:
        CallError, DataError: what cannot be read; see `ssdzoo.data.load_dataset`.
    """
    val_split = arguments.val_split
    if val_split is None:
        val_split = "val" if has_split(arguments.data, "val", arguments.format) else HELD_OUT
    train = load_split(arguments, arguments.split, names, progress)
    if val_split not in (NO_VAL, HELD_OUT):
        try:
            return TrainingData(train, load_split(arguments, val_split, names, progress))
        except EmptySplitError as error:
            if arguments.val_split:  # asked for
                raise
            progress.say(f"  {error}")
    if val_split != NO_VAL:
        learned, val = hold_out(train)
        if val is not None:
            progress.say(
                f"no split to evaluate on: {counted(len(val), 'image')} of {arguments.split}, {len(val) / len(train):.0%}, are "
                f"held out for that by the hash of their names, {counted(len(learned), 'image')} are trained on (val_split=)"
            )
            return TrainingData(learned, val)
    progress.say(NO_IMAGES)
    return TrainingData(train)


def load_split(arguments: Arguments, split: str, names: list, progress: Silent) -> Dataset:
    """Loads the images of a split, and says what they hold.

    Raises:
        CallError, DataError: see `ssdzoo.data.load_dataset`.
    """
    dataset = load_dataset(arguments.data, split, names, arguments.format, arguments.image_folder, progress)
    objects = sum(len(record.boxes) for record in dataset.records)
    progress.say(f"{arguments.data}, split {split}: {counted(len(dataset), 'image')}, {counted(objects, 'object')}")
    for line in brief_problems(dataset.problems):
        progress.say(f"  {line}")
    return dataset
