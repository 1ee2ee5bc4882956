"""The names of the outputs, in a module that costs nothing to import: the command line lists them before it runs."""

from __future__ import annotations

FORMATS = ("table", "tree", "ladder", "mermaid", "summary", "jsonl", "json", "csv", "sarif", "junit")
"""Names that `outputs.make` knows; `table` is the one for people, the last five are for programs."""
