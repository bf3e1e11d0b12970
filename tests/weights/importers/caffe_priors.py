"""The boxes of Caffe's PriorBox layers by the letter of weiliu89's prior_box_layer.cpp, one after the other, in float64."""

import math


def prior_corners(prior: dict, cells: int, size: int) -> list:
    """[(xmin, ymin, xmax, ymax)] in 0..1, row by row, of a layer of `Model.priors`; `cells` along a side of its feature map."""
    low, high = prior["min_size"], prior["max_size"]
    sides = [(low, low)] + ([(math.sqrt(low * high),) * 2] if high else [])
    for ratio in prior["aspect_ratio"]:
        for r in (ratio, 1 / ratio) if prior["flip"] else (ratio,):
            sides.append((low * math.sqrt(r), low / math.sqrt(r)))
    step = prior["step"] or size / cells
    found = []
    for row in range(cells):
        for column in range(cells):
            x, y = (column + prior["offset"]) * step, (row + prior["offset"]) * step
            for width, height in sides:
                box = [value / size for value in (x - width / 2, y - height / 2, x + width / 2, y + height / 2)]
                found.append([min(max(value, 0.0), 1.0) for value in box] if prior["clip"] else box)
    return found
