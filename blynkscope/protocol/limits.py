"""Every numeric limit of the project, each with its reason."""

from __future__ import annotations

HARDWARE_HEADER = 5
"""Bytes of the hardware dialect's header, which count toward a device's announced buffer."""

MESSAGE_ID_MAX = 0xFFFF
"""Ids are 16 bits wide; correct clients go on with 1 behind it."""

HARDWARE_BODY_MAX = 0xFFFF
"""The length field of the hardware dialect is 16 bits wide; the real server accepts a body of 65535 bytes."""

APP_BODY_MAX = 10 * 1024 * 1024
"""The legacy server closes an app connection above 10 MiB, after the body has arrived."""

INFLATED_MAX = 16 * 1024 * 1024
"""Profiles are zlib-compressed JSON; 16 MiB is far above any real one and far below a decompression bomb."""

JSON_LEVELS_MAX = 64
"""Nesting of a JSON body that is shown as JSON; a profile has about ten levels, and writers recurse on each."""

TOKEN_LENGTH = 32
"""Characters of a device's token, in both eras."""

PLAUSIBLE_TOKEN_BODY = 512
"""A login body is a token of 32 characters, or five short strings in old app logins."""

PLAUSIBLE_TEXT_BODY = 4096
"""Notifications, mails, tweets and events: the legacy server cuts or refuses longer ones; no client sends them."""

RESYNC_WINDOW = 128 * 1024
"""Bytes that a framer keeps while it looks for the next frame: a body of the greatest length and as much again."""

RECOGNISE_WINDOW = 512
"""Bytes after which a direction that nothing recognised is called unknown: longer than request lines that matter."""

NOISE_WINDOW = 4096
"""Bytes in which a stream that was seen from its beginning, but began with noise, is searched for its first frame."""

HUNT_WINDOW = 64 * 1024 + 4096
"""Bytes in which a stream joined in the middle is searched for its first frame, before it is called unknown."""

STREAMS_MAX = 8192
"""Connections that are followed at the same time; beyond it the longest idle ones are evicted and counted."""

STREAM_BUFFER_MAX = 1024 * 1024
"""Out-of-order bytes kept for one direction: the largest TCP window that small devices and their servers use."""

TOTAL_BUFFER_MAX = 16 * 1024 * 1024
"""Out-of-order bytes kept for all streams together, so that many holes at once cannot exhaust the memory."""

REORDER_SEGMENTS = 256
"""Out-of-order segments kept behind a hole before it is called lost."""

REORDER_SECONDS = 3.0
"""Capture time after which a hole is called lost: above the retransmission timeouts of phones and modems (1 to 3 s)."""

ACKED_HOLE_SECONDS = 0.25
"""A hole that the peer has acknowledged was lost by the capture alone; this long, it may be disorder in the file."""

FRAGMENTS_MAX = 256
"""IP datagrams under reassembly; beyond it the oldest is dropped and counted."""

FRAGMENT_SECONDS = 30.0
"""RFC 791 and RFC 8200 give reassembly 15 to 60 s."""

DATAGRAM_MAX = 65535
"""An IP datagram holds no more."""

PENDING_MAX = 128
"""Frames of one direction that wait for an answer: more than a client with a 10 s round trip sends at its quota."""

OPEN_WRITES_MAX = 1024
"""Pins of one stream whose last write is remembered; a template holds at most a few hundred datastreams."""

PROVING_FRAMES_MAX = 100
"""Frame numbers that one finding lists; its count is always complete."""

PACKET_MAX = 256 * 1024
"""The greatest snapshot length that capture programs use (262144); a longer record means a damaged file."""

BLOCK_MAX = 16 * 1024 * 1024
"""A pcapng block beyond this is damage, not data: the greatest packet plus options is far smaller."""

INTERFACES_MAX = 4096
"""Interfaces of one pcapng section."""

READ_SIZE = 32 * 1024
"""Bytes read at once: large enough to amortise calls, small enough that the records of one read stay small."""

PASTE_MAX = 16 * 1024 * 1024
"""Text and bytes that `hexdump` takes."""

ADDRESSES_MAX = 1024
"""Tokens, e-mail addresses and hashes that one run remembers for redaction."""

HEAVY_BUFFER = 16 * 1024
"""An incomplete frame above this counts toward the limit of all buffers together."""

MARKS_MAX = 8192
"""Pieces of one incomplete frame whose times are kept."""

JSON_MAX = 1024 * 1024
"""Bytes of a JSON document that is parsed: a profile has some 100 KiB, and a parsed value is fifty times its text."""

VALUES_KEPT = 64
"""Bytes of a write's values, and of its pin's name, that are kept to be compared; of longer values, a digest is."""

WINDOW_MAX = 1 << 30
"""The greatest TCP window (RFC 7323). What lies farther off belongs to no segment of the connection."""

SECRETS_MAX = 1024 * 1024
"""Bytes of decryption secrets that are taken from a capture."""

KEYLOG_MAX = 64 * 1024 * 1024
"""Bytes of a key log file that are read: some hundred thousand connections."""

KEYLOG_SECRETS_MAX = 100_000
"""Secrets of a key log that are remembered, some 30 MB; beyond it those of the oldest connections are forgotten."""

KEYLOG_LINE_MAX = 8192
"""Characters of a key log line; the longest real one holds the premaster secret of an 8192-bit DH group."""

TLS_HELD_MAX = 256 * 1024
"""Bytes of one direction of a TLS connection that wait for keys: programs write their key log during the handshake."""

PROXY_CONNECTIONS_MAX = 8000
"""Devices that are relayed at one time: what a GiB of memory holds of idle ones with TLS on both legs."""

PROXY_PER_ADDRESS_MAX = 1024
"""Connections of one client address: hundreds of devices may stand behind one router."""

PROXY_FIRST_BYTE_SECONDS = 30.0
"""Clients speak first, at once; a modem that dials may take some seconds. Legacy servers wait 15 s for a login."""

PROXY_HANDSHAKE_SECONDS = 30.0
"""An ESP8266 with an RSA chain of 4096 bits takes up to 10 s."""

PROXY_CONNECT_SECONDS = 10.0
"""To reach the upstream and finish TLS with it. Devices give up after 5 to 20 s, and then learn nothing."""

PROXY_ATTEMPT_SECONDS = 0.25
"""Head start of one address of the upstream before the next is tried (RFC 8305)."""

PROXY_ADDRESSES_MAX = 8
"""Addresses of the upstream's name that are tried."""

PROXY_IDLE_SECONDS = 3600.0
"""Heartbeats come each 10 to 60 s, at most every 20 minutes; what is silent for an hour was given up by its peer."""

PROXY_HALF_CLOSED_SECONDS = 300.0
"""Silence after which a connection is ended that one side has closed: the rest of an answer comes sooner."""

PROXY_STALLED_SECONDS = 10.0
"""How long a connection that rules have stalled for good outlives the FIN of one side: time for the other to notice
the silence, and short enough that clients that come and go do not use up the files."""

PROXY_LINGER_SECONDS = 10.0
"""To take the last bytes of a connection that is over; who does not read them is cut off."""

PROXY_PARTIAL_SECONDS = 2.0
"""How long rules hold the beginning of a frame whose rest does not come, before it goes on as it is."""

PROXY_FRAME_MAX = 128 * 1024
"""A frame above this goes on as it comes, past the rules: twice the greatest one of a device."""

PROXY_HELLO_MAX = 32 * 1024
"""A ClientHello has some 200 bytes to 2 KiB, with post-quantum keys; sixteen times that."""

PROXY_FIRST_MAX = 64 * 1024
"""Bytes of the device that wait for the upstream, before no more is read."""

PROXY_WRITE_HIGH = 64 * 1024
"""Bytes that wait to be written to one side before the other is read no more."""

PROXY_READ_SIZE = 64 * 1024
"""Bytes read at once, into one buffer that all connections share."""

PROXY_CONTEXTS_MAX = 64
"""TLS settings that are kept, one for each name and protocol that devices ask for."""

PROXY_TELLS_SECONDS = 10.0
"""Refused connections of one address are told once in this time, with how many there were."""

PROXY_TELLS_MAX = 1024
"""Addresses whose refusals are counted."""

SERVER_TICK_SECONDS = 0.25
"""How often the reference server stores what nobody waits for, and looks for what is due."""

SERVER_UNSENT_MAX = 4 * 1024 * 1024
"""Bytes that wait for one client of the reference server that takes nothing, while others write to it."""

SERVER_UNSENT_TOTAL = 64 * 1024 * 1024
"""Bytes that wait for all of them together; beyond it the client goes for which most wait."""

SERVER_BITE = 512
"""Bytes of one client that the server works off before it looks at the clock: a hundred requests at most."""

SERVER_TURN_SECONDS = 0.005
"""How long the server works for one client before others have their turn."""

SERVER_IDLE_SECONDS = 3 * 86400.0
"""Silence on a connection that only the reference server ends: devices may have a heartbeat of a day, times 2.3."""

PROXY_INJECT_MAX = 1024 * 1024
"""Bytes that rules, or a person, may have waiting for one side; what is beyond it is dropped and told."""
