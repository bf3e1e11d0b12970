import numpy as np
import pytest

import ssdzoo
from ssdzoo.errors import WeightsError
from ssdzoo.runtime import gluoncv, mxnet
from ssdzoo.weights.backbone import read_backbone
from tests.weights.outputs import write_safetensors

torch = pytest.importorskip("torch", reason="needs the extra `torch`")
from tests.weights.importers.torch_backbones import BLOCKS, ResNet, random_resnet  # noqa: E402
from tests.weights.importers.torch_networks import run  # noqa: E402

mx = mxnet()


def names_of(depth):
    """The names in a state dict, without the weights."""
    with torch.device("meta"):
        return ResNet(BLOCKS[depth], depth > 34).state_dict().keys()


def saved(net, path):
    torch.save(net.state_dict(), path)
    return path


def image():
    return np.random.default_rng(0).normal(size=(1, 3, 96, 128)).astype(np.float32)


def check_maps(got, expected):
    for a, b in zip(got, expected, strict=True):
        a = a.asnumpy()
        assert 0.5 < b.std() < 5
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-4)


# Those of 18 layers and of all others from files of their projects: tests/weights/test_living_start.py.
def test_features_of_bottlenecks_are_equal(tmp_path):
    theirs = random_resnet(50)
    net = gluoncv().model_zoo.get_model("resnet50_v1b", pretrained=False)
    net.initialize()
    net(mx.nd.zeros((1, 3, 64, 64)))
    parameters = net._collect_params_with_prefix()
    for name, array in read_backbone(saved(theirs, tmp_path / "r.pth"), parameters).items():
        parameters[name].set_data(mx.nd.array(array))
    x, got = net.maxpool(net.relu(net.bn1(net.conv1(mx.nd.array(image()))))), []
    for layer in (net.layer1, net.layer2, net.layer3, net.layer4):
        x = layer(x)
        got.append(x)
    check_maps(got, run(theirs, image()))


def test_resnet34_v1b_in_its_ssd(tmp_path):
    """The map of layer2; layer3 has another stride in this SSD than in the classifier."""
    theirs = random_resnet(34)
    write_safetensors(tmp_path / "resnet34.safetensors", {k: v.numpy() for k, v in theirs.state_dict().items()})
    net = ssdzoo.get_model("ssd_300_resnet34_v1b_voc", classes=["a"], pretrained_base=str(tmp_path / "resnet34.safetensors"))
    check_maps([net.features.stage1(mx.nd.array(image()))], run(theirs, image())[1:2])
    weight = net.features.backbone_parameters["layer4.2.conv2.weight"].data().asnumpy()
    np.testing.assert_array_equal(weight, theirs.layer4[2].conv2.weight.detach().numpy())


@pytest.mark.parametrize(
    "depth, model, reason",
    [
        (50, "ssd_512_resnet50_v1_voc", "ResNet-50 does not fit: .* stride in the 3x3 .* v1 ones have it in the 1x1; it fits "
                                        "ssd_300_resnet50_fpn_custom, ssd_512_resnet50_fpn_custom$"),
        (18, "ssd_512_resnet50_v1_voc", "ResNet-18 does not fit: .* it fits ssd_300_resnet18_v1_custom, "
                                        "ssd_512_resnet18_v1_custom$"),
        (34, "ssd_512_resnet18_v1_voc", r"ResNet-34 does not fit: it has \(3, 4, 6, 3\) blocks, this backbone \(2, 2, 2, 2\); "
                                        "it fits ssd_300_resnet34_v1b_custom$"),
        (101, "ssd_512_resnet101_v2_voc", "ResNet-101 does not fit: this backbone is no ResNet of version 1 or 1b; it fits "
                                     "resnet101_v1b, which no preset has; ResNet-18, -34 and -50 have one$"),
        (50, "ssd_300_resnet34_v1b_voc", r"ResNet-50 does not fit: its blocks are bottlenecks"),
        (18, "ssd_300_vgg16_atrous_voc", "ResNet-18 does not fit: this backbone is no ResNet of version 1 or 1b"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_the_reason(depth, model, reason, tmp_path):
    names = names_of(depth)
    write_safetensors(tmp_path / "r.safetensors", {name: np.zeros(1, np.float32) for name in names})
    with pytest.raises(WeightsError, match=f"r.safetensors: torchvision {reason}"):
        ssdzoo.get_model(model, classes=["a"], pretrained_base=str(tmp_path / "r.safetensors"))


def test_an_incomplete_file(tmp_path):
    names = {n: np.zeros(1, np.float32) for n in names_of(18) if n != "layer3.1.bn2.running_var"}
    write_safetensors(tmp_path / "r.safetensors", names)
    with pytest.raises(WeightsError, match="ResNet-18 without 'layer3.1.bn2.running_var'"):
        ssdzoo.get_model("ssd_512_resnet18_v1_voc", classes=["a"], pretrained_base=str(tmp_path / "r.safetensors"))
