"""Runs pages of the dashboard without a browser, and extracts their content."""

from html.parser import HTMLParser
from importlib import resources

from streamlit.testing.v1 import AppTest

from deep3dmap.dashboard.reading import RESULTS_VARIABLE

APP = str(resources.files("deep3dmap.dashboard") / "app.py")
PAGES = ("home", "leaderboard", "compare", "gallery", "run", "sweeps", "live", "catalogue")


def page(name, uri, monkeypatch, **query):
    """Run a page for a store. query: query parameters of its URL."""
    monkeypatch.setenv(RESULTS_VARIABLE, str(uri))
    app = AppTest.from_string(f"from deep3dmap.dashboard.views import {name}\n{name}.show()", default_timeout=60)
    for key, value in query.items():
        app.query_params[key] = value
    return clean(app.run())


def clean(app):
    assert not app.exception, app.exception
    return app


def html(app):
    """Return the HTML content of a page."""
    return "".join(element.value for element in app.get("html"))


def words(app):
    """Return the text of a page, from HTML and other elements, without markup."""
    parser = _Tables()
    parser.feed(html(app))
    shown = [element.value for kind in (app.warning, app.error, app.info, app.caption, app.markdown) for element in kind]
    text = " ".join("".join(parser.words).split())
    return " ".join([text, *shown, *(element.value for element in app.code)])


def table(app, name):
    """Return the rows, as {heading: text}, of the table whose aria-label is `name`."""
    parser = _Tables()
    parser.feed(html(app))
    heads, *lines = parser.tables[name]
    return [dict(zip(heads, line)) for line in lines]


class _Tables(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tables, self.words, self._rows, self._cell = {}, [], [], None

    def handle_starttag(self, tag, attributes):
        if tag != "wbr":
            self.words.append(" ")
        if tag == "table":
            self._rows = self.tables.setdefault(dict(attributes).get("aria-label", ""), [])
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._cell = ""
        elif tag in ("small", "span") and self._cell:
            self._cell += " | "

    def handle_endtag(self, tag):
        if tag in ("td", "th") and self._cell is not None:
            self._rows[-1].append(self._cell)
            self._cell = None

    def handle_data(self, data):
        self.words.append(data)
        if self._cell is not None:
            self._cell += data
