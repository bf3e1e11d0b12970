import pytest

from ssdzoo.suggest import did_you_mean


@pytest.mark.parametrize("word, known, options, expected", [
    ("sdg", ["sgd", "adam"], {}, "; do you mean 'sgd'?"),
    ("xyz", ["sgd", "adam"], {}, ""),
    ("bee", {"bees": 1, "ant": 2, "been": 3}, {"count": 2}, "; do you mean 'bees' or 'been'?"),
    ("voc", ["voc07_metric"], {}, ""),
    ("voc", ["voc07_metric"], {"similarity": 0.3}, "; do you mean 'voc07_metric'?"),
    ("", [], {}, ""),
])  # fmt: skip
def test_the_nearest_names_end_the_message(word, known, options, expected):
    assert did_you_mean(word, known, **options) == expected
