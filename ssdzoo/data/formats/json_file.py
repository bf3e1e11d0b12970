"""JSON that others wrote: read as a whole, and looked into without trust in its types."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from ssdzoo.data.formats.text_files import read_text
from ssdzoo.errors import DataError
from ssdzoo.files import MOST_TEXT


def read_json(file: Path, limit: int = MOST_TEXT) -> Any:
    """What a file in JSON holds.

    Raises:
        DataError: it cannot be read, or is not JSON; begins with the path.
    """
    return parse_json(read_text(file, limit), str(file))


def read_json_lines(file: Path) -> list:
    """What the lines of a file hold, each in JSON.

    Raises:
        DataError: it cannot be read, or a line is not JSON; begins with the path.
    """
    lines = enumerate(read_text(file).split("\n"), 1)
    return [parse_json(line, f"{file}: line {i}") for i, line in lines if line.strip()]


def read_json_table(file: Path) -> list:
    """The rows of a table with a header, as dicts; fields that begin as lists or objects of JSON are parsed.

    Raises:
        DataError: it cannot be read, or is no table; begins with the path.
    """
    lines, rows = csv.reader(io.StringIO(read_text(file), newline="")), []
    try:
        header = next(lines, [])
        for row in lines:
            where = f"{file}: line {lines.line_num}"
            values = [parse_json(text, where) if text[:1] in ("[", "{") else text for text in row]
            if any(row) and len(row) != len(header):
                raise DataError(f"{where} has {len(row)} fields, line 1 names {len(header)}")
            rows += [dict(zip(header, values))] if any(row) else []
    except csv.Error as error:
        raise DataError(f"{file}: line {lines.line_num}: not a table: {error}") from None
    return rows


def table_of(value: Any) -> dict:
    """A JSON object, or an empty one in the place of anything else."""
    return value if isinstance(value, dict) else {}


def rows_of(value: Any) -> list:
    """The objects in a list, or none in the place of anything else."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def parse_json(text: str, where: str) -> Any:
    """What a text in JSON holds.

    Raises:
        DataError: it is not JSON; begins with `where`.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON: {error}") from None
