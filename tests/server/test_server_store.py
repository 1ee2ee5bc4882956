"""What is stored stays: over restarts, over kill -9, within bounds, and in a file that only its owner can read."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing

import pytest

from blynkscope.errors import EnvironmentProblem
from blynkscope.server import store as module
from blynkscope.server import store_file, store_history
from blynkscope.server.store import Store, StoreError

TOKEN, OTHER = "6f1c2d3e4a5b6c7d8e9fa0b1c2d3e4f5", "0a1b2c3d4e5f60718293a4b5c6d7e8f9"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


@pytest.fixture(params=["file", "memory"])
def store(request, path):
    made = Store(path if request.param == "file" else None)
    yield made
    made.close()


def again(store, path):
    """The store after a restart; one without a file stays as it is, but has to read anew."""
    store.commit()
    if store.path is None:
        store._forget()
        return store
    store._db.close()
    store._open()
    store._forget()
    return store


def test_pins_keep_the_order_of_their_first_write(store, path):
    for key, value in ((b"v9", b"1"), (b"d2", b"0"), (b"v1", b"a"), (b"v9", b"2")):
        assert store.set_pin(TOKEN, key, [value, b""], 1.5)
    expected = {b"v9": [b"2", b""], b"d2": [b"0", b""], b"v1": [b"a", b""]}
    assert list(store.pins(TOKEN).items()) == list(expected.items())
    store = again(store, path)
    assert list(store.pins(TOKEN).items()) == list(expected.items())
    assert store.set_pin(TOKEN, b"d2", [b"1"], 2.5)
    assert list(again(store, path).pins(TOKEN)) == [b"v9", b"d2", b"v1"]
    assert store.pin(TOKEN, b"d2") == [b"1"]
    assert store.pin(TOKEN, b"v3") is None
    assert store.pin(OTHER, b"v9") is None
    assert store.pin_time(TOKEN, b"d2") == store.last_write(TOKEN) == 2.5


def test_values_are_any_bytes(store, path):
    values = [b"", b"\x00\xff", b"\xc3\xa9" * 1000]
    assert store.set_pin(TOKEN, b"v1", values, 0.0)
    assert store.set_property(TOKEN, b"v1", b"labels", values)
    assert store.set_meta(TOKEN, b"\xff", b"\x00")
    store = again(store, path)
    assert store.pin(TOKEN, b"v1") == store.property(TOKEN, b"v1", b"labels") == values
    assert store.metas(TOKEN) == {b"\xff": b"\x00"}


def test_properties_metadata_and_documents(store, path):
    store.set_property(TOKEN, b"v1", b"label", [b"a"])
    store.set_property(TOKEN, b"v1", b"label", [b"b"])
    store.set_property(TOKEN, b"v2", b"color", [b"#112233"])
    store.set_meta(TOKEN, b"Device Name", b"shed")
    store.set_own(TOKEN, "seen", b"x")
    store.set_document("account", "a@example.com", b"{}")
    store.set_document("account", "b@example.com", b"{}")
    store.set_document("account", "a@example.com", None)
    assert store.document("account", "a@example.com") is None
    for read in (store, again(store, path)):
        assert read.properties(TOKEN) == {b"v1": {b"label": [b"b"]}, b"v2": {b"color": [b"#112233"]}}
        assert read.property(TOKEN, b"v3", b"label") is None
        assert read.meta(TOKEN, b"Device Name") == b"shed"
        assert read.own(TOKEN, "seen") == b"x"
        assert read.own(TOKEN, "Device Name") is None
        assert read.meta(TOKEN, b"seen") is None
        assert read.metas(TOKEN) == {b"Device Name": b"shed"}
        assert read.documents("account") == [("b@example.com", b"{}")]
        assert read.document_keys("account") == ["b@example.com"]
        assert read.document("account", "a@example.com") is None


def test_what_is_read_is_a_copy(store):
    store.set_pin(TOKEN, b"v1", [b"1"], 0.0)
    store.set_property(TOKEN, b"v1", b"label", [b"a"])
    store.pins(TOKEN).clear()
    store.properties(TOKEN)[b"v1"].clear()
    assert store.pin(TOKEN, b"v1") == [b"1"]
    assert store.property(TOKEN, b"v1", b"label") == [b"a"]


def test_events_newest_first_and_bounded(store, path, monkeypatch):
    monkeypatch.setattr(store_history, "EVENTS_PER_DEVICE", 16)
    store.add_event(OTHER, b"other", b"", 0.0)
    for number in range(40):
        store.add_event(TOKEN, b"e%d" % number, b"text", float(number))
        store.commit()
    assert [name for name, _, _ in store.events(TOKEN, 3)] == [b"e39", b"e38", b"e37"]
    assert len(store.events(TOKEN, 1000)) <= 18
    assert store.events(OTHER) == [(b"other", b"", 0.0)]
    store = again(store, path)
    for number in range(40):
        store.add_event(TOKEN, b"f%d" % number, b"", float(number))
    assert len(store.events(TOKEN, 1000)) <= 18
    store.clear_events(TOKEN, b"f39")
    assert store.events(TOKEN, 1)[0][0] == b"f38"
    store.clear_events(TOKEN)
    assert store.events(TOKEN) == []
    assert store.events(OTHER) != []


def test_raw_data_is_bounded_and_the_oldest_go(store, path, monkeypatch):
    monkeypatch.setattr(store_history, "RAW_PER_PIN", 800)
    assert not store.has_data(TOKEN, b"v1")
    for number in range(2500):
        store.add_data(TOKEN, b"v1", number / 2, 100.0 + number)
        if number % 7 == 0:
            store.commit()
    store.add_data(TOKEN, b"v2", 7.0, 1.0005)
    rows = list(store.data(TOKEN, b"v1"))
    assert 800 <= len(rows) <= 900
    assert rows[-1] == (1249.5, 2_599_000)
    assert rows == sorted(rows)
    store = again(store, path)
    assert list(store.data(TOKEN, b"v1")) == rows
    store.add_data(TOKEN, b"v1", -1.0, 9999.0)
    assert list(store.data(TOKEN, b"v1"))[-1] == (-1.0, 9_999_000)
    assert list(store.data(TOKEN, b"v2")) == [(7.0, 1000)]
    store.clear_data(TOKEN, {b"v1"})
    assert not store.has_data(TOKEN, b"v1")
    assert store.has_data(TOKEN, b"v2")
    store.add_data(TOKEN, b"v1", 3.0, 1.0)
    store.clear_data(TOKEN)
    assert not store.has_data(TOKEN, b"v1")
    assert not store.has_data(TOKEN, b"v2")


def test_history_may_be_read_while_it_grows(store):
    for number in range(1000):
        store.add_data(TOKEN, b"v1", float(number), float(number))
    rows = store.data(TOKEN, b"v1")
    first = [next(rows) for _ in range(300)]
    store.add_data(TOKEN, b"v1", 1000.0, 1000.0)
    store.commit()
    assert [value for value, _ in (*first, *rows)] == [float(number) for number in range(1001)]


def test_a_device_is_forgotten_with_all_that_it_had(store, path):
    for token in (TOKEN, OTHER):
        store.set_pin(token, b"v1", [b"1"], 0.0)
        store.set_property(token, b"v1", b"label", [b"a"])
        store.set_meta(token, b"f", b"1")
        store.add_event(token, b"e", b"", 0.0)
        store.add_data(token, b"v1", 1.0, 0.0)
    store.forget_device(TOKEN)
    for read in (store, again(store, path)):
        assert (read.pins(TOKEN), read.properties(TOKEN), read.metas(TOKEN), read.events(TOKEN)) == ({}, {}, {}, [])
        assert not read.has_data(TOKEN, b"v1")
        assert read.pin(OTHER, b"v1") == [b"1"]
        assert read.has_data(OTHER, b"v1")
    store.set_pin(TOKEN, b"v1", [b"2"], 0.0)
    store.drop_pin(TOKEN, b"v1")
    store.drop_property(OTHER, b"v1", b"label")
    assert again(store, path).pins(TOKEN) == {}
    assert store.properties(OTHER) == {}


def test_one_device_cannot_take_all_the_room(store):
    assert all(store.set_pin(TOKEN, b"v%d" % number, [b"x"], 0.0) for number in range(module.PINS_PER_DEVICE))
    assert not store.set_pin(TOKEN, b"another", [b"x"], 0.0)
    assert store.set_pin(TOKEN, b"v0", [b"y"], 0.0)
    assert store.set_pin(OTHER, b"v1", [b"x" * (module.DEVICE_BYTES - 4096)], 0.0)
    assert not store.set_pin(OTHER, b"v2", [b"x" * 8192], 0.0)
    assert not store.set_property(OTHER, b"v2", b"label", [b"x" * 8192])
    assert not store.set_meta(OTHER, b"f", b"x" * 8192)
    assert store.pin(OTHER, b"v2") is None
    assert store.set_pin(OTHER, b"v1", [b"small"], 0.0)
    assert store.set_pin(OTHER, b"v2", [b"x" * 8192], 0.0)


def test_caches_and_what_waits_are_bounded(store, monkeypatch):
    monkeypatch.setattr(module, "CACHED_BYTES", 100_000)
    monkeypatch.setattr(module, "PENDING_BYTES", 200_000)
    for number in range(2000):
        store.set_pin(f"device {number}", b"v1", [b"x" * 500], 0.0)
    assert store._pending <= 201_000
    store.commit()
    assert store._cost <= 100_000
    assert len(store._kept) < 300
    assert store.pin("device 3", b"v1") == [b"x" * 500]
    for number in range(2000):
        assert store.pin(f"device {number}", b"v1") is not None
    store.commit()
    assert store._cost <= 100_000


def test_commit_is_one_transaction_and_nothing_without_work(store):
    statements = []
    store.commit()
    store._db.raw.set_trace_callback(statements.append)
    store.commit()
    assert statements == []
    assert not store.pending
    for number in range(100):
        store.set_pin(TOKEN, b"v%d" % (number % 4), [b"%d" % number], 0.0)
    store.add_event(TOKEN, b"e", b"", 0.0)
    assert store.pending
    store.commit()
    assert statements.count("COMMIT") == 1
    assert sum(statement.startswith("INSERT INTO pins") for statement in statements) == 4


def test_a_failed_commit_leaves_nothing_behind(path, monkeypatch):
    store = Store(path)
    store.set_pin(TOKEN, b"v1", [b"old"], 0.0)
    store.commit()
    store.set_pin(TOKEN, b"v1", [b"new"], 0.0)
    store.add_data(TOKEN, b"v1", 1.0, 0.0)

    def broken():
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(store._history, "_flush_data", broken)
    with pytest.raises(StoreError, match="disk I/O"):
        store.commit()
    assert store.pin(TOKEN, b"v1") == [b"old"]
    assert not store.has_data(TOKEN, b"v1")
    monkeypatch.undo()
    store.set_pin(TOKEN, b"v1", [b"newer"], 0.0)
    store.close()
    store = Store(path)
    assert store.pin(TOKEN, b"v1") == [b"newer"]
    store.close()


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_only_the_owner_can_read_it(path, tmp_path):
    before = os.umask(0)
    try:
        store = Store(path)
        store.set_pin(TOKEN, b"v1", [b"1"], 0.0)
        store.commit()
        modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in os.scandir(tmp_path)}
        assert set(modes.values()) == {0o600}
        store.close()
        path.chmod(0o644)
        Store(path).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_one_process_has_it_for_itself(path):
    store = Store(path)
    with pytest.raises(StoreError, match="in use by another program: stop it, or give --store another file"):
        Store(path)
    store.set_pin(TOKEN, b"v1", [b"1"], 0.0)
    store.close()
    store = Store(path)
    assert store.pin(TOKEN, b"v1") == [b"1"]
    store.close()


def test_what_cannot_be_a_store_is_named(path, tmp_path):
    with pytest.raises(StoreError, match=r"cannot write .*--store"):
        Store(tmp_path / "missing" / "store.db")
    with pytest.raises(StoreError, match="--store"):
        Store(tmp_path)
    path.write_bytes(b"this is a text of more than sixteen bytes, and no database at all" * 40)
    with pytest.raises(StoreError, match="is no store of this server: give --store another file"):
        Store(path)
    path.unlink()
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE photos (name TEXT)")
    with pytest.raises(StoreError, match="of another program"):
        Store(path)
    assert issubclass(StoreError, EnvironmentProblem)
    assert StoreError.exit_code == 4


def test_a_newer_version_is_left_alone(path):
    Store(path).close()
    database = sqlite3.connect(path)
    database.execute(f"PRAGMA user_version = {store_file.SCHEMA_VERSION + 1}")
    database.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"newer blynkscope .*update blynkscope"):
        Store(path)
    assert path.read_bytes() == before


def test_a_damaged_file_is_named(path):
    store = Store(path)
    for number in range(2000):
        store.set_pin(f"device {number}", b"v1", [b"x" * 200], 0.0)
    store.close()
    data = bytearray(path.read_bytes())
    data[8192:] = b"\xa5" * (len(data) - 8192)
    path.write_bytes(data)

    def read():
        with closing(Store(path)) as store:
            for number in range(2000):
                store.pin(f"device {number}", b"v1")

    with pytest.raises(StoreError, match="damaged"):
        read()


CHILD = """
import sys
from pathlib import Path
from blynkscope.server.store import Store
store = Store(Path(sys.argv[1]))
number = 0
while True:
    for _ in range(1 + number % 13):
        store.set_property("device", b"v1", b"label", [b"%d" % number])
        store.set_pin("device", b"v%d" % (number % 200), [b"%d" % number], float(number))
        store.add_event("device", b"e%d" % number, b"", float(number))
        store.add_data("device", b"v1", float(number), float(number))
        number += 1
    store.commit()
    print(number - 1, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_the_file_of_another_program_is_left_as_it_is(tmp_path):
    text, photos, empty = tmp_path / "text", tmp_path / "photos", tmp_path / "empty"
    text.write_bytes(b"no database")
    with closing(sqlite3.connect(photos)) as database:
        database.execute("CREATE TABLE photos (name TEXT)")
    empty.touch()
    for each in (text, photos, empty):
        each.chmod(0o644)
    before = photos.read_bytes()
    with pytest.raises(StoreError, match="no store of this server"):
        Store(text)
    with pytest.raises(StoreError, match="another program"):
        Store(photos)
    assert [stat.S_IMODE(each.stat().st_mode) for each in (text, photos)] == [0o644, 0o644]
    assert photos.read_bytes() == before
    Store(empty).close()
    assert stat.S_IMODE(empty.stat().st_mode) == 0o600


def test_a_store_of_version_1_is_taken_over(path):
    Store(path).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("DROP TABLE own")
        database.execute("INSERT INTO facts VALUES (?, ?, ?)", (TOKEN, b"\0seen", b'[1.0,2.0,3.0,""]'))
        database.execute("INSERT INTO facts VALUES (?, ?, ?)", (TOKEN, b"Device Name", b"shed"))
        database.execute("PRAGMA user_version = 1")
        database.commit()
    store = Store(path)
    assert store.own(TOKEN, "seen") == b'[1.0,2.0,3.0,""]'
    assert store.metas(TOKEN) == {b"Device Name": b"shed"}
    store.close()
    Store(path).close()


@pytest.mark.parametrize("statement", ["UPDATE pins SET value = X'7B7D'", "UPDATE pins SET value = 'x'"])
def test_values_that_do_not_decode_are_named(path, statement):
    store = Store(path)
    store.set_pin(TOKEN, b"v1", [b"1"], 0.0)
    store.close()
    with closing(sqlite3.connect(path)) as database:
        database.execute(statement)
        database.commit()
    with closing(Store(path)) as store, pytest.raises(StoreError, match=r"damaged .*move it away"):
        store.pin(TOKEN, b"v1")


@pytest.mark.skipif(os.name != "posix", reason="kill -9")
def test_kill_9_loses_nothing_that_was_committed(path):
    for wanted in (1, 150, 700):
        if path.exists():
            for leftover in path.parent.iterdir():
                leftover.unlink()
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        told = -1
        while told < wanted:
            told = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        told = max([told, *(int(line) for line in child.stdout.read().split("\n")[:-1] if line)])
        child.stdout.close()
        child.wait()
        store = Store(path)
        values = store.property("device", b"v1", b"label")
        assert values is not None
        last = int(values[0])
        assert last >= told
        events = [int(name[1:]) for name, _, _ in store.events("device", 2000)]
        assert events[0] == last
        assert events == list(range(last, last - len(events), -1))
        assert len(events) >= min(last + 1, store_history.EVENTS_PER_DEVICE)
        assert [value for value, _ in store.data("device", b"v1")] == [float(number) for number in range(last + 1)][
            -store_history.RAW_PER_PIN :
        ]
        for number in range(max(0, last - 199), last + 1):
            assert store.pin("device", b"v%d" % (number % 200)) == [b"%d" % number]
        store.close()
