"""Pasted text → bytes. What people copy out of a terminal, a program or a forum is read, or refused with a place.

`parse_bytes` tries the notations from the most to the least particular: a form that announces itself (`b'…'`, `0x`,
offsets in front of every row) is never taken for plain hex.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from blynkscope.errors import NotationError
from blynkscope.protocol import limits
from blynkscope.wire import dumps

# One character for one character, so that places in messages stay right.
_REPAIRS = {ord(char): "'" for char in "‘’‚‛′"} | {ord(char): '"' for char in "“”„‟″"}  # noqa: RUF001
_REPAIRS |= {ord(char): " " for char in "\u00a0\u2007\u2009\u200b\u200c\u200d\u202f\u2060\ufeff"}
_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"))

_PYTHON = re.compile(r"[\[( \t]*+(?:bytearray|bytes|memoryview)?+[ \t]*+\(?+[ \t]*+(?:br|rb|b)?(['\"])", re.IGNORECASE)
_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)|//[^\n]*|(?:^|(?<=\s))#(?!define\b)[^\n]*", re.DOTALL | re.MULTILINE)
_COMMENT_LINES = re.compile(r"\s*+(?:(?:#(?!define\b)|//)[^\n]*\n\s*+)+")
_ASSIGNMENT = re.compile(
    r"\s*+[A-Za-z_][\w \t*\[\]]*=\s*+(?=\(*(?:br|rb|b)?['\"]|bytes|bytearray|binascii|unhexlify)", re.IGNORECASE
)
_BETWEEN_STRINGS = re.compile(r"(?:[\s,;+)\](]|\\(?=[ \t\r]*(?:\n|\Z))|(?:#|//)[^\n]*|/\*.*?(?:\*/|\Z))*+", re.DOTALL)
_FROM_HEX = re.compile(r"(?:(?:bytes|bytearray)\.fromhex|(?:binascii\.)?(?:unhexlify|a2b_hex))[ \t]*\(")
_STRING_MARKS = re.compile(r"\b(?:br|rb|b|r|u)(?=['\"])|['\"\[\](){}+;]|\\(?=[ \t\r]*(?:\n|\Z))", re.IGNORECASE)
_QUOTED_HEX = re.compile(r"(?:0[xX])?[0-9a-fA-F]+")
_BETWEEN_ARRAYS = re.compile(r"\}([^{}]*)\{")
_PEER = re.compile(r"\bpeer([01])_[0-9]+\b")
_SUFFIXED = re.compile(r"(?:0?[0-9a-fA-F]{2}[hH](?:[\s,;]+|\Z))+")
_PERCENT = re.compile(r"%([0-9a-fA-F]{2})")
_C_TOKEN = re.compile(r"[^\s,;]+")
_WORD = re.compile(r"[^\s,;:|_.\-\[\](){}<>]+")
_BRACES = re.compile(r"\{(?:[0-9a-fA-F]{2}|\$[0-9a-fA-F]{1,2}|#[0-9]{1,3})\}")
_BUFFER = re.compile(r"<Buffer |>\s*\Z")
_HEX_ONLY = re.compile(r"[0-9a-fA-F]+")
_DECIMAL = re.compile(r"[0-9]{1,3}")
_SIMPLE_ESCAPES = {"n": 10, "r": 13, "t": 9, "a": 7, "b": 8, "f": 12, "v": 11, "e": 27, "\\": 92, "'": 39, '"': 34}


@dataclass(frozen=True, slots=True)
class Parsed:
    """Bytes that were read out of text.

    Args:
        data: The bytes, at most `limits.PASTE_MAX`.
        notation: Name of the notation, as a person would say it.
        notes: What was guessed, repaired or left out, one sentence each.
    """

    data: bytes
    notation: str
    notes: list[str] = field(default_factory=list)


_ELLIPSIS = re.compile(r"(?<=[0-9a-fA-F])[ \t,]*(?:…|\.\.\.+)\s*\Z")
"""An ellipsis behind the last byte, as in examples."""


def parse_bytes(text: str) -> Parsed:
    """Read bytes in any notation that people paste.

    Raises:
        NotationError: The text is empty, too long, or no notation fits; the message names the place and what to do.
            No other exception leaves this function, whatever the text is.
    """
    if len(text) > limits.PASTE_MAX:
        raise NotationError(f"the text is longer than {limits.PASTE_MAX} characters; give it as a binary file", 1, 1)
    clean = text.translate(_REPAIRS)
    if not clean.strip():
        raise NotationError("there are no bytes; write them like 1d 00 01 00 20", 1, 1)
    notes = ["typographic quotes were read as plain ones"] if _curly(text, clean) else []
    data, notation = _dispatch(clean, notes)
    return Parsed(data, notation, notes)


def _curly(text: str, clean: str) -> bool:
    return text != clean and any(char in text for char in "‘’‚‛′“”„‟″")  # noqa: RUF001


def _dispatch(text: str, notes: list[str]) -> tuple[bytes, str]:
    dump = dumps.parse(text, notes, _fail)
    if dump is not None:
        return dump
    for before in (_COMMENT_LINES, _ASSIGNMENT):
        match = before.match(text)
        if match and match.end() < len(text):
            text = _blank(match) + text[match.end() :]
    bare = _COMMENT.sub(_blank, text)
    bare = bare if bare.strip() else text
    if _ELLIPSIS.search(bare):
        text, bare = _ELLIPSIS.sub("", text), _ELLIPSIS.sub("", bare)
        notes.append("the ellipsis at the end stands for bytes that are not there")
    start = len(text) - len(text.lstrip())
    if _FROM_HEX.match(text, start):
        return _numbers(_STRING_MARKS.sub(_blank, _FROM_HEX.sub(_blank, bare)), notes)
    if opening := _PYTHON.match(text, start):
        digits = _quoted_hex(bare, opening)
        if digits is None:
            return _literals(text, notes), "Python bytes"
        notes.append("the digits between the quotes were read as hex")
        return _numbers(digits, notes)
    if text.startswith("\\", start):
        return _escaped(text, bare, notes), "escapes"
    if _BRACES.match(text, start):
        return _hercules(text), "hex in braces"
    if _PERCENT.match(text, start):
        return _percent(text, notes), "percent escapes"
    return _numbers(bare, notes)


def _numbers(text: str, notes: list[str]) -> tuple[bytes, str]:
    """Text without strings and comments."""
    if re.search(r"0[xX][0-9a-fA-F]", text):
        return _c_array(text, notes), "hex with 0x"
    if _SUFFIXED.fullmatch(text.strip()):
        return bytes(int(word[:-1], 16) for word in re.findall(r"\w+", text)), "hex with h"
    return _digits(text, notes)


def _blank(match: re.Match[str]) -> str:
    """Spaces of the same length: places in messages must not move."""
    return re.sub(r"[^\n]", " ", match.group())


def _quoted_hex(text: str, opening: re.Match[str]) -> str | None:
    """The digits alone, where strings without a prefix hold nothing else: `"14 00 03"`. None for any other string."""
    if opening.group()[-2:-1].isalpha():
        return None
    inner = _STRING_MARKS.sub(_blank, text)
    words = _WORD.findall(inner.translate(_DASHES))
    if not words or not all(_QUOTED_HEX.fullmatch(word) for word in words):
        return None
    return inner if len(words) > 1 or len(words[0]) % 2 == 0 else None


def _fail(text: str, at: int, message: str) -> NotationError:
    line = text.count("\n", 0, at) + 1
    return NotationError(message, line, at - text.rfind("\n", 0, at))


# --- literals and escapes ---


def _literals(text: str, notes: list[str]) -> bytes:
    """One or several quoted strings; what stands between them must be punctuation."""
    out = bytearray()
    at = len(text) - len(text.lstrip())
    while match := _PYTHON.match(text, at):
        at, closed = _string(text, match.end(), match.group(1), out)
        if not closed:
            notes.append("the closing quote is missing")
        rest = _BETWEEN_STRINGS.match(text, at)
        at = rest.end() if rest else at
    if at < len(text):
        raise _fail(text, at, f"{_shown(text[at])} follows the closing quote; give the bytes alone")
    return bytes(out)


def _string(text: str, at: int, quote: str | None, out: bytearray) -> tuple[int, bool]:
    """Read up to the closing quote (or the end of the text) into `out`; the new place, and whether the quote came."""
    while at < len(text):
        char = text[at]
        if char == quote:
            return at + 1, True
        if char == "\\":
            at = _escape(text, at, out)
        elif quote is None and char in "\r\n":
            at += 1
        else:
            if ord(char) > 0x7E and char.isprintable() is False:
                raise _fail(text, at, f"{_shown(char)} cannot stand for a byte here; write it as \\xNN")
            out += char.encode("utf-8", "surrogatepass")
            at += 1
    return at, quote is None


def _escape(text: str, at: int, out: bytearray) -> int:
    if match := re.compile(r"\\[xX]([0-9a-fA-F]{2})").match(text, at):
        out.append(int(match.group(1), 16))
        return match.end()
    if text[at + 1 : at + 2] in {"x", "X"}:
        raise _fail(text, at, "two hex digits must follow \\x")
    if match := re.compile(r"\\u00([0-9a-fA-F]{2})").match(text, at):
        # JSON and JavaScript write NUL and other controls like this.
        out.append(int(match.group(1), 16))
        return match.end()
    if match := re.compile(r"\\([0-7]{1,3})").match(text, at):
        value = int(match.group(1), 8)
        if value > 0xFF:
            raise _fail(text, at, "an octal escape is at most \\377")
        out.append(value)
        return match.end()
    following = text[at + 1 : at + 2]
    if following == "\n":
        return at + 2
    if text.startswith("\r\n", at + 1):
        return at + 3
    if following in _SIMPLE_ESCAPES and following:
        out.append(_SIMPLE_ESCAPES[following])
        return at + 2
    # As in Python: a backslash that begins no escape is a backslash.
    out.append(0x5C)
    return at + 1


def _escaped(text: str, bare: str, notes: list[str]) -> bytes:
    """`\\x1d\\x00…` without quotes. Spaces between pure escapes separate; beside other characters they are bytes.

    Args:
        text: All of it.
        bare: The same with spaces in place of comments.
        notes: Gets what was guessed.
    """
    if re.fullmatch(r"(?:\\[xX][0-9a-fA-F]{2}|\\(?=[ \t\r]*(?:\n|\Z))|[\s,;'\"])+", bare):
        return bytes(int(pair, 16) for pair in re.findall(r"\\[xX]([0-9a-fA-F]{2})", bare))
    out = bytearray()
    _string(text.strip("\r\n\t "), 0, None, out)
    notes.append("characters between the escapes were read as themselves")
    return bytes(out)


def _hercules(text: str) -> bytes:
    """`{1d}{00}text`: bytes in braces, characters as themselves."""
    out = bytearray()
    at = 0
    text = text.strip()
    while at < len(text):
        if match := _BRACES.match(text, at):
            inner = match.group()[1:-1]
            value = int(inner[1:]) if inner[0] == "#" else int(inner.lstrip("$"), 16)
            if value > 0xFF:
                raise _fail(text, at, f"{inner} is more than a byte")
            out.append(value)
            at = match.end()
            continue
        if text[at] == "{":
            raise _fail(text, at, "a brace must hold two hex digits, like {1d}")
        if text[at] not in "\r\n":
            out += text[at].encode("utf-8", "surrogatepass")
        at += 1
    return bytes(out)


def _percent(text: str, notes: list[str]) -> bytes:
    """`%1d%00text` as in addresses; spaces between pure escapes separate."""
    if re.fullmatch(r"(?:%[0-9a-fA-F]{2}|[\s,;])+", text):
        return bytes(int(pair, 16) for pair in _PERCENT.findall(text))
    notes.append("characters between the escapes were read as themselves")
    return unquote_to_bytes(text.strip("\r\n\t ").encode("utf-8", "surrogatepass"))


# --- numbers ---


def _c_array(text: str, notes: list[str]) -> bytes:
    """`{0x1d, 0x00}` with or without a declaration around it, several of them, or `0x1d 0x00`. Without comments."""
    peers = list(_PEER.finditer(text))
    second = next((match for match in peers if match.group(1) != peers[0].group(1)), None)
    if second is not None:
        raise _fail(text, second.start(), dumps.TWO_DIRECTIONS)
    bare = _BETWEEN_ARRAYS.sub(lambda match: _blank(match) if "=" in match.group(1) else match.group(), text)
    if bare != text:
        notes.append("the arrays were joined")
    first, last = bare.find("{"), bare.rfind("}")
    inner = bare if first < 0 else bare[first + 1 : last if last > first else len(bare)]
    offset = 0 if first < 0 else first + 1
    out = bytearray()
    for match in _C_TOKEN.finditer(re.sub(r"[\[\](){}]", " ", inner)):
        word, at = match.group(), offset + match.start()
        prefixed = word[:2].lower() == "0x"
        digits = word[2:] if prefixed else word
        if prefixed and _HEX_ONLY.fullmatch(digits):
            if len(digits) > 2 and len(digits) % 2:
                raise _fail(text, at, f"{_shown(word)} has an odd number of digits; write whole bytes")
            out += bytes.fromhex(digits.zfill(2))
        elif not prefixed and _DECIMAL.fullmatch(word) and int(word) <= 0xFF:
            out.append(int(word))
        elif re.fullmatch(r"'[ -~]'", word):
            out.append(ord(word[1]))
        elif not prefixed and _HEX_ONLY.fullmatch(digits) and len(digits) == 2:
            out += bytes.fromhex(digits)
        else:
            raise _fail(text, at, f"{_shown(word)} is no byte; each one is written like 0x1d")
    if not out:
        raise _fail(text, 0, "there are no bytes in it; write them like 0x1d, 0x00")
    return bytes(out)


def _digits(text: str, notes: list[str]) -> tuple[bytes, str]:
    """Plain hex, with any separators, or a list of decimal numbers."""
    plain = _BUFFER.sub(lambda match: " " * len(match.group()), text) if "<Buffer" in text else text
    words = [(match.group(), match.start()) for match in _WORD.finditer(plain.translate(_DASHES))]
    for word, at in words:
        if not _HEX_ONLY.fullmatch(word):
            bad = next(index for index, char in enumerate(word) if char not in "0123456789abcdefABCDEF")
            raise _fail(text, at + bad, _bad_character(word[bad]))
    if not words:
        raise _fail(text, 0, "there are no digits in it; write bytes like 1d 00 01 00 20")
    if _decimals(text, [word for word, _ in words]):
        notes.append("the numbers were read as decimal")
        return bytes(int(word) for word, _ in words), "decimal list"
    if _unpadded([word for word, _ in words]):
        notes.append("single digits were read as bytes below 0x10")
        return bytes(int(word, 16) for word, _ in words), "hex"
    for word, at in words:
        if len(word) % 2:
            raise _fail(text, at, f"{_shown(word)} has an odd number of hex digits; a digit is missing or too much")
    return bytes.fromhex("".join(word for word, _ in words)), "hex"


def _decimals(text: str, words: list[str]) -> bool:
    """Numbers up to 255 of which at least one cannot be a hex byte of two digits, or a bracketed list without zeros."""
    if not all(_DECIMAL.fullmatch(word) and int(word) <= 0xFF for word in words):
        return False
    if text.lstrip().startswith("[") and "|" not in text:
        return not any(len(word) > 1 and word[0] == "0" for word in words)
    padded = any(len(word) > 1 and word[0] == "0" for word in words)
    return len(words) > 1 and not padded and any(len(word) != 2 for word in words)


def _unpadded(words: list[str]) -> bool:
    """Bytes printed without leading zeros, as `Serial.print(x, HEX)` does; a lone last digit is a cut paste instead."""
    return (
        any(len(word) == 1 for word in words[:-1])
        and all(len(word) <= 2 for word in words)
        and not any(len(word) == 2 and word[0] == "0" for word in words)
    )


def _bad_character(char: str) -> str:
    if char == "…":
        return "bytes were left out here (…); paste all of them"
    return f"{_shown(char)} is no hex digit; write bytes like 1d 00 01 00 20, or quote text like b'…'"


def _shown(word: str) -> str:
    return ascii(word if len(word) <= 16 else word[:15] + "…")
