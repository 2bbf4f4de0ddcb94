"""The CII inside the PDF (Factur-X 1.07, ZUGFeRD 2.3): one incremental update appended to what the typesetter wrote.

Appending (ISO 32000-1, 7.5.6) means that neither the XML nor its compressed form is ever held in memory as a whole.
"""

import hashlib
import io
import re
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

import pikepdf

FILE_NAME = "factur-x.xml"
CONFORMANCE_LEVEL = "EN 16931"
# The profiles BASIC and above say all that the page says, so the XML is an alternative to it; «Data» is for MINIMUM and
# BASIC WL, and not accepted in Germany as an invoice (ZUGFeRD 2.3, technical supplement, «Data Relationship»).
RELATIONSHIP = "/Alternative"

_CHUNK = 1 << 16
_IN_MEMORY = 1 << 20
_NAMESPACE = "urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#"
_PROPERTIES = {
    "DocumentFileName": (FILE_NAME, "The name of the embedded XML document"),
    "DocumentType": ("INVOICE", "The type of the hybrid document in capital letters"),
    "Version": ("1.0", "The version of the standard applying to the embedded XML document"),
    "ConformanceLevel": (CONFORMANCE_LEVEL, "The conformance level of the embedded XML document"),
}


@dataclass(frozen=True, slots=True)
class _Compressed:
    file: BinaryIO
    length: int
    original_length: int
    md5: str


def embed(pdf: bytes, cii: BinaryIO, out: BinaryIO, modified: datetime) -> None:
    """Write `pdf` to `out` with `cii` inside it as `factur-x.xml`; `modified` is a time in UTC."""
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as spool, pikepdf.open(io.BytesIO(pdf)) as document:
        compressed = _compress(cii, spool)  # type: ignore[arg-type]  # a spooled file reads and writes as any other
        out.write(pdf)
        _append_update(document, _Tail(out, len(pdf), _previous_table(pdf)), compressed, modified)


def _compress(source: BinaryIO, into: BinaryIO) -> _Compressed:
    deflate = zlib.compressobj(6)
    checksum = hashlib.md5(usedforsecurity=False)  # what /CheckSum is defined to be (ISO 32000-1, table 46)
    original = length = 0
    while chunk := source.read(_CHUNK):
        checksum.update(chunk)
        original += len(chunk)
        length += into.write(deflate.compress(chunk))
    length += into.write(deflate.flush())
    into.seek(0)
    return _Compressed(into, length, original, checksum.hexdigest())


class _Tail:
    """Objects appended behind a finished file, and the table that makes them part of it."""

    def __init__(self, out: BinaryIO, position: int, previous_table: int) -> None:
        self._out = out
        self._position = position
        self._previous_table = previous_table
        self._offsets: dict[int, int] = {}
        self._write(b"\n")

    def add(self, number: int, body: bytes) -> None:
        self._begin(number)
        self._write(body + b"\nendobj\n")

    def add_stream(self, number: int, entries: bytes, content: BinaryIO, length: int) -> None:
        self._begin(number)
        self._write(b"<< %s /Length %d >>\nstream\n" % (entries, length))
        while chunk := content.read(_CHUNK):
            self._write(chunk)
        self._write(b"\nendstream\nendobj\n")

    def finish(self, trailer: Mapping[str, bytes]) -> None:
        table = self._position
        self._write(b"xref\n")
        for number, offset in sorted(self._offsets.items()):
            self._write(b"%d 1\n%010d 00000 n \n" % (number, offset))
        entries = b" ".join(b"/%s %s" % (key.encode(), value) for key, value in trailer.items())
        self._write(b"trailer\n<< %s /Prev %d >>\nstartxref\n%d\n%%%%EOF\n" % (entries, self._previous_table, table))

    def _begin(self, number: int) -> None:
        self._offsets[number] = self._position
        self._write(b"%d 0 obj\n" % number)

    def _write(self, data: bytes) -> None:
        self._out.write(data)
        self._position += len(data)


def _append_update(document: pikepdf.Pdf, tail: _Tail, xml: _Compressed, modified: datetime) -> None:
    trailer, root = document.trailer, document.Root
    stream, specification = int(trailer.Size), int(trailer.Size) + 1
    metadata = _with_factur_x(root.Metadata.read_bytes())
    tail.add_stream(stream, _stream_entries(xml, modified), xml.file, xml.length)
    tail.add(specification, _specification(stream))
    tail.add_stream(_number(root.Metadata), b"/Type /Metadata /Subtype /XML", io.BytesIO(metadata), len(metadata))
    tail.add(_number(root), _catalog(root, specification))
    tail.finish(
        {
            "Size": b"%d" % (specification + 1),
            "Root": b"%d 0 R" % _number(root),
            "Info": b"%d 0 R" % _number(trailer.Info),
            "ID": b"[<%s> <%s>]" % (bytes(trailer.ID[0]).hex().encode(), xml.md5.encode()),
        }
    )


def _stream_entries(xml: _Compressed, modified: datetime) -> bytes:
    return (
        b"/Type /EmbeddedFile /Subtype /text#2Fxml /Filter /FlateDecode "
        b"/Params << /Size %d /CheckSum <%s> /ModDate (D:%sZ) >>"
        % (xml.original_length, xml.md5.encode(), modified.strftime("%Y%m%d%H%M%S").encode())
    )


def _specification(stream: int) -> bytes:
    name = FILE_NAME.encode()
    return (
        b"<< /Type /Filespec /F (%s) /UF (%s) /AFRelationship %s /Desc (Factur-X invoice, %s) "
        b"/EF << /F %d 0 R /UF %d 0 R >> >>"
        % (name, name, RELATIONSHIP.encode(), CONFORMANCE_LEVEL.encode(), stream, stream)
    )


def _catalog(root: pikepdf.Object, specification: int) -> bytes:
    if "/AF" in root or "/Names" in root:
        raise ValueError("the typeset page already has attachments or names")
    entries = b"/AF [%d 0 R] /Names << /EmbeddedFiles << /Names [(%s) %d 0 R] >> >>"
    return (
        root.unparse(resolved=True).removesuffix(b">>")
        + entries % (specification, FILE_NAME.encode(), specification)
        + b" >>"
    )


def _with_factur_x(xmp: bytes) -> bytes:
    """Add the Factur-X properties, and to the list of extension schemas the one that declares them (PDF/A needs it)."""
    values = "".join(f"<fx:{name}>{value}</fx:{name}>" for name, (value, _) in _PROPERTIES.items())
    block = f'<rdf:Description rdf:about="" xmlns:fx="{_NAMESPACE}">{values}</rdf:Description>'
    declared = _inserted(xmp, b"</rdf:Bag></pdfaExtension:schemas>", _extension_schema())
    return _inserted(declared, b"</rdf:RDF>", block)


def _extension_schema() -> str:
    properties = "".join(
        '<rdf:li rdf:parseType="Resource">'
        f"<pdfaProperty:name>{name}</pdfaProperty:name><pdfaProperty:valueType>Text</pdfaProperty:valueType>"
        "<pdfaProperty:category>external</pdfaProperty:category>"
        f"<pdfaProperty:description>{description}</pdfaProperty:description></rdf:li>"
        for name, (_, description) in _PROPERTIES.items()
    )
    return (
        '<rdf:li rdf:parseType="Resource"><pdfaSchema:schema>Factur-X PDFA Extension Schema</pdfaSchema:schema>'
        f"<pdfaSchema:namespaceURI>{_NAMESPACE}</pdfaSchema:namespaceURI><pdfaSchema:prefix>fx</pdfaSchema:prefix>"
        f"<pdfaSchema:property><rdf:Seq>{properties}</rdf:Seq></pdfaSchema:property></rdf:li>"
    )


def _inserted(xmp: bytes, before: bytes, addition: str) -> bytes:
    if xmp.count(before) != 1:
        raise ValueError(f"the typesetter's metadata no longer holds {before.decode()} exactly once")
    return xmp.replace(before, addition.encode() + before)


def _number(indirect: pikepdf.Object) -> int:
    number, generation = indirect.objgen
    if not number or generation:
        raise ValueError("the typesetter's catalog, metadata or information is not a first-generation object")
    return number


def _previous_table(pdf: bytes) -> int:
    found = re.search(rb"startxref\s+(\d+)\s+%%EOF\s*\Z", pdf[-64:])
    offset = int(found[1]) if found else -1
    if not found or not pdf.startswith(b"xref", offset):
        raise ValueError("the typesetter no longer writes a plain cross-reference table")
    return offset
