"""What every page that is written must be: checked by Python's own parser."""

import re
from html.parser import HTMLParser
from itertools import pairwise

_VOID = {"meta", "link", "img", "circle", "path", "br"}


class Page(HTMLParser):
    """A page that was read.

    Attributes:
        headings: [(level, text)]; `texts`: all texts but those of styles and scripts; `tags`: [(name, {attribute: value})].
    """

    def __init__(self, text):
        super().__init__()
        self.headings, self.texts, self.tags, self._open = [], [], [], []
        self.feed(text)
        self.close()
        assert self._open == [], self._open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in _VOID:
            self._open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append((int(tag[1]), ""))

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, text):
        if self._open and self._open[-1] not in ("style", "script"):
            self.texts.append(text)
            if re.fullmatch("h[1-6]", self._open[-1]):
                level, before = self.headings.pop()
                self.headings.append((level, before + text))

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


def read(path):
    """A Page; what a page by itself may not contain is an error."""
    text = path.read_text("utf-8")
    page = Page(text)
    levels = [level for level, _ in page.headings]
    assert levels[0] == 1 and levels.count(1) == 1 and all(b <= a + 1 for a, b in pairwise(levels))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [value for _, attributes in page.tags for name, value in attributes.items() if name in ("src", "href")]
    assert all(link.startswith("data:") or link[1:] in ids for link in links)
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert "url(" not in text and "@import" not in text and "http" not in re.sub(r"base64,[\w+/=]+", "", text)
    assert all(attributes.get("alt") for attributes in page.all("img")[: -1 if page.all("dialog") else None])
    assert all(attributes.get("aria-label") or "aria-hidden" in attributes for attributes in page.all("svg"))
    assert page.all("html") == [{"lang": "en"}] and "prefers-color-scheme: dark" in text and "@media print" in text
    return page
