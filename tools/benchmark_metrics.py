"""Times the metrics on random detections: python tools/benchmark_metrics.py [IMAGES]

Prints how long each metric takes for 51 detections in each image (VOC2007 has 4952 test images), and how much longer than for a
quarter of the images: about 4 times, unless the time grows faster than the data.
"""

import sys
import time

import numpy as np

from ssdzoo.metrics import COCOMetrics, ConfusionMatrix, VOCMeanAP

CLASSES = 20


def draw(count: int) -> list:
    """Arguments of `update` for `count` images of 3 objects and 51 detections near them."""
    rng, images = np.random.default_rng(0), []
    for _ in range(count):
        corner = rng.uniform(0, 300, (3, 2))
        objects, ids = np.concatenate([corner, corner + rng.uniform(20, 200, (3, 2))], axis=1), rng.integers(0, CLASSES, 3)
        boxes = np.repeat(objects, 17, axis=0) + rng.normal(0, 8, (51, 4))
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        noise = rng.random(51) < 0.5
        found = np.where(noise, rng.integers(0, CLASSES, 51), np.repeat(ids, 17))
        images.append((boxes, found, rng.random(51), objects, ids))
    return images


def seconds(kind, images: list) -> float:
    started, metric = time.perf_counter(), kind([str(i) for i in range(CLASSES)])
    for image in images:
        metric.update(*image)
    metric.value()
    return time.perf_counter() - started


if __name__ == "__main__":
    images = draw(int(sys.argv[1]) if len(sys.argv) > 1 else 4952)
    for kind in (VOCMeanAP, ConfusionMatrix, COCOMetrics):
        part, whole = seconds(kind, images[: len(images) // 4]), seconds(kind, images)
        print(f"{kind.__name__:16} {whole:6.2f} s for {len(images)} images: {whole / part:.1f} times as long as for a quarter")
