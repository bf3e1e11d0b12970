import numpy as np
import pytest

from ssdzoo.errors import CallError
from ssdzoo.nn.fpn import ResNetFPN
from ssdzoo.runtime import mxnet

mx = mxnet()


def map_shapes(net, height, width):
    maps = mx.sym.Group(net(mx.sym.var("data")))
    return [shape[1:] for shape in maps.infer_shape(data=(1, 3, height, width))[1]]


def initialized(*args, **kwargs):
    net = ResNetFPN(*args, **kwargs)
    net.initialize(mx.init.Xavier())
    net(mx.nd.zeros((1, 3, 32, 32)))
    return net


@pytest.mark.parametrize(
    "network", ["resnet50_v1b", "resnet18_v1", "resnet18_v2", "resnet34_v1b", "resnet50_v1d", "resnet101_v1"]
)
def test_maps_of_a_64x64_image(network):
    assert map_shapes(ResNetFPN(network), 64, 64) == [(256, n, n) for n in (16, 8, 4, 2, 1)]


@pytest.mark.parametrize(
    "height, width, sizes",
    [
        (100, 131, [(25, 33), (13, 17), (7, 9), (4, 5), (2, 3)]),
        (65, 33, [(17, 9), (9, 5), (5, 3), (3, 2), (2, 1)]),
        (300, 300, [(75, 75), (38, 38), (19, 19), (10, 10), (5, 5)]),
    ],
)
def test_odd_sizes(height, width, sizes):
    assert [s[1:] for s in map_shapes(ResNetFPN("resnet18_v1"), height, width)] == sizes


@pytest.mark.parametrize(
    "returned, sizes", [((2, 3, 4), (8, 4, 2)), ((1,), (16,)), ((1, 2), (16, 8)), ((4,), (2,)), ((1, 3), (16, 4))]
)
def test_returned_stages(returned, sizes):
    net = ResNetFPN("resnet18_v1", returned, channels=32, extra=0)
    assert map_shapes(net, 64, 64) == [(32, n, n) for n in sizes]
    assert len(net.body) == max(returned) + 1


def test_extra_maps():
    for extra, sizes in (("pool", (8, 4, 2, 1)), (0, (8, 4, 2)), (2, (8, 4, 2, 1, 1))):
        assert [s[1] for s in map_shapes(ResNetFPN("resnet18_v1", (2, 3, 4), extra=extra), 64, 64)] == list(sizes)
    net = initialized("resnet18_v1", (4,), extra="pool")
    coarsest, pooled = (m.asnumpy() for m in net(mx.nd.random.normal(shape=(1, 3, 96, 160))))
    np.testing.assert_array_equal(pooled, coarsest[:, :, ::2, ::2])
    net = initialized("resnet18_v1", (4,), extra=2)
    p5, p6, p7 = net(mx.nd.random.normal(shape=(1, 3, 96, 160)))
    np.testing.assert_array_equal(p6.asnumpy(), net.extra[0](p5).asnumpy())
    np.testing.assert_array_equal(p7.asnumpy(), net.extra[1](mx.nd.relu(p6)).asnumpy())


@pytest.mark.parametrize("height, width", [(64, 64), (97, 131)])
def test_the_way_down_equals_a_loop(height, width):
    net = initialized("resnet18_v1", (3, 4), extra=0)
    image = mx.nd.random.normal(shape=(1, 3, height, width))
    x = image
    for part in net.body[:4]:
        x = part(x)
    fine, coarse = net.lateral[0](x).asnumpy(), net.lateral[1](net.body[4](x)).asnumpy()
    for i, j in np.ndindex(fine.shape[2:]):
        fine[:, :, i, j] += coarse[:, :, i * coarse.shape[2] // fine.shape[2], j * coarse.shape[3] // fine.shape[3]]
    expected = net.smooth[0](mx.nd.array(fine)).asnumpy()
    np.testing.assert_allclose(net(image)[0].asnumpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layers, learning", [(0, ()), (1, "4"), (2, "34"), (3, "234"), (4, "1234"), (5, "01234")])
def test_trainable_layers(layers, learning):
    net = initialized("resnet18_v1", frozen_norm=False, trainable_layers=layers)
    for number, part in enumerate(net.body):
        weights = [p for n, p in part.collect_params().items() if n.endswith(("weight", "gamma", "beta"))]
        assert {p.grad_req for p in weights} == {"write" if str(number) in learning else "null"}
    assert all(p.grad_req == "write" for p in net.pyramid_parameters.values())


def test_layers_behind_the_last_returned_one_count():
    net = ResNetFPN("resnet18_v1", (2, 3), trainable_layers=2, frozen_norm=False)
    learning = [part.collect_params(".*weight") for part in net.body]
    assert [{p.grad_req for p in part.values()} for part in learning] == [{"null"}] * 3 + [{"write"}]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"trainable_layers": 6}, r"trainable_layers=6: expected 0 \(all of the ResNet frozen\) to 5 \(none\)"),
        ({"trainable_layers": -1}, "trainable_layers=-1"),
        ({"returned": (4, 3)}, r"returned=\(4, 3\): expected rising stages out of \(1, 2, 3, 4\)"),
        ({"returned": (0, 1)}, "rising stages"),
        ({"returned": ()}, "rising stages"),
        ({"extra": "conv"}, "extra='conv': expected 'pool' or a number"),
        ({"extra": -1}, "extra=-1"),
        ({"network": "resnet51_v1"}, "no ResNet 'resnet51_v1'; there are resnet18_v1"),
        ({"network": "resnet51_v1b"}, "no ResNet 'resnet51_v1b'"),
        ({"network": "vgg16"}, "no ResNet 'vgg16'"),
    ],
)
def test_values_out_of_range(arguments, message):
    with pytest.raises(CallError, match=message):
        ResNetFPN(**{"network": "resnet18_v1", **arguments})


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_norms_keep_statistics_factors_and_shifts(frozen):
    net = initialized("resnet18_v1b", (1, 2), frozen_norm=frozen, trainable_layers=5)
    net.hybridize()
    norms = {n: p for n, p in net.collect_params().items() if n.rsplit("_", 1)[-1] in ("gamma", "beta", "mean", "var")}
    weights = dict(net.collect_params(".*weight").items())
    before = {n: p.data().asnumpy() for n, p in {**norms, **weights}.items()}
    trainer = mx.gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1})
    x = mx.nd.random.normal(2, 3, shape=(2, 3, 64, 64))
    with mx.autograd.record():
        maps = net(x)
        loss = sum((m**2).mean() for m in maps)
    loss.backward()
    trainer.step(1)
    same = {n: np.array_equal(before[n], p.data().asnumpy()) for n, p in {**norms, **weights}.items()}
    assert not any(same[n] for n in weights)
    assert all(same[n] for n in norms) if frozen else not all(same[n] for n in norms)
    if frozen:
        # float32 rounds differently in the two modes, by 3e-6 of a map's largest value, which is in the hundreds after this step.
        net.cast("float64")
        trained, predicted = mx.autograd.train_mode, mx.autograd.predict_mode
        answers = []
        for mode in (trained, predicted):
            with mode():
                answers.append([m.asnumpy() for m in net(x.astype("float64"))])
        for a, b in zip(*answers, strict=True):
            assert a.dtype == np.float64 and np.abs(a).max() > 1
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


def test_hybridized_and_exported_answers_are_equal(tmp_path):
    net = initialized("resnet18_v1")
    x = mx.nd.random.normal(shape=(1, 3, 75, 101))
    plain = [m.asnumpy() for m in net(x)]
    net.hybridize()
    net(x)
    net.export(str(tmp_path / "fpn"))
    block = mx.gluon.SymbolBlock.imports(str(tmp_path / "fpn-symbol.json"), ["data"], str(tmp_path / "fpn-0000.params"))
    for a, b, c in zip(plain, net(x), block(x), strict=True):
        np.testing.assert_allclose(a, b.asnumpy(), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(a, c.asnumpy(), rtol=1e-5, atol=1e-5)
