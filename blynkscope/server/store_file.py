"""The file of the store: made private, opened by one process, of a version that is known."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from blynkscope.errors import EnvironmentProblem

SCHEMA_VERSION = 1
APPLICATION_ID = 0x426C796E
"""`Blyn`: tells a store from other SQLite files."""

MEMORY_PAGES = 128 * 1024
"""Pages of 4 KiB, 512 MiB, that a store without a file takes."""
FILE_PAGES = 2 * 1024 * 1024
"""Pages of 4 KiB, 8 GiB, that a store takes on disk."""
_SCHEMA = """
CREATE TABLE pins (token TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, time REAL NOT NULL,
                   UNIQUE (token, key));
CREATE TABLE properties (token TEXT NOT NULL, key BLOB NOT NULL, name BLOB NOT NULL, value BLOB NOT NULL,
                         UNIQUE (token, key, name));
CREATE TABLE facts (token TEXT NOT NULL, field BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (token, field))
  WITHOUT ROWID;
CREATE TABLE events (number INTEGER PRIMARY KEY, token TEXT NOT NULL, name BLOB NOT NULL, description BLOB NOT NULL,
                     time REAL NOT NULL);
CREATE INDEX events_of ON events (token, number);
CREATE TABLE series (number INTEGER PRIMARY KEY, token TEXT NOT NULL, key BLOB NOT NULL, UNIQUE (token, key));
CREATE TABLE data (series INTEGER NOT NULL, number INTEGER NOT NULL, value REAL NOT NULL, time INTEGER NOT NULL,
                   PRIMARY KEY (series, number)) WITHOUT ROWID;
CREATE TABLE documents (kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, key));
"""
_OPENING = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)


class StoreError(EnvironmentProblem):
    """The store cannot be used; the text says why and what to do."""


def open_file(path: Path | None) -> sqlite3.Connection:
    """Open the file of a store, and make it where there is none; None opens one in memory.

    Raises:
        StoreError: The file is locked, no store, of a newer version, or cannot be written.
    """
    if path is not None:
        _make_private(path)
    try:
        database = sqlite3.connect(path or ":memory:", timeout=0, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise trouble(path, error) from error
    try:
        _prepare(database, path, FILE_PAGES if path is not None else MEMORY_PAGES)
    except sqlite3.Error as error:
        database.close()
        raise trouble(path, error) from error
    except StoreError:
        database.close()
        raise
    return database


def _prepare(database: sqlite3.Connection, path: Path | None, pages: int) -> None:
    database.execute("PRAGMA locking_mode = EXCLUSIVE")
    database.execute("PRAGMA trusted_schema = OFF")
    ((version,),) = database.execute("PRAGMA user_version")
    ((application,),) = database.execute("PRAGMA application_id")
    ((tables,),) = database.execute("SELECT count(*) FROM sqlite_master")
    if tables and application != APPLICATION_ID:
        raise StoreError(f"{path} is a database of another program: give --store another file")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path} was written by a newer blynkscope (store version {version}, this one reads"
            f" {SCHEMA_VERSION}): update blynkscope, or give --store another file"
        )
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    database.execute(f"PRAGMA max_page_count = {pages}")
    database.execute("BEGIN EXCLUSIVE")  # takes the lock, and keeps it
    if not tables:
        for statement in _SCHEMA.split(";"):
            database.execute(statement)
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    database.execute("COMMIT")


def trouble(path: Path | None, error: sqlite3.Error) -> StoreError:
    """What a failure of SQLite means, and what to do about it."""
    shown = path if path is not None else "the store in memory"
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreError(f"{shown} is in use by another program: stop it, or give --store another file")
    if code == sqlite3.SQLITE_NOTADB:
        return StoreError(f"{shown} is no database: remove it, or give --store another file")
    if code == sqlite3.SQLITE_CORRUPT:
        return StoreError(f"{shown} is damaged: move it away, then a new one is made ({error})")
    if code == sqlite3.SQLITE_FULL:
        return StoreError(f"no more room for {shown}: free some, or start with another --store")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN):
        return StoreError(f"cannot write {shown}: make the file and its folder yours, or give --store another file")
    return StoreError(f"cannot use {shown}: {error}")


def _make_private(path: Path) -> None:
    """Make the file, so that only its owner can read the tokens in it; one that is open to others is closed."""
    try:
        handle = os.open(path, _OPENING, 0o600)
        try:
            if not os.path.isfile(path):
                raise StoreError(f"{path} is no file: give --store another one")
            if os.name == "posix" and os.fstat(handle).st_mode & 0o077:
                os.fchmod(handle, 0o600)
        finally:
            os.close(handle)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}: give --store another file") from error
