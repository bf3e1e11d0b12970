"""The JSON files of tools that list images with their objects, each in a way of its own."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ssdzoo.data.formats import label_studio, via
from ssdzoo.data.formats.json_dialects import azure_ml, bdd100k, createml, datumaro, hugging_face, vertex_ai, vott
from ssdzoo.data.formats.json_file import read_json, read_json_lines, read_json_table
from ssdzoo.data.formats.listed import Content, ListReader
from ssdzoo.data.formats.text_files import read_head
from ssdzoo.errors import DataError


class Dialect:
    """How a tool writes its file.

    Args:
        name: of the tool.
        read: (content, file) -> Content.
        signs: patterns, of which the begin of a file must have all.
    """

    def __init__(self, name: str, read: Callable[[Any, Path], Content], *signs: str):
        self.name, self.read, self.signs = name, read, signs


class JSONReader(ListReader):
    """The file of a tool in DIALECTS, or its folder; see there. The images lie beside it, or where FilesReader looks for them."""

    format, suffixes = "json", (".json", ".jsonl", ".csv")
    patterns = ("*.json", "*.jsonl", "*.csv", "annotations/*.json")
    layout = "the .json of CreateML, Label Studio, VIA, VoTT or Datumaro"

    @classmethod
    def is_own(cls, file: Path) -> bool:
        return _dialect(file) is not None

    def content(self, file: Path) -> Content:
        dialect = _dialect(file)
        if dialect is None:
            raise DataError(f"{file}: not of a known tool; expected {self.layout}")
        found = dialect.read(_READERS.get(file.suffix.lower(), read_json)(file), file)
        if not found.images and not found.problems:
            raise DataError(f"{file}: begins like the file of {dialect.name}, but lists no images")
        return found


_READERS = {".csv": read_json_table, ".jsonl": read_json_lines}


def _dialect(file: Path) -> Dialect | None:
    head = read_head(file)
    return next((each for each in DIALECTS if all(re.search(sign, head) for sign in each.signs)), None)


_LIST, _TABLE, _LINE = r"\A\s*\[\s*\{", r"\A\s*\{", r"\A\s*\{[^\n]*"
DIALECTS = (
    Dialect("Label Studio", label_studio.read, _LIST, r'"annotations"\s*:\s*\[', r'"data"\s*:\s*\{'),
    Dialect("Label Studio", label_studio.read, _LIST, r'"(annotation_id|annotator)"\s*:'),
    Dialect("Label Studio", label_studio.read, r"\A[^\n{]*\bannotator\b", r"\A[^\n{]*\bannotation_id\b"),
    Dialect("VIA", via.read, _TABLE, r'"_via_img_metadata"|"shape_attributes"'),
    Dialect("VIA", via.read, _TABLE, r'"regions"\s*:\s*[\[{]\s*[\]}]', r'"file_attributes"'),
    Dialect("VIA", via.read, r"\A[^\n{]*\bregion_shape_attributes\b"),
    Dialect("CreateML", createml, _LIST, r'"image(filename)?"\s*:', r'"coordinates"|"annotations?"\s*:\s*\[\s*\]'),
    Dialect("Datumaro", datumaro, _TABLE, r'"categories"\s*:\s*\{\s*"label"\s*:\s*\{'),
    Dialect("VoTT", vott, _TABLE, r'"assets"\s*:\s*\{', r'"asset"\s*:'),
    Dialect("BDD100K", bdd100k, _LIST, r'"box2d"', r'"labels"\s*:\s*\['),
    Dialect("Hugging Face", hugging_face, _LINE + r'"file_name"', _LINE + r'"objects"\s*:\s*\{', r'"bbox"\s*:'),
    Dialect("Azure ML", azure_ml, _LINE + r'"image_url"', r'"topX"'),
    Dialect("Vertex AI", vertex_ai, _LINE + r'"imageGcsUri"', r'"boundingBoxAnnotations"'),
)
