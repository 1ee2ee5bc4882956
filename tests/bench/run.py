"""The benchmark: blynkscope against tshark with a Lua dissector, and against plain construct, on the same files.

Both programs of a comparison run turn and turn about within one run of this script, because machines change speed while
they work: ratios of neighbours in time hold, absolute numbers do not. Nothing but the standard library is used.

    python tests/bench/run.py --frames 100000 --frames 1000000 --tls-frames 100000 --runs 5
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
BLYNKSCOPE = [sys.executable, "-m", "blynkscope"]
TSHARK_FIELDS = (
    "frame.time_epoch", "ip.src", "tcp.srcport", "ip.dst", "tcp.dstport", "tcp.stream", "blynk.cmd", "blynk.id",
    "blynk.length", "blynk.status", "blynk.body", "blynk.op", "blynk.pin", "blynk.value",
)  # fmt: skip
PEER = "tshark + Lua ek"
MICRO_FRAMES = 20_000
START_UPS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import blynkscope": [sys.executable, "-c", "import blynkscope"],
    "blynkscope --help": [*BLYNKSCOPE, "--help"],
}


class Run(NamedTuple):
    """What one child process cost: its wall time, its greatest memory, and the processor time of all its processes."""

    seconds: float
    peak_mib: float
    busy: float = 0.0


class Failed(Exception):
    """A child process did not end well."""


def child(command: list[str], output: Path | None = None, accepted: tuple[int, ...] = (0,)) -> Run:
    """Run a program to its end; what it cost, the greatest resident memory being that of its first process alone."""
    with (output or Path(os.devnull)).open("wb") as sink, tempfile.TemporaryFile() as errors:
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=errors)
        # The usage of RUSAGE_CHILDREN is a maximum over all children so far; only wait4 tells them apart.
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in accepted:
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip()[-400:]
            raise Failed(f"{' '.join(command)}: exit status {process.returncode}: {said}")
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return Run(seconds, usage.ru_maxrss / unit, usage.ru_utime + usage.ru_stime)


def interleaved(candidates: dict[str, Callable[[], Run]], runs: int) -> dict[str, list[Run]]:
    """Every candidate `runs` times, in turns, after one unmeasured turn that fills the caches."""
    for candidate in candidates.values():
        candidate()
    measured: dict[str, list[Run]] = {name: [] for name in candidates}
    for _ in range(runs):
        for name, candidate in candidates.items():
            measured[name].append(candidate())
    return measured


def ratio(fast: list[Run], slow: list[Run]) -> float:
    """How many times faster: the median of the ratios of neighbours in time."""
    return statistics.median(b.seconds / a.seconds for a, b in zip(fast, slow, strict=True))


def busy_ratio(lean: list[Run], costly: list[Run]) -> float:
    """How many times less processor time: what remains of the ratio where processors are shared with others."""
    return statistics.median(b.busy / a.busy for a, b in zip(lean, costly, strict=True))


def row(name: str, runs: list[Run], frames: int) -> dict[str, Any]:
    """One line of a result."""
    rates = sorted(frames / run.seconds for run in runs)
    return {
        "name": name, "frames": frames, "frames_per_second": {
            "min": round(rates[0]), "median": round(statistics.median(rates)), "max": round(rates[-1]),
        },
        "peak_mib": round(max(run.peak_mib for run in runs), 1),
    }  # fmt: skip


def frames_in_ek(path: Path) -> int:
    """Frames that tshark decoded, counted in its output."""
    count = 0
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            count += len(json.loads(line).get("layers", {}).get("blynk_cmd", ()))
    return count


def frames_in_jsonl(path: Path) -> int:
    """Frames that blynkscope decoded, counted in its output."""
    with path.open("rb") as lines:
        return sum(line.startswith(b'{"record":"frame"') for line in lines)


def captures(frames: int, runs: int, folder: Path, tshark: str | None) -> dict[str, Any]:
    """Whole programs on one generated file."""
    capture = folder / f"{frames}.pcap"
    child([sys.executable, str(HERE / "generate.py"), "--frames", str(frames), "-o", str(capture)])
    jsonl, table, ek = folder / "out.jsonl", folder / "out.txt", folder / "out.ek"
    decode = [*BLYNKSCOPE, "decode", "-q", "--color", "never"]
    candidates = {
        "blynkscope jsonl": lambda: child([*decode, "--format", "jsonl", "-o", str(jsonl), str(capture)]),
        "jsonl, no findings": lambda: child(
            [*decode, "--no-findings", "--format", "jsonl", "-o", str(jsonl), str(capture)]
        ),
    }
    if tshark:
        # Reassembly of late segments is off by default there; without it tshark loses each stream that had one.
        peer = dissecting(tshark, capture, "tcp.reassemble_out_of_order:TRUE")
        candidates[PEER] = lambda: child(peer, ek)
    candidates["blynkscope table"] = lambda: child([*decode, "--format", "table", "-o", str(table), str(capture)])
    measured = interleaved(candidates, runs)
    result: dict[str, Any] = {
        "capture_mib": round(capture.stat().st_size / (1 << 20), 1),
        "rows": [row(name, done, frames) for name, done in measured.items()],
        "decoded": {"blynkscope jsonl": frames_in_jsonl(jsonl)},
    }
    if tshark:
        result["decoded"][PEER] = frames_in_ek(ek)
        compare(result["rows"], measured)
    return result


def dissecting(tshark: str, capture: Path, preference: str) -> list[str]:
    """The command line of the peer: the light dissector, and the fields that a frame record holds."""
    peer = [
        tshark, "-n", "-o", preference, "-X", f"lua_script:{HERE / 'blynk_bench.lua'}", "-r", str(capture),
        "-Y", "blynk", "-T", "ek",
    ]  # fmt: skip
    return peer + [word for field in TSHARK_FIELDS for word in ("-e", field)]


def compare(rows: list[dict[str, Any]], measured: dict[str, list[Run]]) -> None:
    """Put the ratios to the peer's into the rows."""
    for line in rows:
        runs = measured[line["name"]]
        line["times_tshark"] = round(ratio(runs, measured[PEER]), 2)
        line["times_tshark_busy"] = round(busy_ratio(runs, measured[PEER]), 2)


def secured(frames: int, runs: int, folder: Path, tshark: str | None) -> dict[str, Any]:
    """Whole programs on one generated TLS capture, opened with its key log.

    Raises:
        Failed: One of them did not find every frame: their times say nothing then.
    """
    capture, keys = folder / f"{frames}.pcap", folder / f"{frames}.keys"
    made = [sys.executable, str(HERE / "generate_tls.py"), "--frames", str(frames), "-o", str(capture)]
    child([*made, "--keylog", str(keys)])
    jsonl, bare, ek = folder / "out.jsonl", folder / "bare.jsonl", folder / "out.ek"
    decode = [*BLYNKSCOPE, "decode", "-q", "--color", "never", "--keylog", str(keys), "--format", "jsonl"]
    candidates = {
        "blynkscope jsonl": lambda: child([*decode, "-o", str(jsonl), str(capture)]),
        "jsonl, no findings": lambda: child([*decode, "--no-findings", "-o", str(bare), str(capture)]),
    }
    if tshark:
        peer = dissecting(tshark, capture, f"tls.keylog_file:{keys}")
        candidates[PEER] = lambda: child(peer, ek)
    measured = interleaved(candidates, runs)
    decoded = {"blynkscope jsonl": frames_in_jsonl(jsonl), "jsonl, no findings": frames_in_jsonl(bare)}
    if tshark:
        decoded[PEER] = frames_in_ek(ek)
    if set(decoded.values()) != {frames}:
        raise Failed(f"{frames} frames were written, and decoded were {decoded}")
    rows = [row(name, done, frames) for name, done in measured.items()]
    if tshark:
        compare(rows, measured)
    return {"capture_mib": round(capture.stat().st_size / (1 << 20), 1), "rows": rows, "decoded": decoded}


def sample_stream(frames: int) -> bytes:
    """The device's side of typical traffic, already in order."""
    from generate import HW, PING, PROPERTY, encode

    messages = []
    for number in range(frames):
        cmd, body = HW, b"vw\x00%d\x00%.2f" % (number % 12, number / 7)
        if number % 10 == 8:
            cmd, body = PING, b""
        elif number % 10 == 9:
            cmd, body = PROPERTY, b"%d\x00color\x00#23C48E" % (number % 12)
        messages.append(encode((cmd, number % 65535 + 1, len(body), body)))
    return b"".join(messages)


def decoders(runs: int) -> dict[str, Any]:
    """The decoder derived from the schema against the schema itself, in this process and without a capture."""
    import io

    from blynkscope.protocol.derived import decode_body
    from blynkscope.protocol.frames import frame_schema
    from blynkscope.protocol.model import Dialect
    from blynkscope.wire.framing import Framer

    stream = sample_stream(MICRO_FRAMES)

    def derived() -> Run:
        begin = time.perf_counter()
        framer, count = Framer(Dialect.HARDWARE), 0
        for at in range(0, len(stream), 1460):
            for item in framer.feed(stream[at : at + 1460]):
                decode_body(item.cmd, item.body)
                count += 1
        seconds = time.perf_counter() - begin
        if count != MICRO_FRAMES:
            raise Failed(f"the framer cut {count} frames of {MICRO_FRAMES}")
        return Run(seconds, 0.0)

    def schema() -> Run:
        begin = time.perf_counter()
        frame, source, end, count = frame_schema(Dialect.HARDWARE), io.BytesIO(stream), len(stream), 0
        while source.tell() < end:
            frame.parse_stream(source)
            count += 1
        seconds = time.perf_counter() - begin
        if count != MICRO_FRAMES:
            raise Failed(f"the schema read {count} frames of {MICRO_FRAMES}")
        return Run(seconds, 0.0)

    measured = interleaved({"derived decoder": derived, "construct": schema}, runs)
    lines = [row(name, done, MICRO_FRAMES) for name, done in measured.items()]
    return {"rows": lines, "times_construct": round(ratio(measured["derived decoder"], measured["construct"]), 2)}


def analyses(frames: int, runs: int, folder: Path) -> dict[str, Any]:
    """What the analysis costs beside the decoding of the same frames, with findings and without."""
    from blynkscope.analysis.analyser import Analyser
    from blynkscope.analysis.records import Observed
    from blynkscope.protocol.derived import decode_body
    from blynkscope.protocol.model import Dialect
    from blynkscope.sources import open_capture
    from blynkscope.wire.events import Data
    from blynkscope.wire.framing import Framer

    capture = folder / f"{frames}.pcap"
    child([sys.executable, str(HERE / "generate.py"), "--frames", str(frames), "-o", str(capture)])
    batches = list(open_capture(capture))

    def decoding() -> Run:
        begin = time.perf_counter()
        framers: dict[tuple[int, int], Framer] = {}
        count = 0
        for events in batches:
            for event in events:
                if type(event) is Data:
                    framer = framers.setdefault((event.stream, event.direction), Framer(Dialect.HARDWARE))
                    for item in framer.feed(event.data, event.time):
                        if hasattr(item, "body"):
                            decode_body(item.cmd, item.body)
                            count += 1
        return _counted(begin, count, frames)

    def analysis(findings: bool) -> Run:
        begin = time.perf_counter()
        analyser, count = Analyser(findings=findings), 0
        for events in batches:
            for record in analyser.feed(events):
                if type(record) is Observed:
                    record.record()
                    count += 1
        analyser.finish()
        return _counted(begin, count, frames)

    measured = interleaved(
        {
            "decoding alone": decoding,
            "with analysis": lambda: analysis(findings=False),
            "and with findings": lambda: analysis(findings=True),
        },
        runs,
    )
    bare = measured["decoding alone"]
    lines = [row(name, done, frames) for name, done in measured.items()]
    for line in lines:
        line["times_decoding"] = round(ratio(bare, measured[line["name"]]), 2)
    return {"rows": lines}


def _counted(begin: float, count: int, frames: int) -> Run:
    seconds = time.perf_counter() - begin
    if abs(count - frames) > frames // 100:
        raise Failed(f"{count} frames of {frames} were read")
    return Run(seconds, 0.0)


def start_ups(runs: int) -> dict[str, Any]:
    """Milliseconds until programs have started and ended, and as multiples of the interpreter's own."""
    measured = interleaved({name: lambda c=command: child(c) for name, command in START_UPS.items()}, max(runs, 5))
    bare = next(iter(measured.values()))
    return {
        name: {
            "ms": round(1000 * statistics.median(run.seconds for run in done), 1),
            "times_python": round(ratio(bare, done), 2),
        }
        for name, done in measured.items()
    }


def attempt(what: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A part that fails is named and does not take the others with it."""
    try:
        return measure()
    except (Failed, ImportError, AttributeError) as error:
        print(f"{what}: not measured: {error}", file=sys.stderr)
        return {"failed": str(error)}


def lines_of(rows: list[dict[str, Any]]) -> list[str]:
    """Rows as text with fixed columns."""
    text = [f"  {'':<20}{'frames/s: min':>14}{'median':>11}{'max':>11}{'peak MiB':>10}{'x tshark':>10}{'by CPU':>8}"]
    for line in rows:
        rate = line["frames_per_second"]
        times = f"{line['times_tshark']:.1f}" if "times_tshark" in line else "-"
        busy = f"{line['times_tshark_busy']:.1f}" if "times_tshark_busy" in line else "-"
        peak = f"{line['peak_mib']:.0f}" if line["peak_mib"] else "-"
        numbers = f"{rate['min']:>14,}{rate['median']:>11,}{rate['max']:>11,}"
        text.append(f"  {line['name']:<20}{numbers}{peak:>10}{times:>10}{busy:>8}")
    return text


def report(result: dict[str, Any]) -> str:
    """The whole result as a compact table."""
    text = []
    parts = [(frames, "", part) for frames, part in result["captures"].items()]
    parts += [(frames, " in TLS", part) for frames, part in result["tls"].items()]
    for frames, where, part in parts:
        if "failed" in part:
            text.append(f"{frames} frames{where}: not measured")
            continue
        seen = ", ".join(f"{name} {count:,}" for name, count in part["decoded"].items())
        head = f"{int(frames):,} frames{where}, {part['capture_mib']} MiB; decoded: {seen}"
        text += [head, *lines_of(part["rows"])]
    if result["tshark"] is None:
        text.append("tshark was not found: there is no comparison with it")
    part = result["decoders"]
    if "failed" not in part:
        text += [f"decoders alone, {MICRO_FRAMES:,} frames: derived is {part['times_construct']:.1f} x construct"]
        text += lines_of(part["rows"])
    part = result["analysis"]
    if "failed" not in part:
        last = part["rows"][-1]
        times = f"{last['times_decoding']:.2f}"
        text.append(f"analysis in one process: decoding, analysis and findings take {times} x decoding alone")
        text += lines_of(part["rows"])
    if "failed" not in result["start_up"]:
        text.append("start-up, median")
        for name, line in result["start_up"].items():
            text.append(f"  {name:<20}{line['ms']:>10.1f} ms{line['times_python']:>8.2f} x python")
    return "\n".join(text)


def main() -> int:
    """Command line entry."""
    parser = argparse.ArgumentParser(description="Measures blynkscope against tshark with a Lua dissector.")
    parser.add_argument("--frames", type=int, action="append", help="size of a capture (may be repeated; 0 for none)")
    parser.add_argument("--tls-frames", type=int, default=100_000, help="size of the TLS capture; 0 for none")
    parser.add_argument("--runs", type=int, default=5, help="measured turns (default 5)")
    parser.add_argument("--json", type=Path, help="write the result to this file too")
    options = parser.parse_args()
    sys.path.insert(0, str(HERE))
    tshark = shutil.which("tshark")
    result: dict[str, Any] = {"tshark": tshark and Path(tshark).name, "runs": options.runs, "captures": {}, "tls": {}}
    for frames in filter(None, options.frames or [100_000, 1_000_000]):
        with tempfile.TemporaryDirectory(prefix="blynkscope-bench-") as folder:
            part = attempt(f"{frames} frames", lambda n=frames, at=folder: captures(n, options.runs, Path(at), tshark))
        result["captures"][str(frames)] = part
    if count := options.tls_frames:
        with tempfile.TemporaryDirectory(prefix="blynkscope-bench-") as folder:
            part = attempt(f"{count} frames in TLS", lambda: secured(count, options.runs, Path(folder), tshark))
        result["tls"][str(count)] = part
    result["decoders"] = attempt("decoders", lambda: decoders(options.runs))
    with tempfile.TemporaryDirectory(prefix="blynkscope-bench-") as folder:
        place = Path(folder)
        result["analysis"] = attempt("analysis", lambda: analyses(MICRO_FRAMES, options.runs, place))
    result["start_up"] = attempt("start-up", lambda: start_ups(options.runs))
    print(report(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    failed = any(
        "failed" in part
        for part in [
            *result["captures"].values(),
            *result["tls"].values(),
            *(result[name] for name in ("decoders", "analysis", "start_up")),
        ]
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
