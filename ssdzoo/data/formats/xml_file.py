"""XML of a user, read without what it may do: entities, and elements without an end."""

import re
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from ssdzoo.data.formats.text_files import read_head
from ssdzoo.errors import DataError
from ssdzoo.files import read_whole

MOST_XML = 1 << 28  # bytes of an annotation
FEW_TAGS = 10_000
MOST_DEPTH, MOST_ELEMENTS = 100, 4_000_000  # of a file with more tags
_FIRST_TAG = re.compile(r"<([A-Za-z_][\w.-]*)")


def outermost(path: Path) -> str | None:
    """The name of the outermost element of an xml file; None where there is none at its begin."""
    head = re.sub(r"<!--.*?-->|<\?.*?\?>", "", read_head(path), flags=re.DOTALL)
    match = _FIRST_TAG.search(head)
    return match[1] if match else None


def read_xml(path: Path) -> Element:
    """The outermost element of an XML file.

    Raises:
        DataError: missing, unreadable, no XML, or one that declares entities; begins with the path.
    """
    try:
        return _tree(read_whole(path, MOST_XML, is_utf8=False))
    except FileNotFoundError:
        raise DataError(f"{path}: no such annotation") from None
    except DefusedXmlException:
        raise DataError(f"{path}: declares XML entities, which are refused") from None
    except (ParseError, UnicodeDecodeError, LookupError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not XML: {error}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def _tree(data: bytes) -> Element:
    """The outermost element of an XML file.

    Raises:
        ValueError: elements that are nested deeper, or more of them, than an annotation needs.
    """
    # The builder in C is twice as fast, and a small file cannot hold much.
    parser = DefusedXMLParser(target=_Builder() if data.count(b"<") > FEW_TAGS else None)
    parser.feed(data)
    return parser.close()


class _Builder(TreeBuilder):
    """Counts elements: one that is nested takes a kilobyte, one that is not takes a hundred bytes."""

    depth = count = 0

    def start(self, tag: str, attrs: dict) -> Element:
        self.depth, self.count = self.depth + 1, self.count + 1
        if self.depth > MOST_DEPTH or self.count > MOST_ELEMENTS:
            what = f"nested deeper than {MOST_DEPTH} levels" if self.depth > MOST_DEPTH else f"more than {MOST_ELEMENTS:,}"
            raise ValueError(f"its elements are {what}, which no annotation needs")
        return super().start(tag, attrs)

    def end(self, tag: str) -> Element:
        self.depth -= 1
        return super().end(tag)
