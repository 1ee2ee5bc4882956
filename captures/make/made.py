"""Rewrites all captures in `captures/made/`, each with its truth: `python captures/make/made.py [FOLDER]`.

Nothing depends on time or chance, so running it twice changes nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path

import faults
import files
import links
import mqtt
import others
import seeds
import wifi


def main() -> None:
    if len(sys.argv) > 1:
        files.FOLDER = Path(sys.argv[1])
    for make in (*links.ALL, *faults.ALL, *others.ALL, *mqtt.ALL, *seeds.ALL, *wifi.ALL):
        make()


if __name__ == "__main__":
    main()
