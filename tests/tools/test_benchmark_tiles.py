"""The mosaics that tiles are measured on."""

import numpy as np

from ssdzoo.data import load_dataset
from ssdzoo.data.images import read_image
from tests.shared import BCCD
from tests.tools.scripts import load_script


def test_a_mosaic_holds_four_images_and_their_objects(tmp_path):
    data = load_dataset(BCCD, "trainval")  # 6 images: 2 are left over
    records = list(data.records)
    mosaics = load_dataset(load_script("benchmark_tiles").write_mosaics(records, data.names, tmp_path), "all", data.names)
    (mosaic,) = mosaics.records
    pixels = read_image(mosaic.image)
    assert pixels.shape == (960, 1280, 3) and mosaics.problems == []
    np.testing.assert_array_equal(pixels[480:, :640], read_image(records[2].image))
    moved = [record.boxes + np.float32([x, y, x, y]) for record, x, y in zip(records, (0, 640, 0, 640), (0, 0, 480, 480))]
    np.testing.assert_array_equal(mosaic.boxes, np.concatenate(moved))
    assert mosaic.class_ids.tolist() == [k for record in records[:4] for k in record.class_ids]


def test_a_gap_lies_between_and_around_the_images(tmp_path):
    data = load_dataset(BCCD, "trainval")
    records = list(data.records)
    table = load_script("benchmark_tiles").write_mosaics(records[:4], data.names, tmp_path, gap=10, color=(124, 116, 104))
    (mosaic,) = load_dataset(table, "all", data.names).records
    pixels = read_image(mosaic.image)
    assert pixels.shape == (990, 1310, 3)
    np.testing.assert_array_equal(pixels[500:980, 660:1300], read_image(records[3].image))
    for strip in (pixels[:10], pixels[490:500], pixels[980:], pixels[:, :10], pixels[:, 650:660], pixels[:, 1300:]):
        assert (strip == (124, 116, 104)).all()
    np.testing.assert_array_equal(mosaic.boxes[-len(records[3].boxes) :], records[3].boxes + np.float32([660, 500] * 2))
