import io
import re

from hypothesis import given, settings
from hypothesis import strategies as st
from test_ladder import TOKEN, answer, finding, frame, happened, opened

from blynkscope.render import mermaid as module
from blynkscope.render.mermaid import ARROWS_MAX, PARTICIPANTS_MAX, TEXT_MAX, escaped
from blynkscope.render.outputs import make
from blynkscope.render.redact import token_name

TEXT = r"(?:[A-Za-z0-9 _.,:=/+()…·→←↩●○✗▲△▷-]|#[0-9]+;|<br/>)*"
STATEMENT = re.compile(
    rf"participant [a-z0-9_]+ as {TEXT}|[a-z0-9_]+--?>>[a-z0-9_]+: {TEXT}|Note over [a-z0-9_]+(,[a-z0-9_]+)?: {TEXT}"
)
NASTY = [
    "end", "END", "%%", "%%{init: {}}%%", "---", "#59;", ";", "\n", "\r\n", ":", "->>", "participant a", "wrap:",
    "<br/>", "<script>", "`", '"', "'", "{", "}", "$$", "ﬂ°°59¶ß", "style:#x;", "classDef x:#;", "\u2028", "\\n", "@{",
    "\x1b[2J", "\ud800", "&lt;",
]  # fmt: skip


def mermaid(*records, **more):
    stream = io.StringIO()
    output = make("mermaid", stream, **more)
    output.write(records)
    output.close()
    return stream.getvalue()


def read_back(text):
    return re.sub(r"#([0-9]+);", lambda match: chr(int(match[1])), text)


def test_a_conversation_is_drawn():
    shown = mermaid(opened(), frame(1), answer(2), finding(), happened("gap", size=3), happened("closed"))
    assert shown.split("\n") == [
        "sequenceDiagram",
        "    participant device1 as device<br/>10.0.0.2:4",
        "    participant server2 as server<br/>10.0.0.1:8080",
        "    device1->>server2: HW 1 V1 = 23.5",
        "    server2-->>device1: RSP 2 STA_SUCCESS (12.3 ms)",
        "    Note over device1: ▲ BS201 error: The server does not know this token<br/>What was seen.<br/>→ Compare the host.",
        "    Note over device1: 3 bytes are not in the input",
        "",
    ]


def test_failures_and_writes_are_marked():
    shown = mermaid(answer(1, 9, "STA_INVALID_TOKEN"), frame(2, write="sent"))
    assert ": ✗ RSP 1 STA_INVALID_TOKEN" in shown
    assert "V1 = 23.5 ○" in shown


def test_connections_have_lifelines_of_their_own_and_servers_are_shared():
    shown = mermaid(*(frame(n, stream=n, src=f"10.0.0.2:{n}") for n in range(1, 30)))
    assert shown.count("as server") == 1
    assert shown.count("participant") == PARTICIPANTS_MAX + 1
    assert "participant device_others as more devices" in shown
    assert "device_others->>server2: stream 29, HW 29" in shown


def test_a_diagram_is_bounded_and_says_what_is_missing():
    shown = mermaid(*(frame(n) for n in range(ARROWS_MAX + 50)))
    assert shown.count("->>") == ARROWS_MAX
    assert "and 50 more frames that are not drawn" in shown
    longest = mermaid(*(frame(n, text=";" * 500) for n in range(1000)), *(finding(detail=";" * 900) for _ in range(50)))
    assert len(longest) <= TEXT_MAX
    assert re.search(r"and \d+ more frames, \d+ more findings that are not drawn", longest)
    assert longest.endswith("\n")


def test_a_finding_alone_has_someone_to_stand_over():
    assert "Note over client1: ▲ BS201" in mermaid(finding(None))
    assert mermaid() == "sequenceDiagram\n"


def test_secrets_are_hidden():
    login = frame(
        1, name="MSG_HW_LOGIN", cmd=29, text=f"token {TOKEN}", fields={"token": TOKEN}, body=TOKEN.encode().hex()
    )
    shown = mermaid(login, finding(detail=f"token {TOKEN}"))
    assert TOKEN not in shown
    assert shown.count(token_name(TOKEN)) == 2


@given(st.text() | st.lists(st.sampled_from(NASTY) | st.text(max_size=3)).map("".join))
def test_escaped_text_is_text(text):
    shown = escaped(text)
    assert re.fullmatch(TEXT, shown)
    assert "<br/>" not in shown
    assert not re.search(r"\b(end|wrap)\b|style|classDef", re.sub(r"#[0-9]+;", "x", shown), re.IGNORECASE)
    assert read_back(shown) == text


_text = st.text(max_size=30) | st.lists(st.sampled_from(NASTY)).map(" ".join)


@settings(deadline=None)
@given(st.lists(st.builds(frame, st.integers(1, 99), st.sampled_from(["device", "server", "app", "unknown"]), _text,
                          stream=st.integers(1, 20), src=st.none() | _text, dst=st.none() | _text, name=_text)
                | st.builds(finding, st.none() | st.integers(1, 30), _text, _text, _text)
                | st.builds(opened, st.integers(1, 20), client=_text, server=_text), max_size=20))  # fmt: skip
def test_no_wire_text_breaks_out_of_its_line(records):
    first, *statements, last = mermaid(*records).split("\n")
    assert (first, last) == ("sequenceDiagram", "")
    for statement in statements:
        assert statement.startswith("    ")
        assert STATEMENT.fullmatch(statement[4:]), statement


def test_limits_have_room_for_each_other():
    assert ARROWS_MAX * 20 < TEXT_MAX < 50_000
    assert module._FOR_NOTES < TEXT_MAX // 4
