"""The options of MODEL, which most verbs share: each verb hands them on, and refuses the same."""

import pytest

from tests.command import ssdzoo

VERBS = {
    "predict": ("photo.jpg", "--out", "out"),
    "eval": ("DATA",),
    "export": ("--out", "out"),
    "quantize": ("--out", "out", "--images", "photos"),
    "benchmark": (),
    "serve": ("--port", "0"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_them(verb):
    def refused(*options):
        return ssdzoo(verb, "ssd_300_mobilenet0.25_voc", *VERBS[verb], *options, status=2)[1]

    name = "ssd_300_mobilenet0.25_voc"
    assert refused("--mean", "0.5") == "ssdzoo: --mean and --std belong together: give both\n"
    assert f"{name} has its own mean and std: leave --mean and --std out" in refused("--mean", "0.5", "--std", "1,1,0.5")
    assert f"{name} has its own class names: leave --classes out" in refused("--classes", "cat,dog")
    assert refused("--suppress", "none") == "ssdzoo: --suppress none: expected per-class or across\n"
    assert "expected a number, or three with commas in between" in " ".join(refused("--std", "1,2").replace("│", "").split())


def test_each_side_of_a_comparison_has_its_own():
    def refused(*options):
        return ssdzoo("compare", "one.onnx", "ssd_300_mobilenet0.25_voc", "--images", "photos", *options, status=2)[1]

    assert "one.onnx contains its weights: leave --weights-a or --weights-b out" in refused("--weights-a", "x.params")
    assert "belong together: give both" in refused("--mean-a", "0.5")
    assert "Missing argument 'a'" in ssdzoo("compare", status=2)[1]
    assert "name the model to check, too" in ssdzoo("compare", "one.onnx", status=2)[1]
