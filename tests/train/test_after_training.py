"""What a training on the command line says at its end."""

from tests.command import ssdzoo


def test_the_end_of_a_training(job):
    arguments = job(epochs=1)
    table, data, out = arguments["model"], arguments["data"], arguments["out"]
    _, err = ssdzoo(
        "train", table, data, "--out", out, "--epochs", 1, "--batch-size", 4, "--workers", 0, "--base-weights", "none"
    )
    lines = err.splitlines()
    assert lines[-5].startswith(f"{out}/best.params holds epoch 1 of 1, the best one: mAP ")
    assert lines[-4] == f"curves of loss, mAP and learning rate: {out}/curves.png" and (out / "curves.png").stat().st_size > 5000
    assert lines[-3:] == [
        f"next: ssdzoo eval {out} {data} --split test",
        f"  or: ssdzoo predict {out} PHOTOS --out found",
        f"  or: ssdzoo export {out} --out exported --format onnx",
    ]


def test_without_evaluation_and_without_a_test_split(job, tmp_path):
    arguments = job()
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (tmp_path / "d" / name).parent.mkdir(parents=True, exist_ok=True)
    for name in ("Annotations", "JPEGImages"):
        (tmp_path / "d" / name).symlink_to(arguments["data"] / name)
    (tmp_path / "d" / "ImageSets" / "Main").mkdir()
    (tmp_path / "d" / "ImageSets" / "Main" / "train.txt").write_text("train_0000\ntrain_0001\ntrain_0002\n")
    out = arguments["out"]
    _, err = ssdzoo(
        "train", arguments["model"], tmp_path / "d", "--out", out, "--epochs", 2, "--workers", 0, "--base-weights", "none"
    )  # fmt: skip
    lines = err.splitlines()
    assert lines[-4] == f"{out}/best.params holds epoch 2 of 2, the last one: nothing was evaluated"
    assert lines[-2] == f"next: ssdzoo predict {out} PHOTOS --out found" and "ssdzoo eval" not in err
