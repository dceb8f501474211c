"""Building blocks shared by all pages of a site: head, navigation, links, tables."""

import hashlib
import re
from collections.abc import Sequence
from html import escape

from deep3dmap.dashboard.look import replace_direction_controls

POLICY = "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; base-uri 'none'; form-action 'none'"


def page(title: str, body: str, depth: int = 0, scripts: Sequence[str] = (), trail: Sequence[tuple[str, str]] = ()) -> str:
    """Return a page.

    title: text. body: HTML. depth: number of folders below the index. scripts: files. trail: (address, text) links.
    """
    up, title = "../" * depth, replace_direction_controls(title)
    links = "".join(f'<a href="{escape(up + address)}">{escape(text)}</a> › ' for address, text in trail)
    loaded = "".join(f'<script defer src="{escape(up + name)}"></script>' for name in scripts)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><meta name="referrer" content="no-referrer">'
        f'<title>{escape(title)}</title><link rel="icon" href="data:,"><link rel="stylesheet" href="{up}static/site.css">'
        f"{loaded}</head><body><nav>{links}</nav><main><h1>{escape(title)}</h1>{body}</main></body></html>\n"
    )


def slug(*names: object) -> str:
    """Return a readable file name that is unique for the names, whatever characters they contain."""
    readable = re.sub(r"[^a-z0-9]+", "-", "-".join(map(str, names)).lower()).strip("-")[:60]
    digest = hashlib.sha256("\0".join(map(str, names)).encode()).hexdigest()[:8]
    return f"{readable}-{digest}".lstrip("-")


def link(address: str, text: str) -> str:
    """Return a link; the text is escaped."""
    return f'<a href="{escape(address)}">{escape(text)}</a>'


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "plain") -> str:
    """Return a table. heads: text. rows: HTML. kind: CSS classes."""
    head = "".join(f"<th>{escape(one)}</th>" for one in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    inner = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<div class=scroll><table class="{escape(kind)}">{inner}</table></div>'
