"""tshark with the dissector that the command table makes: the frames that it lists, and what it complains of."""

import os
import shutil
import subprocess
import tempfile
from collections import defaultdict
from pathlib import Path

from blynkscope.wireshark import dissector

FIELDS = (
    "frame.number", "tcp.srcport", "tcp.dstport", "blynk.cmd", "blynk.id", "blynk.length", "blynk.status", "blynk.body",
    "_ws.lua.error",
)  # fmt: skip
SEPARATOR, AGGREGATOR = "\t", "|"
QUIET = "Running as user"


class Shark:
    """A tshark whose home is empty, with the dissector loaded."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.script = self.folder / "blynk.lua"
        self.script.write_text(dissector(), encoding="ascii")
        self.environment = {**os.environ, "HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder / "config")}

    def run(self, path, *options, script=True, check=True):
        """Standard output of tshark; it may complain of damaged files alone."""
        command = [
            shutil.which("tshark"), "-n", "-o", "tcp.reassemble_out_of_order:TRUE", "-r", str(Path(path).resolve()),
            *(["-X", f"lua_script:{self.script}"] if script else []), *options,
        ]  # fmt: skip
        done = subprocess.run(
            command, capture_output=True, text=True, cwd="/", timeout=110, check=False, env=self.environment,
            errors="backslashreplace",
        )  # fmt: skip
        lines = [line for line in done.stderr.splitlines() if not line.startswith(QUIET)]
        self.complaints = "\n".join(lines)
        assert "lua" not in self.complaints.lower(), self.complaints
        if check:
            assert done.returncode == 0, self.complaints
        return done.stdout

    def fields(self, path, *names, options=(), only="blynk", **more):
        """One dict a packet: field name → its values in order."""
        words = [word for name in names for word in ("-e", name)]
        text = self.run(
            path, *options, "-Y", only, "-T", "fields", "-E", f"aggregator={AGGREGATOR}", *words, **more
        )  # fmt: skip
        rows = []
        for line in text.splitlines():
            cells = [cell.split(AGGREGATOR) if cell else [] for cell in line.split(SEPARATOR)]
            rows.append(dict(zip(names, cells, strict=True)))
        return rows

    def frames(self, path, *options, **more):
        """(cmd, id, length or status, body) by client port, server port and direction."""
        frames = defaultdict(list)
        for row in self.fields(path, *FIELDS, options=options, only="blynk || _ws.lua.error", **more):
            assert not row["_ws.lua.error"], row
            source, target = int(row["tcp.srcport"][0]), int(row["tcp.dstport"][0])
            key = (source, target, "c2s") if target < source else (target, source, "s2c")
            lengths, statuses, bodies = (iter(row[f"blynk.{name}"]) for name in ("length", "status", "body"))
            for cmd, number in zip(row["blynk.cmd"], row["blynk.id"], strict=True):
                word = int(next(lengths if int(cmd) else statuses))
                body = next(bodies) if int(cmd) and word else ""
                frames[key].append((int(cmd), int(number), word, body))
            assert next(lengths, None) is next(statuses, None) is next(bodies, None) is None
        return dict(frames)

    def lua_errors(self, path, *options):
        """What Lua complained of inside packets."""
        return self.fields(
            path, "frame.number", "_ws.expert.message", options=options, only="_ws.lua.error", check=False
        )


def new_shark():
    return Shark(tempfile.mkdtemp())
