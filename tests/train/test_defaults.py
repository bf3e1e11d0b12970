"""What a training has where nothing is set."""

import pytest

from ssdzoo.data import load_dataset
from ssdzoo.data.loading.loader import Loader
from ssdzoo.errors import CallError
from ssdzoo.preset import read_toml
from ssdzoo.train.run import Run
from ssdzoo.train.settings import Settings
from ssdzoo.zoo import find_preset
from tests.data.formats.voc_folder import write_voc, xml
from tests.train.jobs import train


@pytest.mark.parametrize(
    "given, scratch, expected",
    [
        ({}, False, ("light", "cosine", 0.005)),
        ({}, True, ("ssd", "step", 0.005)),
        ({"optimizer": "adam"}, False, ("light", "cosine", 0.0005)),
        ({"augment": "none", "schedule": "poly", "lr": 0.3}, False, ("none", "poly", 0.3)),
        ({"augment": "light"}, True, ("light", "step", 0.005)),
    ],
)
def test_from_weights_and_from_scratch(given, scratch, expected):
    found = Settings(**given).completed(find_preset("ssd_300_mobilenet0.25_custom"), scratch)
    assert (found.augment, found.schedule, found.lr) == expected and found.class_loss == "ohem"


def test_a_run_keeps_what_it_began_with(job, tmp_path):
    train(job(epochs=1))
    begun = read_toml(tmp_path / "run" / "args.toml")
    assert (begun["augment"], begun["schedule"]) == ("ssd", "step")  # from random weights
    train(job(epochs=1, weights=tmp_path / "run", base_weights=None, out=tmp_path / "second"))
    begun = read_toml(tmp_path / "second" / "args.toml")
    assert (begun["augment"], begun["schedule"], begun["flip"]) == ("light", "cosine", "horizontal")


def test_images_are_held_out_where_there_is_no_val(job, tmp_path):
    box = xml([("cat", 11, 21, 61, 71)])
    names = [f"i{n:02d}" for n in range(10)]
    root = write_voc(tmp_path / "d", dict.fromkeys(names, box), {"train": names})
    progress, result = train(job(data=root, epochs=1))
    said = "no split to evaluate on: 2 images of train, 20%, are held out for that by the hash of their names"
    assert any(line.startswith(said) for line in progress.lines) and result.best_mAP is not None
    assert read_toml(tmp_path / "run" / "args.toml")["val_split"] == "held-out"
    # A run of before, which says nothing of a val split, goes on without one.
    path = tmp_path / "run" / "args.toml"
    path.write_text(path.read_text().replace('val_split = "held-out"\n', ""))
    progress, result = train({"model": job()["model"], "data": root, "out": tmp_path / "run", "epochs": 2}, resume=True)
    assert "no images to evaluate on" in "".join(progress.lines) and result.rows[1]["mAP"] is None
    assert Run(tmp_path / "run").state()["epoch"] == 2


def test_nothing_is_mirrored_with_flip_none(data):
    train_images = load_dataset(data, "train")
    loaders = {flip: Loader(train_images, 11, (32, 32), "light", seed=1, flip=flip) for flip in ("horizontal", "none")}
    assert [loader._preparation.augmentation.mirror.probability for loader in loaders.values()] == [0.5, 0.0]
    first, second = (next(loader.epoch(0)) for loader in loaders.values())
    # What else is drawn stays: an image is the same, or mirrored.
    mirrored = 0
    for one, other in zip(first.images, second.images):
        mirrored += not (one == other).all()
        assert (one == other).all() or (one[:, ::-1] == other).all()
    assert 0 < mirrored < 11
    with pytest.raises(CallError, match="no flip 'vertical'; there are horizontal, none"):
        Loader(train_images, 2, (32, 32), "light", flip="vertical")
    with pytest.raises(CallError, match="flip=vertical: there are horizontal, none"):
        Settings(flip="vertical")
