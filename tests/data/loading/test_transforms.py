import numpy as np
import pytest

from ssdzoo.augmentation.table import Augmentation, Colors, Crop, Expand
from ssdzoo.boxes import as_boxes, iou, mirror
from ssdzoo.data.loading import transforms as T
from ssdzoo.data.loading.augment import colors as C
from ssdzoo.data.loading.augment import draw as D
from ssdzoo.data.loading.augment import geometry as G
from ssdzoo.data.loading.augment import pixels as P
from tests.data.loading.views import SSD, random_view


def scene(seed, height=120, width=160, objects=4):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 80, (objects, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(10, 40, (objects, 2))], 1).astype(np.float32)
    return rng.integers(0, 256, (height, width, 3), np.uint8), boxes, np.arange(objects)


def test_flip_maps_xmin_to_width_minus_xmax():
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    boxes, ids, window = as_boxes([[0, 0, 1, 2], [1, 0, 4, 1]]), np.arange(2), G.whole(2, 4)
    mirrored, moved, _ = T.render_view(image, (2, 4), boxes, ids, D.Drawn(window, True, 1, {}), (2, 4))
    assert moved.tolist() == [[3, 0, 4, 2], [0, 0, 3, 1]]
    np.testing.assert_array_equal(mirrored[:, 0], image[:, 3])
    assert mirror(moved, 4).tolist() == boxes.tolist()


def test_a_crop_keeps_boxes_whose_center_is_inside_on_both_axes():
    window = np.array([10, 10, 50, 50], np.float32)
    boxes = as_boxes([[0, 20, 30, 40], [0, 20, 18, 40], [20, 0, 40, 30], [20, 40, 40, 70], [12, 12, 20, 20]])
    assert G.centers_inside(boxes, window).tolist() == [True, False, True, False, True]
    moved, keep = G.move_boxes(boxes, window, (80, 40))  # twice as high, as wide
    assert keep.tolist() == [True, False, True, False, True]
    assert moved.tolist() == [[0, 20, 20, 60], [10, 0, 30, 40], [2, 4, 10, 20]]


@pytest.mark.parametrize("seed", range(30))
def test_crops_respect_their_bounds(seed):
    _, boxes, _ = scene(seed)
    rng = np.random.default_rng(seed)
    window = D.draw_expand(120, 160, rng) if seed % 2 else G.whole(120, 160)
    width, height = window[2:] - window[:2]
    for _ in range(20):
        state = rng.bit_generator.state
        crop = D.draw_crop(window, boxes, rng, Crop(1.0))
        replay = np.random.default_rng()
        replay.bit_generator.state = state
        min_iou = (None, *Crop().min_iou)[replay.integers(7)]
        if np.array_equal(crop, window):
            continue
        assert min_iou is not None
        w, h = crop[2:] - crop[:2]
        assert (crop[:2] >= window[:2] - 1).all() and (crop[2:] <= window[2:] + 1).all()
        assert 0.3 * min(width, height) / np.sqrt(2) - 2 <= min(w, h)
        assert 0.5 - 0.1 < (w / width) / (h / height) < 2 + 0.2
        assert iou(crop[None], boxes).max() >= min_iou and G.centers_inside(boxes, crop).any()


def test_expansion_holds_the_image():
    rng = np.random.default_rng(0)
    for _ in range(100):
        left, top, right, bottom = D.draw_expand(120, 160, rng)
        assert left <= 0 and top <= 0 and right >= 160 - 1 and bottom >= 120 - 1
        assert right - left <= 4 * 160 + 1 and bottom - top <= 4 * 120 + 1


def test_cutting_the_whole_image_at_its_size_changes_nothing():
    image, _, _ = scene(0)
    np.testing.assert_array_equal(P.cut(image, G.whole(120, 160), (120, 160), 1), image)


def test_what_lies_outside_gets_the_mean():
    image = np.full((10, 10, 3), 200, np.uint8)
    cut = P.cut(image, np.array([-10, -10, 30, 30], np.float32), (40, 40), 1, mean=(1, 2, 3))
    assert (cut[10:20, 10:20] == 200).all()
    cut[10:20, 10:20] = (1, 2, 3)
    assert (cut == (1, 2, 3)).all()
    assert (P.cut(image, np.array([50, 50, 60, 60], np.float32), (5, 5), 1, mean=(1, 2, 3)) == (1, 2, 3)).all()


def test_boxes_stay_on_their_objects():
    """A white rectangle on black is found again where its box says, whatever was drawn."""
    image = np.zeros((200, 300, 3), np.uint8)
    image[60:120, 100:190] = 255
    box = as_boxes([[100, 60, 190, 120]])
    seen = 0
    for seed in range(200):
        pixels, boxes, ids, _ = random_view(image, box, np.array([7]), (150, 150), seed, mean=(0, 0, 0))
        if len(boxes) == 0:
            continue
        seen += 1
        assert ids.tolist() == [7] and pixels.shape == (150, 150, 3) and pixels.dtype == np.uint8
        x1, y1, x2, y2 = boxes[0]
        bright = pixels.max(axis=2) > pixels.max() / 2
        rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
        np.testing.assert_allclose([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], [x1, y1, x2, y2], atol=3.5)
    assert seen > 150


def test_the_same_seed_draws_the_same():
    image, boxes, ids = scene(1)
    one, two = (random_view(image, boxes, ids, (90, 70), 5) for _ in range(2))
    for a, b in zip(one[:3], two[:3]):
        np.testing.assert_array_equal(a, b)
    before = image.copy()
    random_view(image, boxes, ids, (90, 70), 6)
    np.testing.assert_array_equal(image, before)


def test_the_fill_keeps_the_mean_color():
    """Brightness, contrast and hue belong to the image; normalized, what lies around it has to be 0."""
    image = np.full((60, 80, 3), 200, np.uint8)
    always = Augmentation(expand=Expand(1.0), mirror=SSD.mirror, colors=SSD.colors)
    changed = 0
    for seed in range(40):
        pixels, _, _, drawn = random_view(image, as_boxes([]), np.zeros(0, int), (100, 100), seed, always, (10, 20, 30))
        rows, columns = P.placed((60, 80), drawn.window, (100, 100))[1]
        if drawn.mirrored:
            columns = slice(100 - columns.stop, 100 - columns.start)
        changed += (pixels[rows, columns] != 200).any()
        pixels[rows, columns] = (10, 20, 30)
        assert (pixels == (10, 20, 30)).all()
    assert changed > 20


def test_a_view_without_any_of_the_image():
    """Such as a crop of nothing but fill, which images without objects can get."""
    image, _, _ = scene(1)
    empty = 0
    for seed in range(300):
        pixels, _, _, drawn = random_view(image, as_boxes([]), np.zeros(0, int), (50, 50), seed, mean=(10, 20, 30))
        left, top, right, bottom = drawn.window
        if left >= 160 or top >= 120 or right <= 0 or bottom <= 0:
            empty += 1
            assert (pixels == (10, 20, 30)).all()  # whatever colors were drawn
    assert empty > 0


def test_centers_inside_many_windows_at_once():
    _, boxes, _ = scene(2, objects=7)
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 60, (9, 2))
    windows = np.concatenate([corner, corner + rng.uniform(5, 60, (9, 2))], 1).astype(np.float32)
    centers = [((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for b in boxes]
    expected = [[w[0] < x < w[2] and w[1] < y < w[3] for x, y in centers] for w in windows]
    np.testing.assert_array_equal(G.centers_inside(boxes, windows[:, None]), expected)
    assert 0 < np.sum(expected) < 63


def test_images_without_objects_are_cropped_too():
    image, _, _ = scene(1)
    pixels, boxes, ids, drawn = random_view(image, as_boxes([]), np.zeros(0, int), (50, 50), 3)
    assert pixels.shape == (50, 50, 3) and boxes.shape == (0, 4) and ids.shape == (0,) and drawn.window.shape == (4,)


def test_colors_by_numbers():
    image = np.array([[[100, 150, 200], [0, 128, 255]]], np.uint8)
    assert C.apply_colors(image, brightness=10).tolist() == [[[110, 160, 210], [10, 138, 255]]]
    assert C.apply_colors(image, contrast=0.5).tolist() == [[[50, 75, 100], [0, 64, 128]]]
    assert C.apply_colors(image, contrast=1.5, contrast_first=False).tolist() == [[[150, 225, 255], [0, 192, 255]]]
    assert C.apply_colors(image, brightness=-300).max() == 0
    gray = C.apply_colors(image, saturation=0.0)
    assert gray.tolist() == [[[200, 200, 200], [255, 255, 255]]]
    np.testing.assert_array_equal(C.apply_colors(image), image)
    turned = C.apply_colors(np.array([[[255, 0, 0]]], np.uint8), hue=120)
    assert turned.tolist() == [[[0, 255, 0]]]


def test_drawn_colors_are_in_their_ranges():
    names = []
    for seed in range(200):
        drawn = D.draw_colors(np.random.default_rng(seed), Colors())
        names += drawn
        assert -32 <= drawn.get("brightness", 0) <= 32 and -18 <= drawn.get("hue", 0) <= 18
        assert 0.5 <= drawn.get("contrast", 1) <= 1.5 and 0.5 <= drawn.get("saturation", 1) <= 1.5
    for name in ("brightness", "hue", "contrast", "saturation"):
        assert 70 <= names.count(name) <= 130


def test_evaluation_only_stretches():
    image = np.zeros((10, 20, 3), np.uint8)
    image[:, 10:] = 200
    small = T.eval_transform(image, (5, 4))
    assert small.shape == (5, 4, 3) and small[:, 0].max() == 0 and small[:, 3].min() == 200


@pytest.mark.parametrize(
    "sides, expected", [((299, 400), 1), ((300, 400), 1), ((600, 400), 2), ((599, 900), 1), ((1200, 799), 2), ((9000, 9000), 8)]
)
def test_reduction_keeps_enough_pixels(sides, expected):
    window = np.array([50, -20, 50 + sides[0], -20 + sides[1]], np.float32)
    assert T.reduction(window, (200, 300)) == expected


@pytest.mark.parametrize("seed", range(8))
def test_a_smaller_copy_gives_nearly_the_same_view(seed):
    y, x = np.mgrid[:480, :640]
    image = np.stack([x * 255 / 640, y * 255 / 480, (x + y) * 255 / 1120], -1).astype(np.uint8)
    boxes, ids = as_boxes([[100, 100, 300, 300], [320, 50, 600, 450]]), np.arange(2)
    drawn = D.draw_view(480, 640, boxes, np.random.default_rng(seed), SSD)
    small = image[2::4, 2::4]
    views = [T.render_view(source, (480, 640), boxes, ids, drawn, (60, 60)) for source in (image, small)]
    np.testing.assert_array_equal(views[0][1], views[1][1])
    plain = [T.render_view(s, (480, 640), boxes, ids, D.Drawn(drawn.window, False, 1, {}), (60, 60))[0] for s in (image, small)]
    difference = np.abs(plain[0].astype(int) - plain[1])
    assert np.percentile(difference, 97) <= 10  # a fill's border may fall one pixel beside
