"""Captures of one healthy conversation under every link type, IP form and file form that people meet."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from struct import pack

from files import (
    BIG,
    ETHERNET,
    LITTLE,
    Captured,
    captured,
    enhanced,
    gzipped,
    interface,
    option,
    pcap,
    pcapng,
    save,
    section,
)
from scapy.layers.dot11 import Dot11, Dot11Beacon, Dot11QoS
from scapy.layers.inet import IP, TCP, IPOption_NOP, IPOption_RR, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, PadN, fragment6
from scapy.layers.l2 import LLC, SNAP, CookedLinux, CookedLinuxV2, Dot1AD, Dot1Q, Ether
from scapy.packet import Packet as Layer
from scapy.packet import Raw
from talk import CLIENT, MILLISECOND, SERVER, START, TOKEN, Frame, Packet, Talk, answer, in_order, whole

DEVICE_MAC, GATEWAY_MAC, ACCESS_POINT = "02:00:5e:00:00:01", "02:00:5e:00:00:fe", "02:00:5e:00:00:aa"
V6 = {"client": "2001:db8::10", "server": "2001:db8:1::20"}
DLT_NULL, DLT_RAW_BSD, DLT_RAW_OTHER, DLT_RAW, DLT_WIFI, DLT_LOOP = 0, 12, 14, 101, 105, 108
DLT_SLL, DLT_RADIOTAP, DLT_IPV4, DLT_IPV6, DLT_SLL2 = 113, 127, 228, 229, 276

Wrap = Callable[[Packet], bytes]


def macs(packet: Packet) -> dict[str, str]:
    ends = (DEVICE_MAC, GATEWAY_MAC) if packet.to_server else (GATEWAY_MAC, DEVICE_MAC)
    return dict(zip(("src", "dst"), ends, strict=True))


def ethertype(packet: Packet) -> int:
    return 0x86DD if ":" in packet.source else 0x0800


def ethernet(packet: Packet, network: Layer | None = None) -> bytes:
    """Frames toward the server are padded to the least size, as the capture of a receiver shows them."""
    layer = Ether(**macs(packet), type=ethertype(packet)) / (packet.network() if network is None else network)
    data = bytes(layer)
    return data.ljust(60, b"\0") if packet.to_server else data


def over(wrap: Wrap, *talks: Talk) -> list[Captured]:
    return [captured(packet.time, wrap(packet)) for packet in in_order(*talks)]


def plain(name: str, link: int, wrap: Wrap, *talks: Talk, order: str = LITTLE) -> None:
    talks = talks or (whole(),)
    save(name, pcap(over(wrap, *talks), link, order=order), *talks)


# -- link types


def link_ethernet() -> None:
    plain("link_ethernet.pcap", ETHERNET, ethernet, whole(stamp=True), whole(**V6, client_port=50011, start=START + 3))


def link_vlan() -> None:
    def wrap(packet: Packet) -> bytes:
        return bytes(Ether(**macs(packet)) / Dot1Q(vlan=42, prio=3, type=ethertype(packet)) / packet.network())

    plain("link_vlan.pcap", ETHERNET, wrap)


def link_qinq() -> None:
    def wrap(packet: Packet) -> bytes:
        tags = Dot1AD(vlan=100, type=0x8100) / Dot1Q(vlan=42, type=ethertype(packet))
        return bytes(Ether(**macs(packet), type=0x88A8) / tags / packet.network())

    plain("link_qinq.pcap", ETHERNET, wrap)


def link_sll() -> None:
    def wrap(packet: Packet) -> bytes:
        address = bytes.fromhex(macs(packet)["src"].replace(":", ""))
        header = CookedLinux(pkttype=4 if packet.to_server else 0, lladdrtype=1, lladdrlen=6, src=address + b"\0\0")
        header.proto = ethertype(packet)
        return bytes(header / packet.network())

    plain("link_sll.pcap", DLT_SLL, wrap, whole(), whole(**V6, client_port=50011))


def link_sll2() -> None:
    def wrap(packet: Packet) -> bytes:
        address = bytes.fromhex(macs(packet)["src"].replace(":", ""))
        header = CookedLinuxV2(pkttype=4 if packet.to_server else 0, lladdrtype=1, lladdrlen=6, src=address + b"\0\0")
        header.proto, header.ifindex = ethertype(packet), 2
        return bytes(header / packet.network())

    plain("link_sll2.pcap", DLT_SLL2, wrap, whole(), whole(**V6, client_port=50011))


def link_null() -> None:
    """The family is in the byte order of the machine that captured, and IPv6 has another number on each BSD."""
    families = {50010: 2, 50011: 24, 50012: 28, 50013: 30}
    talks = [whole()] + [whole(**V6, client_port=port) for port in (50011, 50012, 50013)]

    def wrap(order: str) -> Wrap:
        def null(packet: Packet) -> bytes:
            return pack(order + "I", families[max(packet.source_port, packet.target_port)]) + bytes(packet.network())

        return null

    plain("link_null.pcap", DLT_NULL, wrap(LITTLE), *talks)
    plain("link_null_big_endian.pcap", DLT_NULL, wrap(BIG), *talks, order=BIG)


def link_loop() -> None:
    plain("link_loop.pcap", DLT_LOOP, lambda packet: pack(">I", 2) + bytes(packet.network()))


def link_raw() -> None:
    """IP without any link header; three numbers mean it, and two more mean one version of IP only."""

    def wrap(packet: Packet) -> bytes:
        return bytes(packet.network())

    plain("link_raw.pcap", DLT_RAW, wrap, whole(), whole(**V6, client_port=50011))
    plain("link_raw_12.pcap", DLT_RAW_BSD, wrap)
    plain("link_raw_14.pcap", DLT_RAW_OTHER, wrap)
    plain("link_ipv4.pcap", DLT_IPV4, wrap)
    plain("link_ipv6.pcap", DLT_IPV6, wrap, whole(**V6))


def wifi(packet: Packet) -> bytes:
    """A data frame: plain toward the access point, with quality of service from it."""
    sequence = (packet.ident & 0xFFF) << 4
    load = LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP(OUI=0, code=ethertype(packet)) / packet.network()
    if packet.to_server:
        head = Dot11(type=2, subtype=0, FCfield=1, addr1=ACCESS_POINT, addr2=DEVICE_MAC, addr3=GATEWAY_MAC)
    else:
        head = Dot11(type=2, subtype=8, FCfield=2, addr1=DEVICE_MAC, addr2=ACCESS_POINT, addr3=GATEWAY_MAC)
        load = Dot11QoS(TID=0) / load
    head.SC = sequence
    return bytes(head / load)


def beacon() -> bytes:
    head = Dot11(type=0, subtype=8, addr1="ff:ff:ff:ff:ff:ff", addr2=ACCESS_POINT, addr3=ACCESS_POINT, SC=0)
    return bytes(head / Dot11Beacon(timestamp=1, beacon_interval=100, cap=1) / Raw(b"\0\x04made"))


def empty_data() -> bytes:
    """What a station sends to tell that it goes to sleep: a data frame without data."""
    head = Dot11(type=2, subtype=4, FCfield=0x11, SC=0)
    head.addr1, head.addr2, head.addr3 = ACCESS_POINT, DEVICE_MAC, ACCESS_POINT
    return bytes(head)


def link_80211() -> None:
    talk = whole()
    noise = [captured(START, beacon()), captured(START + MILLISECOND, empty_data())]
    save("link_80211.pcap", pcap(noise + over(wifi, talk), DLT_WIFI), talk)


def radiotap(frame: bytes, number: int) -> bytes:
    """Headers of two lengths in turn; the longer says that the frame check sequence follows."""
    if number % 2:
        return pack("<BBHI", 0, 0, 8, 0) + frame
    return pack("<BBHIQB", 0, 0, 17, 3, number, 0x10) + frame + pack("<I", zlib.crc32(frame))


def link_radiotap() -> None:
    talk = whole()
    packets = [captured(START, radiotap(beacon(), 0))]
    for number, packet in enumerate(talk.packets, 1):
        packets.append(captured(packet.time, radiotap(wifi(packet), number)))
    save("link_radiotap.pcap", pcap(packets, DLT_RADIOTAP), talk)


# -- IP


def long_write(ident: int, pin: int, size: int) -> Frame:
    text = "".join(chr(97 + at % 26) for at in range(size))
    return Frame(20, ident, f"vw\0{pin}\0{text}".encode())


def ip_fragments() -> None:
    """Two large segments as IPv4 fragments: one in order, one backwards with another packet between the parts."""
    talk = Talk()
    talk.open()
    talk.login()
    first = talk.say(CLIENT, long_write(3, 1, 300))
    talk.acknowledge(SERVER)
    second = talk.say(CLIENT, long_write(4, 2, 300))
    talk.say(CLIENT, Frame(6, 5), after=1)
    talk.say(SERVER, answer(5))
    talk.finish()
    packets = []
    for packet in talk.packets:
        if packet not in (first, second):
            packets.append(captured(packet.time, ethernet(packet)))
            continue
        datagram = IP(src=packet.source, dst=packet.target, id=packet.ident) / packet.transport()
        parts = fragment(datagram, fragsize=96)
        step = MILLISECOND // 2
        for number, part in enumerate(parts if packet is first else reversed(parts)):
            packets.append(captured(packet.time + number * step, ethernet(packet, part)))
    packets.sort(key=lambda packet: packet.time)
    save("ip_fragments.pcap", pcap(packets), talk)


def ip_options() -> None:
    """IPv4 headers longer than 20 bytes."""

    def wrap(packet: Packet) -> bytes:
        options = [IPOption_RR(routers=["203.0.113.1"]), IPOption_NOP()]
        return ethernet(packet, packet.network(options=options))

    plain("ip_options.pcap", ETHERNET, wrap)


def ipv6_extensions() -> None:
    """Hop-by-hop and destination options before TCP everywhere, and one segment in three fragments, backwards."""
    talk = Talk(**V6)
    talk.open()
    talk.login()
    large = talk.say(CLIENT, long_write(3, 1, 300))
    talk.acknowledge(SERVER)
    talk.say(CLIENT, Frame(6, 4))
    talk.say(SERVER, answer(4))
    talk.finish()
    packets = []
    for packet in talk.packets:
        head = IPv6(src=packet.source, dst=packet.target, hlim=64)
        head /= IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0\0\0\0")])
        options = IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)])
        if packet is not large:
            packets.append(captured(packet.time, ethernet(packet, head / options / packet.transport())))
            continue
        # The checksum must be that of the whole segment, so it is computed before the cut.
        segment = packet.transport()
        segment[TCP].chksum = IPv6(bytes(head / segment))[TCP].chksum
        parts = fragment6(head / IPv6ExtHdrFragment(id=0x1234) / options / segment, 200)
        for number, part in enumerate(reversed(parts)):
            packets.append(captured(packet.time + number * MILLISECOND, ethernet(packet, part)))
    save("ipv6_extensions.pcap", pcap(packets), talk)


# -- file forms


def pcap_forms() -> None:
    """The same connection in every byte order and resolution, and packed."""
    talk = whole(start=START + 123_456_000)
    packets = over(ethernet, talk)
    save("pcap_big_endian.pcap", pcap(packets, order=BIG), talk)
    save("pcap_nanoseconds.pcap", pcap(packets, nano=True), talk)
    save("pcap_big_endian_nanoseconds.pcap", pcap(packets, order=BIG, nano=True), talk)
    save("pcap_gzip.pcap.gz", gzipped(pcap(packets)), talk)
    save("pcapng_gzip.pcapng.gz", gzipped(pcapng(packets)), talk)
    save("pcapng_big_endian.pcapng", pcapng(packets, order=BIG), talk)


def pcapng_two_interfaces() -> None:
    """Clocks of nanoseconds and of 2^-20 seconds, and two link types, in one section."""
    left, right = whole(), whole(client_port=50011, start=START + 4 * MILLISECOND)
    blocks = [
        section(),
        interface(options=[option(LITTLE, 2, b"eth0"), option(LITTLE, 9, b"\x09")]),
        interface(link=DLT_RAW, options=[option(LITTLE, 9, bytes((0x80 | 20,))), option(LITTLE, 2, b"tun0")]),
    ]
    for packet in in_order(left, right):
        if packet in left.packets:
            block = enhanced(LITTLE, 0, captured(packet.time, ethernet(packet)), packet.time)
        else:
            # Rounded up, so that the nearest microsecond is the true one.
            ticks = -(-packet.time * (1 << 20) // 1_000_000_000)
            block = enhanced(LITTLE, 1, captured(packet.time, bytes(packet.network())), ticks)
        blocks.append(block)
    save("pcapng_two_interfaces.pcapng", b"".join(blocks), left, right)


def pcapng_two_sections() -> None:
    """A connection that begins in a little-endian section and goes on in a big-endian one."""
    talk = whole()
    packets = over(ethernet, talk)
    half = len(packets) // 2
    save("pcapng_two_sections.pcapng", pcapng(packets[:half]) + pcapng(packets[half:], order=BIG), talk)


def pcapng_tsoffset() -> None:
    """Times count from an offset that the interface gives; comments and unknown blocks lie between the packets."""
    talk = whole()
    begin = START // 1_000_000_000 - 5
    blocks = [section(), interface(options=[option(LITTLE, 14, pack("<q", begin))])]
    for packet in talk.packets:
        ticks = packet.time // 1000 - begin * 1_000_000
        comment = option(LITTLE, 1, b"made")
        blocks.append(enhanced(LITTLE, 0, captured(packet.time, ethernet(packet)), ticks, [comment]))
        blocks.append(pack("<III", 0x0BAD, 16, 0) + pack("<I", 16))
    save("pcapng_tsoffset.pcapng", b"".join(blocks), talk)


def app_plain() -> None:
    """The header of the mobile app without TLS, as behind a terminating proxy."""
    plain("app_plain.pcap", ETHERNET, ethernet, whole(dialect="app7", server_port=8443))


def login_old() -> None:
    """Devices of old libraries log in with command 2."""
    talk = Talk()
    talk.open()
    talk.say(CLIENT, Frame(2, 1, TOKEN))
    talk.say(SERVER, answer(1))
    talk.small_talk(2)
    talk.finish()
    plain("login_old.pcap", ETHERNET, ethernet, talk)


ALL = (
    link_ethernet, link_vlan, link_qinq, link_sll, link_sll2, link_null, link_loop, link_raw, link_80211, link_radiotap,
    ip_fragments, ip_options, ipv6_extensions, pcap_forms, pcapng_two_interfaces, pcapng_two_sections, pcapng_tsoffset,
    app_plain, login_old,
)  # fmt: skip
