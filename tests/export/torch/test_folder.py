"""The folder of `--format torch`, run where neither ssdzoo nor mxnet can be imported."""

import sys
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")

from ssdzoo.export.torch.code import tensor_expression
from ssdzoo.export.torch.folder import export_torch
from ssdzoo.formats.array_files import read_tensors
from ssdzoo.formats.params_file import read_params
from ssdzoo.model_source import resolve
from ssdzoo.preset import read_preset
from ssdzoo.runtime import mxnet
from ssdzoo.zoo import find_preset
from tests.command import ssdzoo
from tests.export.torch.models import mxnet_heads, network, noise

mx = mxnet()


@contextmanager
def torch_alone():
    """Nothing but torch and Python's own modules can be imported."""
    owners = {"ssdzoo", "mxnet", "gluoncv", "numpy", "cv2", "safetensors"}
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in (*sys.modules, *owners) if name.split(".")[0] in owners]:
            patch.setitem(sys.modules, name, None)
        yield


def results(folder, batch, pixels):
    """Head outputs, objects, the tensors that a step of training changes, of `model.py` where there is torch alone."""
    with torch_alone():
        with pytest.raises(ImportError):
            import ssdzoo  # noqa: F401
        spec = spec_from_file_location("model", folder / "model.py")
        model = module_from_spec(spec)
        spec.loader.exec_module(model)
        network = model.load()
        heads, found = network(batch), network.detect(pixels, 0.02)
        before = {n: t.clone() for n, t in network.state_dict().items()}
        sum((h * h).sum() for h in network.train()(batch)[:2]).backward()
        for parameter in network.parameters():
            if parameter.grad is not None:
                parameter.data -= 1e-4 * parameter.grad
        assert len(list(network.buffers())) + len(list(network.parameters())) == len(before)
        return heads, found, {n for n, t in network.state_dict().items() if not torch.equal(t, before[n])}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A network, its parameter file with table, and its folder."""
    folder = tmp_path_factory.mktemp("folder")
    net = network("ssd_300_mobilenet0.25_custom")
    net(mx.nd.zeros((1, 3, 300, 300)))
    net.save_parameters(str(folder / "w.params"))
    (folder / "w.toml").write_text(find_preset("ssd_300_mobilenet0.25_custom").with_classes(net.classes).to_toml())
    export_torch(resolve(folder / "w.params"), folder / "torch")
    return net, folder


def test_the_files(exported):
    _, folder = exported
    assert sorted(p.name for p in (folder / "torch").iterdir()) == ["model.py", "model.safetensors", "model.toml"]
    assert read_preset(folder / "torch" / "model.toml").classes == ("a", "b", "c")
    arrays, theirs = read_tensors(folder / "torch" / "model.safetensors"), read_params(folder / "w.params")
    assert list(arrays) == list(theirs)
    assert all(np.array_equal(arrays[n], theirs[n]) for n in theirs)
    text = (folder / "torch" / "model.py").read_text()
    assert "import ssdzoo" not in text and "from ssdzoo" not in text
    assert "self.class_predictors[0].predictor.weight" in text and "CLASSES = (" in text


def test_without_ssdzoo(exported):
    net, folder = exported
    pixels = np.random.default_rng(0).integers(0, 256, (2, 300, 300, 3), np.uint8)
    batch = noise(2, (300, 300))
    outputs, objects, changed = results(folder / "torch", torch.from_numpy(batch), torch.from_numpy(pixels))
    for a, b in zip(mxnet_heads(net, batch), outputs):
        np.testing.assert_allclose(b.detach().numpy(), a, rtol=1e-4, atol=1e-4)
    preset = find_preset("ssd_300_mobilenet0.25_custom")
    prepared = ((pixels / 255 - preset.mean) / preset.std).transpose(0, 3, 1, 2).astype(np.float32)
    ids, scores, boxes = (o.asnumpy() for o in net(mx.nd.array(prepared)))
    for i, one in enumerate(objects):
        good = scores[i, :, 0] >= 0.02
        assert good.sum() == 100
        np.testing.assert_allclose(one["scores"].numpy(), scores[i, good, 0], atol=1e-5)
        np.testing.assert_array_equal(one["class_ids"].numpy(), ids[i, good, 0])
        np.testing.assert_allclose(one["boxes"].numpy(), boxes[i, good].clip(0, 300), atol=0.01)
    names = set(read_params(folder / "w.params"))
    still = names - changed
    assert still == {n for n in names if n.endswith(("anchors", "_gamma")) and ("expand" in n or "anchors" in n)}


def test_bfloat16_comes_back_as_float32(exported, tmp_path):
    _, folder = exported
    state = {n: torch.from_numpy(a) for n, a in read_params(folder / "w.params").items()}
    torch.save({n: t.to(torch.bfloat16) for n, t in state.items()}, tmp_path / "half.pth")
    table = folder / "w.toml"
    ssdzoo("convert", tmp_path / "half.pth", tmp_path / "back.params", "--model", table)
    back = read_params(tmp_path / "back.params")
    assert list(back) == list(state) and {a.dtype.name for a in back.values()} == {"float32"}
    assert all(np.array_equal(back[n], state[n].to(torch.bfloat16).float().numpy()) for n in state)


def test_the_command(exported, tmp_path):
    _, folder = exported
    out, _ = ssdzoo("export", folder / "w.params", "--out", tmp_path / "a", "--format", "torch")
    assert out == f"{tmp_path}/a/model.py, model.safetensors, model.toml\n"
    assert (tmp_path / "a" / "model.py").read_bytes() == (folder / "torch" / "model.py").read_bytes()
    _, shown = ssdzoo("export", folder / "w.params", "--out", tmp_path / "a", "--format", "torch", status=2)
    assert "model.py is there already" in shown
    ssdzoo("convert", tmp_path / "a" / "model.safetensors", tmp_path / "b.params")
    assert (tmp_path / "b.params").read_bytes() == (folder / "w.params").read_bytes()
    assert (tmp_path / "b.toml").read_text() == (folder / "w.toml").read_text()


@pytest.mark.parametrize("name, text", [
    ("features.stages.0.1.weight", "self.features.stages[0][1].weight"), ("ssd0_conv0_weight", "self.ssd0_conv0_weight"),
    ("a-b.c", "self['a-b'].c"),
])  # fmt: skip
def test_names_in_the_code(name, text):
    assert tensor_expression(name) == text
