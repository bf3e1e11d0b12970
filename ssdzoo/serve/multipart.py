"""The files of a multipart/form-data body, in memory: Starlette's own parser writes those of more than 1 MB to the disk."""

from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from ssdzoo.data.images import ImageBytes
from ssdzoo.quote import short
from ssdzoo.serve.limits import Refused


def read_files(body: bytes, content_type: str, most: int) -> list[ImageBytes]:
    """The files of a form; its fields without a file name are left out, unless no part has one.

    Args:
        content_type: the header, with the boundary.
        most: parts that it may have.

    Raises:
        Refused: not a form, cut off, or of more parts.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    if not boundary:
        raise Refused("multipart/form-data without a boundary")
    parts = _Parts(most)
    try:
        parser = MultipartParser(boundary, parts.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise Refused(f"the form cannot be read: {short(error)}") from None
    if not parts.is_whole:
        raise Refused("the form cannot be read: its end is missing")
    files = [part for part in parts.found if part.file_name is not None] or parts.found
    return [ImageBytes(_shown(part.file_name, i), bytes(part.data)) for i, part in enumerate(files)]


def _shown(name: str | None, index: int) -> str:
    """The last part of a path that a browser sent."""
    last = (name or "").replace("\\", "/").rpartition("/")[2]
    return short(last, 100) or f"image {index + 1}"


class _Part:
    def __init__(self) -> None:
        self.file_name: str | None = None
        self.data = bytearray()


class _Parts:
    """Collects what the parser finds."""

    def __init__(self, most: int):
        self.found: list[_Part] = []
        self.is_whole = False
        self._most = most
        self._name, self._value = b"", b""

    def callbacks(self) -> Any:
        """{name of an event: method}, as `MultipartParser` takes it."""
        names = ("part_begin", "part_data", "header_field", "header_value", "header_end", "end")
        return {f"on_{name}": getattr(self, name) for name in names}

    def part_begin(self) -> None:
        if len(self.found) == self._most:
            raise Refused(f"a request may have {self._most} images: send the others in another one", 413)
        self.found.append(_Part())

    def part_data(self, data: bytes, start: int, end: int) -> None:
        self.found[-1].data += data[start:end]

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            name = parse_options_header(self._value.decode("latin-1"))[1].get(b"filename")
            self.found[-1].file_name = None if name is None else name.decode("utf-8", "replace")
        self._name, self._value = b"", b""

    def end(self) -> None:
        self.is_whole = True
