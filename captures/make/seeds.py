"""Captures of troubles that people have written about: each shows one, from its cause to what the device does then."""

from __future__ import annotations

from files import Captured
from others import (
    CLOUD,
    OLD_BUILD,
    SECOND,
    asked,
    connected,
    datagram,
    device,
    keep,
    noise,
    ordered,
)  # fmt: skip
from scapy.layers.dns import DNS, DNSQR, DNSRR
from talk import (
    CLIENT,
    HW,
    HW_LOGIN,
    HW_SYNC,
    INFO,
    INTERNAL,
    MILLISECOND,
    PROPERTY,
    SERVER,
    START,
    Frame,
    Talk,
    answer,
)
from talk import write as written

TOKEN_IOT = b"Zx8QeW1rTy_FakeTokenOfNoDevice-7"
PLAIN = 80


def found(time: int, name: str, address: str, ident: int) -> tuple[Captured, Captured]:
    """A name is asked for, and has this address."""
    reply = DNS(id=ident, qr=1, rd=1, ra=1, qd=[DNSQR(qname=name)], an=[DNSRR(rrname=name, rdata=address, ttl=60)])
    return asked(time, name, ident), datagram(time + 25 * MILLISECOND, reply, reply=True)


def logged_in(**options: object) -> Talk:
    """A device of Blynk IoT after login and info."""
    talk = connected(**options)
    talk.say(CLIENT, Frame(HW_LOGIN, 1, TOKEN_IOT))
    talk.say(SERVER, answer(1), after=30)
    talk.say(CLIENT, Frame(INTERNAL, 2, INFO + b"tmpl\0TMPLfake\0"))
    talk.say(SERVER, answer(2), after=30)
    talk.acknowledge(CLIENT)
    return talk


def seed_legacy_cloud() -> None:
    """Firmware with a Blynk IoT token looks up blynk-cloud.com, the legacy cloud, and is refused there."""
    talk = connected(server_port=PLAIN, start=START + 50 * MILLISECOND)
    talk.say(CLIENT, Frame(HW_LOGIN, 1, TOKEN_IOT))
    talk.say(SERVER, answer(1, 9), after=30)
    talk.acknowledge(CLIENT)
    talk.time += 2 * SECOND
    talk.finish()
    keep("seed_legacy_cloud", talk, beside=found(START, "blynk-cloud.com", CLOUD, 0x400))


def seed_write_then_sync() -> None:
    """A property is answered and a write is not; the sync of the pin then brings the value back."""
    talk = logged_in()
    talk.say(CLIENT, Frame(PROPERTY, 3, b"1\0color\0#00FF00"), after=1000)
    talk.say(SERVER, answer(3), after=30)
    talk.say(CLIENT, written(4, 1, "1", "passed"), after=1000)
    talk.acknowledge(SERVER)
    talk.say(CLIENT, written(5, 0, "10", "confirmed"), after=1000)
    talk.acknowledge(SERVER)
    talk.say(CLIENT, Frame(HW_SYNC, 6, b"vr\x000"), after=1000)
    talk.say(SERVER, Frame(HW, 6, b"vw\x000\x0010"), after=30)
    talk.acknowledge(CLIENT)
    talk.say(CLIENT, written(7, 1, "0", "delivered"), after=1000)
    talk.acknowledge(SERVER)
    talk.finish()
    keep("seed_write_then_sync", talk)


def seed_forty_a_second() -> None:
    """Forty writes a second to Blynk IoT for three seconds, and the server closes."""
    talk = logged_in(server_port=PLAIN, start=START + 50 * MILLISECOND)
    for turn in range(120):
        talk.say(CLIENT, written(3 + turn, 0, str(turn)), after=25)
        if turn % 4 == 3:
            talk.acknowledge(SERVER, after=0)
    talk.finish(SERVER)
    keep("seed_forty_a_second", talk, beside=found(START, "blynk.cloud", CLOUD, 0x500))


def seed_ota_refused() -> None:
    """The device leaves for its update, is refused where the URL leads, and comes back with its old firmware."""
    talk = ordered("http://198.51.100.77:8080/static/ota/greenhouse.bin")
    talk.finish()
    fetch = Talk(server="198.51.100.77", client_port=50011, start=talk.time + 500 * MILLISECOND)
    fetch.packet(CLIENT, "S")
    fetch.sent[CLIENT] += 1
    fetch.sent[SERVER] = 0
    fetch.packet(SERVER, "RA")
    back = device(OLD_BUILD, client_port=50012, first=(7_000, 990_000), start=fetch.time + 10 * SECOND)
    back.finish()
    keep("seed_ota_refused", talk, fetch, back)


def seed_dns_one_name() -> None:
    """A module's resolver gets no answer for blynk.cloud; ny3.blynk.cloud has an address, and the login works."""
    lost = tuple(asked(START + turn * 5 * SECOND, "blynk.cloud", 0x600 + turn) for turn in range(3))
    later = START + 20 * SECOND
    talk = logged_in(server_port=PLAIN, start=later + 50 * MILLISECOND)
    talk.finish()
    keep("seed_dns_one_name", talk, beside=(*lost, *found(later, "ny3.blynk.cloud", CLOUD, 0x610)))


def seed_particle_keys() -> None:
    """Particle cloud: twice the server sends its nonce, gets the key message of 256 bytes, and closes."""
    talks = []
    for turn in range(2):
        talk = connected(
            server_port=5683, client_port=50030 + turn, first=(1_000 + 5_000 * turn, 900_000 + 9_000 * turn),
            start=START + 50 * MILLISECOND + turn * 10 * SECOND,
        )  # fmt: skip
        talk.raw(SERVER, noise(f"nonce {turn}", 40), after=90)
        talk.raw(CLIENT, noise(f"key {turn}", 256), after=40)
        talk.acknowledge(SERVER, after=80)
        talk.finish(SERVER)
        talks.append(talk)
    keep("seed_particle_keys", *talks, beside=found(START, "device.spark.io", CLOUD, 0x700))


ALL = (
    seed_legacy_cloud, seed_write_then_sync, seed_forty_a_second, seed_ota_refused, seed_dns_one_name,
    seed_particle_keys,
)  # fmt: skip
