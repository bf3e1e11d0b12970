"""The drawn data sets that measure the defaults: the same for the same seed, with boxes around what is drawn."""

import numpy as np
import pytest

from ssdzoo.data import load_dataset
from tests.tools.scripts import load_script

cards, characters = load_script("cards"), load_script("characters")


@pytest.mark.parametrize(
    "suits, names",
    [
        (False, ["king", "jack", "nine", "jack"]),
        (True, ["king of clubs", "jack of hearts", "nine of clubs", "jack of spades"]),
    ],
)
def test_cards(suits, names):
    image, boxes, found = cards.draw_table(np.random.default_rng(0), suits)
    again = cards.draw_table(np.random.default_rng(0), suits)
    assert np.array_equal(image, again[0]) and image.shape == (360, 480, 3) and image.dtype == np.uint8
    assert found == names and boxes.shape == (4, 4) and boxes.dtype == np.float32
    assert (boxes >= 0).all() and (boxes[:, 2] < 480).all() and (boxes[:, 3] < 360).all()


def test_a_box_is_around_its_card(monkeypatch):
    monkeypatch.setattr(cards, "_table", lambda rng: np.zeros((360, 480, 3), np.float32))
    rng = np.random.default_rng(0)
    for _ in range(3):
        image, boxes, _ = cards.draw_table(rng)
        rows, columns = np.nonzero(image.max(axis=-1) > 60)  # above the noise
        ends = [boxes[:, 0].min(), boxes[:, 1].min(), boxes[:, 2].max(), boxes[:, 3].max()]
        np.testing.assert_allclose([columns.min(), rows.min(), columns.max(), rows.max()], ends, atol=4)


def test_cards_are_the_same_from_both_sides():
    for rank in cards.RANKS:
        card = cards._card(rank, "clubs")
        assert np.array_equal(card[:70], card[::-1, ::-1][:70]) and card[0, 0].tolist() == [250, 248, 242]


def test_lines_are_wider_than_characters(tmp_path):
    for write, classes in (
        (characters.write_characters, set("0123456789bd")),
        (characters.write_lines, {"code", "date", "price"}),
    ):
        data = load_dataset(write(tmp_path / write.__name__, train=12, val=1, test=1), "train")
        boxes = np.concatenate([record.boxes for record in data.records])
        sides = boxes[:, 2:] - boxes[:, :2] + 1
        wide = np.median(sides[:, 0] / sides[:, 1])
        assert set(data.names) <= classes and (wide > 4) == (write is characters.write_lines) and 24 < len(boxes) < 84
