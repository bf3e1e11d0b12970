"""Operators of the numpy interface by the names of their older twins."""

import pytest

from ssdzoo.formats.numpy_names import older_name


@pytest.mark.parametrize("op, attrs, expected", [
    ("_np_transpose", {"axes": "(0, 2, 1)"}, ("transpose", {"axes": "(0, 2, 1)"})),
    ("_npi_concatenate", {"axis": "1", "num_args": "2"}, ("Concat", {"dim": "1", "num_args": "2"})),
    ("_npi_add", {}, ("broadcast_add", {})),
    ("_npi_rsubtract_scalar", {"scalar": "1.0"}, ("_rminus_scalar", {"scalar": "1.0"})),
    ("_npi_less_scalar", {"scalar": "2"}, ("_lesser_scalar", {"scalar": "2"})),
    ("_npx_reshape", {"newshape": "(-2, -1, 21)"}, ("Reshape", {"shape": "(0, -1, 21)"})),
    ("_npx_reshape", {"newshape": "(-5, -4)"}, ("Reshape", {"shape": "(-3, -2)"})),
    ("_np_reshape", {"newshape": "-1"}, ("Reshape", {"shape": "(-1,)"})),
    ("_npx_reshape", {"newshape": "(-2, -3, 4)"}, ("_npx_reshape", {"newshape": "(-2, -3, 4)"})),  # has no twin
    ("_npi_einsum", {}, ("_npi_einsum", {})),
    ("Convolution", {"kernel": "(3, 3)"}, ("Convolution", {"kernel": "(3, 3)"})),
])  # fmt: skip
def test_older_name(op, attrs, expected):
    assert older_name(op, attrs) == expected
