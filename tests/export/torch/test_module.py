"""What a module of `to_torch` can do beside its forward pass, and models of other sources."""

import copy
import io
from unittest import mock

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")

import ssdzoo
from ssdzoo.errors import CallError, ExportError, SSDZooError
from ssdzoo.export import to_torch
from ssdzoo.export.heads import network_heads
from ssdzoo.export.torch import head_symbol, set_arrays, to_arrays
from ssdzoo.export.torch.operations import BatchNorm
from ssdzoo.formats.params_file import read_params, write_params
from ssdzoo.model_source import resolve
from ssdzoo.runtime import gluoncv, mxnet
from ssdzoo.zoo import find_preset
from tests.command import ssdzoo as command
from tests.export.onnx.models import older_symbol
from tests.export.torch.models import distance, heads, module_of, mxnet_heads, network, noise
from tests.networks import as_numpy, initialize

mx = mxnet()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A network, its module, images, their head outputs, and a parameter file with its table."""
    net = network("ssd_300_mobilenet0.25_custom")
    images = noise(2, (300, 300))
    expected = mxnet_heads(net, images)
    path = tmp_path_factory.mktemp("small") / "w.params"
    net.save_parameters(str(path))
    path.with_suffix(".toml").write_text(find_preset("ssd_300_mobilenet0.25_custom").with_classes(net.classes).to_toml())
    return net, module_of(net), images, expected, path


def saved(module):
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("change", [
    copy.deepcopy, saved, lambda m: copy.deepcopy(m).to(memory_format=torch.channels_last),
    lambda m: copy.deepcopy(m).double().float(),
    lambda m: saved(saved(m)).to(memory_format=torch.channels_last),
])  # fmt: skip
def test_copies(change, small):
    _, module, images, expected, _ = small
    other = change(module).eval()
    assert list(other.state_dict()) == list(module.state_dict())
    assert [p.requires_grad for p in other.parameters()] == [p.requires_grad for p in module.parameters()]
    assert sum(isinstance(m, BatchNorm) for m in other.modules()) == 35
    assert distance(expected, heads(other, images)) < 1e-5


@pytest.mark.long
def test_compiled(small):
    _, module, images, *_ = small
    for training in (False, True):
        module = copy.deepcopy(module).train(training)
        other = copy.deepcopy(module)
        compiled = torch.compile(other, backend="aot_eager", fullgraph=True)
        wanted, found = ([o.detach().numpy() for o in m(torch.from_numpy(images))] for m in (module, compiled))
        assert distance(wanted, found) < 1e-5
        arrays = to_arrays(other)
        assert all(np.allclose(a, arrays[n], rtol=1e-4, atol=1e-6) for n, a in to_arrays(module).items())


def test_other_precisions(small):
    _, module, images, expected, _ = small
    with torch.autocast("cpu", torch.bfloat16):
        found = [o.float().detach().numpy() for o in module.eval()(torch.from_numpy(images))[:2]]
    assert 1e-4 < distance(expected[:2], found) < 0.1
    half = copy.deepcopy(module).to(torch.bfloat16)
    with torch.no_grad():
        found = [o.float().numpy() for o in half(torch.from_numpy(images).to(torch.bfloat16))]
    assert distance(expected[:2], found[:2]) < 0.1
    assert {a.dtype.name for a in to_arrays(half).values()} == {"float32"}


def test_a_frozen_norm_keeps_its_statistics(small):
    _, module, images, *_ = small
    module = copy.deepcopy(module).train()
    norms = [m for m in module.modules() if isinstance(m, BatchNorm)]
    for norm in norms[:-1]:
        norm.eval()
    before = to_arrays(module)
    module(torch.from_numpy(images))
    after = to_arrays(module)
    assert sum(not np.array_equal(before[n], after[n]) for n in before) == 2


def test_one_value_in_a_norm():
    """torch's own norm refuses it; MXNet's variance of one value is 0."""
    norm = BatchNorm(0.9, 1e-5, False).train()
    mean, var = torch.zeros(2), torch.ones(2)
    x, gamma, beta = torch.tensor([[[[3.0]], [[5.0]]]]), torch.ones(2), torch.tensor([1.0, 2.0])
    norm(x, gamma, beta, mean, var)
    assert mean.tolist() == [0, 0] and var.tolist() == [1, 1]  # MXNet moves them in the backward pass, and there is none
    y = norm(x.requires_grad_(), gamma, beta, mean, var)
    assert torch.allclose(y.flatten(), torch.tensor([1.0, 2.0]), atol=1e-3) and torch.allclose(var, torch.tensor([0.9, 0.9]))
    assert torch.allclose(mean, torch.tensor([0.3, 0.5]))


def test_parameter_files_come_back_byte_for_byte(small, tmp_path):
    _, module, _, _, path = small
    write_params(tmp_path / "back.params", to_arrays(module))
    assert (tmp_path / "back.params").read_bytes() == path.read_bytes()
    other = module_of(network("ssd_300_mobilenet0.25_custom", seed=5))
    set_arrays(other, read_params(path))
    write_params(tmp_path / "again.params", to_arrays(other))
    assert (tmp_path / "again.params").read_bytes() == path.read_bytes()
    arrays = to_arrays(module)
    name = "class_predictors.0.predictor.bias"
    with pytest.raises(CallError, match=f"'{name}' is missing in the arrays"):
        set_arrays(other, {n: a for n, a in arrays.items() if n != name})
    with pytest.raises(CallError, match=rf"'{name}': an array of shape \(1,\) for a parameter of shape"):
        set_arrays(other, {**arrays, name: np.zeros(1)})


def test_other_sizes(small):
    net, module = small[:2]
    for height, width in ((96, 160), (200, 333)):
        images = noise(1, (height, width))
        assert distance(mxnet_heads(net, images), heads(module.eval(), images)) < 1e-5


def test_what_mxnet_exported(small, tmp_path):
    """Detections and head outputs, of ssdzoo."""
    net, _, images, expected, path = small
    net.export(str(tmp_path / "whole"))
    net.export(str(tmp_path / "raw"), heads=True)
    for name in ("whole", "raw"):
        module = to_torch(tmp_path / f"{name}-symbol.json", tmp_path / f"{name}-0000.params")
        assert distance(expected, heads(module, images)) < 1e-5
        theirs = {n.split(":")[1]: a for n, a in read_params(tmp_path / f"{name}-0000.params").items()}
        assert all(np.array_equal(a, theirs.pop(n)) for n, a in to_arrays(module).items()) and not theirs
    assert distance(expected, heads(to_torch(path), images)) < 1e-5
    assert distance(expected, heads(to_torch(resolve(path)), images)) < 1e-5


@pytest.mark.parametrize("training", [False, pytest.param(True, marks=pytest.mark.long)])
def test_what_gluoncv_exported(training, tmp_path):
    """The detections, and the graph of head outputs that a hybridized network keeps after a training step."""
    model_zoo = gluoncv().model_zoo
    net = model_zoo.get_model("ssd_300_vgg16_atrous_voc", pretrained_base=False)
    initialize(net)
    net.hybridize()
    images = noise(1, (260, 260))
    with mx.autograd.train_mode():
        expected = as_numpy(net(mx.nd.array(images)))
    if not training:
        net.hybridize()  # forgets that graph
        net(mx.nd.array(images))
    net.export(str(tmp_path / "theirs"))
    module = to_torch(tmp_path / "theirs-symbol.json", tmp_path / "theirs-0000.params")
    assert distance(expected, heads(module, images)) < 1e-5
    learned = {n for n, p in module.named_parameters() if p.requires_grad}
    assert not any("init_scale" in n or "anchor" in n for n in learned) and len(learned) == 71


def test_an_older_symbol():
    symbol = older_symbol()
    names = symbol.list_inputs()
    shapes = dict(zip(symbol.list_arguments(), symbol.infer_shape(data=(2, 3, 64, 96))[0]))
    shapes.update(zip(symbol.list_auxiliary_states(), symbol.infer_shape(data=(2, 3, 64, 96))[2]))
    rng = np.random.default_rng(0)
    arrays = {n: np.abs(rng.normal(size=shapes[n])).astype(np.float32) / 4 for n in names if n != "data"}
    module = to_torch(symbol.tojson(), arrays)
    images = noise(2, (64, 96))
    logits, offsets, anchors = heads(module, images)
    inside = symbol.get_internals()
    parts = mx.sym.Group([inside[f"{n.name}_output"] for n in inside["detection_output"].get_children()])
    given = {n: mx.nd.array(a) for n, a in {**arrays, "data": images}.items()}
    states = {n: given.pop(n) for n in symbol.list_auxiliary_states()}
    scores, loc, priors = (
        o.asnumpy() for o in parts.bind(mx.cpu(), {n: given[n] for n in parts.list_arguments()}, aux_states=states).forward()
    )
    soft = np.exp(logits - logits.max(2, keepdims=True))
    np.testing.assert_allclose((soft / soft.sum(2, keepdims=True)).transpose(0, 2, 1), scores, atol=1e-5)
    assert distance([loc], [offsets.reshape(2, -1)]) < 1e-5
    corners = priors * [96, 64, 96, 64]
    center = np.concatenate([(corners[..., :2] + corners[..., 2:]) / 2, corners[..., 2:] - corners[..., :2]], 2)
    np.testing.assert_allclose(anchors, center, rtol=1e-5, atol=1e-4)


def test_bad_symbols(small):
    net = small[0]
    S, X = mx.sym, mx.sym.var("data")
    text, arrays = network_heads(net)
    with pytest.raises(ExportError, match=r"node '.*' \(sin\) with inputs .*: this operator is not known here"):
        to_torch(text.replace('"op": "Activation"', '"op": "sin"', 1), arrays)
    with pytest.raises(ExportError, match=r"parameter 'class_predictors.0.predictor.weight' is missing"):
        to_torch(text, {n: a for n, a in arrays.items() if n != "class_predictors.0.predictor.weight"})
    wrong = {**arrays, "class_predictors.0.predictor.weight": np.zeros((5, 5, 3, 3), np.float32)}
    with pytest.raises(ExportError, match=r"node 'convpredictor0_conv0_fwd' \(Convolution\) with inputs"):
        to_torch(text, wrong)
    beta = next(name for name in arrays if name.endswith("beta"))
    for name, message in (
        (beta, r"\(BatchNorm\) with inputs .*: gamma, beta, mean and variance of shapes .*\(1,\).*; expected"),
        ("class_predictors.0.predictor.bias", r"weights \(16, 128, 3, 3\) and bias \(1,\) in 1 groups don't fit 128 channels"),
    ):
        with pytest.raises(ExportError, match=message):
            to_torch(text, {**arrays, name: np.zeros(1, np.float32)})
    with pytest.raises(ExportError, match="its head outputs are not recognized: it has 0 softmax nodes and no node that decodes"):
        to_torch(S.relu(X).tojson(), {})
    with pytest.raises(ExportError, match=r"are no head outputs: class logits \(B, N, C \+ 1\)"):
        to_torch(S.Group([X, X, X]).tojson(), {})
    odd = 'w"), print("run'
    symbol = S.Group([S.broadcast_add(X, S.var(odd)), X, X])
    with pytest.raises(ExportError, match="cannot be one of a torch module"):
        to_torch(symbol.tojson(), {odd: np.zeros(1, np.float32)})


def test_head_symbols(small, tmp_path):
    """`export --heads`, and what it is good for: torch without mxnet, mxnet itself, and predictions."""
    _, _, images, expected, path = small
    out, _ = command("export", path, "--heads", "--out", tmp_path / "heads")
    name = tmp_path / "heads" / "ssd_300_mobilenet0.25_custom"
    assert out == f"{name}-symbol.json, {name.name}-0000.params, {name.name}.toml\n"
    block = mx.gluon.SymbolBlock.imports(f"{name}-symbol.json", ["data"], f"{name}-0000.params")
    assert distance(expected, as_numpy(block(mx.nd.array(images)))) < 1e-5
    text, arrays = head_symbol(resolve(name))
    assert list(arrays) == list(read_params(path))
    assert '"class_predictors.0.predictor.weight"' in text and "__init__" not in text
    with mock.patch("ssdzoo.runtime.mxnet", side_effect=SSDZooError("not installed")):
        assert len(list(to_torch(tmp_path / "heads").parameters())) == 129
        with pytest.raises(
            SSDZooError, match="w.params is built with mxnet: not installed; or export it with heads= where mxnet"
        ):
            to_torch(path)
    module = mx.mod.Module.load(str(name), 0, label_names=None)
    module.bind(for_training=False, data_shapes=[("data", images.shape)])
    module.forward(mx.io.DataBatch([mx.nd.array(images)]))
    assert distance(expected, as_numpy(module.get_outputs())) < 1e-5
    pixels = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    a, b = (ssdzoo.load(m)(pixels, score=0.02)[0] for m in (path, name))
    assert len(a.boxes) == len(b.boxes) > 0 and np.allclose(a.boxes, b.boxes, atol=1e-3)
    _, shown = command("export", name, "--heads", "--out", tmp_path / "x", status=2)
    assert "is exported already" in shown


def test_heads_of_a_new_network(tmp_path):
    start = ("--heads", "--classes", "cat, dog", "--base-weights", "none")
    out, _ = command("export", "ssd_300_mobilenet0.25_custom", *start, "--out", tmp_path)
    assert out.endswith("ssd_300_mobilenet0.25_custom.toml; random weights, as asked for; trained ones learn faster\n")
    source = resolve(tmp_path)
    assert source.preset.classes == ("cat", "dog")
    assert heads(to_torch(source), noise(1, (300, 300)))[0].shape == (1, 2268, 3)
    for arguments, message in (
        (("--heads", "--base-weights", "none"), "name its classes with --classes"),
        (("--classes", "cat"), "leave --classes out"),
        (("--base-weights", "none"), "--base-weights is for --heads"),
        (("--heads", "--format", "onnx"), "--heads is for --format symbol"),
        (("--layout", "torchvision"), "--layout is for --format torch"),
        (("--opset", "17"), "--opset is for --format onnx"),
        (("--with-preprocess", "--format", "torch"), "--with-preprocess is for --format onnx"),
        (("--format", "pickle"), "no format 'pickle'; there are symbol, onnx, torch"),
        (("--heads",), "has no published weights"),
    ):
        status = 1 if "published" in message else 2
        _, shown = command("export", "ssd_300_mobilenet0.25_custom", *arguments, "--out", tmp_path / "x", status=status)
        assert message in shown
