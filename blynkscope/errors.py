"""The exceptions that blynkscope raises on purpose. Damage on the wire is never one of them: it becomes a record.

BlynkscopeError
├── CaptureError         the input cannot be read as what it claims to be
├── NotationError        pasted text is no bytes in any known notation
├── FilterError          a filter expression does not parse
└── EnvironmentProblem   a program, a permission or a port is missing
"""

from __future__ import annotations


class BlynkscopeError(Exception):
    """Base of all of them; its text is one sentence that can be shown to a person."""

    exit_code = 3
    """Exit status of the command that it ends."""


class CaptureError(BlynkscopeError):
    """A file, pipe or archive cannot be read, or is no capture, log or byte stream."""


class NotationError(BlynkscopeError):
    """Pasted text could not be read as bytes.

    Args:
        message: What is wrong and what to do, as a sentence.
        line: 1-based line of the text.
        column: 1-based column in that line, in characters.
    """

    exit_code = 2

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(f"line {line}, column {column}: {message}")
        self.message = message
        self.line = line
        self.column = column


class FilterError(BlynkscopeError):
    """A filter expression has a mistake in it.

    Args:
        message: What is wrong.
        expression: The whole expression.
        position: 0-based place in it, in characters.
    """

    exit_code = 2

    def __init__(self, message: str, expression: str, position: int) -> None:
        super().__init__(message)
        self.expression = expression
        self.position = position


class EnvironmentProblem(BlynkscopeError):  # noqa: N818 - EnvironmentError is a builtin
    """Something outside of the program is missing; the text says how to get it."""

    exit_code = 4
