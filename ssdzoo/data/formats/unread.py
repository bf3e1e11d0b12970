"""Formats that are known by their files but not read, and what their users can do."""

import os
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from ssdzoo.data.formats.image_files import is_hidden
from ssdzoo.data.formats.text_files import read_head

MOST = 20  # files of a suffix that are looked into
DEPTH = 2  # levels of folders below a data set's that are looked into


class Unread(NamedTuple):
    """A format that is not read.

    Attributes:
        pattern: of the names of its files, in lower case.
        words: what a message calls such a file.
        is_own: whether a file is one.
        way: what to do; FOLDER stands for the folder of the file.
    """

    pattern: str
    words: str
    is_own: Callable[[Path], bool]
    way: str


def unread_format(path: Path) -> str | None:
    """Names the format of a file, or of the files in a folder, if it is one of those here, and what to do; None for others."""
    files = [path] if os.path.isfile(path) else _few_files(path)
    for file in files:
        for each in _FORMATS:
            if re.search(each.pattern, file.name.lower()) and each.is_own(file):
                folder = path if os.path.isdir(path) else path.parent
                way = each.way.replace("FOLDER", shlex.quote(str(folder)))
                return f"{file} is {each.words}, which is not read; {way}"
    return None


def _few_files(folder: Path) -> Iterator[Path]:
    """A few files of each suffix in a folder and in two levels of folders below it."""
    counts: Counter = Counter()
    for place, folders, files in os.walk(folder):
        depth = len(Path(place).relative_to(folder).parts)
        folders[:] = sorted(name for name in folders if not is_hidden(name)) if depth < DEPTH else []
        for name in sorted(files):
            suffix = Path(name).suffix.partition("-")[0]
            counts[suffix] += 1
            if counts[suffix] <= MOST and not name.startswith("."):
                yield Path(place, name)


def _is_open_images(file: Path) -> bool:
    columns = {name.strip() for name in read_head(file).partition("\n")[0].split(",")}
    return {"ImageID", "LabelName", "XMin", "XMax"} <= columns


def _has(*signs: str) -> Callable[[Path], bool]:
    """Whether the begin of a file has all of some patterns."""
    return lambda file: all(re.search(sign, head) for head in [read_head(file)] for sign in signs)


def _datumaro(name: str, extras: str = "cli") -> str:
    """How Datumaro converts a format that it calls by this name."""
    command = f"datum convert -i FOLDER -if {name} -f coco -o NEW -- --save-media"
    return f"convert it to COCO's format (pip install 'datumaro[{extras}]') and name NEW: `{command}`"


_CONVERT = "convert it to COCO's format, or to a .csv with the columns image,xmin,ymin,xmax,ymax,class"
_EXPORT = "export COCO or Pascal VOC"
_FIFTYONE = "export it as fo.types.COCODetectionDataset"
_FORMATS = (
    Unread(r"\.(tf)?record(-\d+-of-\d+)?$", "a TFRecord", os.path.isfile, _datumaro("tf_detection_api", "cli,tf")),
    Unread(r"\.csv$", "a table of Open Images", _is_open_images, _datumaro("open_images")),
    Unread(r"_bbx_gt\.txt$", "a list of WIDER FACE", os.path.isfile, _datumaro("wider_face")),
    Unread(r"^gt\.txt$", "a table of MOT, about the frames of a video", _has(r"\A(-?[\d.]+,){8}"), _datumaro("mot_seq")),
    Unread(r"\.txt$", "a label file of DOTA", _has(r"\A(imagesource:|gsd:|([\d.]+ ){8}[A-Za-z])"),
           "convert it to YOLO's labels of oriented boxes, which are read"),
    Unread(r"\.txt$", "a label file of VisDrone", _has(r"\A(\d+,){7}-?\d+,?\s"),
           "convert it to YOLO's labels, as Ultralytics' VisDrone.yaml does"),
    Unread(r"^_annotations\.txt$", "Roboflow's list for YOLO v3 Keras and YOLO v4 PyTorch", os.path.isfile, _EXPORT),
    Unread(r"^_classes\.csv$", "Roboflow's table of classes of whole images", _has(r"\Afilename,"),
           "it has no boxes: export an object detection project"),
    Unread(r"\.jsonl$", "a list of prompts, as for PaliGemma", _has(r'\A[^\n]*"prefix"', r'\A[^\n]*"suffix"'), _EXPORT),
    Unread(r"\.csv$", "Vertex AI's table for an import", _has(r'\A(\w+,)?"?gs://'),
           "export the data set from Vertex AI, which writes .jsonl"),
    Unread(r"\.odgt$", "a list of CrowdHuman", os.path.isfile, _CONVERT),
    Unread(r"\.(nd)?json$", "Labelbox's export", _has('"data_row"', '"projects"'), _CONVERT),
    Unread(r"\.json$", "V7 Darwin's JSON", _has('"item"', '"slots"'), _EXPORT),
    Unread(r"\.json$", "SuperAnnotate's JSON", _has('"instances"', '"metadata"'),
           "convert it to COCO's format with SuperAnnotate's SDK"),
    Unread(r"\.json$", "FiftyOne's own JSON", _has('"labels"', '"classes"', '"bounding_box"'), _FIFTYONE),
    Unread(r"\.json$", "FiftyOne's own JSON", _has('"samples"', '"filepath"'), _FIFTYONE),
    Unread(r"\.json$", "Encord's JSON", _has('"label_hash"', '"data_units"'), _EXPORT),
    Unread(r"\.json$", "Hasty's JSON", _has('"export_format_version"', '"label_classes"'), _EXPORT),
    Unread(r"\.json$", "a project of VIA 3", _has('"[vf]id_list"', '"attribute"'), "export COCO, or use VIA 2"),
    Unread(r"\.(parquet|arrow)$", "a table of Hugging Face", os.path.isfile,
           "write its images, and a metadata.jsonl with file_name and objects"),
    Unread(r"\.(zip|tar|tgz|tar\.gz|7z|rar)$", "an archive", os.path.isfile, "unpack it, and name the folder"),
)  # fmt: skip
