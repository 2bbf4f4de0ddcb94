"""The picture as SVG or PNG, set by the typesetter that also prints the invoices."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import typst

from invoicing.invoices.print.glyphs import FONTS

TEMPLATE = Path(__file__).parent / "plan.typ"
FORMATS: Mapping[str, Literal["svg", "png"]] = {".svg": "svg", ".png": "png"}
"""By the ending of the file's name."""

_DOTS_PER_INCH = 144.0


def render(laid_out: Mapping[str, Any], form: Literal["svg", "png"]) -> bytes:
    """Draw what `scene` laid out; what it says reaches the template as JSON, so no text can be code."""
    fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[FONTS])
    compiler = typst.Compiler(TEMPLATE, root=TEMPLATE.parent, font_paths=fonts, ignore_system_fonts=True)
    drawn = compiler.compile(
        TEMPLATE, format=form, ppi=_DOTS_PER_INCH if form == "png" else None, sys_inputs={"view": json.dumps(laid_out)}
    )
    if not isinstance(drawn, bytes):
        raise TypeError("the typesetter gave no single page")
    return drawn
