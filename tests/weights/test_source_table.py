"""The table of sources. No mxnet here."""

from dataclasses import replace

import pytest

from ssdzoo.errors import CallError
from ssdzoo.preset import backbone_classifier
from ssdzoo.weights import published, sources
from ssdzoo.weights.sources import Source, all_sources, other_sources, read_sources
from ssdzoo.zoo import find_preset, list_models

TABLE = """
[torchvision]
title = "torchvision"
license = "BSD-3-Clause"
url = "https://download.pytorch.org/models/{path}"
[torchvision.files]
"a-12345678.pth" = { sha256 = "12345678", mib = 1.5, top1 = 70.5 }
"b.pth" = { path = "old/b.pth", md5 = "1234", bytes = 100, note = "nearly" }
[starts]
"net" = ["b.pth", "a-12345678.pth"]
"""


OTHER = '[other]\ntitle = "x"\nlicense = "x"\nurl = "x"\n[other.files]\n"b.pth" = {}\n'


def test_a_table_is_read():
    files, starts = read_sources(TABLE, "here")
    a = Source("a-12345678.pth", "torchvision", "BSD-3-Clause", "https://download.pytorch.org/models/a-12345678.pth", "12345678",
               "sha256", mib=1.5, top1=70.5)  # fmt: skip
    b = Source("b.pth", "torchvision", "BSD-3-Clause", "https://download.pytorch.org/models/old/b.pth", "1234", "md5", 100,
               note="nearly")  # fmt: skip
    assert files == {a.file: a, b.file: b} and starts == {"net": ["b.pth", "a-12345678.pth"]}
    assert (a.megabytes, a.story) == (1.572864, "torchvision, BSD-3-Clause, 2 MB")
    assert b.candidates == ["b.pth", "models/old/b.pth"]
    assert replace(b, size=None).story == "torchvision, BSD-3-Clause"


@pytest.mark.parametrize(
    "old, new, message",
    [
        ('"b.pth" = {', '"b.pth" = {}\n"b.pth" = {', "not a TOML file"),
        ("[starts]", OTHER + "[starts]", "'b.pth' is there twice"),
        ("bytes", "size", "'b.pth': unknown field 'size'"),
        ('license = "BSD-3-Clause"\n', "", r"\[torchvision\]: expected files, license, title, url; found files, title, url"),
        ('["b.pth",', '["c.pth",', "'net' starts from 'c.pth', which is not in the table"),
        ('["b.pth",', '["b.pth", "b.pth",', "'net' starts from 'b.pth', .* named twice"),
    ],
)  # fmt: skip
def test_a_wrong_table_is_refused(old, new, message):
    assert old in TABLE
    with pytest.raises(CallError, match=message):
        read_sources(TABLE.replace(old, new, 1), "here")


def test_every_preset_starts_from_a_living_source():
    backbones = {find_preset(name).backbone for name in list_models()}
    assert {name for name in backbones if not other_sources(name)} == set()
    assert [name for name in list_models() if other_sources(name)] == ["ssd_300_vgg16_atrous_coco"]


def test_the_table_of_sources():
    files = {source.file: source for source in all_sources()}
    starts = sources._table()[1]
    known = {*list_models(), *published.published_hashes(), *(find_preset(name).backbone for name in list_models())}
    assert {name for name in starts if name not in known} == {f"resnet{n}_v1b" for n in (18, 101, 152)}
    assert {file for names in starts.values() for file in names} == set(files) and len(files) == 40
    assert len({source.url for source in files.values()}) == len(files)
    for source in files.values():
        assert source.url.startswith("https://") and source.url.endswith((source.file, "/model.safetensors"))
        assert source.license in ("BSD-3-Clause", "Apache-2.0")
        if source.title == "torchvision":
            assert source.file.endswith(f"-{source.digest}.pth") and source.algorithm == "sha256"
        if source.title == "ONNX model zoo":
            assert len(source.digest) == 64 and source.size and source.algorithm == "sha256"
    assert files["resnet50-v1-7.onnx"].digest[:8] == "af16a04a"
    assert files["resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"].digest[:8] == "4d473c1d"
    assert files["mobilenet.caffemodel"].size == 17_027_058
    assert files["ssd300_vgg16_coco-b556d3b4.pth"].mAP == 25.1
    assert [s.file for s in published.sources_of("resnet18_v1")] == [
        "resnet18_v1-a0666292.params", "resnet18-v1-7.onnx", "resnet18-f37072fd.pth"
    ]  # fmt: skip
    assert published.sources_of("mobilenetv2_1.0")[0].file == "mobilenetv2_1.0-36da4ff1.params"  # not f9952bcd
    assert published.sources_of("resnet50_v1b_fpn")[0].file == "resnet50_v1b-0ecdba34.params"
    assert backbone_classifier("resnet50_v1b_fpn") == "resnet50_v1b"
