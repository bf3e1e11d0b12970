"""What a user's MODEL may be, everywhere alike."""

import numpy as np
import pytest

import ssdzoo
from ssdzoo import model_source
from ssdzoo.cli import main
from ssdzoo.errors import CallError, SSDZooError, WeightsError
from ssdzoo.export.symbol import export_model
from ssdzoo.files import file_hash
from ssdzoo.model_source import NetworkSource, OnnxSource, SymbolSource, choose_backend, resolve
from ssdzoo.runtime import mxnet
from ssdzoo.weights import read_params, write_params
from ssdzoo.zoo import find_preset
from tests.networks import small_network

PRESET = find_preset("ssd_300_mobilenet0.25_custom").with_classes(["a", "b", "c"])
NAME = PRESET.name


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run, an exported model with its sidecar, a converted file with its table, and a file that ends in .onnx."""
    folder, net = tmp_path_factory.mktemp("models"), small_network()
    (folder / "run").mkdir()
    (folder / "run" / "model.toml").write_text(PRESET.to_toml())
    net.save_parameters(str(folder / "run" / "best.params"))
    net.save_parameters(str(folder / "converted.params"))
    (folder / "converted.toml").write_text(PRESET.to_toml())
    export_model(net, PRESET, folder / "exported")
    (folder / "x.onnx").write_text("not looked into")
    return folder


def test_presets_and_tables(folder):
    bare = resolve(NAME)
    assert bare == NetworkSource(NAME, find_preset(NAME)) and not bare.has_weights
    with pytest.raises(WeightsError, match="has no published weights: name a run folder, or a file with weights="):
        bare.network()
    published = resolve("ssd_300_mobilenet0.25_voc")
    assert published.preset == find_preset("ssd_300_mobilenet0.25_voc")
    with pytest.raises(WeightsError, match="no weights of ssd_300_mobilenet0.25_voc"):
        published.network()
    table = resolve(folder / "converted.toml")
    assert (table.preset, table.weights, table.table) == (PRESET, None, folder / "converted.toml")
    filled = resolve(NAME, folder / "run")
    assert filled.preset == PRESET and filled.files == [folder / "run" / "best.params"]


def test_runs_and_converted_files(folder):
    run = resolve(folder / "run")
    assert run.preset == PRESET and run.files == [folder / "run" / "best.params", folder / "run" / "model.toml"]
    other = resolve(folder / "run", folder / "converted.params")
    assert (other.weights, other.table) == (folder / "converted.params", folder / "run" / "model.toml")
    converted = resolve(folder / "converted.params")
    assert converted.preset == PRESET and converted.files == [folder / "converted.params", folder / "converted.toml"]
    for source in (run, converted):
        assert source.has_weights and source.network().classes == ["a", "b", "c"]


def test_what_files_made_from_a_model_are_called(folder, monkeypatch):
    names = {model: resolve(folder / model).name for model in ("run", "converted.params", "converted.toml", "exported", "x.onnx")}
    assert names == {"run": "run", "converted.params": NAME, "converted.toml": NAME, "exported": NAME, "x.onnx": "x"}
    assert resolve(NAME, folder / "run").name == NAME
    monkeypatch.chdir(folder / "run")
    assert resolve(".").name == resolve("../run/").name == "run"


@pytest.mark.parametrize("name", ["", f"/{NAME}", f"/{NAME}-symbol.json", f"/{NAME}-0000.params"])
def test_an_exported_model_by_each_of_its_names(name, folder):
    source = resolve(f"{folder}/exported{name}")
    assert isinstance(source, SymbolSource) and source.preset == PRESET
    stem = folder / "exported" / NAME
    assert [str(f) for f in source.files] == [f"{stem}-0000.params", f"{stem}-symbol.json", f"{stem}.toml"]


def test_a_parameter_file_of_another_epoch(folder):
    first, second = (folder / "exported" / f"{NAME}-{epoch}.params" for epoch in ("0000", "0003"))
    second.write_bytes(first.read_bytes())
    try:
        assert resolve(folder / "exported").params == second  # the highest epoch
        assert resolve(first).params == first  # unless one is named
    finally:
        second.unlink()


@pytest.mark.parametrize("model", ["exported", "converted.params", "x.onnx"])
def test_weights_beside_a_model_that_contains_its_own(model, folder, capsys):
    path = folder / model
    for call in (resolve, lambda model, weights: ssdzoo.load(model, weights=weights)):
        with pytest.raises(CallError, match="contains its weights: leave weights= out"):
            call(path, folder / "run")
    for arguments in (
        ["export", str(path), "--out", str(folder / "out")],
        ["export", str(path), "--out", str(folder / "out"), "--format", "onnx"],
        ["benchmark", str(path)], ["predict", str(path), "a.jpg", "--out", str(folder / "out")], ["eval", str(path), "data"],
        ["quantize", str(path), "--images", str(folder), "--out", str(folder / "out")], ["anchors", "data", "--model", str(path)],
        ["check-data", "data", "--model", str(path)],
    ):  # fmt: skip
        with pytest.raises(SystemExit) as exit:
            main([*arguments, "--weights", str(folder / "run")])
        assert exit.value.code == 2 and "contains its weights" in capsys.readouterr().err, arguments
    with pytest.raises(SystemExit) as exit:
        main(["compare", str(path), str(path), "--images", str(folder), "--weights-b", str(folder / "run")])
    assert exit.value.code in (1, 2)


def test_the_classes_of_weights_that_a_preset_is_given(folder, tmp_path):
    own, voc = tmp_path / "old.params", "ssd_300_mobilenet0.25_voc"
    own.write_bytes((folder / "run" / "best.params").read_bytes())
    for preset, classes, names in (
        (NAME, None, ("class 0", "class 1", "class 2")), (NAME, ["x", "y", "z"], ("x", "y", "z")),
        (voc, ["x", "y", "z"], ("x", "y", "z")), (folder / "converted.toml", None, ("a", "b", "c")),
    ):  # fmt: skip
        assert resolve(preset, own, classes=classes).preset.classes == names
    assert resolve(NAME, own, classes=["x", "y", "z"]).network().classes == ["x", "y", "z"]
    for preset, classes, message in (
        (voc, None, "old.params holds 3 classes, ssd_300_mobilenet0.25_voc has 20: name all of them with classes="),
        (NAME, ["x"], "old.params holds 3 classes, classes= names 1: name all of them with classes="),
    ):
        with pytest.raises(CallError, match=message):
            resolve(preset, own, classes=classes)
    # The data set in the name of a file is a guess, which its number of classes may refute.
    guessed = own.rename(tmp_path / "ssd_300_mobilenet0.25_voc_best.params")
    assert resolve(NAME, guessed).preset.classes == ("class 0", "class 1", "class 2")
    with pytest.raises(CallError, match="has its own class names: leave classes= out"):
        resolve(folder / "run", own, classes=["x", "y", "z"])


def test_weights_in_half_precision_are_taken(folder, tmp_path):
    arrays = {name: array.astype(np.float16) for name, array in read_params(folder / "run" / "best.params").items()}
    write_params(tmp_path / "half.params", arrays)
    net = resolve(NAME, tmp_path / "half.params").network()
    name = "class_predictors.0.predictor.weight"
    weight = net.class_predictors[0].predictor.weight.data().asnumpy()
    assert weight.dtype == np.float32
    np.testing.assert_array_equal(weight, arrays[name].astype(np.float32))


def test_what_a_parameter_file_alone_is(folder, tmp_path):
    for file, named in (("ssd_300_mobilenet0.25_custom_best", NAME), ("mine", "that model")):
        path = tmp_path / f"{file}.params"
        path.write_bytes((folder / "run" / "best.params").read_bytes())
        with pytest.raises(CallError, match=f"does not say which model it is of: name {named}, and this file with weights="):
            resolve(path)


def test_what_is_no_model(folder, monkeypatch):
    for model, message in (
        ("ssd_300_mobilenet0.25_vok", "do you mean .ssd_300_mobilenet0.25_voc"), (folder / "nothing", "no such run folder"),
        (folder, "neither a run .* nor an exported model"),
        (folder / "run" / "best.params", "is of a run: name its folder, .*run, and"),
    ):  # fmt: skip
        with pytest.raises(CallError, match=message):
            resolve(model)
    for file, message in (
        ("ssd.mar", "a zip archive, .*: unpack it, and name the folder"), ("ssd.pth", "`ssdzoo convert` makes a model"),
        ("ssd.pkl", "a pickle may run code"), ("photo.jpg", "this file is no model; expected a preset's name"),
    ):  # fmt: skip
        (folder / file).write_bytes(b"x")
        with pytest.raises(CallError, match=f"{file}: .*{message}"):
            resolve(folder / file)
    with pytest.raises(CallError, match="is an exported model"):
        resolve(folder / "exported").network()
    with pytest.raises(CallError, match="is an exported model"):
        resolve(folder / "x.onnx").levels()


def test_several_exported_models_and_one_without_parameters(tmp_path):
    (tmp_path / "a-symbol.json").write_text("{}")
    with pytest.raises(WeightsError, match="its parameters a-0000.params are missing"):
        resolve(tmp_path)
    (tmp_path / "b-symbol.json").write_text("{}")
    with pytest.raises(CallError, match="holds 2 exported models; name one of a-symbol.json, b-symbol.json"):
        resolve(tmp_path)


def test_a_folder_with_a_preset_s_name_hides_it_only_as_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "ssd_300_mobilenet0.25_voc"
    (tmp_path / name).mkdir()
    assert resolve(name) == NetworkSource(name, find_preset(name))
    with pytest.raises(CallError, match="neither a run"):
        resolve(tmp_path / name)
    (tmp_path / name / "model.toml").write_text(PRESET.to_toml())
    (tmp_path / name / "best.params").write_text("weights")
    assert resolve(name).preset == PRESET


def test_a_digest_is_of_the_contents_and_the_table(folder, tmp_path):
    run = resolve(folder / "run")
    (tmp_path / "model.toml").write_text(PRESET.to_toml())
    (tmp_path / "best.params").write_bytes((folder / "run" / "best.params").read_bytes())
    copy = resolve(tmp_path)
    assert copy.digest() == run.digest() != run.digest("version 2") and len(run.digest()) == 64
    (tmp_path / "model.toml").write_text(PRESET.with_classes(["x", "y", "z"]).to_toml())
    assert resolve(tmp_path).digest() != run.digest()
    assert file_hash(tmp_path / "best.params") == file_hash(folder / "run" / "best.params")


def test_anchors_of_weights_and_of_a_preset(folder):
    of_run, of_preset = resolve(folder / "run").levels(), resolve(NAME).levels()
    assert sum(level.total for level in of_run) == sum(level.total for level in of_preset) == 2268
    for a, b in zip(of_run, of_preset):
        np.testing.assert_allclose(a.shapes, b.shapes, rtol=1e-5)


@pytest.mark.parametrize(
    "installed, backend, gpu, expected",
    [
        (["openvino", "onnxruntime", "mxnet"], None, False, "mxnet"),
        (["openvino", "onnxruntime", "mxnet"], "auto", False, "openvino"),
        (["onnxruntime", "mxnet"], "auto", False, "onnxruntime"),
        (["mxnet"], "auto", False, "mxnet"),
        (["openvino", "mxnet"], "auto", True, "mxnet"),
        (["mxnet"], "openvino", False, "openvino"),
    ],
)
def test_what_auto_means(installed, backend, gpu, expected, monkeypatch):
    monkeypatch.setattr(model_source, "installed_backends", lambda: installed)
    ctx = [mxnet().gpu(0)] if gpu else None
    assert choose_backend(resolve(NAME), backend, ctx) == expected


def test_an_onnx_file_is_never_run_by_mxnet(monkeypatch):
    source = OnnxSource("x.onnx", "x.onnx")
    for installed, expected in ((["mxnet"], "onnxruntime"), (["openvino", "mxnet"], "openvino")):
        monkeypatch.setattr(model_source, "installed_backends", lambda installed=installed: installed)
        assert choose_backend(source) == choose_backend(source, "auto") == expected
    with pytest.raises(CallError, match="mxnet runs no ONNX file"):
        choose_backend(source, "mxnet")
    with pytest.raises(CallError, match="no backend 'tensorflow'; there are auto, mxnet, onnxruntime, openvino"):
        choose_backend(source, "tensorflow")


def test_what_cannot_be_translated_runs_with_mxnet_and_says_so(folder, monkeypatch, caplog):
    pytest.importorskip("onnxruntime")
    from ssdzoo.errors import ExportError
    from ssdzoo.predict import load

    def fail(*_, **__):
        raise ExportError("an operator is not known here")

    monkeypatch.setattr(load, "cached_onnx", fail)
    assert ssdzoo.load(folder / "run", "auto").runtime.startswith("mxnet")
    assert "an operator is not known here; it runs with mxnet instead" in caplog.text
    with pytest.raises(SSDZooError, match="an operator is not known here"):
        ssdzoo.load(folder / "run", "onnxruntime")
