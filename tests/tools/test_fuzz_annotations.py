"""A short run of the fuzzer of data sets."""

import pytest

from tools.fuzz_annotations import check
from tools.fuzzing import explore


@pytest.mark.long
def test_damaged_data_sets_give_nothing_but_clear_errors():
    answers, findings = explore(check, 500, seed=1)
    assert findings == {} and sum(answers.values()) == 500
