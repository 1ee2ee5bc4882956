"""The protected records of one direction of a TLS connection: which keys open them, and what to tell where none do."""

from __future__ import annotations

from typing import Any

from blynkscope.protocol import tls
from blynkscope.protocol.tls_suites import suite_name
from blynkscope.wire import tls_keying
from blynkscope.wire.layers import Content
from blynkscope.wire.tls_handshake import Handshake
from blynkscope.wire.tls_keying import APPLICATION, EARLY, HANDSHAKE, Found, Lack
from blynkscope.wire.tls_lock import Lock, Spare
from blynkscope.wire.tls_shared import Shared

WRONG_AFTER = 4
"""Records that do not open, before any did, after which the keys are called wrong."""
UNSURE_MAX = 64
"""Records of a handshake of TLS 1.3 that are passed over where only the keys behind it are known."""


class Opening(Handshake):
    """Opens protected records.

    Attributes:
        at: Bytes of the direction that were read.
        over: Nothing is read any more.
        shut: Nothing can be opened.
    """

    def __init__(self, shared: Shared, direction: int) -> None:
        super().__init__(shared, direction)
        self.at = 0
        self.over = False
        self.shut = False
        self._final = False
        self._record_lost = False
        self._lack: Lack | None = None
        self._unsure = 0
        self._shut_at: int | None = None
        self._passed = 0
        self._tail = b""
        self._blind = False
        self._early_note: dict[str, Any] | None = None
        self._opened = False
        self._flowing = False
        self._failed: dict[str, Any] | None = None
        self._untold = False
        self._failures = 0
        self._hole_due = False

    @property
    def is_past_hello(self) -> bool:
        """Were encrypted handshake messages passed already?"""
        return self._phase == APPLICATION and self._opened

    def _resolve(self, time: float | None) -> bool | None:
        """Find what opens the direction from here on; None where that has to wait."""
        shared = self._shared
        lack, self._lack = shared.hopeless, None
        epoch = self._epoch
        found: Found | Lack | None = lack
        if lack is None:
            clients, servers = shared.clients, shared.servers
            if len(clients) > epoch < len(servers):
                found = self._look_up()
                if found is None:
                    return None
            else:
                own = clients if self._client else servers
                if len(own) > epoch and not (self._final or self.peer.over or self.peer.shut):
                    return None
                found = Lack({"state": "late"}, final=True)
        assert found is not None
        if isinstance(found, Lack):
            self._lack = found
            keys = shared.keys
            if keys is not None and keys.growing and not found.final and not self._final:
                return None
            self.shut = True
            self._shut_at = None if found.final or keys is None else keys.edition
            if epoch and self._opened:
                self._lose("renegotiation with keys that are not known", time)
            return False
        self._lock = Lock(found, self._phase, self._spares)
        if self._passed:
            # The keys came late: from here on.
            self._lock.joined(self._passed)
            self._unsure, self._hole_due = 0, True
            if found.opener.chained:
                found.opener.follow(self._tail, sure=True)
                self._blind = not self._tail
        return True

    def _reopen(self) -> None:
        """Look again where keys came since the direction was shut."""
        keys = self._shared.keys
        if self._shut_at is not None and keys is not None and keys.edition != self._shut_at:
            self.shut, self._shut_at = False, None

    def _look_up(self) -> Found | Lack | None:
        shared = self._shared
        keys, server, client = shared.keys, shared.servers[self._epoch], shared.clients[self._epoch]
        assert keys is not None
        if not server.is_new:
            pair = shared.pair(self._epoch)
            if isinstance(pair, Lack):
                return pair
            if self._passed and pair[self._direction].opener.once:
                return Lack({"state": "unsupported", "why": "keys of a stream cipher that came too late"}, final=True)
            return pair[self._direction]
        if self._passed > UNSURE_MAX:
            self._phase = APPLICATION
        if self._phase == EARLY:
            found = self._look_up_early()
            if found is None or isinstance(found, Found):
                return found
        label_phase = self._phase
        found = tls_keying.new_opener(keys, client, server, label_phase, of_client=self._client)
        if isinstance(found, Lack) and self._phase == HANDSHAKE and not found.final:
            later = tls_keying.new_opener(keys, client, server, APPLICATION, of_client=self._client)
            if isinstance(later, Found):
                self._lack, self._unsure, self._phase = found, UNSURE_MAX, APPLICATION
                return later
        return found

    def _look_up_early(self) -> Found | Lack | None:
        """What opens early data; a `Lack` where it is passed over, None where what the server says of it comes yet."""
        shared = self._shared
        keys, server, client = shared.keys, shared.servers[0], shared.clients[0]
        assert keys is not None
        accepted = shared.early_accepted
        if shared.retried or server.psk != 0:
            accepted = False
        elif accepted is None and not (self._final or self.peer.over or self.peer.shut or self.peer.is_past_hello):
            return None
        if accepted is not False:
            found = tls_keying.new_opener(keys, client, server, EARLY, of_client=True)
            if isinstance(found, Found):
                self._early_note = {"accepted": accepted, "decrypted": True}
                return found
        self._phase, self._unsure = HANDSHAKE, -1
        self._early_note = {"accepted": accepted, "decrypted": False}
        return Lack({})

    def _spares(self, phase: str, found: Found) -> list[Spare]:
        """What a direction of TLS 1.3 may have gone on to behind a phase."""
        shared = self._shared
        server, client, keys = shared.servers[self._epoch], shared.clients[self._epoch], shared.keys
        if not server.is_new or keys is None:
            return []
        if phase == APPLICATION:
            later = tls_keying.later_opener(server, found.secret)
            return [(APPLICATION, later)] if isinstance(later, Found) else []
        spares: list[Spare] = []
        for name in (HANDSHAKE, APPLICATION)[phase == HANDSHAKE :]:
            spare = tls_keying.new_opener(keys, client, server, name, of_client=self._client)
            if isinstance(spare, Found):
                spares.append((name, spare))
        return spares

    def _protected(self, head: bytes, fragment: bytes, time: float | None) -> None:
        """A record that ought to open."""
        lock = self._lock
        assert lock is not None
        kind, size = head[0], head[3] << 8 | head[4]
        opener = lock.opener
        if self._record_lost or self._blind:
            self._blind = False
            if opener.chained:
                opener.follow(fragment)
            lock.lost(1)
            self._missed(kind, size, time)
            return
        sequence = lock.sequence
        if self._unsure:
            found = opener.open(kind, head[2], fragment, 0)
            if found is None:
                self._pass_over(time)
                return
            self._unsure = 0
            lock.sequence = 1
        else:
            found = lock.open(kind, head[2], fragment)
        if found is not None:
            self._success(time)
            self._inner(*found, time)
            return
        reason = "too short" if size < opener.smallest else "bad MAC"
        self._fail(kind, {"reason": reason, "sequence": sequence, "size": size}, time)

    def _pass_over(self, time: float | None) -> None:
        """A record of early data or of a handshake whose keys are not known."""
        if self._early_note is not None:
            self._tell_early(time)
        if self._unsure > 0:
            self._unsure -= 1
            if not self._unsure:
                self._lock, self.shut = None, True

    def _tell_early(self, time: float | None) -> None:
        note, self._early_note = self._early_note, None
        if note is not None:
            self._say("tls-early-data", time, note)
            if not note["decrypted"] and note["accepted"] is not False:
                self._hole(None, time)

    def _missed(self, kind: int, size: int, time: float | None) -> None:
        """A record was lost: a hole in the content, where it held any."""
        lock = self._lock
        assert lock is not None
        if not lock.proven or lock.phase != APPLICATION:
            self._hole_due = True
            return
        new = self._shared.is_new
        if kind == tls.APPLICATION_DATA and not new and lock.opener.overhead is not None:
            self._hole(max(0, size - lock.opener.overhead), time)
        elif kind == tls.APPLICATION_DATA or not self._record_lost or lock.opener.chained:
            self._hole(None, time)

    def _fail(self, kind: int, detail: dict[str, Any], time: float | None) -> None:
        lock = self._lock
        assert lock is not None
        detail["offset"] = self.at - detail["size"] - tls.HEADER_SIZE
        self._failures += 1
        if self._failed is None:
            self._failed, self._untold = detail, not lock.proven
            if lock.proven:
                self._say("tls-undecodable", time, detail)
        if not lock.proven and self._failures >= (UNSURE_MAX if self._passed and self._shared.is_new else WRONG_AFTER):
            self._tell_wrong(time)
            self._lock, self.shut, self._failed, self._failures = None, True, None, 0
            if self._flowing:
                self._hole(None, time)
            return
        self._missed(kind, detail["size"], time)

    def _tell_wrong(self, time: float | None) -> None:
        self._lack = Lack(
            {"state": "wrong", "cipher": suite_name(self._shared.servers[self._epoch].cipher)}, final=True
        )
        self._shared.tell_lack(self._direction, self._lack, time)

    def _success(self, time: float | None) -> None:
        """A record was opened."""
        lock = self._lock
        assert lock is not None
        if self._untold and self._failed is not None:
            self._untold = False
            if not self._passed:
                self._say("tls-undecodable", time, self._failed)
            else:  # records of the handshake, behind which the keys came
                self._failed = None
        self._passed = 0
        self._recovered(time)
        self._phase = lock.phase
        if self._hole_due and self._phase == APPLICATION:
            self._hole_due = False
            # The record in front of application data is Finished in TLS 1.2; in TLS 1.3 it has other keys.
            if lock.sequence > (1 if self._shared.is_new else 2):
                self._hole(None, time)
        if self._phase == EARLY and self._early_note:
            self._tell_early(time)
        self._opened = True
        if "opened" not in self._told and self._is_complete(lock):
            self._told.add("opened")
            self._shared.tell_opened(self._direction, lock.found.source, time)

    def _is_complete(self, lock: Lock) -> bool:
        """Are the keys of the application data there, too?"""
        shared = self._shared
        if lock.phase == APPLICATION or shared.keys is None:
            return True
        client, server = shared.clients[0], shared.servers[0]
        found = tls_keying.new_opener(shared.keys, client, server, APPLICATION, of_client=self._client)
        return isinstance(found, Found)

    def _recovered(self, time: float | None, *, ended: bool = False) -> None:
        """Tell how many records did not open behind the first of them."""
        if self._failed is not None and self._failures > 1 and not (ended and self._untold):
            self._say("tls-undecodable", time, {"reason": self._failed["reason"], "count": self._failures - 1})
        self._failed, self._failures = None, 0

    def _inner(self, kind: int, plain: bytes, time: float | None) -> None:
        """What a record held."""
        if kind == tls.APPLICATION_DATA:
            if plain:
                self._flowing = True
                self._shared.out.append((self._direction, Content(plain, time, self.at)))
        elif kind == tls.HANDSHAKE:
            self._handshake(plain, time, opened=True)
        elif kind == tls.ALERT:
            self._alert(bytes((tls.ALERT, 3, 3)) + len(plain).to_bytes(2, "big") + plain, time, decrypted=True)
        elif kind == tls.CHANGE_CIPHER_SPEC and not self._shared.is_new:
            self._epoch += 1
            self._lock = None
            self._messages.clear()
