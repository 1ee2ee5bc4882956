"""A Wireshark dissector in Lua, made from the command table."""

from __future__ import annotations

from blynkscope.wireshark.generator import dissector

__all__ = ["dissector"]
