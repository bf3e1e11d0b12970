import subprocess
import sys

import numpy as np
import pytest

import ssdzoo
from ssdzoo.errors import CallError, WeightsError
from ssdzoo.formats.params_file import read_params
from ssdzoo.weights.importers import read_detector
from ssdzoo.weights.importers.checked_arrays import CheckedArrays
from ssdzoo.weights.importers.imported_detector import ImportedDetector, stored_anchors
from ssdzoo.zoo import find_preset
from tests.weights.importers.caffe_files import mobilenet_ssd


def test_a_conversion_needs_no_mxnet(tmp_path):
    mobilenet_ssd(False).save(tmp_path)
    code = f"""
import sys
sys.modules["mxnet"] = sys.modules["torch"] = None
import ssdzoo.weights.backbone, ssdzoo.weights.importers.vgg16, ssdzoo.weights.importers.torchvision_resnet
from ssdzoo.weights.importers import read_detector
print(*(p.name for p in read_detector({str(tmp_path / "net.caffemodel")!r}).save({str(tmp_path / "new" / "x.params")!r})))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (result.stdout, result.stderr) == ("x.params x.toml\n", "")
    arrays = read_params(tmp_path / "new" / "x.params")
    assert arrays["features.mobilenet0_conv0_weight"].dtype == np.float32
    net = ssdzoo.get_model(tmp_path / "new" / "x.toml", pretrained=tmp_path / "new" / "x.params")
    assert net.classes[14] == "person"


def test_other_kinds_of_files(tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"onnx")
    with pytest.raises(WeightsError, match="x.onnx: (neither a PyTorch|not an MXNet)"):
        read_detector(tmp_path / "x.onnx")
    with pytest.raises(CallError, match=r"x.npz: expected a file name that ends in .params"):
        ImportedDetector({}, find_preset("ssd_300_vgg16_atrous_voc"), "x").save(tmp_path / "x.npz")


def test_stored_anchors_go_on_beyond_the_map():
    anchors = np.zeros((2, 2, 1, 4)) + [0, 0, 30, 40]
    anchors[..., 0], anchors[..., 1] = [[[4], [12]]] * 2, [[[4], [4]], [[12], [11]]]
    stored = stored_anchors([anchors] * 5, [8] * 5)
    assert [a.shape for a in stored.values()] == [(1, 1, n, n, 4) for n in (128, 64, 32, 16, 16)]
    grid = stored["anchor_generators.0.anchors"][0, 0]
    assert (
        grid[0, 5].tolist() == [44, 4, 30, 40]
        and grid[1, 1].tolist() == [12, 11, 30, 40]
        and grid[1, 2].tolist() == [20, 12, 30, 40]
    )


def test_a_source_is_taken_whole():
    source = CheckedArrays("x.pth", {"a": np.zeros((2, 3)), "b": np.zeros(1)}, "net")
    assert source.take("a", (2, 3)).dtype == np.float32 and "b" in source and "c" not in source
    assert source.take("a", (0, 3), rows=True).shape == (2, 3)
    with pytest.raises(WeightsError, match=r"x.pth: not a net: 'b' \(1,\) has no place in it"):
        source.finish()
    source.finish(ignored=["b"])
