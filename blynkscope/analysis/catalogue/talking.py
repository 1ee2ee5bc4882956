"""BS3xx: talking."""

from __future__ import annotations

from blynkscope.analysis.catalogue.model import Rule, Severity

RULES: tuple[Rule, ...] = (
    Rule(
        "BS301",
        "unacknowledged-write",
        Severity.NOTE,
        "delivery",
        "Virtual writes without proof of arrival",
        "A Blynk server never answers a good write, so silence proves nothing either way. What a capture can prove is, "
        "from weak to strong: sent (the bytes left), delivered (the server's TCP acknowledged them), passed (a later "
        "request on the same connection was answered, so the server has read past the write), confirmed (a HW_SYNC of "
        "the pin returned the same value). Writes below confirmed are counted here.",
        "Where a value must arrive, synchronise the pin after writing it (Blynk.syncVirtual(V1)) and compare the value "
        "that comes back; a PING or a property change after the write at least proves that the server read past it.",
        "acknowledgements",
    ),
    Rule(
        "BS302",
        "sync-contradicts",
        Severity.WARNING,
        "delivery",
        "The server holds another value than was written",
        "A HW_SYNC behind the write brought back another value, and nobody else on this connection wrote the pin in "
        "between. Either the write was dropped (over quota, larger than the buffer, dashboard not active), the server "
        "changed it (limits of the datastream, rounding), or another client wrote the pin at the same time. The same "
        "number in other digits (10 and 10.0) is a note: that write arrived.",
        "Write again and compare again. Check the datastream's type, minimum and maximum, and who else writes the pin "
        "(apps, REST calls, automations).",
        "acknowledgements",
    ),
    Rule(
        "BS303",
        "write-rejected",
        Severity.WARNING,
        "delivery",
        "The server refused pin writes",
        "Good writes are never answered, so an answer to a write is always a refusal: its value was not stored.",
        "Look up what the status means (as in `blynkscope explain STA_ILLEGAL_COMMAND`) and correct "
        "the write: pin number in decimal, a value in every write, and for apps a dashboard and device that exist and "
        "are online.",
        "acknowledgements",
    ),
    Rule(
        "BS304",
        "answer-missing",
        Severity.WARNING,
        "answers",
        "Messages that are always answered got no answer",
        "By the acknowledgement table these commands get an answer, success or not. Where it is missing although later "
        "messages were answered, or although there was time, the server dropped the message or lost its place in the "
        "stream; a client that waits for the answer hangs.",
        "Give such requests a time limit and repeat them. For MSG_PROPERTY see that the dashboard is active: the "
        "legacy server does not answer otherwise. Compare the message with the layout of its command, as "
        "`blynkscope explain MSG_PROPERTY` shows it.",
        "acknowledgements",
    ),
    Rule(
        "BS305",
        "answer-unknown-id",
        Severity.NOTE,
        "answers",
        "Answers to nothing that was asked",
        "A RESPONSE names a message by its id, and no message of this id waits for one. The request lies before the "
        "beginning of the recording or in a hole of it, it was answered already, or one side counts its ids wrongly.",
        "Nothing, if the recording has holes. Otherwise compare ids on both sides: each side numbers its own messages, "
        "and an answer repeats the id of what it answers.",
        "message framing",
    ),
    Rule(
        "BS306",
        "error-status",
        Severity.WARNING,
        "answers",
        "The server answered with an error status",
        "The message arrived and was understood, but was not carried out; the status says why.",
        "Act by the status; each has a page, as `blynkscope explain STA_NOT_ALLOWED`.",
        "status codes",
    ),
    Rule(
        "BS307",
        "illegal-body",
        Severity.WARNING,
        "answers",
        "The body of a message does not fit its command",
        "Bodies are text in parts that are separated by NUL, in the layout of their command. What does not parse is "
        "refused with STA_ILLEGAL_COMMAND (2) or STA_ILLEGAL_COMMAND_BODY (11), or dropped without a word.",
        "Build the body as the page of its command lays it out (`blynkscope explain MSG_HW` for pins): NUL "
        "between the parts and none missing, pins in decimal text, the length field counting the bytes of "
        "the body (not characters).",
        "message bodies",
    ),
    Rule(
        "BS308",
        "message-flood",
        Severity.WARNING,
        "pace",
        "The client sends more messages a second than servers take",
        "The legacy server allows 100 messages a second on average (bursts pass) and then drops messages and loses its "
        "place in the stream. Blynk IoT publishes 50 requests a second, older texts and the forum 10 to 20; it closes "
        "the connection. Every virtualWrite() is a message of its own.",
        "Send from a timer (BlynkTimer, setInterval(1000L, …)), never straight from loop(). Write a pin only when its "
        "value has changed, and several values in one write (Blynk.virtualWrite(V1, a, b, c)) or a group.",
        "timing and limits",
    ),
    Rule(
        "BS309",
        "quota-exceeded",
        Severity.ERROR,
        "pace",
        "The server says that the device exceeded its quota",
        "STA_QUOTA_LIMIT_EXCEPTION (1) means that messages are being thrown away. The legacy server says so at most "
        "once a minute, and goes on dropping without a word.",
        "Send less: from a timer, on change only, several values in one message. Then reconnect, because the legacy "
        "server does not find its place in the stream again. On your own server `user.message.quota.limit` in "
        "server.properties is the limit.",
        "status codes",
    ),
    Rule(
        "BS310",
        "stream-desync",
        Severity.ERROR,
        "pace",
        "The server lost its place in the stream",
        "Over quota the legacy server takes a message's 5-byte header and leaves its body in the stream. From then on "
        "it reads bodies as headers: messages are misread, wait for bytes that never come, or vanish. The device sees "
        "silence: pings and other requests get no answer any more. The connection may never recover.",
        "Close the connection and open a new one as soon as status 1 came or a ping stays unanswered, and send at a "
        "lower rate there.",
        "timing and limits",
    ),
    Rule(
        "BS311",
        "id-zero",
        Severity.WARNING,
        "numbering",
        "The client uses message id 0",
        "Ids begin with 1 and go from 65535 back to 1; 0 is invalid for clients. The server takes it and answers with "
        "id 0, and the C++, JavaScript and Python libraries close the connection on such an answer.",
        "Skip 0 when the counter wraps: `if (++id == 0) id = 1;`.",
        "message framing",
    ),
    Rule(
        "BS312",
        "id-reuse",
        Severity.NOTE,
        "numbering",
        "Message ids are used again",
        "Ids are not unique. The C++ library gives a write made inside a write handler the id of the message that is "
        "being handled, which is harmless. A client that uses one id for several requests, though, cannot tell their "
        "answers apart.",
        "Leave writes inside a write handler as they are. Give each request that waits for an answer (a ping, a "
        "property, a sync) an id of its own: the last one plus one, and 1 behind 65535.",
        "message framing",
    ),
    Rule(
        "BS313",
        "id-stuck",
        Severity.WARNING,
        "numbering",
        "The client's message id stands still after 65535",
        "The counter is wider than the 16 bits of the field and is clamped instead of wrapped, so every message after "
        "the 65535th has the same id (blynklib 0.2.6 does this). Answers can no longer be told apart, and a client "
        "that waits for a certain id may take a ping's answer for another one's.",
        "Let the counter wrap from 65535 to 1; for Python use BlynkLib instead of blynklib 0.2.6. Until then, "
        "reconnect before 65535 messages were sent.",
        "message framing",
    ),
    Rule(
        "BS314",
        "heartbeat-gap",
        Severity.WARNING,
        "heartbeat",
        "The device was silent for longer than it may be",
        "The device announced a heartbeat and then said nothing for longer than the server waits: ceil(2.3 times the "
        "heartbeat) on the legacy server, 1.5 times on Blynk IoT. It is shown offline or loses its connection. Usually "
        "the sketch is blocked (delay(), a sensor library, a slow HTTP call) and does not come to Blynk.run().",
        "Call Blynk.run() in every turn of loop() and replace delay() by timers; or announce a longer heartbeat "
        "(`#define BLYNK_HEARTBEAT 60` before the include).",
        "timing and limits",
    ),
    Rule(
        "BS315",
        "idle-close",
        Severity.WARNING,
        "heartbeat",
        "The server closed the connection because the device was silent",
        "The time from the device's last message to the close is the server's idle limit for the announced heartbeat. "
        "The device should have sent a PING before.",
        "Call Blynk.run() in every turn of loop(), so that the library can send its PING; in hand-written clients send "
        "a PING whenever nothing was said for the announced heartbeat.",
        "timing and limits",
    ),
    Rule(
        "BS316",
        "oversized-body",
        Severity.WARNING,
        "size",
        "Messages are larger than the device's buffer",
        "A device announces its receive buffer as `buff-in`, header included. The legacy server drops writes that do "
        'not fit without a word; what arrives all the same makes the library print "Packet too big" and give the '
        "connection up.",
        "Raise the buffer (`#define BLYNK_MAX_READBYTES 1024` before the include), or send shorter values: split long "
        "texts, and do not push tables through one pin.",
        "message framing",
    ),
    Rule(
        "BS317",
        "info-ignored",
        Severity.NOTE,
        "heartbeat",
        "The legacy server ignores what the device says of itself",
        "The legacy server decides by the first letter of the first key. The C++ library 1.3 and later begins with "
        "`mcu`, which it neither answers nor heeds: heartbeat (`h-beat`), buffer size and version are not taken over, "
        "and the server's own idle setting applies.",
        "Nothing has to be done where the connection is stable. Otherwise use library 1.2 or older with a legacy "
        "server, or set the server's `hard.socket.idle.timeout` above the device's heartbeat.",
        "acknowledgements",
    ),
    Rule(
        "BS318",
        "length-as-status",
        Severity.NOTE,
        "reading",
        "This number is a length, not a status",
        "The last two bytes of a header are a status only in a RESPONSE (command 0). In every other message they are "
        "the length of the body. In `>[14|00|0D|00|09]` the 9 says that nine bytes follow; it is not "
        "STA_INVALID_TOKEN.",
        "Look at the first byte: only 00 makes the last two bytes a status.",
        "status codes",
    ),
    Rule(
        "BS319",
        "broken-framing",
        Severity.ERROR,
        "framing",
        "The bytes do not form whole messages",
        "Headers are where none should be, lengths do not fit what follows, or a message ends early. The receiver then "
        'reads bodies as headers ("Invalid header type", "Bad hdr len", "Packet too big") until the '
        "connection is closed. Causes are bytes lost or added on a serial line, two tasks that write to one socket at "
        "once, and clients that count characters instead of bytes.",
        "Keep everything else away from the port that carries Blynk (prints, modem notices), lower the baud rate or "
        "use hardware serial, write each message in one call, and compute the length from the encoded bytes.",
        "message framing",
    ),
    Rule(
        "BS320",
        "cut-short-frame",
        Severity.WARNING,
        "framing",
        "A message breaks off in the middle",
        "The header declares more bytes than were printed, and the library then reports a failure: the message left "
        "the device incomplete. The server waits for the rest and takes the next message for it, so everything behind "
        "is lost. On small boards this is a sign of too little memory, or of a module whose send buffer is too small.",
        'Free memory: shorter strings, F() around literals, smaller buffers, fewer libraries; look at "Free RAM" in '
        "the log. With an AT modem send shorter messages, or use a board with more memory.",
        "timing and limits",
    ),
    Rule(
        "BS321",
        "device-crash",
        Severity.WARNING,
        "device",
        "The device crashed or restarted",
        "An exception, a watchdog, a brownout or a new boot in the middle of the log ended the connection; the network "
        "and the server have no part in it.",
        "Where the log holds a stack trace, decode it (ESP exception decoder); look for recursion, null pointers and "
        "long loops without yield(), and for brownouts use a stronger supply and a capacitor near the module.",
        "notations",
    ),
    Rule(
        "BS322",
        "lost-write",
        Severity.WARNING,
        "delivery",
        "Writes were lost when the connection ended",
        "The bytes of these writes left the client, and the connection ended before the server's TCP acknowledged "
        "them. TCP does not carry them over to the next connection and neither does the library, so the server goes "
        "on showing the values of before.",
        "Write the current values again after every login: in BLYNK_CONNECTED(), or where the client learns that its "
        "login was accepted. Remove what ended the connection, where another finding tells it.",
        "acknowledgements",
    ),
)
