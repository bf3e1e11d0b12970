"""Heads: shared by all maps or one for each, of one convolution or depthwise separable."""

import numpy as np
import pytest

import ssdzoo
from ssdzoo.errors import CallError
from ssdzoo.model_source import resolve
from ssdzoo.nn.predictors import SeparablePredictor
from ssdzoo.predict.backends.mxnet import symbol_block
from ssdzoo.preset import check_preset
from ssdzoo.runtime import mxnet
from ssdzoo.weights.file_classes import class_count
from tests.networks import as_numpy, images

mx = mxnet()

ROW = {
    "name": "small_fpn", "backbone": "resnet18_v1_fpn", "base_size": [64, 96], "features": ["stage2", "stage3"], "filters": [32],
    "sizes": [12, 24, 40, 60], "ratios": [[1, 2, 0.5]] * 3,
}  # fmt: skip


def network(seed=0, classes=("a", "b", "c"), **fields):
    mx.random.seed(seed)
    net = ssdzoo.get_model(check_preset({**ROW, **fields}, "here"), classes=list(classes))
    net.initialize(mx.init.Xavier())
    return net


def heads(net):
    return {n: p for n, p in net._collect_params_with_prefix().items() if "predictors" in n}


def test_shared_heads_equal_separate_ones_of_the_same_weights():
    shared, separate = network(shared_predictors=True), network()
    assert sorted(heads(shared)) == [f"{w}_predictors.0.predictor.{p}" for w in ("box", "class") for p in ("bias", "weight")]
    assert len(heads(separate)) == 3 * len(heads(shared))
    own = shared._collect_params_with_prefix()
    for name, parameter in separate._collect_params_with_prefix().items():
        same = (
            own[name]
            if name in own
            else own[name.replace("predictors.1", "predictors.0").replace("predictors.2", "predictors.0")]
        )
        parameter.set_data(same.data())
    x = images(2, 64, 96)
    gradients = []
    for net in (shared, separate):
        net.hybridize()
        with mx.autograd.record():
            logits, offsets, _ = net(x)
            loss = (logits**2).sum() + (offsets**2).sum()
        loss.backward()
        gradients.append({n: p.grad().asnumpy() for n, p in heads(net).items()})
    for a, b in zip(as_numpy(shared.head_outputs(x)), as_numpy(separate.head_outputs(x))):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    for name, gradient in gradients[0].items():
        total = sum(gradients[1][name.replace(".0.", f".{i}.")] for i in range(3))
        np.testing.assert_allclose(gradient, total, rtol=1e-3, atol=1e-3 * np.abs(total).max())


@pytest.mark.parametrize(
    "fields", [{"shared_predictors": True}, {"separable": True}, {"shared_predictors": True, "separable": True}]
)
def test_files_and_exports(fields, tmp_path):
    net, again = network(0, **fields), network(1, **fields)
    x = images(2, 64, 96)
    with mx.autograd.record():
        net(x)  # moves the statistics of the norms
    expected = as_numpy(net(x))
    net.save_parameters(str(tmp_path / "net.params"))
    net.export(str(tmp_path / "net"))
    assert class_count(tmp_path / "net.params") == class_count(tmp_path / "net-0000.params") == 3
    block = symbol_block(resolve(tmp_path / "net"))
    answers = [as_numpy(block(x))]
    for file in ("net.params", "net-0000.params"):
        again = network(1, **fields)
        again.load_parameters(str(tmp_path / file))
        again.hybridize()
        answers.append(as_numpy(again(x)))
    for answer in answers:
        for a, b in zip(expected, answer):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    with pytest.raises(ssdzoo.errors.WeightsError, match="not of this model: parameter"):
        network(1).load_parameters(str(tmp_path / "net.params"))


@pytest.mark.parametrize("fields", [{}, {"shared_predictors": True}, {"separable": True}])
@pytest.mark.parametrize("hybridize", [False, True])
def test_reset_class_changes_the_last_convolutions_alone(fields, hybridize):
    net, x = network(**fields), images(1, 64, 96)
    if hybridize:
        net.hybridize()
    net(x)
    before, names = {n: p.data().asnumpy() for n, p in heads(net).items()}, sorted(net.collect_params())
    net.reset_class(["c", "new"], reuse_weights=["c"])
    after = {n: p.data().asnumpy() for n, p in heads(net).items()}
    assert list(after) == list(before) and sorted(net.collect_params()) == names
    for name, array in after.items():
        if name.startswith("class") and ".predictor." in name:
            assert array.shape == (4 * 3, *before[name].shape[1:])
            np.testing.assert_array_equal(array[0::3], before[name][0::4])
            np.testing.assert_array_equal(array[1::3], before[name][3::4])
            assert not array[2::3].any() if name.endswith("bias") else array[2::3].std() > 0
        else:
            np.testing.assert_array_equal(array, before[name])
    with mx.autograd.train_mode():
        assert net(x)[0].shape == (1, (8 * 12 + 4 * 6 + 2 * 3) * 4, 3)


def test_maps_that_cannot_share_their_heads():
    with pytest.raises(CallError, match=r"equally many anchors at a grid cell \(fields 'sizes' and 'ratios'\), not \[4, 4, 3\]"):
        network(shared_predictors=True, ratios=[[1, 2, 0.5], [1, 2, 0.5], [1, 2]])
    with pytest.raises(
        CallError, match=r"shared_predictors = true: all feature maps need equally many channels, not \[512, 1024, 512"
    ):
        ssdzoo.get_model("ssd_300_vgg16_atrous_custom", classes=["a"], shared_predictors=True, ratios=[1, 2, 0.5])
    assert len(network(shared_predictors=True, ratios=[[1, 2], [1, 3], [1, 4]]).class_predictors) == 1


def test_a_separable_head_equals_a_loop():
    head = SeparablePredictor(5, (3, 3), (1, 1), 4)
    head.initialize()
    rng = np.random.default_rng(0)
    for parameter in head.collect_params().values():
        parameter.set_data(mx.nd.array(rng.uniform(0.2, 2, parameter.shape)))
    x = rng.normal(0, 3, (2, 4, 6, 7)).astype(np.float32)
    weight, norm = head.depthwise.weight.data().asnumpy(), head.norm
    gamma, beta, mean, var = (p.data().asnumpy() for p in (norm.gamma, norm.beta, norm.running_mean, norm.running_var))
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    middle = np.empty_like(x)
    for b, c, i, j in np.ndindex(x.shape):
        y = (padded[b, c, i : i + 3, j : j + 3] * weight[c, 0]).sum()
        middle[b, c, i, j] = np.clip((y - mean[c]) / np.sqrt(var[c] + 1e-3) * gamma[c] + beta[c], 0, 6)
    last = head.predictor
    expected = (
        np.einsum("oc,bchw->bohw", last.weight.data().asnumpy()[:, :, 0, 0], middle) + last.bias.data().asnumpy()[:, None, None]
    )
    assert (middle == 0).any() and (middle == 6).any()
    np.testing.assert_allclose(head(mx.nd.array(x)).asnumpy(), expected, rtol=1e-4, atol=1e-4)


def test_separable_layers_need_their_norms():
    arguments = dict(base_size=96, sizes=[10, 20, 40], ratios=[1], steps=None, classes=["a"], separable=True)
    for wrong in ("use_bn", "use_1x1_transition"):
        with pytest.raises(CallError, match="separable=True: use_1x1_transition and use_bn belong to it"):
            ssdzoo.get_ssd("mobilenet0.25", features=["relu26_fwd"], filters=[64], **arguments, **{wrong: False})
