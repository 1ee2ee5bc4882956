import io
import json
import re

import pytest

from blynkscope.analysis.catalogue import CATALOGUE
from blynkscope.protocol.commands import COMMANDS
from blynkscope.protocol.statuses import STATUSES
from blynkscope.render.console import cells
from blynkscope.render.reference import Page, write_codes, write_page

PAGE = Page("200", 200, COMMANDS, list(STATUSES.values()), list(CATALOGUE.values()))
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@pytest.mark.parametrize("color", ["never", "always"])
@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_page_has_trailing_spaces(monkeypatch, width, color):
    monkeypatch.setenv("COLUMNS", str(width))
    stream = io.StringIO()
    write_page(stream, "text", PAGE, color)
    write_codes(stream, "table", COMMANDS, list(STATUSES.values()), color)
    text = stream.getvalue()
    lines = COLOURS.sub("", text).split("\n")
    assert ("\x1b[" in text) == (color == "always")
    assert not [line for line in lines if line.endswith(" ")]
    assert all(cells(line) <= width for line in lines)
    assert any("Length or status?" in line for line in lines)


def test_json_pages_have_no_unprintable_characters():
    stream = io.StringIO()
    page = Page("\x9b\u202e\u2028é", None, COMMANDS[:1], [], [])
    write_page(stream, "json", page, "never")
    text = stream.getvalue()
    assert all(line.isprintable() for line in text.split("\n"))
    assert "é" in text
    assert json.loads(text)["query"] == page.query
