"""The backend torch on whole models: what it accepts, what it finds, and what it refuses."""

import json
import subprocess
import sys
import threading
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")

import ssdzoo
from ssdzoo.data.images import read_image
from ssdzoo.errors import CallError, ExportError, SSDZooError
from ssdzoo.export import to_torch
from ssdzoo.export.rule import preset_rule, rule_of
from ssdzoo.export.symbol import export_model
from ssdzoo.export.torch.folder import export_torch
from ssdzoo.formats.graph_detection import read_rule
from ssdzoo.formats.symbol_file import read_symbol
from ssdzoo.measure.compare import compare_heads
from ssdzoo.model_source import resolve
from ssdzoo.predict.backends.torch import TorchBackend, to_device, torch_device, without_tf32
from ssdzoo.predict.detector import GPU_BATCH, Detector
from ssdzoo.runtime import gluoncv, mxnet
from ssdzoo.zoo import find_preset
from tests.command import ssdzoo as command
from tests.export.onnx.models import older_symbol, photos, trained_looking
from tests.networks import small_network
from tests.shared import BCCD

mx = mxnet()
PRESET = find_preset("ssd_300_mobilenet0.25_custom").with_classes(["a", "b", "c"])
PHOTOS = [read_image(path) for path in sorted((BCCD / "JPEGImages").glob("*.jpg"))[:3]]
IMAGE = sorted((BCCD / "JPEGImages").glob("*.jpg"))[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run, and what is exported of it."""
    folder = tmp_path_factory.mktemp("torch")
    net = trained_looking(PRESET.name, photos((300, 300), 4))
    (folder / "run").mkdir()
    (folder / "run" / "model.toml").write_text(PRESET.to_toml())
    net.save_parameters(str(folder / "run" / "best.params"))
    export_model(net, PRESET, folder / "exported")
    return folder


def assert_same(expected, found):
    assert len(expected) == len(found)
    for a, b in zip(expected, found):
        assert len(a) > 20 and a.labels == b.labels
        np.testing.assert_allclose(b.scores, a.scores, atol=1e-5)
        np.testing.assert_allclose(b.boxes, a.boxes, atol=0.01)


@pytest.mark.parametrize("model", ["run", "exported"])
def test_photos(model, folder):
    detector = ssdzoo.load(folder / model, "torch")
    assert detector.runtime == f"torch {torch.__version__.partition('+')[0]} CPU f32"
    assert_same(ssdzoo.load(folder / model)(PHOTOS, score=0.1), detector(PHOTOS, score=0.1))
    detector.batch_size = 3
    assert_same(ssdzoo.load(folder / model)(PHOTOS, score=0.1), detector(PHOTOS, score=0.1))


def test_head_outputs_are_those_of_mxnet(folder):
    heads = compare_heads(ssdzoo.load(folder / "run"), ssdzoo.load(folder / "run", "torch"), PHOTOS)
    assert heads["images"] == 3 and heads["logits"] < 1e-4 and heads["offsets"] < 1e-4


def test_a_module_that_is_at_hand(folder):
    """A network that is trained is evaluated as it is, and goes on learning after that."""
    module = to_torch(folder / "run")
    detector = Detector(TorchBackend(module, PRESET, preset_rule(PRESET)), PRESET)
    assert_same(ssdzoo.load(folder / "run")(PHOTOS, score=0.1), detector(PHOTOS, score=0.1))
    module.train()
    logits, _, _ = module(torch.zeros(1, 3, 300, 300))
    logits.sum().backward()
    assert any(parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in module.parameters())


@pytest.mark.parametrize("precision, least, most", [("bf16", 1e-4, 0.02), ("f16", 1e-5, 0.002)])
def test_half_precision_rounds_scores_but_not_boxes_to_whole_pixels(precision, least, most, folder):
    exact, rounded = (ssdzoo.load(folder / "run", "torch", precision=p)(PHOTOS[0], score=0.3)[0] for p in ("f32", precision))
    assert least < np.abs(exact.scores[:5] - rounded.scores[:5]).max() < most
    assert (rounded.boxes % 1 != 0).mean() > 0.5


def test_a_gpu_without_bf16_says_so(folder, monkeypatch):
    monkeypatch.setattr("ssdzoo.predict.backends.torch.torch_device", torch.device)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    with pytest.raises(CallError, match="precision bf16: Tesla T4 does not have it; use f16 or f32"):
        ssdzoo.load(folder / "run", "torch", ctx="cuda:0", precision="bf16")


def test_a_symbol_of_gluoncv(folder, tmp_path):
    net = gluoncv().model_zoo.get_model("ssd_300_mobilenet0.25_custom", classes=["a", "b", "c"], pretrained_base=False)
    net.load_parameters(str(folder / "run" / "best.params"))
    net.set_nms(0.3, 300, 80)
    net.hybridize()
    net(mx.nd.zeros((1, 3, 300, 300)))
    net.export(str(tmp_path / "theirs"))
    symbol = tmp_path / "theirs-symbol.json"
    symbol.write_text(symbol.read_text().replace('"force_suppress": "False"', '"force_suppress": "True"'))
    (tmp_path / "theirs.toml").write_text('base_size = [300, 300]\nclasses = ["a", "b", "c"]\n')
    rule = rule_of(resolve(tmp_path))
    assert (rule.thresh, rule.topk, rule.post, rule.score, rule.by_class) == (0.3, 300, 80, 0.01, False)
    assert rule.stds == (0.1, 0.1, 0.2, 0.2) and not rule.multi_box and rule.scale_limit is None
    assert_same(*(ssdzoo.load(tmp_path, backend)(PHOTOS, score=0.05) for backend in ("mxnet", "torch")))


@pytest.fixture(scope="module")
def older(tmp_path_factory):
    """An exported model with MultiBoxDetection."""
    folder, symbol, rng = tmp_path_factory.mktemp("older"), older_symbol(), np.random.default_rng(0)
    shapes, _, more = symbol.infer_shape(data=(1, 3, 96, 128))
    arrays = {f"arg:{n}": mx.nd.array(rng.normal(0, 0.1, s)) for n, s in zip(symbol.list_arguments(), shapes) if n != "data"}
    for name, shape in zip(symbol.list_auxiliary_states(), more):
        arrays[f"aux:{name}"] = mx.nd.array(np.abs(rng.normal(1, 0.1, shape)))
    symbol.save(str(folder / "old-symbol.json"))
    mx.nd.save(str(folder / "old-0000.params"), arrays)
    (folder / "old.toml").write_text(
        'base_size = [96, 128]\nclasses = ["a", "b", "c"]\nmean = [123, 117, 104]\nstd = [1, 1, 1]\n'
    )
    return folder


def test_multi_box_detection(older):
    rule = rule_of(resolve(older))
    assert (rule.thresh, rule.topk, rule.post, rule.score, rule.multi_box) == (0.5, 400, 100, 0.01, True)
    assert rule.by_class and rule.clip and rule.stds == (0.1, 0.1, 0.2, 0.2)
    assert_same(*(ssdzoo.load(older, backend)(PHOTOS, score=0.0) for backend in ("mxnet", "torch")))


@pytest.mark.parametrize("suppress", [None, "across"])
@pytest.mark.parametrize("name, height, width", [("older", 96, 128), ("exported", 300, 300)])
def test_an_exported_folder_finds_the_same(name, height, width, suppress, older, folder, tmp_path):
    """`model.py` on images of the network's own size, which nobody resizes: MultiBoxDetection and box_nms, of both kinds."""
    source = resolve(older if name == "older" else folder / "exported", suppress=suppress)
    spec = spec_from_file_location("model", export_torch(source, tmp_path))
    model = module_from_spec(spec)
    spec.loader.exec_module(model)
    network = model.load()
    assert vars(network.RULE) == vars(rule_of(source)) and network.RULE.by_class == (suppress is None)
    images = np.stack([cv2.resize(photo, (width, height)) for photo in PHOTOS])
    expected = ssdzoo.load(source.model, "mxnet", suppress=suppress)(list(images), score=0.02)
    for one, found in zip(expected, network.detect(torch.from_numpy(images), 0.02)):
        assert len(one) > 20
        np.testing.assert_array_equal(found["class_ids"], one.class_ids)
        np.testing.assert_allclose(found["scores"], one.scores, atol=1e-5)
        np.testing.assert_allclose(found["boxes"], one.boxes, atol=0.01)


def test_an_exported_symbol_needs_no_mxnet(older, folder, tmp_path):
    cv2.imwrite(str(tmp_path / "x.png"), PHOTOS[0])
    code = f"""
import sys
sys.modules["mxnet"] = sys.modules["gluoncv"] = sys.modules["onnx"] = sys.modules["onnxruntime"] = None
import ssdzoo
for model in {[str(older), str(folder / "exported")]!r}:
    print(len(ssdzoo.load(model, "torch")({str(tmp_path / "x.png")!r}, score=0.1)[0]))
assert "torch._dynamo" not in sys.modules, "torch's compiler takes seconds to import"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert min(map(int, done.stdout.split())) > 20


def changed_symbol(folder, change):
    """The graph of the exported model after `change` of its nodes."""
    (symbol,) = (folder / "exported").glob("*-symbol.json")
    whole = json.loads(symbol.read_text())
    change(whole["nodes"])
    return read_symbol(json.dumps(whole))


def first(nodes, op):
    return next(node for node in nodes if node["op"] == op)


@pytest.mark.parametrize("change, message", [
    (lambda nodes: first(nodes, "_contrib_box_nms")["attrs"].update(id_index="-1"), "are not those of every class and anchor"),
    (lambda nodes: first(nodes, "_contrib_box_nms").update(op="_copy", attrs={}), "0 nodes of NMS, and one was expected"),
    (lambda nodes: first(nodes, "_greater_scalar").update(op="_lesser_scalar"), "says which scores count, and a minimum"),
    (lambda nodes: nodes[-1].update(op="_mul_scalar", attrs={"scalar": "2"}), "comes after its NMS, and slices were expected"),
])  # fmt: skip
def test_detections_of_an_unknown_form_are_refused(change, message, folder):
    with pytest.raises(ExportError, match=f"{message}.*; run it with another backend"):
        read_rule(changed_symbol(folder, change))


def test_what_a_symbol_says_of_its_minimum(folder):
    graph = changed_symbol(folder, lambda nodes: first(nodes, "_greater_scalar")["attrs"].update(scalar="0.2"))
    assert read_rule(graph).score == 0.2
    graph = changed_symbol(folder, lambda nodes: first(nodes, "_contrib_box_decode")["attrs"].update(clip="0.7", std3="0.3"))
    assert read_rule(graph).scale_limit == 0.7 and read_rule(graph).stds == (0.1, 0.1, 0.2, 0.3)


def test_rules_of_symbols_and_presets_agree(folder):
    assert rule_of(resolve(folder / "exported")) == rule_of(resolve(folder / "run"))


def test_devices():
    assert torch_device() == torch_device("cpu") == torch_device([mx.cpu(0)]) == torch.device("cpu")
    with pytest.raises(CallError, match="ctx='gpu7': expected a device of torch, such as cpu or cuda:0"):
        torch_device("gpu7")
    if not torch.cuda.is_available():
        for ctx in ("cuda:0", mx.gpu(0), [torch.device("cuda", 0)]):
            with pytest.raises(SSDZooError, match="cuda:0: (this torch has no CUDA|torch sees no GPU)"):
                torch_device(ctx)


@pytest.mark.skipif(not hasattr(torch.backends.cudnn, "conv"), reason="torch before 2.9 has one switch for all operators")
def test_the_precision_of_convolutions_is_the_user_s_again():
    """Also where the user has set it for each operator, after which torch refuses its older switch."""
    convolution = torch.backends.cudnn.conv
    before = convolution.fp32_precision
    assert before == "tf32"
    try:
        for precision in ("tf32", "ieee"):
            convolution.fp32_precision = precision
            with pytest.raises(KeyError), without_tf32():
                assert convolution.fp32_precision == "ieee"
                raise KeyError
            assert convolution.fp32_precision == precision
    finally:
        convolution.fp32_precision = before


def test_images_that_the_network_does_not_take(folder):
    backend = ssdzoo.load(folder / "run", "torch").backend
    with pytest.raises(ExportError, match="torch can't run the network: The size of tensor a"):
        backend(np.zeros((1, 300, 300, 4), np.uint8))


def test_pixels_are_normalized_as_for_the_other_backends(folder):
    """To the last bit; and they travel as bytes."""
    other, ours = ssdzoo.load(folder / "run"), ssdzoo.load(folder / "run", "torch")
    planes, pixels = other.prepare(PHOTOS[0])[1], ours.prepare(PHOTOS[0])[1]
    assert (planes.shape, planes.dtype, pixels.shape, pixels.dtype) == ((3, 300, 300), np.float32, (300, 300, 3), np.uint8)
    taken = []
    ours.backend._module.register_forward_pre_hook(lambda _, given: taken.append(given[0]))
    ours.backend(pixels[None])
    assert taken[0].is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_array_equal(taken[0][0].numpy(), planes)


def test_memory_is_pinned_for_the_card_that_gets_it(monkeypatch):
    """Not for the first card, which other threads than the first have by default."""
    place, current, pinned = torch.device("cuda", 1), [], []

    @contextmanager
    def device(chosen):
        current.append(chosen)
        yield
        current.pop()

    monkeypatch.setattr(torch.cuda, "device", device)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: pinned.extend(current) or tensor)
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, *a, **k: (a, k))
    assert to_device(np.zeros((2, 3), np.uint8), place) == ((place,), {"non_blocking": True})
    assert pinned == [place] and current == []


class Small(torch.nn.Module):
    """A network for which batches of more than two images are too large."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.sizes = inner, []

    def forward(self, images):
        self.sizes.append(len(images))
        if len(images) > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return self.inner(images)


def test_a_batch_that_is_too_large_for_the_memory_goes_in_parts(folder):
    expected, module = ssdzoo.load(folder / "run", "torch")(PHOTOS, 0.1), Small(to_torch(folder / "run"))
    detector = Detector(TorchBackend(module, PRESET, preset_rule(PRESET)), PRESET, batch_size=5)
    module.limit = 2
    assert_same(expected * 3, detector(PHOTOS * 3, 0.1))
    assert module.sizes == [5, 3, 2, 1, 2, 2, 2] and detector.batch_size == 2  # the first 3 images: 2 and 1
    module.limit = 0
    with pytest.raises(ExportError, match="torch can't run the network: CUDA out of memory. Tried to allocate 2.00 GiB."):
        detector(PHOTOS[:2])


def test_a_gpu_gets_batches_and_the_cores_read_for_it(folder):
    """What a Detector does for a backend on a GPU, on the CPU: batches, of which several are under way."""
    module, threads = Small(to_torch(folder / "run")), set()
    module.limit = GPU_BATCH
    backend = TorchBackend(module, PRESET, preset_rule(PRESET))
    backend.on_gpu, backend.in_flight = True, 2
    detector = Detector(backend, PRESET)
    backend._module.register_forward_pre_hook(lambda *_: threads.add(threading.get_ident()))
    found = detector(PHOTOS * 12, 0.1)
    assert sorted(module.sizes) == [4, 16, 16] and len(threads) == 2
    assert_same(ssdzoo.load(folder / "run", "torch")(PHOTOS, 0.1) * 12, found)
    assert Detector(ssdzoo.load(folder / "run", "torch").backend, PRESET).batch_size == 1


def test_the_commands(folder, tmp_path):
    run = folder / "run"
    out, _ = command("compare", run, run, "--backend-b", "torch", "--images", IMAGE, "--out", tmp_path)
    assert "torch " in out and " CPU f32" in out
    if not torch.cuda.is_available():
        _, errors = command("eval", run, BCCD, "--backend", "torch", "--gpus", "0", status=1)
        assert "cuda:0: " in errors
    _, errors = command("predict", run, BCCD, "--out", tmp_path, "--backend", "torch", "--gpus", "x", status=2)
    assert "--gpus 'x': expected different numbers" in errors


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_finds_the_same(folder):
    expected = ssdzoo.load(folder / "run")(PHOTOS, score=0.1)
    detector = ssdzoo.load(folder / "run", "torch", ctx="cuda:0")
    assert torch.cuda.get_device_name(0) in detector.runtime
    for a, b in zip(expected, detector(PHOTOS, score=0.1)):
        assert a.labels[:20] == b.labels[:20]
        np.testing.assert_allclose(b.scores, a.scores, atol=1e-4)
        np.testing.assert_allclose(b.boxes[:20], a.boxes[:20], atol=0.05)
    assert ssdzoo.load(folder / "run", "auto", ctx="cuda:0").runtime == detector.runtime
    assert len(ssdzoo.load(folder / "run", "torch", ctx="cuda:0", precision="bf16")(PHOTOS, score=0.1)) == 3


def test_small_images_have_fewer_candidates_than_the_limit():
    net = small_network()
    module = to_torch_of(net)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    images = (pixels.transpose(0, 3, 1, 2) / 255 - np.reshape(PRESET.mean, (3, 1, 1))) / np.reshape(PRESET.std, (3, 1, 1))
    expected = [output.asnumpy() for output in net(mx.nd.array(images))]
    for a, b in zip(expected, TorchBackend(module, PRESET, preset_rule(PRESET))(pixels)):
        rows = min(a.shape[1], b.shape[1])
        np.testing.assert_allclose(b[:, :rows], a[:, :rows], atol=1e-3)
        assert (a[:, rows:] == -1).all() and (b[:, rows:] == -1).all()


def to_torch_of(net):
    from ssdzoo.export.heads import network_heads

    return to_torch(*network_heads(net))
