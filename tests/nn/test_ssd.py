import numpy as np
import pytest

import ssdzoo
from ssdzoo.errors import CallError
from ssdzoo.runtime import mxnet
from tests.networks import as_numpy, images, small_network

mx = mxnet()
autograd = mx.autograd


@pytest.mark.parametrize("flags", [None, {}, {"static_alloc": True}, {"static_alloc": True, "static_shape": True}])
def test_recording_and_predicting_alternate(flags):
    net = small_network()
    if flags is not None:
        net.hybridize(**flags)
    x = images()
    shapes = []
    for _ in range(2):
        with autograd.record():
            logits, offsets, anchors = net(x)
            loss = (logits**2).sum() + (offsets**2).sum()
        loss.backward()
        assert float(net.class_predictors[0].predictor.weight.grad().norm().asscalar()) > 0
        shapes.append([o.shape for o in (logits, offsets, anchors)])
        shapes.append([o.shape for o in net(x)])
    count = 6 * 6 * 4 + 3 * 3 * 6 + 2 * 2 * 6 + 6 + 4 + 4
    raw, found = [(2, count, 4), (2, count, 4), (1, count, 4)], [(2, 100, 1), (2, 100, 1), (2, 100, 4)]
    assert shapes == [raw, found, raw, found]


def test_hybridized_and_plain_answers_are_equal():
    net = small_network()
    plain = as_numpy(net(images()))
    net.hybridize(static_alloc=True)
    for a, b in zip(plain, as_numpy(net(images()))):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.long  # those of one architecture are in test_rows.py
@pytest.mark.parametrize("name", ssdzoo.list_models())
def test_xavier_initializes_every_preset(name):
    net = ssdzoo.get_model(name, classes=["a", "b"])
    net.initialize(mx.init.Xavier())
    gammas = [p for n, p in net.collect_params().items() if n.endswith("gamma")]
    assert all((p.data().asnumpy() == 1).all() for p in gammas)
    assert all(np.isfinite(p.data().asnumpy()).all() for p in net.collect_params().values())


@pytest.mark.parametrize("height, width", [(96, 160), (300, 300), (131, 77)])
def test_any_shape(height, width):
    net = small_network()
    with autograd.train_mode():
        logits, _, anchors = net(images(1, height, width))
    count = sum(h * w * g.num_depth for (h, w), g in zip(net.map_sizes(height, width), net.anchor_generators))
    assert logits.shape == (1, count, 4) and anchors.shape == (1, count, 4)


def test_too_small_an_input_names_the_least_size():
    net = ssdzoo.get_model("ssd_300_vgg16_atrous_voc")
    net.initialize()
    with pytest.raises(CallError, match=r"200x300 \(H x W\) is too small .*; the minimum is 257x257"):
        net(mx.nd.zeros((1, 3, 200, 300)))
    assert net.map_sizes(257, 257)[-1] == (1, 1)
    with pytest.raises(CallError):
        net.map_sizes(256, 256)


def test_a_batch_of_the_wrong_rank():
    with pytest.raises(CallError, match=r"expected a batch of images \(B, 3, H, W\), got shape \(3, 96, 96\)"):
        small_network()(mx.nd.zeros((3, 96, 96)))


def test_batches_from_loader_workers():
    net = small_network()
    net.hybridize()
    x = images()
    shared = x.as_in_context(mx.Context("cpu_shared", 0))
    for a, b in zip(as_numpy(net(x)), as_numpy(net(shared))):
        np.testing.assert_array_equal(a, b)
    with autograd.record():
        assert net(shared)[0].context == mx.cpu(0)


@pytest.mark.parametrize("hybridize", [False, True])
def test_set_nms(hybridize):
    net = small_network()
    if hybridize:
        net.hybridize()
    assert net(images())[0].shape == (2, 100, 1)
    net.set_nms(nms_thresh=0.3, nms_topk=50, post_nms=7)
    assert net(images())[0].shape == (2, 7, 1)
    assert (net.nms_thresh, net.nms_topk, net.post_nms) == (0.3, 50, 7)


@pytest.mark.parametrize("reuse", [{"x": "b"}, {0: 1}, {"x": 1}, {0: "b"}])
def test_reset_class_keeps_mapped_rows(reuse):
    net = small_network()
    net.hybridize()
    net(images())
    old = [p.predictor.weight.data().asnumpy() for p in net.class_predictors]
    net.reset_class(["x", "y"], reuse_weights=reuse)
    assert net.classes == ["x", "y"] and net.num_classes == 2
    for before, head in zip(old, net.class_predictors):
        after = head.predictor.weight.data().asnumpy()
        np.testing.assert_array_equal(after[0::3], before[0::4])
        np.testing.assert_array_equal(after[1::3], before[2::4])
    ids = net(images())[0].asnumpy()
    assert ids.max() <= 1
    with autograd.record():
        assert net(images())[0].shape[2] == 3


def test_reset_class_by_a_list_of_names():
    net = small_network(("a", "b", "c"))
    old = net.class_predictors[0].predictor.bias.data().asnumpy() + 1
    net.class_predictors[0].predictor.bias.set_data(mx.nd.arange(16))
    net.reset_class(["c", "new", "a"], reuse_weights=["a", "c"])
    bias = net.class_predictors[0].predictor.bias.data().asnumpy()
    assert len(old) == 16
    assert bias[0::4].tolist() == [0, 4, 8, 12]
    assert bias[1::4].tolist() == [3, 7, 11, 15]
    assert bias[2::4].tolist() == [0, 0, 0, 0]
    assert bias[3::4].tolist() == [1, 5, 9, 13]


def test_reset_class_warns_of_names_that_are_not_there():
    with pytest.warns(UserWarning, match=r"\['zebra'\]"):
        small_network().reset_class(["a", "zebra"], reuse_weights=["a", "zebra"])


@pytest.mark.parametrize("reuse", [{"x": "zebra"}, {"zebra": "a"}, {0: 3}, {2: 0}, {-1: 0}])
def test_reset_class_refuses_what_is_not_there(reuse):
    net = small_network()
    with pytest.raises(ValueError):
        net.reset_class(["x", "y"], reuse_weights=reuse)
    assert net.classes == ["a", "b", "c"]


def test_reset_class_before_initialize():
    net = ssdzoo.get_model("ssd_300_mobilenet0.25_voc")
    net.reset_class(["a"])
    net.initialize(mx.init.Xavier())
    assert net(images(1))[0].asnumpy().max() <= 0


@pytest.mark.parametrize("classes", ["person", [], ["a", "a"]])
def test_bad_class_lists(classes):
    with pytest.raises(CallError, match="class"):
        ssdzoo.get_model("ssd_300_mobilenet0.25_custom", classes=classes)


def test_a_second_net_saves_and_loads_like_the_first(tmp_path):
    first, second = small_network(seed=1), small_network(seed=2)
    first.save_parameters(str(tmp_path / "first.params"))
    second.save_parameters(str(tmp_path / "second.params"))
    names = [sorted(mx.nd.load(str(tmp_path / f"{n}.params"))) for n in ("first", "second")]
    assert names[0] == names[1]
    second.load_parameters(str(tmp_path / "first.params"))
    for a, b in zip(as_numpy(first(images())), as_numpy(second(images()))):
        np.testing.assert_array_equal(a, b)


def test_two_contexts_hold_the_same_network():
    net = small_network()
    net.collect_params().reset_ctx([mx.cpu(0), mx.cpu(1)])
    net.hybridize()
    x = images()
    for a, b in zip(as_numpy(net(x)), as_numpy(net(x.as_in_context(mx.cpu(1))))):
        np.testing.assert_array_equal(a, b)


def test_get_ssd_takes_an_extractor():
    class Two(mx.gluon.HybridBlock):
        def __init__(self):
            super().__init__()
            with self.name_scope():
                self.one = mx.gluon.nn.Conv2D(8, 3, strides=4, padding=1)
                self.two = mx.gluon.nn.Conv2D(8, 3, strides=2, padding=1)

        def hybrid_forward(self, F, x):
            one = self.one(x)
            return [one, self.two(one)]

    for features in (Two(), lambda pretrained=False, ctx=None, root=None: Two()):
        net = ssdzoo.get_ssd(None, 64, features, None, [10, 20, 30], [[1, 2, 0.5]] * 2, [4, 8], ["a"], "custom")
        net.initialize()
        with autograd.train_mode():
            assert net(mx.nd.zeros((1, 3, 64, 64)))[0].shape == (1, 16 * 16 * 4 + 8 * 8 * 4, 2)
    with pytest.raises(CallError, match="2 feature maps, so 3 sizes, 2 lists of ratios and 2 steps"):
        ssdzoo.get_ssd(None, 64, Two(), None, [10, 20], [[1, 2]] * 2, [4, 8], ["a"])


def test_a_rectangular_base_size():
    net = ssdzoo.get_model("ssd_300_mobilenet0.25_custom", classes=["a"], base_size=(150, 300))
    steps = net.anchor_generators[0].anchors.value.asnumpy()[0, 0, 0, 0, :2] * 2
    np.testing.assert_allclose(steps, [300 / 19, 150 / 10], rtol=1e-6)


def test_arguments_of_gluoncv():
    names = dict(
        norm_layer=mx.gluon.nn.BatchNorm, norm_kwargs={}, minimal_opset=True, anchor_alloc_size=64, stds=(0.1, 0.1, 0.2, 0.2)
    )
    net = ssdzoo.get_model("ssd_300_mobilenet0.25_voc", predictors_kernel=(1, 1), predictors_pad=(0, 0), **names)
    assert net.class_predictors[0].predictor.weight.shape == (84, 128, 1, 1)
    assert net.anchor_generators[0].anchors.shape == (1, 1, 64, 64, 16)
    sync = mx.gluon.contrib.nn.SyncBatchNorm
    kwargs = {"num_devices": 2, "use_global_stats": True}
    same = ssdzoo.get_model("ssd_300_mobilenet0.25_voc", norm_layer=sync, norm_kwargs=kwargs)
    assert len(same.collect_params().keys()) == len(net.collect_params().keys())  # as in GluonCV, the norms stay as they are
    with pytest.raises(CallError, match="norm_layer=.*InstanceNorm.*: expected nn.BatchNorm or SyncBatchNorm"):
        ssdzoo.get_model("ssd_300_mobilenet0.25_voc", norm_layer=mx.gluon.nn.InstanceNorm)
    with pytest.raises(CallError, match="norm_kwargs=4: expected a dict"):
        ssdzoo.get_model("ssd_300_mobilenet0.25_voc", norm_kwargs=4)


def test_nms_is_set_by_attribute_after_hybridize():
    net = small_network()
    net.hybridize()
    assert net(images())[0].shape == (2, 100, 1)
    net.post_nms, net.nms_thresh = 7, 0.3
    assert (net.nms_thresh, net.nms_topk, net.post_nms) == (0.3, 400, 7) and net(images())[0].shape == (2, 7, 1)


def test_unknown_backbones_and_layers():
    with pytest.raises(CallError, match="no backbone 'resnet99'"):
        ssdzoo.get_ssd("resnet99", 300, ["x"], [8], [1, 2, 3], [[1]] * 2, [8, 16], ["a"])
    with pytest.raises(CallError, match="no layer 'relu99_fwd'; its activations are .*relu26_fwd"):
        ssdzoo.get_ssd("mobilenet0.25", 300, ["relu99_fwd"], [8], [1, 2, 3], [[1]] * 2, [8, 16], ["a"])
    with pytest.raises(CallError, match="extra layers for sizes"):
        ssdzoo.get_ssd("vgg16_atrous", 400, None, None, [1, 2], [[1]], [8], ["a"])
    with pytest.raises(CallError, match="needs features"):
        ssdzoo.get_ssd("mobilenet0.25", 300, None, None, [1, 2], [[1]], [8], ["a"])


def test_one_feature_map_alone():
    net = ssdzoo.get_ssd(
        "mobilenet0.25", 96, features=["relu22_fwd"], filters=[], sizes=[30, 60], ratios=[[1, 2, 0.5]], steps=None, classes=["a"]
    )
    net.initialize(mx.init.Xavier())
    for hybrid in (False, True):
        net.hybridize(hybrid)
        with autograd.train_mode():
            logits, offsets, anchors = net(images(3, 96, 96))
        assert [x.shape for x in (logits, offsets, anchors)] == [(3, 144, 2), (3, 144, 4), (1, 144, 4)]
        assert net(images(3, 96, 96))[2].shape == (3, 100, 4)
