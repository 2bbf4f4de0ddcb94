"""The page `/docs`: the HTTP API as the running service describes it, for people; no script, nothing from elsewhere."""

import json
from collections.abc import Callable, Iterator, Mapping
from html import escape
from typing import Any

from fastapi import Request
from starlette.responses import HTMLResponse

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .3rem; }
code, pre { font: .9rem/1.4 ui-monospace, monospace; }
pre { overflow-x: auto; padding: .8rem; border: 1px solid #8886; border-radius: .4rem; }
.method { font-weight: 700; color: #1b5e9a; } @media (prefers-color-scheme: dark) { .method { color: #7bb8ee; } }
nav ul { padding-left: 1.2rem; }
table { border-collapse: collapse; width: 100%; } td { border-top: 1px solid #8886; padding: .3rem .6rem .3rem 0;
vertical-align: top; } nav li { margin: .15rem 0; } a { color: inherit; }
"""

Described = Callable[[], Mapping[str, Any]]


class Pages:
    """Writes the page from the OpenAPI document, once."""

    def __init__(self, described: Described) -> None:
        """Ask `described` for the document when the page is first wanted."""
        self._described = described
        self._page: str | None = None

    async def docs(self, _request: Request) -> HTMLResponse:
        """Answer `GET /docs`."""
        if self._page is None:
            self._page = page(self._described())
        return HTMLResponse(self._page, headers={"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"})


def page(described: Mapping[str, Any]) -> str:
    """Write an OpenAPI document as one page."""
    operations = [
        (method.upper(), path, operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]
    title = f"{escape(described['info']['title'])} {escape(described['info']['version'])}"
    contents = "".join(
        f'<li><a href="#{escape(_anchor(method, path))}"><code>{method} {escape(path)}</code></a> '
        f"{escape(operation.get('summary', ''))}</li>"
        for method, path, operation in operations
    )
    body = "".join(part for method, path, operation in operations for part in _operation(method, path, operation))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head><body>'
        f"<h1>{title}</h1><p>{escape(described['info'].get('summary', ''))} Everything below <code>/v1</code> needs "
        "<code>Authorization: Bearer &lt;key&gt;</code>. For programs: "
        '<a href="/openapi.json"><code>/openapi.json</code></a>.</p>'
        f"<nav><ul>{contents}</ul></nav><main>{body}</main></body></html>"
    )


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f'<section id="{escape(_anchor(method, path))}"><h2><span class="method">{method}</span> '
    yield f"<code>{escape(path)}</code></h2><p>{escape(operation.get('description', ''))}</p>"
    if parameters := operation.get("parameters"):
        yield "<table>"
        for parameter in parameters:
            needed = ", required" if parameter.get("required") else ""
            yield f"<tr><td><code>{escape(parameter['name'])}</code><br><small>{parameter['in']}{needed}</small></td>"
            yield f"<td>{escape(parameter.get('description', ''))}</td></tr>"
        yield "</table>"
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        for example in content.get("examples", {}).values():
            yield f"<p>{escape(example.get('summary', ''))} (<code>{escape(media)}</code>):</p>"
            yield f"<pre>{escape(_as_text(example['value']))}</pre>"
    yield "<table>"
    for status, answer in operation.get("responses", {}).items():
        yield f"<tr><td><code>{escape(str(status))}</code></td><td>{escape(answer.get('description', ''))}</td></tr>"
    yield "</table></section>"


def _anchor(method: str, path: str) -> str:
    return f"{method.lower()}{path.replace('/', '-').replace('{', '').replace('}', '').replace(':', '-')}"


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
