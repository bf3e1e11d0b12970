"""Images with more objects than a model can find."""

from collections.abc import Iterable

from ssdzoo.data.record import Record

POST_NMS = 100  # a preset's maximum number of detections in an image, where its table has no other


def too_many_objects(records: Iterable[Record], post_nms: int = POST_NMS, model: str = "a model") -> str | None:
    """What to say where images hold more objects, without crowds, than a model gives detections; None where none does.

    Args:
        post_nms: the model's maximum number of detections in an image; -1 for any.
        model: its name in the message.
    """
    counts = {str(record.image): int((~record.crowd).sum()) for record in records}
    full = {image: count for image, count in counts.items() if count > post_nms > 0}
    if not full:
        return None
    worst = max(full, key=lambda image: full[image])
    images = f"{len(full)} images have" if len(full) > 1 else "1 image has"
    return (
        f"{images} more than {post_nms} objects, up to {full[worst]} in {worst}, but {model} gives at most {post_nms} detections "
        "for an image: raise post_nms (and nms_topk, the candidates before the NMS) in the model's table (.toml), or by set_nms"
    )
