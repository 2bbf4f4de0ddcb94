"""The clauses of ISO 19005-3:2012 (PDF/A-3b) that a program without a renderer can check, by number.

No validator of PDF/A-3 comes from PyPI, Debian or npm, so these are our own readings. What they leave out is listed in
docs/invoice-pdf.md.
"""

import re
import struct
from collections.abc import Callable, Iterator

import pikepdf
from lxml import etree
from pikepdf import Array, Dictionary, Name, Pdf, Stream, String

# ISO 32000-1, annex A, and 11.3.5.
OPERATORS = """
    b B b* B* BDC BI BMC BT BX c cm CS cs d d0 d1 Do DP EI EMC ET EX f F f* G g gs h i ID j J K k l m M MP n q Q re
    RG rg ri s S SC sc SCN scn sh T* Tc Td TD Tf Tj TJ TL Tm Tr Ts Tw Tz v w W W* y ' "
"""
BLEND_MODES = """
    /Normal /Compatible /Multiply /Screen /Overlay /Darken /Lighten /ColorDodge /ColorBurn /HardLight /SoftLight
    /Difference /Exclusion /Hue /Saturation /Color /Luminosity
"""
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
PDFAID = "{http://www.aiim.org/pdfa/ns/id/}"
EXTENSION = "{http://www.aiim.org/pdfa/ns/extension/}"
SCHEMA = "{http://www.aiim.org/pdfa/ns/schema#}"
PROPERTY = "{http://www.aiim.org/pdfa/ns/property#}"
FACTUR_X = "{urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#}"
# Namespaces whose properties ISO 19005-3 predefines (annex B and XMP 2005), so that they need no declaration.
PREDEFINED = frozenset(
    {
        "http://purl.org/dc/elements/1.1/",
        "http://ns.adobe.com/xap/1.0/",
        "http://ns.adobe.com/xap/1.0/t/pg/",
        "http://www.aiim.org/pdfa/ns/id/",
        "http://www.aiim.org/pdfa/ns/extension/",
    }
)


def dictionaries(pdf: Pdf) -> Iterator[pikepdf.Object]:
    """Every dictionary and stream of the file, direct ones too."""
    pending: list[pikepdf.Object] = [*pdf.objects, pdf.trailer]
    while pending:
        value = pending.pop()
        if isinstance(value, (Dictionary, Stream)):
            yield value
            pending.extend(child for _, child in value.items() if is_direct(child))
        elif isinstance(value, Array):
            pending.extend(child for child in value if is_direct(child))


def is_direct(value: object) -> bool:
    return isinstance(value, pikepdf.Object) and not value.is_indirect


def of_type(pdf: Pdf, name: str) -> list[pikepdf.Object]:
    return [each for each in dictionaries(pdf) if each.get("/Type") == name]


def header(raw: bytes, _: Pdf) -> bool:
    return re.match(rb"%PDF-1\.[0-7]\n%[\x80-\xff]{4}", raw) is not None


def trailer(raw: bytes, pdf: Pdf) -> bool:
    return re.search(rb"%%EOF\r?\n?\Z", raw) is not None and len(pdf.trailer.ID) == 2 and "/Encrypt" not in pdf.trailer


def cross_references(raw: bytes, _: Pdf) -> bool:
    sections = [int(offset) for offset in re.findall(rb"startxref\s+(\d+)\s+%%EOF", raw)]
    return bool(sections) and all(re.match(rb"xref\n\d+ \d+\n\d{10} \d{5} [nf] ?[\r\n]", raw[at:]) for at in sections)


def strings(_: bytes, pdf: Pdf) -> bool:
    values = [value for each in dictionaries(pdf) for _, value in each.items()]
    return (
        all(len(bytes(value)) <= 32767 for value in values if isinstance(value, String)) and len(pdf.objects) < 8388607
    )


def streams(raw: bytes, pdf: Pdf) -> bool:
    starts = re.finditer(rb"/Length (\d+)[^>]*>>\s*stream\r?\n", raw)
    exact = all(re.match(rb"\r?\n?endstream", raw[found.end() + int(found[1]) :]) for found in starts)
    return exact and not any(
        {"/F", "/FFilter", "/FDecodeParms"} & set(each.keys()) for each in pdf.objects if isinstance(each, Stream)
    )


def filters(_: bytes, pdf: Pdf) -> bool:
    used = {str(name) for each in pdf.objects if isinstance(each, Stream) for name in names(each.get("/Filter"))}
    return used <= {"/FlateDecode", "/DCTDecode", "/ASCIIHexDecode", "/ASCII85Decode"}


def names(value: pikepdf.Object | None) -> list[pikepdf.Object]:
    return [] if value is None else list(value) if isinstance(value, Array) else [value]


def permissions(_: bytes, pdf: Pdf) -> bool:
    return "/Perms" not in pdf.Root


def operators(_: bytes, pdf: Pdf) -> bool:
    used = {str(step.operator) for page in pdf.pages for step in pikepdf.parse_content_stream(page)}
    return used <= set(OPERATORS.split()) and all("/Resources" in page for page in pdf.pages)


def output_intent(_: bytes, pdf: Pdf) -> bool:
    intents = [each for each in pdf.Root.get("/OutputIntents", []) if each.S == "/GTS_PDFA1"]
    if len(intents) != 1:
        return False
    profile = intents[0].DestOutputProfile
    icc = profile.read_bytes()
    (size,) = struct.unpack_from(">I", icc)
    known = icc[36:40] == b"acsp" and icc[12:16] in {b"mntr", b"prtr"} and icc[8] <= 4
    return known and size == len(icc) and (icc[16:20], int(profile.N)) in {(b"RGB ", 3), (b"GRAY", 1), (b"CMYK", 4)}


def colours(_: bytes, pdf: Pdf) -> bool:
    """Device colours must be those of the output intent, which is RGB here; grey goes with any."""
    used = {str(step.operator) for page in pdf.pages for step in pikepdf.parse_content_stream(page)}
    spaces = {str(value) for each in dictionaries(pdf) for _, value in each.items() if isinstance(value, Name)}
    return not used & {"k", "K"} and "/DeviceCMYK" not in spaces


def graphics_state(_: bytes, pdf: Pdf) -> bool:
    states = [state for page in pdf.pages for _, state in page.Resources.get("/ExtGState", Dictionary()).items()]
    modes = {str(state.BM) for state in states if "/BM" in state}
    return modes <= set(BLEND_MODES.split()) and not any(
        {"/TR", "/HTP", "/TR2"} & set(state.keys()) for state in states
    )


def objects(_: bytes, pdf: Pdf) -> bool:
    images = [each for each in dictionaries(pdf) if each.get("/Subtype") == "/Image"]
    forms = [each for each in dictionaries(pdf) if each.get("/Subtype") == "/Form"]
    plain = not any(each.get("/Interpolate") or "/Alternates" in each or "/OPI" in each for each in images)
    return plain and not any({"/OPI", "/PS", "/Ref"} & set(each.keys()) for each in forms)


def fonts_embedded(_: bytes, pdf: Pdf) -> bool:
    faces = [each for each in of_type(pdf, "/Font") if each.Subtype != "/Type0"]
    files = {"/FontFile", "/FontFile2", "/FontFile3"}
    return bool(faces) and all(files & set(each.get("/FontDescriptor", Dictionary()).keys()) for each in faces)


def composite_fonts(_: bytes, pdf: Pdf) -> bool:
    composite = [each for each in of_type(pdf, "/Font") if each.Subtype == "/Type0"]
    truetype = [each for each in of_type(pdf, "/Font") if each.Subtype == "/CIDFontType2"]
    mapped = all("/CIDToGIDMap" in each for each in truetype)
    return mapped and all(each.Encoding == "/Identity-H" and "/ToUnicode" in each for each in composite)


def no_missing_glyph(_: bytes, pdf: Pdf) -> bool:
    """With Identity-H a shown string is a sequence of two-byte glyph numbers, and number 0 is the missing glyph."""
    return all(glyph for page in pdf.pages for glyph in shown_glyphs(page))


def shown_glyphs(page: pikepdf.Page) -> Iterator[int]:
    for step in pikepdf.parse_content_stream(page, "Tj TJ"):
        operands = step.operands[0] if str(step.operator) == "TJ" else step.operands
        for text in operands:
            if isinstance(text, String):
                yield from struct.unpack(f">{len(bytes(text)) // 2}H", bytes(text))


def nothing_interactive(_: bytes, pdf: Pdf) -> bool:
    forbidden = {"/AA", "/OpenAction", "/AcroForm", "/OCProperties", "/Requirements"}
    actions = [each for each in dictionaries(pdf) if each.get("/S") in {"/JavaScript", "/Launch", "/GoToR"}]
    on_pages = any({"/Annots", "/AA", "/PresSteps"} & set(page.obj.keys()) for page in pdf.pages)
    return not actions and not on_pages and not forbidden & set(pdf.Root.keys())


def metadata(_: bytes, pdf: Pdf) -> bool:
    stream = pdf.Root.Metadata
    raw = stream.read_bytes()
    packet = re.match(rb"<\?xpacket begin=[\"'][^\"']*[\"'] id=[\"']W5M0MpCehiHzreSzNTczkc9d[\"']\?>", raw)
    root = etree.fromstring(raw)
    version = (root.findtext(f".//{PDFAID}part"), root.findtext(f".//{PDFAID}conformance"))
    return stream.Subtype == "/XML" and "/Filter" not in stream and packet is not None and version == ("3", "B")


def extension_schemas(_: bytes, pdf: Pdf) -> bool:
    root = etree.fromstring(pdf.Root.Metadata.read_bytes())
    declared = {
        (schema.findtext(f"{SCHEMA}namespaceURI"), name.text)
        for schema in root.iterfind(f".//{EXTENSION}schemas/{RDF}Bag/{RDF}li")
        for name in schema.iterfind(f".//{PROPERTY}name")
    }
    used = [etree.QName(each) for each in root.iterfind(f".//{RDF}Description/*")]
    # The XMP specification of 2005 itself has these of two namespaces; what came later needs a declaration.
    known = {("http://ns.adobe.com/xap/1.0/mm/", name) for name in ("DocumentID", "History", "RenditionClass")}
    return (
        all(name.namespace in PREDEFINED or (name.namespace, name.localname) in declared | known for name in used)
        and len(list(root.iterfind(f".//{EXTENSION}schemas"))) == 1
    )


def information(_: bytes, pdf: Pdf) -> bool:
    """Compare the information dictionary with the metadata."""
    root = etree.fromstring(pdf.Root.Metadata.read_bytes())
    title = root.findtext(".//{http://purl.org/dc/elements/1.1/}title//" + f"{RDF}li")
    created = root.findtext(".//{http://ns.adobe.com/xap/1.0/}CreateDate") or ""
    digits = re.sub(r"\D", "", created)[:14]
    return str(pdf.docinfo.Title) == title and str(pdf.docinfo.CreationDate) == f"D:{digits}Z"


def embedded_files(_: bytes, pdf: Pdf) -> bool:
    specifications = of_type(pdf, "/Filespec")
    associated = {each.objgen for each in pdf.Root.get("/AF", [])}
    return bool(specifications) and all(
        {"/F", "/UF", "/Desc", "/AFRelationship", "/EF"} <= set(each.keys())
        and each.objgen in associated
        and "/Subtype" in each.EF.F
        and "/ModDate" in each.EF.F.Params
        for each in specifications
    )


def factur_x(_: bytes, pdf: Pdf) -> bool:
    """Factur-X 1.07, 6.2 and 6.3: one file of this name and relationship, and the four properties."""
    (specification,) = pdf.Root.AF
    root = etree.fromstring(pdf.Root.Metadata.read_bytes())
    said = {
        name: root.findtext(f".//{FACTUR_X}{name}")
        for name in ("DocumentFileName", "DocumentType", "Version", "ConformanceLevel")
    }
    expected = {
        "DocumentFileName": "factur-x.xml",
        "DocumentType": "INVOICE",
        "Version": "1.0",
        "ConformanceLevel": "EN 16931",
    }
    return said == expected and specification.UF == "factur-x.xml" and specification.AFRelationship == "/Alternative"


CLAUSES: dict[str, Callable[[bytes, Pdf], bool]] = {
    "6.1.2 file header": header,
    "6.1.3 file trailer": trailer,
    "6.1.4 cross-reference table": cross_references,
    "6.1.7.1 stream objects": streams,
    "6.1.7.2 filters": filters,
    "6.1.12 permissions": permissions,
    "6.1.13 implementation limits": strings,
    "6.2.2 content streams": operators,
    "6.2.3 output intent": output_intent,
    "6.2.4 colour spaces": colours,
    "6.2.5 and 6.2.10 graphics state, transparency": graphics_state,
    "6.2.8 and 6.2.9 images, XObjects": objects,
    "6.2.11.3 composite fonts": composite_fonts,
    "6.2.11.4 embedding of fonts": fonts_embedded,
    "6.2.11.8 missing glyphs": no_missing_glyph,
    "6.3, 6.4, 6.5, 6.9, 6.11 nothing interactive": nothing_interactive,
    "6.6.2.1 and 6.6.4 metadata, identification": metadata,
    "6.6.2.3 extension schemas": extension_schemas,
    "6.6.3 document information": information,
    "6.8 embedded files": embedded_files,
    "Factur-X": factur_x,
}
