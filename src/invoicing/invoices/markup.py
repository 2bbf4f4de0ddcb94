"""Writing XML: text escaped for templates, and elements of lxml built from what is there."""

import re
from dataclasses import dataclass
from typing import Final

from lxml import etree

# XML 1.0 (5th ed.) §2.2 Char, inverted: what no XML document can carry, even escaped.
ILLEGAL: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SPECIAL: Final = re.compile('[&<>"\r]|[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]')
_ESCAPES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;"}
_SEAM: Final = "lines"
_SEAM_BYTES: Final = b"<!--lines-->"

Element = etree._Element  # noqa: SLF001  # lxml offers its element type under no other name


@dataclass(frozen=True, slots=True)
class Frame:
    """A document without its lines: what comes before them and what after."""

    head: bytes
    tail: bytes


def escape(text: str) -> str:
    """Escape text for content and attributes; raises ValueError on what XML cannot carry."""
    return _SPECIAL.sub(_escaped, text) if _SPECIAL.search(text) else text


def _escaped(found: re.Match[str]) -> str:
    character = found.group()
    if character not in _ESCAPES:
        raise ValueError(f"XML cannot carry the character U+{ord(character):04X}")
    return _ESCAPES[character]


def tagged(tag: str, text: str | None, attributes: str = "") -> str:
    """Write one element of a template, or nothing when there is no text; attributes come escaped."""
    return "" if text is None else f"<{tag}{attributes}>{escape(text)}</{tag}>"


def attribute(name: str, value: str | None) -> str:
    """Write one attribute of a template, or nothing."""
    return "" if value is None else f' {name}="{escape(value)}"'


@dataclass(frozen=True, slots=True)
class Writer:
    """Adds elements to a parent; tags are written with their prefix."""

    namespaces: dict[str | None, str]

    def qualified(self, tag: str) -> str:
        prefix, _, name = tag.rpartition(":")
        return f"{{{self.namespaces[prefix or None]}}}{name}"

    def root(self, tag: str) -> Element:
        return etree.Element(self.qualified(tag), nsmap=self.namespaces)  # type: ignore[arg-type]  # stubs forget the default namespace

    def group(self, parent: Element, tag: str) -> Element:
        return etree.SubElement(parent, self.qualified(tag))

    def leaf(self, parent: Element, path: str, text: str | None, **attributes: str | None) -> None:
        """Add a leaf below a path of groups ("cac:Country/cbc:ID"), or nothing at all when there is no text."""
        if text is None:
            return
        *groups, tag = path.split("/")
        for group in groups:
            parent = self.group(parent, group)
        leaf = self.group(parent, tag)
        leaf.text = text
        for name, value in attributes.items():
            if value is not None:
                leaf.set(name, value)


def mark_seam(root: Element) -> None:
    """Mark where the lines go; no text can look like the mark, because text is escaped."""
    root.append(etree.Comment(_SEAM))


def framed(root: Element) -> Frame:
    """Write the document and cut it at the seam."""
    etree.indent(root)
    written = etree.tostring(root, encoding="UTF-8", xml_declaration=True)
    head, seam, tail = written.partition(_SEAM_BYTES)
    assert seam, "the document was built without a seam"
    return Frame(head.rstrip() + b"\n", tail.lstrip(b"\n") + b"\n")
