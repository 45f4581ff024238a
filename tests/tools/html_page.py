"""A page taken apart by the parser of the standard library."""

from html.parser import HTMLParser
from itertools import pairwise

VOID = {"meta", "link", "img", "input", "br", "hr"}


class Page(HTMLParser):
    """Elements (tag, attributes, text inside) of a page, in order; refuses unbalanced ones."""

    def __init__(self, text):
        super().__init__()
        self.elements, self._open = [], []
        self.feed(text)
        self.close()
        assert not self._open, [tag for tag, *_ in self._open]

    def handle_starttag(self, tag, attrs):
        element = (tag, dict(attrs), [])
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag):
        assert self._open and self._open[-1][0] == tag, (tag, [t for t, *_ in self._open])
        self._open.pop()

    def handle_data(self, data):
        for _, _, inside in self._open:
            inside.append(data)

    def all(self, tag, **wanted):
        """(attributes, text) of the elements with that tag and those attributes."""
        return [
            (attrs, " ".join("".join(inside).split()))
            for name, attrs, inside in self.elements
            if name == tag and all(attrs.get(k.rstrip("_")) == v for k, v in wanted.items())
        ]

    def rows(self, caption):
        """Cells of the body's rows of the table whose caption begins so."""
        tables = [i for i, (tag, *_) in enumerate(self.elements) if tag == "table"] + [None]
        for start, end in pairwise(tables):
            inside = self.elements[start:end]
            if any(t == "caption" and "".join(x).startswith(caption) for t, _, x in inside):
                rows = []
                for tag, _, text in inside:
                    if tag == "tr":
                        rows.append([])
                    elif tag in ("td", "th"):
                        rows[-1].append(" ".join("".join(text).split()))
                return rows[1:]
        raise LookupError(caption)
