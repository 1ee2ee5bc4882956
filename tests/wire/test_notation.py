import contextlib
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from blynkscope.errors import BlynkscopeError, NotationError
from blynkscope.protocol import limits
from blynkscope.wire import notation
from blynkscope.wire.notation import parse_bytes

LOGIN = bytes.fromhex("1d00010020") + b"0123456789abcdef0123456789abcdef"


def gutter(chunk):
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in chunk)


def rows(data, size=16):
    return [(at, data[at : at + size]) for at in range(0, len(data), size)]


def xxd(data, group=2):
    lines = []
    for at, chunk in rows(data):
        shown = " ".join(chunk[i : i + group].hex() for i in range(0, len(chunk), group))
        lines.append(f"{at:08x}: {shown:<39}  {gutter(chunk)}")
    return "\n".join(lines)


def hexdump_c(data):
    lines, last, starred = [], None, False
    for at, chunk in rows(data):
        if chunk == last and len(chunk) == 16:
            if not starred:
                lines.append("*")
            starred = True
            continue
        starred, last = False, chunk
        shown = chunk[:8].hex(" ") + "  " + chunk[8:].hex(" ")
        lines.append(f"{at:08x}  {shown:<48}  |{gutter(chunk)}|")
    return "\n".join([*lines, f"{len(data):08x}"])


def wireshark(data, ascii_too=True, old=False):
    lines = []
    for at, chunk in rows(data):
        shown = chunk[:8].hex(" ") + ("  " if old else " ") + chunk[8:].hex(" ") if len(chunk) > 8 else chunk.hex(" ")
        lines.append(f"{at:04x}   {shown:<48}   {gutter(chunk)}" if ascii_too else f"{at:04x}   {shown}")
    return "\n".join(lines)


def words(data, base="07x", stars=True):
    lines, last, starred = [], None, False
    for at, chunk in rows(data):
        if stars and chunk == last and len(chunk) == 16:
            if not starred:
                lines.append("*")
            starred = True
            continue
        starred, last = False, chunk
        pairs = [chunk[i : i + 2] for i in range(0, len(chunk), 2)]
        shown = " ".join(f"{pair[1]:02x}{pair[0]:02x}" if len(pair) == 2 else f"00{pair.hex()}" for pair in pairs)
        lines.append(f"{at:{base}} {shown:<39}")
    return "\n".join([*lines, f"{len(data):{base}}", ""])


def octal_bytes(data):
    return "\n".join([*(f"{at:07o} {chunk.hex(' ')}" for at, chunk in rows(data)), f"{len(data):07o}"])


def followed(data, indent="", cuts=(37, 50)):
    """As Wireshark and tshark show a followed stream: each packet begins a row, the gutter has a blank inside."""
    lines, at = [], 0
    for end in sorted({*(cut for cut in cuts if cut < len(data)), len(data)}):
        for start in range(at, end, 16):
            chunk = data[start : min(start + 16, end)]
            shown = f"{chunk[:8].hex(' ')}  {chunk[8:].hex(' ')}"
            chars = f"{gutter(chunk)[:8]} {gutter(chunk)[8:]}".rstrip()
            lines.append(f"{indent}{start:08X}  {shown:<48}  {chars}")
        at = end
    return "\n".join(lines)


def arrays(data, peer=0):
    found = []
    for index, (_, chunk) in enumerate(rows(data, 24)):
        inner = ", \n".join(", ".join(f"0x{byte:02x}" for byte in row) for _, row in rows(chunk, 8))
        found.append(f"char peer{peer}_{index}[] = {{ /* Packet {index + 4} */\n{inner} }};\n")
    return "".join(found)


def tcpdump(data, ascii_too=True):
    lines = ["12:00:00.000001 IP 10.0.0.2.42030 > 10.0.0.1.8080: Flags [P.], length 37"]
    for at, chunk in rows(data):
        shown = " ".join(chunk[i : i + 2].hex() for i in range(0, len(chunk), 2))
        lines.append(f"\t0x{at:04x}:  {shown:<40} {gutter(chunk) if ascii_too else ''}")
    return "\n".join(lines)


PRINTERS = {
    "hex": lambda data: data.hex(" "),
    "hex without spaces": lambda data: data.hex(),
    "hex upper case with dashes": lambda data: data.hex("-").upper(),
    "hex with colons": lambda data: data.hex(":"),
    "hex with commas": lambda data: ", ".join(f"{byte:02x}" for byte in data),
    "hex in lines": lambda data: "\n".join(chunk.hex(" ") for _, chunk in rows(data)),
    "0x": lambda data: " ".join(f"0x{byte:02x}" for byte in data),
    "0x in one": lambda data: "0x" + data.hex(),
    "C array": lambda data: "{" + ", ".join(f"0x{byte:02X}" for byte in data) + "};",
    "C declaration": lambda data: (
        f"static const unsigned char pkt[{len(data)}] = {{\n"
        + ", /* 0x1f {a} */\n".join(", ".join(f"0x{byte:02x}" for byte in chunk) for _, chunk in rows(data, 8))
        + "\n};"
    ),
    "C mixed": lambda data: "{0x1d, " + ", ".join(str(byte) for byte in data) + "}",
    "escapes": lambda data: "".join(f"\\x{byte:02x}" for byte in data),
    "Python": repr,
    "Python without its closing quote": lambda data: repr(data)[:-1] if b"\\" not in data[-1:] else repr(data),
    "bytearray": lambda data: repr(bytearray(data)),
    "C string": lambda data: '"' + "".join(f"\\x{byte:02x}" for byte in data) + '"',
    "Hercules": lambda data: "".join(f"{{{byte:02x}}}" for byte in data),
    "decimal": lambda data: str(list(data)),
    "Node": lambda data: f"<Buffer {data.hex(' ')}>",
    "xxd": xxd,
    "xxd -g1": lambda data: "\n".join(f"{at:08x}: {chunk.hex(' '):<47}  {gutter(chunk)}" for at, chunk in rows(data)),
    "xxd -c8 -g1": lambda data: "\n".join(
        f"{at:08x}: {chunk.hex(' '):<23}  {gutter(chunk)}" for at, chunk in rows(data, 8)
    ),
    "hexdump -C": hexdump_c,
    "Wireshark": wireshark,
    "Wireshark, old": lambda data: wireshark(data, old=True),
    "Wireshark without characters": lambda data: wireshark(data, ascii_too=False),
    "hexdump": words,
    "od -x -v": lambda data: words(data, "07o", stars=False),
    "od -t x1": octal_bytes,
    "followed": followed,
    "followed, the answers": lambda data: followed(data, "    "),
    "followed with tshark": lambda data: (
        "\n"
        + "=" * 67
        + "\nFollow: tcp,hex\nFilter: tcp.stream eq 0\nNode 0: 127.0.0.1:42030\nNode 1: [::1]:8080\n"
        + followed(data, "\t")
        + "\n"
        + "=" * 67
        + "\n"
    ),
    "followed as C arrays": arrays,
    "escaped string": lambda data: " \\\n".join(
        '"' + "".join(f"\\x{byte:02x}" for byte in chunk) + '"' for _, chunk in rows(data)
    ),
    "escaped string, CRLF": lambda data: " \\\r\n".join(
        '"' + "".join(f"\\x{byte:02x}" for byte in chunk) + '"' for _, chunk in rows(data)
    ),
    "fromhex": lambda data: f"bytes.fromhex('{data.hex(' ')}')",
    "fromhex in lines": lambda data: (
        "packet = bytes.fromhex(\n" + "\n".join(f'    "{chunk.hex()}"' for _, chunk in rows(data)) + "\n)  # a login\n"
    ),
    "unhexlify": lambda data: f"binascii.unhexlify(b'{data.hex()}')",
    "quoted hex": lambda data: f'"{data.hex(" ")}"',
    "curly quoted hex": lambda data: f"\u201c{data.hex(' ')}\u201d",
    "list of quoted hex": lambda data: "[" + ", ".join(f'"{byte:02x}"' for byte in data) + "]",
    "hex with h": lambda data: " ".join(f"{byte:02X}h" for byte in data),
    "percent": lambda data: "".join(f"%{byte:02X}" for byte in data),
    "hex with comments": lambda data: (
        "# a login\n// of 1d\n" + "\n".join(f"{chunk.hex(' ')}  // {gutter(chunk)}" for _, chunk in rows(data, 8))
    ),
    "Python list with comments": lambda data: (
        "[\n" + "\n".join(f"  {', '.join(map(hex, chunk))},  # 0x1d {at}" for at, chunk in rows(data, 8)) + "\n]"
    ),
    "Python with a comment": lambda data: f"login = {data!r}  # 1d",
    "escapes with a comment": lambda data: "".join(f"\\x{byte:02x}" for byte in data) + " // login",
    "tcpdump -X": tcpdump,
    "tcpdump -x": lambda data: tcpdump(data, ascii_too=False),
}


@pytest.mark.parametrize("name", PRINTERS)
@given(
    data=st.binary(min_size=1, max_size=70) | st.text("0123456789abcdef .|", min_size=1, max_size=60).map(str.encode)
)
@example(data=LOGIN)
@example(data=b"\0" * 100)
@example(data=b"12 34 56 78 ab cd ef")
@example(data=b"2e.")
def test_printing_and_reading_gives_the_same_bytes(name, data):
    expected = b"\x1d" + data if name == "C mixed" else data
    assert parse_bytes(PRINTERS[name](data)).data == expected


@given(st.text(max_size=120) | st.text("0123456789abcdefx\\'\"b{}[],:|* \n\t", max_size=120))
def test_any_text_gives_bytes_or_the_documented_error(text):
    try:
        parsed = parse_bytes(text)
    except NotationError as error:
        place = error.line, error.column
    else:
        assert isinstance(parsed.data, bytes)
        place = 1, 1
    assert 1 <= place[0] <= text.count("\n") + 1
    assert place[1] >= 1


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("", 1, 1, "no bytes"),
        ("  \n ", 1, 1, "no bytes"),
        ("1d 00\n01 0g", 2, 5, "'g' is no hex digit"),
        ("1d 00 1", 1, 7, "odd number"),
        ("1d0", 1, 1, "odd number"),
        ("1d 00 … 20", 1, 7, "left out"),
        ("0x1d, 0xzz", 1, 7, "no byte"),
        ("0x1d, 256", 1, 7, "no byte"),
        ("\\x1d\\x0", 1, 5, "two hex digits"),
        ("b'\\x1d' hello", 1, 9, "closing quote"),
        ("{1d}{zz}", 1, 5, "brace"),
        ("00000000: 1d0 000", 1, 11, "two digits"),
        ("00000000: 1d00\nhello", 2, 1, "no row"),
        ("bytes.fromhex('1d 0g')", 1, 20, "'g' is no hex digit"),
        ('"1d 00 1"', 1, 8, "odd number"),
        ("1d 00 // login\n01 0g # id", 2, 5, "'g' is no hex digit"),
        ("# 1d 00", 1, 1, "'#' is no hex digit"),
        ("0000000 001d 2001\n0000020 3130\n0000022", 1, 1, "do not fit the rows"),
        ("\n0000000 001d 2001\n*\n0000002", 2, 1, "do not fit the rows"),
        (followed(LOGIN) + "\n" + followed(b"\0\0\1\0\xc8", "    "), 4, 1, "two directions"),
        (followed(b"\0\0\1\0\xc8", "\t") + "\n" + followed(LOGIN), 2, 1, "two directions"),
        (followed(b"\x1d\0") + "\n" + followed(b"\0", "    "), 2, 1, "two directions"),
        (arrays(b"\x1d\0") + arrays(b"\0\0", 1), 3, 6, "paste one of them"),
    ],
)
def test_messages_name_the_place(text, line, column, words):
    with pytest.raises(NotationError, match=re.escape(words)) as caught:
        parse_bytes(text)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert str(caught.value).startswith(f"line {line}, column {column}: ")
    assert isinstance(caught.value, BlynkscopeError)


@pytest.mark.parametrize(
    ("text", "data"),
    [
        (r"b'\x14\x00\x06\x00\x0cvw\x000\x00hello'", b"\x14\0\x06\0\x0cvw\x000\0hello"),
        ("b\u2019\\x14\\x00 a\\\u2019", b"\x14\0 a'"),
        (r"b'\x14' b'\x00'", b"\x14\0"),
        (r"[b'\x14', b'\x00']", b"\x14\0"),
        (r'"vw\u00001\u000023"', b"vw\x001\x0023"),
        ("\\x1d\\x00token here", b"\x1d\0token here"),
        ("\\x1d \\x00\n\\x01", b"\x1d\0\x01"),
        ("{1d}{#000}{$01}token", b"\x1d\0\x01token"),
        ("29, 0, 1, 0, 32", bytes([29, 0, 1, 0, 32])),
        ("1d 0 1 0 20", bytes([0x1D, 0, 1, 0, 0x20])),
        ("29 00 01", bytes([0x29, 0, 1])),
        ("1d\u201300\u201401", bytes([0x1D, 0, 1])),
        ("\ufeff1d\u00a000", bytes([0x1D, 0])),
        ("0000  1d 00 01", bytes([0x1D, 0, 1])),
        ('"hello"', b"hello"),
        ('"abc"', b"abc"),
        ("b'14 00'", b"14 00"),
        ('"29, 0, 1"', bytes([29, 0, 1])),
        ('"0x1d, 0x00"', bytes([0x1D, 0])),
        ('"0x14" + "0x00"', bytes([0x14, 0])),
        ('char login[] = "\\x1d\\x00" /* id */ "\\x01"; // more', bytes([0x1D, 0, 1])),
        ("b'a # b // c'", b"a # b // c"),
        ("bytes.fromhex('1d00') + bytes.fromhex('01')", bytes([0x1D, 0, 1])),
        ("#define LOGIN {0x1d, 0x00}", bytes([0x1D, 0])),
        ("char a[] = {0x1d}; char b[] = {0x00, 1};", bytes([0x1D, 0, 1])),
        ("{{0x1d, 0x00}, {0x01}}", bytes([0x1D, 0, 1])),
        ("0FFh, 1Dh", bytes([0xFF, 0x1D])),
        ("%1d %00,%01", bytes([0x1D, 0, 1])),
        ("%14%00vw%001", b"\x14\0vw\x001"),
        ("%14%00vw% %", b"\x14\0vw% %"),
        ("1d 00 ... // the token", bytes([0x1D, 0])),
        ("0000000    001d 0001\n0000004", bytes([0x1D, 0, 1, 0])),
        ("0000010 001d 0001", bytes([0x1D, 0, 1, 0])),
        ("00000000  1d 00\n    00000002  01 00", bytes([0x1D, 0, 1, 0])),
        ("0000 1d 00 01 00 20\n0005 30 31", bytes([0x1D, 0, 1, 0, 0x20, 0x30, 0x31])),
    ],
)
def test_what_people_really_paste(text, data):
    assert parse_bytes(text).data == data


def test_packets_of_tcpdump_lose_their_headers():
    header = bytes.fromhex("450000000001400040060000 0a000002 0a000001".replace(" ", ""))
    total = 20 + 20 + len(LOGIN)
    header = header[:2] + total.to_bytes(2, "big") + header[4:]
    checksum = sum(int.from_bytes(header[at : at + 2], "big") for at in range(0, 20, 2))
    checksum = ~((checksum & 0xFFFF) + (checksum >> 16)) & 0xFFFF
    header = header[:10] + checksum.to_bytes(2, "big") + header[12:]
    tcp = bytes.fromhex("a42e1f90000000010000000150180200") + bytes(4)
    parsed = parse_bytes(tcpdump(header + tcp + LOGIN))
    assert parsed.data == LOGIN
    assert any("headers" in note for note in parsed.notes)
    ethernet = bytes(12) + b"\x08\0"
    assert parse_bytes(wireshark(ethernet + header + tcp + LOGIN)).data == LOGIN


def test_input_is_bounded(monkeypatch):
    monkeypatch.setattr(limits, "PASTE_MAX", 1000)
    with pytest.raises(NotationError, match="longer than"):
        parse_bytes("00" * 501)
    with pytest.raises(NotationError, match="more than"):
        parse_bytes(
            "00000000  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n*\nfffffff0  01  |.|"
        )


def test_no_output_is_lost_in_the_table_of_printers():
    assert notation.parse_bytes(xxd(LOGIN)).notation == "xxd"
    assert notation.parse_bytes(hexdump_c(LOGIN)).notation == "hexdump -C"
    assert notation.parse_bytes(tcpdump(LOGIN)).notation == "tcpdump"
    assert notation.parse_bytes(wireshark(LOGIN)).notation == "Wireshark hex dump"
    assert notation.parse_bytes(words(LOGIN)).notation == "hexdump"
    assert notation.parse_bytes(words(LOGIN, "07o")).notation == "od"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (words(LOGIN), "low byte first"),
        (words(bytes(100), "07o"), "would fit too"),
        (arrays(LOGIN), "arrays were joined"),
        ('"1d 00"', "read as hex"),
        ("%14vw", "as themselves"),
    ],
)
def test_what_was_guessed_is_noted(text, told):
    assert any(told in note for note in parse_bytes(text).notes)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    [
        "(" + " " * 200000 + "x",
        "0x0000: 00" + "\n" * 200000,
        "0000 " + "00 " * 200000,
        "{1d}" * 100000,
        "[" * 200000,
        "'" * 200000,
        "/*" * 100000 + "0x1d",
        ">" * 200000 + "<Buffer ",
        "\\" * 200000,
        "0000 00\n" * 40000,
        "}" + "=" * 400000,
        "}=" * 200000 + "0x1d",
        "# \n" * 100000,
        "a " * 200000 + "=",
        "a" + "=" * 300000,
        '"' + "14 " * 200000,
        '"\\\n' * 100000,
        "%14" * 200000 + "%",
        "14h " * 100000 + "x",
        "0000000 1400\n" + "*\n" * 200000,
        "0000000 1400\n*\n3000000 1400\n" * 1000,
        "'' /*" * 50000,
    ],
    ids=range(22),
)
def test_hostile_text_takes_no_time(text):
    with contextlib.suppress(NotationError):
        parse_bytes(text)


@pytest.mark.parametrize("text", ["1d 00 01 00 ...", "1d 00 01 00 …", "0x1d, 0x00, 0x01, 0x00, ..."])
def test_an_ellipsis_at_the_end_is_told_and_left_out(text):
    parsed = parse_bytes(text)
    assert parsed.data == b"\x1d\x00\x01\x00"
    assert any("ellipsis" in note for note in parsed.notes)
