"""Frames as the libraries' own logs print them: one function a notation.

A frame is `(direction, cmd, id, word, body)`: direction 0 is the device, `word` the status of a RESPONSE (cmd 0, whose
body is empty) else the body's length. Every printer gives the text with a line break behind each line; those of dumps
join the bytes of all frames and leave out the direction.
"""

from __future__ import annotations

import json

from blynkscope.protocol import commands, statuses

Frame = tuple[int, int, int, int, bytes]

FIRST_MS = 1000
STEP_MS = 25

JS_NAMES = {
    0: "RSP", 2: "LOGIN", 3: "SAVE_PROF", 4: "LOAD_PROF", 5: "GET_TOKEN", 6: "PING", 7: "ACTIVATE", 8: "DEACTIVATE",
    9: "REFRESH", 12: "TWEET", 13: "EMAIL", 14: "NOTIFY", 15: "BRIDGE", 16: "HW_SYNC", 17: "INTERNAL", 19: "PROPERTY",
    20: "HW", 29: "HW_LOGIN", 41: "REDIRECT", 55: "DEBUG_PRINT", 64: "EVENT_LOG",
}  # fmt: skip
NODE_RED_NAMES = {
    0: "RSP", 6: "PING", 12: "TWEET", 13: "EMAIL", 14: "NOTIFY", 15: "BRIDGE", 16: "HW_SYNC", 17: "INTERNAL", 18: "SMS",
    19: "PROPERTY", 20: "HW", 29: "LOGIN", 41: "REDIRECT", 55: "DEBUG_PRINT", 64: "EVENT_LOG",
}  # fmt: skip
NODE_RED_STATUSES = {
    1: "QUOTA_LIMIT_EXCEPTION", 2: "ILLEGAL_COMMAND", 3: "NOT_REGISTERED", 4: "ALREADY_REGISTERED",
    5: "NOT_AUTHENTICATED", 6: "NOT_ALLOWED", 7: "DEVICE_NOT_IN_NETWORK", 8: "NO_ACTIVE_DASHBOARD", 9: "INVALID_TOKEN",
    11: "ILLEGAL_COMMAND_BODY", 13: "NOTIFICATION_INVALID_BODY", 14: "NOTIFICATION_NOT_AUTHORIZED",
    15: "NOTIFICATION_ERROR", 17: "NO_DATA_EXCEPTION", 19: "SERVER_EXCEPTION", 21: "ENERGY_LIMIT",
    22: "FACEBOOK_USER_LOGIN_WITH_PASS", 200: "OK",
}  # fmt: skip
JAVA_NAMES = {
    0: "Response", 2: "Login", 6: "Ping", 12: "Tweet", 13: "Email", 14: "Push", 15: "Bridge", 16: "HardwareSync",
    17: "Internal", 18: "Sms", 19: "setWidgetProperty", 20: "Hardware", 29: "LoginHardware", 41: "ConnectRedirect",
    64: "HardwareLogEvent",
}  # fmt: skip


def header(frame: Frame) -> bytes:
    _, cmd, ident, word, _ = frame
    return bytes([cmd]) + ident.to_bytes(2, "big") + word.to_bytes(2, "big")


def raw(frame: Frame) -> bytes:
    return header(frame) + frame[4]


def stream(frames: list[Frame], direction: int | None = None) -> bytes:
    """All bytes, or those of one direction."""
    return b"".join(raw(frame) for frame in frames if direction in (None, frame[0]))


def _lines(lines: list[str]) -> str:
    return "".join(line + "\n" for line in lines)


def _arrow(frame: Frame) -> str:
    return "><"[frame[0] == 0]


# --- C++ -----------------------------------------------------------------------------------------------------------


def dump(data: bytes, space: bool = False, lower: bool = False) -> str:
    """The library's dump of bytes: printable ones as themselves, runs of others in brackets.

    Args:
        data: The bytes.
        space: True where 0x20 is printed as a blank (before February 2023), else it is `[20]`.
        lower: Lower-case digits, as on Linux and mbed.
    """
    out, shown = [], True
    for byte in data:
        if 0x20 < byte < 0x7F or (space and byte == 0x20):
            out.append(("" if shown else "]") + chr(byte))
            shown = True
        else:
            digits = f"{byte:02x}" if lower else f"{byte:02X}"
            out.append(("[" if shown else "|") + digits)
            shown = False
    return "".join(out) + ("" if shown else "]")


def _cpp(frames: list[Frame], split_sent: bool, space: bool = False, lower: bool = False) -> str:
    lines, now = [], FIRST_MS
    for frame in frames:
        split = frame[0] == 1 or split_sent
        pieces = [header(frame), frame[4]] if split else [raw(frame)]
        lines += [f"[{now}] {_arrow(frame)}{dump(piece, space, lower)}" for piece in pieces if piece]
        now += STEP_MS
    return _lines(lines)


def cpp(frames: list[Frame]) -> str:
    """Since February 2023, boards that send a frame in one piece (ESP, SIM800)."""
    return _cpp(frames, split_sent=False)


def cpp_old(frames: list[Frame]) -> str:
    """0.3.6 to January 2023: a blank is a blank."""
    return _cpp(frames, split_sent=False, space=True)


def cpp_avr(frames: list[Frame]) -> str:
    """AVR boards: the header and the body have their own lines in both directions."""
    return _cpp(frames, split_sent=True)


def cpp_avr_old(frames: list[Frame]) -> str:
    return _cpp(frames, split_sent=True, space=True)


def cpp_lower(frames: list[Frame]) -> str:
    """Linux: lower-case digits, two lines."""
    return _cpp(frames, split_sent=True, lower=True)


def msg(frames: list[Frame]) -> str:
    """Before 0.3.6: decimal numbers, then the body with its NULs lost."""
    lines, now = [], FIRST_MS
    for frame in frames:
        _, cmd, ident, word, body = frame
        lines.append(f"[{now}] {_arrow(frame)}msg {cmd},{ident},{word}")
        if body:
            lines.append(_arrow(frame) + body.replace(b"\0", b"").decode("latin-1"))
        now += STEP_MS
    return _lines(lines)


# --- JavaScript ----------------------------------------------------------------------------------------------------


def _bar(body: bytes) -> str:
    return body.replace(b"\0", b"|").decode("utf-8", "replace")


def js(frames: list[Frame], names: bool = False) -> str:
    """blynk-library-js: name, id, length or status, body. With `names`, statuses by name as its own table does."""
    known = {200: "OK", 2: "ILLEGAL_COMMAND", 4: "ALREADY_REGISTERED", 9: "INVALID_TOKEN"}
    lines = []
    for frame in frames:
        _, cmd, ident, word, body = frame
        last = known.get(word, f"Unknown({word})") if names and cmd == 0 else str(word)
        line = f"{_arrow(frame)}  {JS_NAMES.get(cmd, f'Unknown({cmd})')} {ident} {last}"
        lines.append(f"{line} {_bar(body)}" if body else line)
    return _lines(lines)


def _node_red_line(frame: Frame) -> str:
    _, cmd, ident, word, body = frame
    name = NODE_RED_NAMES.get(cmd, str(cmd))
    if cmd == 0:
        return f"Cmd: {name}, Id: {ident}, responseCode: {NODE_RED_STATUSES.get(word, word)}"
    return f"Cmd: {name}, Id: {ident}, len: {word}, data: {json.dumps(_bar(body), ensure_ascii=False)}"


def node_red(frames: list[Frame]) -> str:
    """node-red-contrib-blynk-ws, one command a WebSocket message."""
    arrows = ("SEND -> ", "RECV <- ")
    front = "9 Mar 19:40:12 - [info] [blynk-ws-client:c1d2e3f4.a5b6c7] "
    return _lines([front + arrows[frame[0]] + _node_red_line(frame) for frame in frames])


def node_red_events(frames: list[Frame]) -> str:
    """What node-red prints of a received write: the decoded command as JSON."""
    lines = []
    for _, cmd, ident, word, body in frames:
        command = {
            "type": cmd, "typeString": NODE_RED_NAMES.get(cmd, cmd), "msgId": ident, "len": word, "msgLength": word + 5,
            "body": body.decode("latin-1"),
        }  # fmt: skip
        lines.append(f"writeEvent: -> cmd {json.dumps(command, separators=(',', ':'))}")
    return _lines(lines)


# --- Python --------------------------------------------------------------------------------------------------------


def blynk_ctrl(frames: list[Frame]) -> str:
    lines = []
    for frame in frames:
        _, cmd, ident, word, body = frame
        if cmd == 0:
            lines.append(f" {_arrow(frame)} {cmd}, {ident} : status {word}")
        else:
            text = body.replace(b"\0", b"=").decode("utf-8", "replace")
            lines.append(f" {_arrow(frame)} {cmd}, {ident}, {word} : {text}")
    return _lines(lines)


def python(frames: list[Frame]) -> str:
    """BlynkLib 0.2 and 1.0: what is sent with blanks between its arguments, what is received with commas."""
    lines = []
    for frame in frames:
        direction, cmd, ident, word, body = frame
        parts = [part.decode("utf-8", "replace") for part in body.split(b"\0")] if body or direction else []
        text = str(word) if cmd == 0 else (" " if direction == 0 else ",").join(parts)
        lines.append(f"{_arrow(frame)} {cmd} {ident} |" + (f" {text}" if text or direction else ""))
    return _lines(lines)


def upython(frames: list[Frame], curly: bool = False) -> str:
    """A MicroPython port that prints every layer of a message, as forum posts show it."""
    lines = []
    for frame in frames:
        direction, cmd, ident, word, body = frame
        data = repr(raw(frame))
        if direction == 0:
            text = body.replace(b"\0", b" ").decode("latin-1")
            shown = [
                f"> Sending CMD: {cmd}",
                f"> Sending ARGS: {text}",
                "> Sending KWARGS:",
                f"> Sending ID: {ident}",
                f"> Outbound Data Packet CMD: {cmd}, ID: {ident}, Data: {text}",
                f"> Outbound Data Packet: {data}",
                f"> Outbound Data {data}",
            ]
        else:
            shown = ["< Check For Data From Server", f"< Server Data: {data}"]
            if cmd == 0:
                shown.append(f"< Inbound Data Packet: CMD: {cmd}, ID: {ident},STA: {word}")
            shown.append(f"< BIN Data: {data}")
            if cmd == 0:
                shown.append(f"< Server Acknowledge: CMD: {cmd} ID: {ident}")
        lines += ["—> Blynk Log: " + (line.replace("b'", "b’").replace("'", "’") if curly else line) for line in shown]  # noqa: RUF001
    return _lines(lines)


def python_bytes(frames: list[Frame]) -> str:
    """Hand-made prints around a socket."""
    return _lines([f"{('send: ', 'recv: ')[frame[0]]}{raw(frame)!r}" for frame in frames])


# --- Java ----------------------------------------------------------------------------------------------------------


def java(frames: list[Frame], nul: str = " ", length: bool = False) -> str:
    """The legacy server's log at level TRACE. `nul` is what copying made of NULs; `length` as before 2016."""
    lines = []
    for frame in frames:
        direction, cmd, ident, word, body = frame
        name = JAVA_NAMES[cmd] + ("Message" if length else "")
        if cmd == 0:
            status = statuses.STATUSES[word].aliases[-1] if word in statuses.STATUSES else word
            inner = f"ResponseMessage{{id={ident}, command={name}, responseCode={status}}}"
        else:
            text = body.decode("utf-8", "replace").replace("\0", nul)
            told = f", length={word}" if length else ""
            inner = f"id={ident}, command={name}{told}, body='{text}'"
            if cmd in (2, 20, 15) or length:
                inner = f"{JAVA_NAMES[cmd]}Message{{{inner}}}"
        lines.append(f"11:12:02.178 TRACE- {('Incoming', 'Outgoing')[direction]} {inner}")
    return _lines(lines)


# --- dumps of bytes ------------------------------------------------------------------------------------------------


def _rows(data: bytes, width: int = 16) -> list[tuple[int, bytes]]:
    return [(at, data[at : at + width]) for at in range(0, len(data), width)]


def _gutter(row: bytes) -> str:
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)


def xxd(frames: list[Frame]) -> str:
    lines = []
    for at, row in _rows(stream(frames)):
        pairs = " ".join(row[pair : pair + 2].hex() for pair in range(0, len(row), 2))
        lines.append(f"{at:08x}: {pairs:<39}  {_gutter(row)}")
    return _lines(lines)


def hexdump_c(frames: list[Frame]) -> str:
    data = stream(frames)
    lines = []
    for at, row in _rows(data):
        halves = f"{row[:8].hex(' ')}  {row[8:].hex(' ')}"
        lines.append(f"{at:08x}  {halves:<49} |{_gutter(row)}|")
    return _lines([*lines, f"{len(data):08x}"])


def wireshark(frames: list[Frame]) -> str:
    """ "Copy as hex and ASCII"."""
    return _lines([f"{at:04x}   {row.hex(' '):<47}  {_gutter(row)}" for at, row in _rows(stream(frames))])


def plain_hex(frames: list[Frame]) -> str:
    return _lines([raw(frame).hex(" ") for frame in frames])


def hex_directions(frames: list[Frame]) -> str:
    """Hex behind TX and RX, as serial monitors and proxies print it."""
    return _lines([f"{('TX -> ', 'RX <- ')[frame[0]]}{raw(frame).hex(' ').upper()}" for frame in frames])


def hercules(frames: list[Frame]) -> str:
    return _lines(["".join(f"{{{byte:02X}}}" for byte in raw(frame)) for frame in frames])


def command_name(cmd: int) -> str:
    return commands.rows(cmd)[0].name
