"""The store is full, or its disk is: the oldest goes, and what does not fit is refused."""

from __future__ import annotations

import sqlite3

import pytest

from blynkscope.server import store as module
from blynkscope.server import store_file, store_history, store_room
from blynkscope.server.store import Store

TOKEN = "6f1c2d3e4a5b6c7d8e9fa0b1c2d3e4f5"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


@pytest.fixture(params=["file", "memory"])
def store(request, path):
    made = Store(path if request.param == "file" else None)
    yield made
    made.close()


def test_a_full_store_sheds_history_and_then_refuses(monkeypatch):
    monkeypatch.setattr(store_file, "MEMORY_PAGES", 200)
    store = Store(None)
    for number in range(40_000):
        store.add_data(TOKEN, b"v%d" % (number % 100), 1.0, float(number))
        if number % 100 == 99:
            store.commit()
    assert store.has_data(TOKEN, b"v1")
    took = [store.set_document("d", str(number), b"x" * 10_000) and store.commit() is None for number in range(200)]
    assert took[0]
    assert not took[-1]
    assert not store.set_pin(TOKEN, b"v1", [b"x" * 100_000], 0.0)
    assert not store.set_property(TOKEN, b"v1", b"label", [b"x" * 100_000])
    assert not store.set_meta(TOKEN, b"f", b"x" * 100_000)
    assert not store.set_document("d", "more", b"x" * 100_000)
    assert store.pin(TOKEN, b"v1") is None
    store.set_document("d", "0", None)
    for number in range(1, 40):
        store.set_document("d", str(number), None)
    store.commit()
    assert store.set_pin(TOKEN, b"v1", [b"1"], 0.0)
    store.commit()
    store.close()


def test_events_that_fill_the_store_go_too(monkeypatch):
    monkeypatch.setattr(store_file, "MEMORY_PAGES", 200)
    store = Store(None)
    for number in range(4_000):
        store.add_event(f"device {number % 40}", b"e", b"%300d" % number, float(number))
        store.commit()
    assert store.set_pin(TOKEN, b"v1", [b"1"], 0.0)
    store.commit()
    assert store.events("device 39")[0][1] == b"%300d" % 3999


def test_events_are_bounded_by_their_bytes(store, path, monkeypatch):
    monkeypatch.setattr(store_history, "EVENT_BYTES_PER_DEVICE", 4_000)
    monkeypatch.setattr(store_history, "EVENT_BYTES", 40_000)
    for number in range(400):
        assert store.add_event(f"device {number % 20}", b"e", b"%200d" % number, float(number))
        if number % 5 == 0:
            store.commit()
    store.commit()
    ((size,),) = store._db.rows("SELECT sum(length(name) + length(description) + 64) FROM events")
    assert 30_000 < size <= 40_000
    assert max(len(store.events(f"device {number}")) for number in range(20)) <= 16
    store._forget()
    for number in range(40):
        store.add_event(TOKEN, b"e", b"%200d" % number, float(number))
    assert 10 <= len(store.events(TOKEN)) <= 17
    assert store.events(TOKEN)[0][1] == b"%200d" % 39


def test_descriptions_are_cut_and_names_have_bounds(store):
    assert store.add_event(TOKEN, b"e", "ü".encode() * 1000, 0.0)
    assert store.add_event(TOKEN, b"f", b"\xff" * 65_000, 0.0)
    assert store.events(TOKEN)[1][1] == "ü".encode() * 300
    assert store.events(TOKEN)[0][1].decode() == "\ufffd" * 300
    for name in (b"", b"\0seen", b"a\nb", b"\x7f", b"x" * 65, b"x" * 60_000):
        assert not module.is_name(name)
        assert not store.add_event(TOKEN, name, b"", 0.0)
        assert not store.set_meta(TOKEN, name, b"")
        assert not store.set_property(TOKEN, b"v1", name, [b""])
    assert module.is_name("Gerätename".encode())
    assert store.metas(TOKEN) == {}
    assert store.properties(TOKEN) == {}


def test_names_count_as_much_as_values(monkeypatch):
    monkeypatch.setattr(module, "DEVICE_BYTES", 20_000)
    store = Store(None)
    took = [store.set_property(TOKEN, b"v1", b"%064d" % number, [b""]) for number in range(200)]
    assert 60 < sum(took) < 80
    assert not store.set_meta(TOKEN, b"%064d" % 1, b"x" * 100)
    assert store.set_own(TOKEN, "seen", b"x" * 100)


class Disk:
    """A disk whose free space is what a test says."""

    def __init__(self, monkeypatch, free):
        self.free = free
        monkeypatch.setattr(store_room.shutil, "disk_usage", lambda _: self)

    total = 2 * 1024 * 1024


def test_a_full_disk_refuses_until_there_is_room_again(path, monkeypatch):
    disk = Disk(monkeypatch, 1024 * 1024)
    store = Store(path)
    assert store.set_pin(TOKEN, b"v1", [b"1"], 0.0)
    store.commit()
    disk.free = 0
    store.set_pin(TOKEN, b"v1", [b"2"], 0.0)
    store.commit()
    assert not store.set_pin(TOKEN, b"v1", [b"3"], 0.0)
    assert not store.add_event(TOKEN, b"e", b"", 0.0)
    assert not store.add_data(TOKEN, b"v1", 1.0, 0.0)
    assert not store.pending
    store.commit()
    assert store.pin(TOKEN, b"v1") == [b"2"]
    disk.free = 1024 * 1024
    store.commit()
    assert not store.set_pin(TOKEN, b"v1", [b"3"], 0.0)
    store.commit()
    assert store.set_pin(TOKEN, b"v1", [b"3"], 0.0)
    store.close()


def test_a_disk_that_others_have_filled_is_made_room_on(path, monkeypatch):
    store = Store(path)
    for number in range(5000):
        store.add_data(TOKEN, b"v%d" % (number % 10), 1.0, float(number))
    store.commit()
    flush, calls = store._history.flush, []

    def full():
        calls.append(1)
        if len(calls) == 1:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        flush()

    monkeypatch.setattr(store._history, "flush", full)
    store.set_pin(TOKEN, b"v1", [b"1"], 0.0)
    store.commit()
    assert len(calls) == 2
    assert len(list(store.data(TOKEN, b"v1"))) == 250
    store.close()
    store = Store(path)
    assert store.pin(TOKEN, b"v1") == [b"1"]
    store.close()
