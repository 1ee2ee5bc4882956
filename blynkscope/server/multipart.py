"""One file out of a form (multipart/form-data, RFC 7578), while the form arrives."""

from __future__ import annotations

from email.message import Message

BOUNDARY_MAX = 70
"""Characters of a boundary (RFC 2046)."""
_HEAD_MAX = 8 * 1024
"""Bytes of the headers of one part; real ones have some hundred."""
_HEADER_MAX = 2 * 1024
"""Characters of the header that names the boundary, or the file."""
_PARTS_MAX = 64
"""Parts of one form; that of an upload has one or two."""


class FormError(Exception):
    """This is no form, or not one that holds the file; its text says why, for the answer."""


def boundary(content_type: str) -> bytes:
    """What stands between the parts, out of the Content-Type of a request.

    Raises:
        FormError: This is no form.
    """
    found = _parameter(content_type, "boundary")
    if content_type.partition(";")[0].strip().lower() != "multipart/form-data" or found is None:
        raise FormError("This is no multipart form.")
    if not 0 < len(found) <= BOUNDARY_MAX or not found.isascii():
        raise FormError("The boundary of the form is no boundary.")
    return found.encode("ascii")


def _parameter(value: str, name: str) -> str | None:
    """A parameter of a header, quoted or not; None where it is not there, or has a character set of its own.

    Raises:
        FormError: The header is none that anybody sends.
    """
    if len(value) > _HEADER_MAX:
        raise FormError("A header of the form is too long.")
    message = Message()
    try:
        # What the parser raises depends on what somebody made up.
        message["content-disposition"] = value.replace("\r", " ").replace("\n", " ").strip()
        found = message.get_param(name, header="content-disposition")
    except (ValueError, LookupError, TypeError) as error:
        raise FormError("A header of the form does not parse.") from error
    return found if isinstance(found, str) else None


class FormReader:
    """Reads a form, keeps its first file, and passes over the rest.

    The legacy server takes a file of any field; people name it `file` or `upfile`.

    Args:
        boundary: Between the parts.

    Attributes:
        name: Name of the file, as the client gave it; None before it was there.
        data: What is in it.
    """

    def __init__(self, boundary: bytes) -> None:
        self.name: str | None = None
        self.data = bytearray()
        self._delimiter = b"\r\n--" + boundary
        # The first boundary may stand at the very beginning, without a line before it.
        self._waiting = bytearray(b"\r\n")
        self._state = "body"
        self._keep = False
        self._parts = 0

    def feed(self, data: bytes) -> None:
        """The next bytes of the body.

        Raises:
            FormError: This is no form.
        """
        self._waiting += data
        while self._step():
            pass

    def end(self) -> tuple[str, bytearray]:
        """The body is over: name and bytes of the file.

        Raises:
            FormError: The form is cut off, or it holds no such file.
        """
        if self._state != "over":
            raise FormError("The form is cut off.")
        if self.name is None:
            raise FormError("The form has no file. With curl: -F file=@NAME, with the @.")
        return self.name, self.data

    def _step(self) -> bool:
        """Take one piece off what is waiting; False where more has to come first."""
        waiting = self._waiting
        if self._state == "body":
            at = waiting.find(self._delimiter)
            whole = at >= 0
            take = at if whole else len(waiting) - len(self._delimiter) + 1
            if take > 0:
                if self._keep:
                    self.data += waiting[:take]
                del waiting[:take]
            if whole:
                del waiting[: len(self._delimiter)]
                self._state = "mark"
                self._keep = False
            return whole
        if self._state == "mark":
            # Behind a boundary: `--` ends the form, a line end begins a part.
            if len(waiting) < 2:
                return False
            mark = bytes(waiting[:2])
            if mark not in {b"--", b"\r\n"}:
                raise FormError("A boundary of the form does not end its line.")
            self._state = "over" if mark == b"--" else "head"
            # Headers of a part may be none: their end is searched for with the line end that leads to them.
            del waiting[: 2 if mark == b"--" else 0]
            self._parts += 1
            if self._parts > _PARTS_MAX:
                raise FormError("The form has too many parts.")
            return True
        if self._state == "head":
            end = waiting.find(b"\r\n\r\n", 0, _HEAD_MAX)
            if end < 0:
                if len(waiting) >= _HEAD_MAX:
                    raise FormError("A part of the form has too long a head.")
                return False
            self._part(bytes(waiting[2:end]))
            # The line end stays: an empty body ends at once with the next boundary.
            del waiting[: end + 2]
            self._state = "opening"
            return True
        if self._state == "opening":
            # An empty body: what ends the head is the beginning of the next boundary.
            if len(waiting) < len(self._delimiter) and self._delimiter.startswith(bytes(waiting)):
                return False
            if not waiting.startswith(self._delimiter):
                del waiting[:2]
            self._state = "body"
            return True
        waiting.clear()
        return False

    def _part(self, head: bytes) -> None:
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-disposition":
                found = _parameter(value.decode("utf-8", "replace"), "filename")
                if found is not None and self.name is None:
                    self.name = found
                    self._keep = True
