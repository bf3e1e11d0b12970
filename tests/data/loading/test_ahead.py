import threading

import pytest

from ssdzoo.data.loading.ahead import made_ahead


def test_the_next_item_is_made_while_the_last_one_is_used():
    taken, made = [], threading.Event()

    def items():
        for number in range(4):
            taken.append(number)
            yield number

    def make(number):
        if number == 1:
            made.set()
        return number * 10

    ahead = made_ahead(items(), make)
    assert taken == [] and next(ahead) == 0
    assert made.wait(10) and taken == [0, 1]  # one, and not more
    assert list(ahead) == [10, 20, 30] and taken == [0, 1, 2, 3]
    assert list(made_ahead(iter([]), make)) == []


@pytest.mark.parametrize("at", ["items", "make"])
def test_an_error_comes_in_its_turn(at):
    def items():
        yield from range(2)
        if at == "items":
            raise KeyError("third")
        yield 2

    def make(number):
        if number == 2:
            raise KeyError("third")
        return number

    found = made_ahead(items(), make)
    assert [next(found), next(found)] == [0, 1]
    with pytest.raises(KeyError, match="third"):
        next(found)


def test_who_stops_leaves_no_thread_behind():
    before = threading.active_count()
    found = made_ahead(iter(range(100)), str)
    assert next(found) == "0"
    found.close()
    assert threading.active_count() == before
