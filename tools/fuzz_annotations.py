"""Damages small data sets of every format, then reads and checks them: python tools/fuzz_annotations.py --inputs 20000

One input is a data set of 2 images in one of ten layouts, in which 1 to 3 files have damage: bits, cuts, odd values in JSON, odd
words in lines; or a FIFO, a folder, a link, a sparse file of 40 GB or a name that is not UTF-8 is in their place. Each input goes
through `check_dataset` and `load_dataset`. Both return, or raise an error of ssdzoo's, within 20 seconds and 4 GiB.

It found: `OSError` for names of thousands of characters that a file gives for a folder or a file (pathlib's `is_file` raises it),
and for an offset of 10^17 in an .idx; `UnicodeEncodeError` for half a character in a name of JSON; `struct.error` for a PNG that
ends within its first chunk; messages of thousands of characters, with tabs, or with characters that no terminal shows. Since then
20,000 inputs of seed 100 gave clear errors or data sets.
"""

import json
import os
import re
import struct
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ssdzoo.data import load_dataset
from ssdzoo.data.check.check_dataset import check_dataset
from ssdzoo.errors import SSDZooError
from tools.fuzzing import judge_message, main, mutate_bytes, mutate_tree, odd_value

# 8x8 pixels: PNG by hand would be longer than what it is for.
CLASSES = ("ant", "bee")
BOX = (1, 2, 6, 7)  # xyxy in pixels
SIDE = 8
WORDS = (
    "nan", "inf", "-1", "1e999", "0", "99999999999999999999", "9" * 5000, "", " ", "\t", "\x1b[2J", "\u202e", "\r", "../../etc",
    "/dev/zero", "a" * 3000, "%00", "%2e%2e", "C:\\x", "é", "[", "{", "<a>" * 300, "&amp;", "&x;", "<!DOCTYPE x [", "*a",
    "!!python/object:os.system", "&a [*a]", "|", "\u2028", "1_0", "٣", "true", "~", "None",
)  # fmt: skip


@lru_cache
def image(suffix: str) -> bytes:
    """A small image."""
    import cv2

    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    return cv2.imencode(suffix, pixels)[1].tobytes()


def voc() -> dict:
    corners = "".join(f"<{side}>{value}</{side}>" for side, value in zip(("xmin", "ymin", "xmax", "ymax"), BOX))
    size = f"<size><width>{SIDE}</width><height>{SIDE}</height><depth>3</depth></size>"
    files: dict = {"ImageSets/Main/train.txt": "a\nb\n"}
    for stem, name in zip("ab", CLASSES):
        found = f"<object><name>{name}</name><difficult>0</difficult><bndbox>{corners}</bndbox></object>"
        files[f"Annotations/{stem}.xml"] = f"<annotation><filename>{stem}.jpg</filename>{size}{found}</annotation>"
        files[f"JPEGImages/{stem}.jpg"] = image(".jpg")
    return files


def coco() -> dict:
    x1, y1, x2, y2 = BOX
    ids = range(1, 3)
    table = {
        "info": {"year": 2020},
        "images": [{"id": i, "file_name": f"{i}.jpg", "width": SIDE, "height": SIDE} for i in ids],
        "annotations": [
            {"id": i, "image_id": i, "category_id": i, "bbox": [x1, y1, x2 - x1, y2 - y1], "iscrowd": 0} for i in ids
        ],
        "categories": [{"id": i, "name": name} for i, name in zip(ids, CLASSES)],
    }
    return {"annotations/instances_train.json": table, "train/1.jpg": image(".jpg"), "train/2.jpg": image(".jpg")}


def yolo() -> dict:
    names = f"names: [{', '.join(CLASSES)}]\nnc: 2\n"
    files: dict = {"data.yaml": f"train: images/train\nval: val.txt\n{names}", "val.txt": "./images/train/b.png\n"}
    for i, stem in enumerate("ab"):
        files |= {f"images/train/{stem}.png": image(".png"), f"labels/train/{stem}.txt": f"{i} 0.5 0.5 0.5 0.25\n"}
    return files


def darknet() -> dict:
    files: dict = {"obj.data": "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\n", "obj.names": "ant\nbee\n"}
    files["train.txt"] = "data/obj_train_data/a.jpg\ndata/obj_train_data/b.jpg\n"
    for i, stem in enumerate("ab"):
        files |= {f"obj_train_data/{stem}.jpg": image(".jpg"), f"obj_train_data/{stem}.txt": f"{i} 0.5 0.5 0.5 0.25\n"}
    return files


def csv() -> dict:
    rows = "".join(f"{stem}.bmp,{','.join(map(str, BOX))},{name}\n" for stem, name in zip("ab", CLASSES))
    header = "image,xmin,ymin,xmax,ymax,class\n"
    return {"train.csv": header + rows, "a.bmp": image(".bmp"), "b.bmp": image(".bmp"), "classes.csv": "ant,0\nbee,1\n"}


def labelme() -> dict:
    files: dict = {}
    for stem, name in zip("ab", CLASSES):
        shapes = [
            {"label": name, "points": [list(BOX[:2]), list(BOX[2:])], "shape_type": "rectangle", "group_id": None},
            {"label": name, "points": [[1, 1], [6, 1], [6, 6]], "shape_type": "polygon", "group_id": 1},
            {"label": name, "points": [[4, 4], [5, 5]], "shape_type": "circle", "group_id": 1},
        ]
        files[f"{stem}.json"] = {"shapes": shapes, "imagePath": f"{stem}.jpg", "imageHeight": SIDE, "imageWidth": SIDE}
        files[f"{stem}.jpg"] = image(".jpg")
    return files


def manifest() -> dict:
    lines = []
    for i, (stem, name) in enumerate(zip("ab", CLASSES)):
        labels = {"image_size": [{"width": SIDE, "height": SIDE, "depth": 3}]}
        labels["annotations"] = [{"class_id": i, "left": 1, "top": 1, "width": 4, "height": 5}]
        about = {"class-map": {str(i): name}, "type": "groundtruth/object-detection"}
        lines.append({"source-ref": f"s3://bucket/{stem}.jpg", "boxes": labels, "boxes-metadata": about})
    return {"train.manifest": lines, "a.jpg": image(".jpg"), "b.jpg": image(".jpg")}


def sagemaker_folders() -> dict:
    files: dict = {}
    for i, stem in enumerate("ab"):
        found = [{"class_id": i, "left": 1, "top": 1, "width": 4, "height": 5}]
        files[f"train_annotation/{stem}.json"] = {
            "file": f"{stem}.jpg", "image_size": [{"width": SIDE, "height": SIDE, "depth": 3}], "annotations": found,
            "categories": [{"class_id": k, "name": name} for k, name in enumerate(CLASSES)],
        }  # fmt: skip
        files[f"train/{stem}.jpg"] = image(".jpg")
    return files


def recordio() -> dict:
    data, index = b"", ""
    for i in range(2):
        labels = np.array([2, 5, i, 0.1, 0.1, 0.8, 0.9], "<f4")
        payload = struct.pack("<IfQQ", len(labels), 0, i, 0) + labels.tobytes() + image(".jpg")
        index += f"{i}\t{len(data)}\n"
        data += struct.pack("<II", 0xCED7230A, len(payload)) + payload + bytes(-len(payload) % 4)
    return {"train.rec": data, "train.idx": index, "classes.txt": "ant\nbee\n"}


def lst() -> dict:
    lines = [f"{i}\t2\t5\t{i}\t0.1\t0.1\t0.8\t0.9\t{stem}.jpg\n" for i, stem in enumerate("ab")]
    return {"train.lst": "".join(lines), "a.jpg": image(".jpg"), "b.jpg": image(".jpg"), "train.names": "ant\nbee\n"}


WRITERS = (voc, coco, yolo, darknet, csv, labelme, manifest, sagemaker_folders, recordio, lst)


def damaged(random: np.random.Generator, content: object) -> bytes:
    """The bytes of a file after damage; a tree is damaged as a tree, or as its JSON."""
    if isinstance(content, (dict, list)):
        if random.integers(4):
            content = mutate_tree(random, content)
        content = encoded(content)
        return mutate_bytes(random, content) if random.integers(4) == 0 else content
    if isinstance(content, str) and random.integers(4):
        words = re.split(r"([\s,<>=:\[\]/]+)", content)
        for _ in range(int(random.integers(1, 4))):
            at = int(random.integers(len(words)))
            value = odd_value(random)
            words[at] = WORDS[int(random.integers(len(WORDS)))] if random.integers(3) else str(value)[:30_000]
        return "".join(words).encode("utf-8", "surrogatepass")
    return mutate_bytes(random, encoded(content))


def encoded(content: object) -> bytes:
    if isinstance(content, bytes):
        return content
    if isinstance(content, str):
        return content.encode()
    if isinstance(content, list):  # lines
        return "\n".join(json.dumps(line) for line in content).encode()
    return json.dumps(content).encode()


def replace(random: np.random.Generator, path: Path) -> None:
    """Puts something that is no such file in the place of one."""
    kind = int(random.integers(9))
    if kind == 0:
        os.mkfifo(path)
    elif kind == 1:
        path.mkdir()
    elif kind == 2:
        path.symlink_to("/dev/zero")
    elif kind == 3:
        path.symlink_to(path.name)  # a circle
    elif kind == 4:
        path.touch()
    elif kind == 5:
        with open(path, "wb") as file:
            file.truncate(40 << 30)
    elif kind == 6:
        odd = os.fsdecode(b"\xff\xfe\x1b[m")
        path.with_name(f"{path.stem}{odd}{path.suffix}").write_bytes(b"0 0.5 0.5 0.5 0.5\n")
    elif kind == 7:
        path.write_bytes(b"\xff\xfe" + "0 0.5".encode("utf-16-le"))
    else:
        path.symlink_to("missing")


def check(random: np.random.Generator, folder: Path) -> str:
    """Makes one input, and returns what became of it."""
    make = WRITERS[int(random.integers(len(WRITERS)))]
    files = dict(make())
    chosen = {sorted(files)[int(random.integers(len(files)))] for _ in range(int(random.integers(1, 4)))}
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name in chosen and random.integers(6) == 0:
            replace(random, path)
        else:
            path.write_bytes(damaged(random, content) if name in chosen else encoded(content))
    try:
        report = check_dataset(folder, workers=0)
        for problem in report.problems:
            passed, why = judge_message(str(problem).replace(str(folder), "FOLDER"))
            assert passed, why
        json.dumps(report.to_dict())
    finally:
        try:
            load_dataset(folder, "train")
            answer = f"{make.__name__}: read"
        except SSDZooError as error:
            for line in str(error).replace(str(folder), "FOLDER").split("\n"):  # a file in each
                passed, why = judge_message(line or "empty")
                assert passed, why
            answer = f"{make.__name__}: refused"
    return answer


if __name__ == "__main__":
    main(check, __doc__)
