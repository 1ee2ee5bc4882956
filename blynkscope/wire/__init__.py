"""Bytes in, messages out, without any I/O: recognising, framing, and reading pasted notations."""
