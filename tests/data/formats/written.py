"""The same images and objects written in each format."""

import json
import struct
from pathlib import Path

import cv2
import numpy as np

from tests.data.formats.voc_folder import xml

WIDTH, HEIGHT = 128, 64
NAMES = ["ant", "bee", "cow"]
# (class id, xmin, ymin, xmax, ymax) in pixels from 0; parts of the sides of the images are exact in binary.
OBJECTS = {
    "a": [(0, 8, 16, 40, 48), (2, 64, 0, 128, 64)],
    "b": [(1, 0, 0, 32, 8)],
    "c": [],
    "d": [(2, 96, 32, 112, 60), (1, 4, 4, 12, 20), (1, 2, 2, 6, 6)],
}


def write_images(folder, names=tuple(OBJECTS)):
    folder.mkdir(parents=True)
    for seed, name in enumerate(names):
        pixels = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3))
        cv2.imwrite(str(folder / f"{name}.png"), pixels)
    return folder


def write_voc(root, objects=OBJECTS):
    write_images(root / "JPEGImages", objects)
    (root / "Annotations").mkdir()
    (root / "ImageSets" / "Main").mkdir(parents=True)
    for name, rows in objects.items():
        marked = [(NAMES[i], x1 + 1, y1 + 1, x2 + 1, y2 + 1) for i, x1, y1, x2, y2 in rows]
        (root / "Annotations" / f"{name}.xml").write_text(xml(marked, size=(WIDTH, HEIGHT)))
    (root / "ImageSets" / "Main" / "train.txt").write_text("\n".join(objects))
    return root


def coco_table(objects=OBJECTS):
    """COCO's content with ids that neither begin at 0 nor follow each other."""
    categories = [{"id": 7 * i + 3, "name": name} for i, name in enumerate(NAMES)][::-1]
    images = [{"id": 100 + i, "file_name": f"{n}.png", "width": WIDTH, "height": HEIGHT} for i, n in enumerate(objects)]
    annotations = []
    for image, rows in zip(images, objects.values()):
        for i, x1, y1, x2, y2 in rows:
            row = {
                "id": len(annotations) + 1,
                "image_id": image["id"],
                "category_id": 7 * i + 3,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
            }
            annotations.append({**row, "iscrowd": 0})
    return {"images": images, "annotations": annotations, "categories": categories}


def write_coco(root, objects=OBJECTS, table=None):
    write_images(root / "train2017", objects)
    (root / "annotations").mkdir()
    (root / "annotations" / "instances_train2017.json").write_text(json.dumps(table or coco_table(objects)))
    return root


def yolo_lines(rows):
    return "".join(
        f"{i} {(x1 + x2) / 2 / WIDTH!r} {(y1 + y2) / 2 / HEIGHT!r} {(x2 - x1) / WIDTH!r} {(y2 - y1) / HEIGHT!r}\n"
        for i, x1, y1, x2, y2 in rows
    )


def write_yolo(root, objects=OBJECTS):
    write_images(root / "images" / "train", objects)
    (root / "labels" / "train").mkdir(parents=True)
    for name, rows in objects.items():
        if rows:  # no file is no objects
            (root / "labels" / "train" / f"{name}.txt").write_text(yolo_lines(rows))
    (root / "data.yaml").write_text(f"train: images/train\nnames: {json.dumps(NAMES)}\n")
    return root


def write_csv(root, objects=OBJECTS):
    write_images(root / "images", objects)
    lines = ["image,xmin,ymin,xmax,ymax,class"]
    for name, rows in objects.items():
        lines += [f"images/{name}.png,{x1},{y1},{x2},{y2},{NAMES[i]}" for i, x1, y1, x2, y2 in rows]
        lines += [] if rows else [f"images/{name}.png,,,,,"]
    (root / "train.csv").write_text("\n".join(lines) + "\n")
    return root


def labels_of(rows, header=(2, 5), difficult=None):
    """GluonCV's label of an image: the header, and the objects in parts of the image."""
    values = list(map(float, header))
    for k, (i, x1, y1, x2, y2) in enumerate(rows):
        values += [i, x1 / WIDTH, y1 / HEIGHT, x2 / WIDTH, y2 / HEIGHT] + ([] if difficult is None else [difficult[k]])
    return values


def record(labels, image: bytes, number=0):
    """The payload of a record."""
    return struct.pack("<IfQQ", len(labels), 0, number, 0) + np.array(labels, "<f4").tobytes() + image


def chain(payloads):
    """A .rec, cut where a payload holds the magic number on a border of 4 bytes; and the offsets."""
    magic, data, offsets = struct.pack("<I", 0xCED7230A), b"", []
    for payload in payloads:
        offsets.append(len(data))
        cuts = [i for i in range(0, len(payload) - 3, 4) if payload[i : i + 4] == magic]
        starts, ends = [0, *(i + 4 for i in cuts)], [*cuts, len(payload)]
        for k, (a, b) in enumerate(zip(starts, ends)):
            flag = 0 if not cuts else 1 if k == 0 else 3 if k == len(cuts) else 2
            data += magic + struct.pack("<I", flag << 29 | b - a) + payload[a:b] + bytes(-(b - a) % 4)
    return data, offsets


def write_recordio(root, objects=OBJECTS, index=True):
    images = write_images(root / "images", objects)
    payloads = [
        record(labels_of(rows), (images / f"{name}.png").read_bytes(), i) for i, (name, rows) in enumerate(objects.items())
    ]
    data, offsets = chain(payloads)
    (root / "train.rec").write_bytes(data)
    if index:
        (root / "train.idx").write_text("".join(f"{i}\t{at}\n" for i, at in enumerate(offsets)))
    (root / "classes.txt").write_text("\n".join(NAMES))
    return root


def write_lst(root, objects=OBJECTS):
    write_images(root / "images", objects)
    lines = [
        "\t".join([str(i), *(f"{v!r}" for v in labels_of(rows)), f"images/{name}.png"])
        for i, (name, rows) in enumerate(objects.items())
    ]
    (root / "train.lst").write_text("\n".join(lines))
    (root / "classes.txt").write_text("\n".join(NAMES))
    return root


def write_labelme(root, objects=OBJECTS):
    write_images(root / "train", objects)
    for name, rows in objects.items():
        shapes = [{"label": NAMES[i], "points": [[x1, y1], [x2, y2]], "shape_type": "rectangle"} for i, x1, y1, x2, y2 in rows]
        table = {"shapes": shapes, "imagePath": f"{name}.png", "imageHeight": HEIGHT, "imageWidth": WIDTH}
        (root / "train" / f"{name}.json").write_text(json.dumps(table))
    return root


def write_cvat(root, objects=OBJECTS):
    write_images(root / "images" / "train", objects)
    labels = "".join(f"<label><name>{name}</name></label>" for name in NAMES)
    text = f"<annotations><meta><task><labels>{labels}</labels></task></meta>"
    for i, (name, rows) in enumerate(objects.items()):
        text += f'<image id="{i}" name="{name}.png" subset="train" width="{WIDTH}" height="{HEIGHT}">'
        for k, x1, y1, x2, y2 in rows:
            text += f'<box label="{NAMES[k]}" occluded="0" xtl="{x1}" ytl="{y1}" xbr="{x2}" ybr="{y2}" z_order="0"></box>'
        text += "</image>"
    (root / "annotations.xml").write_text(f"{text}</annotations>")
    return root


def write_createml(root, objects=OBJECTS):
    write_images(root / "train", objects)
    content = []
    for name, rows in objects.items():
        boxes = [(i, {"x": (x1 + x2) / 2, "y": (y1 + y2) / 2, "width": x2 - x1, "height": y2 - y1}) for i, x1, y1, x2, y2 in rows]
        content.append({"image": f"{name}.png", "annotations": [{"label": NAMES[i], "coordinates": box} for i, box in boxes]})
    (root / "train" / "_annotations.createml.json").write_text(json.dumps(content))
    return root


def label_studio_region(label, x1, y1, x2, y2, rotation=0):
    box = {"x": 100 * x1 / WIDTH, "y": 100 * y1 / HEIGHT, "width": 100 * (x2 - x1) / WIDTH, "height": 100 * (y2 - y1) / HEIGHT}
    value = {**box, "rotation": rotation, "rectanglelabels": [label]}
    return {"original_width": WIDTH, "original_height": HEIGHT, "value": value, "id": "Dx", "type": "rectanglelabels"}


def write_label_studio(root, objects=OBJECTS):
    write_images(root / "images", objects)
    tasks = []
    for i, (name, rows) in enumerate(objects.items(), 1):
        regions = [label_studio_region(NAMES[k], *box) for k, *box in rows]
        annotation = {"id": i, "result": regions, "was_cancelled": False, "updated_at": "2024-05-01T10:00:00Z"}
        tasks.append({"id": i, "annotations": [annotation], "data": {"image": f"/data/upload/1/{name}.png"}})
    (root / "train.json").write_text(json.dumps(tasks))
    return root


WRITERS = {
    "voc": write_voc, "coco": write_coco, "yolo": write_yolo, "recordio": write_recordio, "lst": write_lst, "csv": write_csv,
    "labelme": write_labelme, "cvat": write_cvat, "createml": write_createml, "label studio": write_label_studio,
}  # fmt: skip


def write(kind: str, root: Path, objects=OBJECTS) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    return WRITERS[kind](root, objects)
