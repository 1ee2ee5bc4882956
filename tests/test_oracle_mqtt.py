"""Our packets of MQTT against tshark's, on every capture that holds any."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from captures_of import CAPTURES

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.records import MessageRecord
from blynkscope.protocol.mqtt_codes import PACKETS
from blynkscope.sources import CaptureSource

pytestmark = pytest.mark.tshark
FILES = sorted(CAPTURES.glob("made/mqtt_*.pcap"))
NUMBERS = {name: number for number, name in PACKETS.items()}


def by_tshark(path: Path):
    """`(type, topics, id)` of each packet in the order of the file."""
    command = [
        shutil.which("tshark"), "-n", "-r", str(path.resolve()), "-d", "tcp.port==8080,mqtt", "-Y", "mqtt", "-T", "json",
        "-J", "mqtt", "--no-duplicate-keys",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=110, check=True)
    rows = []
    for frame in json.loads(done.stdout):
        layers = frame["_source"]["layers"]["mqtt"]
        for packet in layers if isinstance(layers, list) else [layers]:
            head = packet["mqtt.hdrflags_tree"]
            topics = packet.get("mqtt.topic", [])
            ident = packet.get("mqtt.msgid")
            rows.append((
                int(head["mqtt.msgtype"]), [topics] if isinstance(topics, str) else topics,
                int(ident) if ident is not None else None,
            ))  # fmt: skip
    return rows


def by_us(path: Path):
    analyser, rows = Analyser(), []
    with path.open("rb") as stream:
        records = [record for batch in CaptureSource(stream, path.name) for record in analyser.feed(batch)]
    for record in records + analyser.finish():
        if isinstance(record, MessageRecord):
            topics = [record.detail["topic"]] if "topic" in record.detail else []
            topics += [one["topic"] for one in record.detail.get("filters", ())]
            rows.append((NUMBERS[record.name], topics, record.detail.get("id")))
    return rows


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_packets_are_tsharks(path):
    ours = by_us(path)
    assert ours
    assert ours == by_tshark(path)
