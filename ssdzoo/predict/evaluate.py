"""Average precision of a detector on a data set."""

from ssdzoo.metrics.voc import VOCMeanAP


def evaluate(detector, dataset, metric: str = "voc07", progress=None) -> dict:
    """{"mAP": ..., "AP": {class: ...}} at IoU 0.5 in the pixels of the original images; objects marked difficult don't count.

    Args:
        metric: "voc07" (11 points) or "voc12" (area under the curve), both with the inclusive pixels of the devkit.
        progress: wraps the iterable of images, given their number too.
    """
    scorer = VOCMeanAP(detector.names, use_07=metric == "voc07", inclusive=True)
    results = detector.stream([record.image for record in dataset.records], score=0.0)
    if progress:
        results = progress(results, len(dataset))
    for record, (_, found) in zip(dataset.records, results):
        ignored = record.difficult | record.crowd
        scorer.update(found.boxes, found.class_ids, found.scores, record.boxes, record.class_ids, ignored)
    return scorer.value()
