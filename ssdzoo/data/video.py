"""Reads videos frame by frame."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from ssdzoo.errors import DataError
from ssdzoo.files import open_file

VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg"})


def video_frames(path: str | Path) -> Iterator[np.ndarray]:
    """Yields the frames of a video, (H, W, 3) uint8 RGB.

    Raises:
        DataError: missing, or no such video, or not one that OpenCV can decode.
    """
    reader, count = _open(path), 0
    while (frame := reader.read()[1]) is not None:
        count += 1
        yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    if not count:
        raise DataError(f"{path}: no frame of this video can be decoded; convert it to H.264 or MJPEG, or replace it")


def count_frames(path: str | Path) -> int:
    """The number of frames by the video's header; the real number may differ."""
    return max(0, int(_open(path).get(cv2.CAP_PROP_FRAME_COUNT)))


def _open(path):
    try:
        open_file(path).close()
        str(path).encode()
    except FileNotFoundError:
        raise DataError(f"{path}: no such video") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeEncodeError:  # OpenCV would end the process
        raise DataError(f"{path}: the name of this video is not UTF-8; rename it") from None
    reader = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    if not reader.isOpened():
        raise DataError(f"{path}: no such video, or not one that OpenCV can decode")
    return reader
