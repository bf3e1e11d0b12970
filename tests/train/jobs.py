"""A small training, and what it leaves, for several tests."""

import csv
from pathlib import Path

import ssdzoo
from ssdzoo.progress import Silent
from ssdzoo.runtime import mxnet
from ssdzoo.train.callbacks import Callback

mx = mxnet()

TABLE = """
backbone = "mobilenet0.25"
base_size = 64
features = ["relu10_fwd", "relu22_fwd"]
filters = [32]
sizes = [12, 24, 40, 60]
ratios = [[1, 2, 0.5], [1, 2, 0.5], [1, 2, 0.5]]
"""


class Recorded(Silent):
    """A progress that shows nothing and keeps what it is given."""

    def __init__(self):
        self.lines, self.losses = [], []

    def say(self, text):
        self.lines.append(text)

    def step(self, epoch, step, steps, row):
        self.losses.append(row["loss"])


class Steps(Callback):
    """Keeps the steps that it is told of."""

    def __init__(self):
        self.steps = []

    def on_step(self, step):
        self.steps.append(step)


def train(arguments, resume=False):
    """What a training said to its progress, and its result."""
    progress = Recorded()
    return progress, ssdzoo.fine_tune(**arguments, resume=resume, progress=progress)


def rows(folder):
    """[{column: text}] of a run's metrics.csv."""
    with open(Path(folder) / "metrics.csv") as file:
        return list(csv.DictReader(file))


def class_weights(path):
    """Those of the first class head in a parameter file."""
    return mx.nd.load(str(path))["class_predictors.0.predictor.weight"].asnumpy()
