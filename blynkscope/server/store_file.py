"""The file of the store: made private, opened by one process, of a version that is known."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Any

from blynkscope.errors import EnvironmentProblem

SCHEMA_VERSION = 2
APPLICATION_ID = 0x426C796E
"""`Blyn`: tells a store from other SQLite files."""

PAGE = 4096
"""Bytes of a page of the file."""
MEMORY_PAGES = 128 * 1024
"""Pages of 4 KiB, 512 MiB, that a store without a file takes."""
FILE_PAGES = 2 * 1024 * 1024
"""Pages of 4 KiB, 8 GiB, that a store takes on disk."""
_MAGIC = b"SQLite format 3\0"
"""What a file of SQLite begins with."""
_OWN = """
CREATE TABLE own (token TEXT NOT NULL, field TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (token, field))
  WITHOUT ROWID"""
_SCHEMA = f"""
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
{_OWN};
"""
_FROM_1 = (
    _OWN,
    "INSERT INTO own (token, field, value) SELECT token, 'seen', value FROM facts WHERE field = x'007365656e'",
    "DELETE FROM facts WHERE substr(field, 1, 1) = x'00'",
)
"""In version 1 what the server keeps for itself stood among the metadata, before it a NUL."""
_OPENING = os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)


class StoreError(EnvironmentProblem):
    """The store cannot be used; the text says why and what to do."""


class Database:
    """The open file. What fails in `rows` and `change` is a `StoreError`; `raw` is for transactions.

    Attributes:
        path: The file; None for one in memory.
        pages: How many pages it may have.
        raw: The connection.
    """

    def __init__(self, path: Path | None, pages: int, raw: sqlite3.Connection) -> None:
        self.path = path
        self.pages = pages
        self.raw = raw

    def rows(self, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
        """What a query finds."""
        try:
            return self.raw.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise trouble(self.path, error) from error

    def change(self, *statements: tuple[str, tuple[Any, ...]]) -> None:
        """One transaction of these statements."""
        try:
            self.raw.execute("BEGIN IMMEDIATE")
            for query, values in statements:
                self.raw.execute(query, values)
            self.raw.execute("COMMIT")
        except sqlite3.Error as error:
            self.roll_back()
            raise trouble(self.path, error) from error

    def roll_back(self) -> None:
        """Nothing of this transaction counts."""
        with contextlib.suppress(sqlite3.Error):
            self.raw.execute("ROLLBACK")

    def write_back(self) -> None:
        """Make the log of writes empty, if that can be."""
        with contextlib.suppress(sqlite3.Error):
            self.raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Let go of the file."""
        self.raw.close()


def open_file(path: Path | None) -> Database:
    """Open the file of a store, and make it where there is none; None opens one in memory.

    Raises:
        StoreError: The file is locked, no store, of a newer version, or cannot be written.
    """
    if path is not None:
        _look_at(path)
    try:
        raw = sqlite3.connect(path or ":memory:", timeout=0, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise trouble(path, error) from error
    database = Database(path, FILE_PAGES if path is not None else MEMORY_PAGES, raw)
    try:
        _prepare(database)
    except sqlite3.Error as error:
        raw.close()
        raise trouble(path, error) from error
    except StoreError:
        raw.close()
        raise
    return database


def _prepare(database: Database) -> None:
    raw, path = database.raw, database.path
    raw.execute("PRAGMA locking_mode = EXCLUSIVE")
    raw.execute("PRAGMA trusted_schema = OFF")
    ((version,),) = raw.execute("PRAGMA user_version")
    ((application,),) = raw.execute("PRAGMA application_id")
    ((tables,),) = raw.execute("SELECT count(*) FROM sqlite_master")
    if tables and application != APPLICATION_ID:
        raise StoreError(f"{path} is a database of another program: give --store another file")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path} was written by a newer blynkscope (store version {version}, this one reads"
            f" {SCHEMA_VERSION}): update blynkscope, or give --store another file"
        )
    if path is not None:
        # Now it is known whose it is.
        _make_private(path)
    raw.execute(f"PRAGMA page_size = {PAGE}")
    raw.execute("PRAGMA journal_mode = WAL")
    raw.execute("PRAGMA synchronous = NORMAL")
    raw.execute(f"PRAGMA max_page_count = {database.pages}")
    raw.execute("BEGIN EXCLUSIVE")  # takes the lock, and keeps it
    if not tables:
        for statement in _SCHEMA.split(";"):
            raw.execute(statement)
        raw.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    elif version < SCHEMA_VERSION:
        for statement in _FROM_1:
            raw.execute(statement)
    raw.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    raw.execute("COMMIT")


def trouble(path: Path | None, error: sqlite3.Error) -> StoreError:
    """What a failure of SQLite means, and what to do about it."""
    shown = path if path is not None else "the store in memory"
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreError(f"{shown} is in use by another program: stop it, or give --store another file")
    if code == sqlite3.SQLITE_NOTADB:
        return StoreError(f"{shown} is no store of this server: give --store another file")
    if code == sqlite3.SQLITE_CORRUPT:
        return StoreError(f"{shown} is damaged: move it away, then a new one is made ({error})")
    if code == sqlite3.SQLITE_FULL:
        return StoreError(f"no more room for {shown}: free some, or start with another --store")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN):
        return StoreError(f"cannot write {shown}: make the file and its folder yours, or give --store another file")
    return StoreError(f"cannot use {shown}: {error}")


def damaged(path: Path | None, what: str) -> StoreError:
    """Something in the store does not read as what it has to be."""
    shown = path if path is not None else "the store in memory"
    return StoreError(f"{shown} is damaged ({what}): move it away, then a new one is made")


def _look_at(path: Path) -> None:
    """Is this a file of SQLite, or one that has still to be filled? One that is not there is made, for its owner."""
    try:
        try:
            handle = os.open(path, _OPENING)
        except FileNotFoundError:
            handle = os.open(path, _OPENING | os.O_CREAT, 0o600)
        try:
            if not os.path.isfile(path):
                raise StoreError(f"{path} is no file: give --store another one")
            begins = os.read(handle, len(_MAGIC))
        finally:
            os.close(handle)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}: give --store another file") from error
    if begins and begins != _MAGIC:
        raise StoreError(f"{path} is no store of this server: give --store another file")


def _make_private(path: Path) -> None:
    """Only its owner can read the tokens in it, and in its log, where one was left behind."""
    if os.name != "posix":
        return
    for each in (path, Path(f"{path}-wal")):
        with contextlib.suppress(FileNotFoundError):
            try:
                if os.stat(each).st_mode & 0o077:
                    os.chmod(each, 0o600)
            except PermissionError as error:
                raise StoreError(
                    f"{each} can be read by others, and is not yours to close: give --store another file"
                ) from error
