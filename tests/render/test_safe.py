import pytest
from hypothesis import given
from hypothesis import strategies as st

from blynkscope.render.safe import safe, safe_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("V1 = 23.5 °C → ok", "V1 = 23.5 °C → ok"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\r\nb", "a\\x0d\\x0ab"),
        ("\x9b2J", "\\x9b2J"),
        ("\u202egnp", "\\u{202e}gnp"),
        ("\u2028", "\\u{2028}"),
        ("\ud800", "\\u{d800}"),
        ("\U000e0001", "\\u{e0001}"),
        ("[link=x]y[/link]", "[link=x]y[/link]"),
        ("", ""),
    ],
)
def test_unprintable_characters_are_spelled_out(text, shown):
    assert safe(text) == shown


@given(st.text(st.characters(exclude_categories=()), max_size=50))
def test_whatever_comes_in_the_result_is_printable_and_encodable(text):
    shown = safe(text)
    assert shown.isprintable()
    shown.encode("utf-8")
    assert safe(shown) == shown


@given(st.text(st.characters(exclude_categories=()), max_size=50), st.integers(1, 60))
def test_a_line_keeps_its_limit(text, limit):
    shown = safe_line(text, limit)
    assert len(shown) <= limit
    assert shown.isprintable()
    assert shown == safe(text) or shown.endswith("…")


def test_a_long_text_is_cut_before_it_is_looked_at():
    assert safe_line("\x00" * 50_000_000, 10) == "\\x00\\x00\\…"
