import pytest

from ssdzoo.data.check.similar_names import similar_names
from ssdzoo.zoo import find_preset


@pytest.mark.parametrize(
    "a, b, difference",
    [
        ("Dog", "dog", "upper and lower case"),
        ("traffic light", "traffic_light", "spaces, hyphens and case"),
        ("TrafficLight", "traffic-light", "spaces, hyphens and case"),
        ("platelet", "Platelets", "singular and plural"),
        ("boxes", "box", "singular and plural"),
        ("berry", "berries", "singular and plural"),
        ("aeroplane", "aeroplanne", "one letter"),
        ("bicycle", "bycycle", "one letter"),
        ("red helmet", "red helmte", None),
        ("red helmet", "red helmat", "one letter"),
        ("cat", "car", None),
        ("boat", "goat", None),
        ("glass", "glas", None),
        ("type 1", "type 2", None),
        ("class1", "class2", None),
        ("class", "clas1", None),
        ("10", "11", None),
        ("type a", "type b", None),
        ("left arm", "right arm", None),
        ("+", "-", None),
        ("C", "C++", None),
        ("c#", "c++", None),
        ("A+", "A-", None),
        ("1", "2", None),
        ("<", ">", None),
        ("1.5", "15", None),
        ("1-5", "15", None),
        ("10", "10s", None),
        ("a", "A", None),  # letters of an alphabet
        ("helmet+", "helmat-", None),
        ("St. Bernard", "st bernard", "spaces, hyphens and case"),
        ("type-1", "type 1", "spaces, hyphens and case"),
        ("1 way", "1-way", "spaces, hyphens and case"),
        ("caf\u00e9", "cafe\u0301", "the form of Unicode (NFC or NFD)"),
        ("caf\u00e9", "Cafe\u0301", "upper and lower case"),
    ],
)
def test_similar_names(a, b, difference):
    assert similar_names([a, "something", b]) == ([(a, b, difference)] if difference else [])


def test_the_published_classes_are_all_different():
    for name in ("ssd_300_vgg16_atrous_voc", "ssd_300_vgg16_atrous_coco"):
        assert similar_names(find_preset(name).classes) == []
