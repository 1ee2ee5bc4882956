"""Captures of connections that TCP, the sniffer or the server's answers make difficult, and of damaged files."""

from __future__ import annotations

from struct import pack, pack_into

from files import captured, pcap, pcapng, save
from links import ethernet, long_write, over
from talk import (
    CLIENT,
    HW,
    HW_LOGIN,
    HW_SYNC,
    INTERNAL,
    MILLISECOND,
    NOTIFY,
    PING,
    PROPERTY,
    SERVER,
    TOKEN_UNKNOWN,
    Frame,
    Packet,
    Talk,
    answer,
    whole,
    write,
)


def begun(**options: object) -> Talk:
    """A connection up to the answered info; the next message id of the device is 3."""
    talk = Talk(**options)
    talk.open()
    talk.login()
    return talk


def ping(talk: Talk, ident: int) -> None:
    talk.say(CLIENT, Frame(PING, ident))
    talk.say(SERVER, answer(ident))


def keep(name: str, *talks: Talk) -> None:
    save(name, pcap(over(ethernet, *talks)), *talks)


def swap(talk: Talk, first: Packet, second: Packet) -> None:
    """Let two segments arrive in the other order."""
    first.time, second.time = second.time, first.time
    talk.packets.sort(key=lambda packet: packet.time)


# -- TCP


def tcp_sequence_wrap() -> None:
    """The sequence numbers of both sides pass 2^32 within a frame."""
    keep("tcp_sequence_wrap.pcap", whole(first=(2**32 - 60, 2**32 - 8)))


def tcp_out_of_order() -> None:
    """Segments arrive swapped, and three in reverse."""
    talk = begun()
    first, second = talk.pieces(CLIENT, (9,), write(3, 1, "23.5"), write(4, 2, "on"))
    swap(talk, first, second)
    talk.acknowledge(SERVER)
    first, _, third = talk.pieces(CLIENT, (4, 16), write(5, 1, "23.6"), write(6, 2, "off"))
    swap(talk, first, third)
    ping(talk, 7)
    talk.finish()
    keep("tcp_out_of_order.pcap", talk)


def tcp_retransmission() -> None:
    """A segment twice, one in the middle of two that were sent again as one, and an acknowledged one long after."""
    talk = begun()
    begin = talk.sent[CLIENT]
    first = talk.say(CLIENT, write(3, 1, "23.5"), ack=talk.sent[SERVER])
    talk.packets.append(first.later(50 * MILLISECOND))
    second = talk.say(CLIENT, write(4, 1, "23.6"), after=80)
    both = first.payload + second.payload + talk.encode(write(5, 1, "23.7"))
    talk.raw(CLIENT, both, seq=begin, after=90)
    talk.sent[CLIENT] = begin + len(both)
    talk.note(CLIENT, [write(5, 1, "23.7")])
    talk.acknowledge(SERVER)
    talk.packets.append(second.later(400 * MILLISECOND))
    talk.time += 500 * MILLISECOND
    ping(talk, 6)
    talk.finish()
    keep("tcp_retransmission.pcap", talk)


def tcp_overlap_conflict() -> None:
    """A segment says something else about bytes that have been seen; a receiver keeps the first."""
    talk = begun()
    first = talk.say(CLIENT, write(3, 1, "1111"))
    other = talk.encode(write(3, 1, "2222")) + talk.encode(write(4, 1, "3333"))
    talk.raw(CLIENT, other, seq=first.sequence)
    talk.sent[CLIENT] = first.sequence + len(other)
    talk.note(CLIENT, [write(4, 1, "3333")])
    talk.acknowledge(SERVER)
    ping(talk, 5)
    talk.finish()
    keep("tcp_overlap_conflict.pcap", talk)


def tcp_keep_alive() -> None:
    """Probes repeat the last acknowledged position, without a byte and with one of rubbish."""
    talk = begun()
    ping(talk, 3)
    talk.acknowledge(CLIENT)
    talk.packet(CLIENT, "A", seq=talk.sent[CLIENT] - 1, after=5000)
    talk.acknowledge(SERVER)
    talk.packet(CLIENT, "A", b"\xff", seq=talk.sent[CLIENT] - 1, after=5000)
    talk.acknowledge(SERVER)
    talk.say(CLIENT, write(4, 1, "23.5"))
    ping(talk, 5)
    talk.finish()
    keep("tcp_keep_alive.pcap", talk)


def tcp_mid_stream() -> None:
    """The capture begins inside a frame of the device, long after the handshake."""
    talk = Talk()
    tail = talk.encode(write(900, 1, "23.5"))[7:]
    talk.raw(CLIENT, tail)
    talk.say(CLIENT, write(901, 2, "17"))
    talk.acknowledge(SERVER)
    ping(talk, 902)
    talk.say(SERVER, write(55, 4, "1"))
    talk.say(CLIENT, write(903, 2, "18"), write(904, 3, "on"))
    ping(talk, 905)
    talk.finish()
    keep("tcp_mid_stream.pcap", talk)


def tcp_one_direction() -> None:
    """Only what the device sends was captured."""
    talk = whole()
    talk.packets = [packet for packet in talk.packets if packet.to_server]
    talk.truth = [row for row in talk.truth if row["dir"] == "c2s"]
    keep("tcp_one_direction.pcap", talk)


def tcp_port_reuse() -> None:
    """The same ports twice: the first connection is never closed, the second begins elsewhere in sequence space."""
    old = begun()
    old.say(CLIENT, write(3, 1, "old"))
    old.acknowledge(SERVER)
    new = begun(first=(5_000_000, 77), start=old.time + 20_000 * MILLISECOND)
    new.say(CLIENT, write(3, 1, "new"))
    ping(new, 4)
    new.finish()
    keep("tcp_port_reuse.pcap", old, new)


def tcp_reset() -> None:
    """The server resets the connection."""
    talk = begun()
    talk.say(CLIENT, write(3, 1, "23.5"))
    talk.acknowledge(SERVER)
    talk.packet(SERVER, "RA")
    keep("tcp_reset.pcap", talk)


def tcp_half_close() -> None:
    """The device has said FIN and the server still sends."""
    talk = begun()
    talk.say(CLIENT, Frame(PING, 3))
    talk.packet(CLIENT, "FA")
    talk.sent[CLIENT] += 1
    talk.say(SERVER, answer(3))
    talk.say(SERVER, write(1, 4, "late"), after=200)
    talk.acknowledge(CLIENT)
    talk.packet(SERVER, "FA")
    talk.sent[SERVER] += 1
    talk.acknowledge(CLIENT)
    keep("tcp_half_close.pcap", talk)


def tcp_data_after_fin() -> None:
    """The device goes on sending after its own FIN, which no receiver takes."""
    talk = begun()
    ping(talk, 3)
    talk.packet(CLIENT, "FA")
    talk.sent[CLIENT] += 1
    talk.acknowledge(SERVER)
    talk.say(CLIENT, write(4, 1, "ghost"), event="after_fin")
    talk.packet(SERVER, "R", ack=0)
    keep("tcp_data_after_fin.pcap", talk)


def tcp_snaplen() -> None:
    """96 bytes of each packet were kept: two long frames are cut, those behind them are whole."""
    talk = begun()
    for row in talk.truth:
        if row["cmd"] == INTERNAL:
            row["event"] = "lost"
    talk.say(CLIENT, long_write(3, 1, 120), event="lost")
    talk.acknowledge(SERVER)
    talk.say(CLIENT, write(4, 2, "17"))
    ping(talk, 5)
    talk.say(CLIENT, write(6, 2, "18"))
    ping(talk, 7)
    talk.finish()
    packets = [captured(packet.time, ethernet(packet), 96) for packet in talk.packets]
    save("tcp_snaplen.pcap", pcap(packets, snaplen=96), talk)


def tcp_lost_segment() -> None:
    """A segment of whole frames is missing from the file, though the server has acknowledged it."""
    talk = begun()
    talk.say(CLIENT, write(3, 1, "23.5"))
    talk.acknowledge(SERVER)
    talk.say(CLIENT, write(4, 1, "23.6"), write(5, 2, "on"), captured=False, event="lost")
    talk.acknowledge(SERVER)
    talk.say(CLIENT, write(6, 1, "23.7"))
    talk.acknowledge(SERVER)
    ping(talk, 7)
    talk.say(CLIENT, write(8, 1, "23.8"), after=2000)
    ping(talk, 9)
    talk.finish()
    keep("tcp_lost_segment.pcap", talk)


def tcp_lost_inside_body() -> None:
    """The middle of a long body is missing; what follows the frame is whole."""
    talk = begun()
    body = b"Your greenhouse is on fire, please come home as soon as you can. " * 6
    data = talk.encode(Frame(NOTIFY, 3, body))
    talk.raw(CLIENT, data[:100])
    talk.raw(CLIENT, data[100:250], captured=False)
    talk.raw(CLIENT, data[250:])
    talk.note(CLIENT, [Frame(NOTIFY, 3, body)], "lost")
    talk.acknowledge(SERVER)
    talk.say(SERVER, answer(3))
    talk.say(CLIENT, write(4, 1, "23.7"))
    ping(talk, 5)
    talk.say(CLIENT, write(6, 1, "23.8"), after=2000)
    ping(talk, 7)
    talk.finish()
    keep("tcp_lost_inside_body.pcap", talk)


def tcp_zero_window() -> None:
    """The server's window is shut; the device probes with the first byte of its next frame until it opens."""
    talk = begun()
    talk.say(CLIENT, write(3, 1, "23.5"))
    talk.packet(SERVER, "A", window=0)
    frame = write(4, 1, "23.6")
    first = talk.encode(frame)[:1]
    for wait in (500, 1000):
        talk.packet(CLIENT, "A", first, after=wait)
        talk.packet(SERVER, "A", window=0)
    talk.packet(SERVER, "A", window=5744, after=300)
    talk.say(CLIENT, frame)
    talk.acknowledge(SERVER)
    ping(talk, 5)
    talk.finish()
    keep("tcp_zero_window.pcap", talk)


# -- what becomes of writes


def writes_states() -> None:
    """One connection in which pin writes end in every state that a capture can prove."""
    talk = begun()
    talk.say(CLIENT, write(3, 1, "23.5", "confirmed"))
    talk.acknowledge(SERVER)
    talk.say(CLIENT, Frame(PROPERTY, 4, b"1\0color\0#23C48E"))
    talk.say(SERVER, answer(4))
    talk.say(CLIENT, Frame(HW_SYNC, 5, b"vr\0001"))
    talk.say(SERVER, write(5, 1, "23.5"))
    talk.say(CLIENT, write(6, 2, "on", "contradicted"))
    talk.acknowledge(SERVER)
    talk.say(CLIENT, Frame(HW_SYNC, 7, b"vr\0002"))
    talk.say(SERVER, write(7, 2, "off"))
    talk.say(CLIENT, Frame(HW, 8, b"vw\x003", write="rejected"))
    talk.say(SERVER, answer(8, 2))
    talk.say(CLIENT, write(9, 4, "17", "passed"))
    ping(talk, 10)
    talk.say(CLIENT, write(11, 5, "1", "delivered"))
    talk.acknowledge(SERVER)
    seen = talk.sent[CLIENT]
    talk.say(CLIENT, write(12, 6, "gone", "lost"), after=500)
    talk.packet(SERVER, "RA", ack=seen)
    keep("writes_states.pcap", talk)


def login_invalid_token() -> None:
    """A token that the server does not know gets status 9, and the connection stays open for another try."""
    talk = Talk()
    talk.open()
    talk.say(CLIENT, Frame(HW_LOGIN, 1, TOKEN_UNKNOWN))
    talk.say(SERVER, answer(1, 9))
    talk.say(CLIENT, Frame(HW_LOGIN, 2, TOKEN_UNKNOWN), after=5000)
    talk.say(SERVER, answer(2, 9))
    talk.acknowledge(CLIENT)
    talk.finish()
    keep("login_invalid_token.pcap", talk)


# -- damaged files


def only_first(talk: Talk, packets: int) -> Talk:
    """Take the rows out of the truth whose packets lie in the damaged part."""
    last = talk.packets[packets - 1].time / 1e9
    talk.truth = [row for row in talk.truth if row["ts"] <= last + 1e-6]
    return talk


def damaged() -> None:
    """Files that end or break in the middle; their truth holds what lies before the damage."""
    talk = whole()
    packets = over(ethernet, talk)
    count = 12
    plain, blocks = pcap(packets[:count]), pcapng(packets[:count])
    next_packet, next_block = pcap(packets)[len(plain) :], pcapng(packets)[len(blocks) :]
    only_first(talk, count)
    save("damaged_cut_packet.pcap", plain + next_packet[:40], talk)
    save("damaged_cut_header.pcap", plain + next_packet[:7], talk)
    save("damaged_garbage.pcap", plain + b"\xde\xad\xbe\xef" * 64, talk)
    save("damaged_cut_block.pcapng", blocks + next_block[:40], talk)
    save("damaged_block_length_0.pcapng", blocks + pack("<II", 6, 0) + next_block, talk)
    save("damaged_block_length_7.pcapng", blocks + pack("<II", 6, 7) + next_block, talk)
    save("damaged_block_length_huge.pcapng", blocks + pack("<II", 6, 0xFFFFFFFC) + next_block, talk)
    wrong = bytearray(blocks + next_block)
    length = int.from_bytes(next_block[4:8], "little")
    pack_into("<I", wrong, len(blocks) + length - 4, length + 4)
    save("damaged_trailer.pcapng", bytes(wrong), talk)


ALL = (
    tcp_sequence_wrap, tcp_out_of_order, tcp_retransmission, tcp_overlap_conflict, tcp_keep_alive, tcp_mid_stream,
    tcp_one_direction, tcp_port_reuse, tcp_reset, tcp_half_close, tcp_data_after_fin, tcp_snaplen, tcp_lost_segment,
    tcp_lost_inside_body, tcp_zero_window, writes_states, login_invalid_token, damaged,
)  # fmt: skip
