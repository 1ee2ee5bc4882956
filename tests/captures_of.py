"""The captures that tests go through."""

from pathlib import Path

CAPTURES = Path(__file__).parent.parent / "captures"


def every() -> list[Path]:
    """All captures, recorded and made, damaged ones too."""
    kinds = ("*.pcap", "*.pcapng", "*.pcap.gz", "*.pcapng.gz")
    return sorted(path for folder in (CAPTURES, CAPTURES / "made") for kind in kinds for path in folder.glob(kind))


def undamaged() -> list[Path]:
    """The captures that can be read to their end."""
    return [path for path in every() if not path.name.startswith("damaged")]
