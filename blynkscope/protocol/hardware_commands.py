"""The rows of the command table that hold on the hardware dialect: what devices and the server say to each other."""

from __future__ import annotations

from blynkscope.protocol import bodies, two_way_bodies
from blynkscope.protocol.model import ALL, APP, DEVICE, HARDWARE_ONLY, SERVER, Ack, Command, Era, Sender

_FROM_DEVICE = frozenset({DEVICE})
_FROM_SERVER = frozenset({SERVER})
_BOTH = frozenset({DEVICE, SERVER})
_MEASURED = "legacy server 0.41.17, measured"
_SOURCE = "legacy server 0.41.17, read from its source"
_LIBRARY = "Blynk C++ library 1.x"

HARDWARE_COMMANDS: tuple[Command, ...] = (
    Command(
        0,
        "MSG_RSP",
        ("BLYNK_CMD_RESPONSE", "RESPONSE"),
        ALL,
        frozenset({DEVICE, SERVER, APP}),
        Ack.NOTHING,
        bodies.EMPTY,
        "Answers the message of the same id with a status code. It never has a body: what is a length in every other"
        " message is the status here, two bytes wide for devices and four for apps and dashboards. Status 200 means"
        " success. Answers may overtake each other, so match them by id, not by order.",
        _MEASURED,
    ),
    Command(
        2,
        "MSG_LOGIN",
        ("BLYNK_CMD_LOGIN", "LOGIN"),
        HARDWARE_ONLY,
        _FROM_DEVICE,
        Ack.STATUS,
        bodies.LOGIN,
        "The login of old devices; the body is the token alone. Libraries up to 0.5.4 send it, later ones use"
        " MSG_HW_LOGIN. A token that this server does not know is refused with status 9 and the connection stays open;"
        " a second login on the same connection gets 4. Over Bluetooth or a serial line without a server the phone"
        " logs in to the device.",
        _MEASURED,
        failures=(9, 4),
        history="The C++ library replaced it by MSG_HW_LOGIN in 0.6; blynklib 0.2.6 still sends it.",
    ),
    Command(
        6,
        "MSG_PING",
        ("BLYNK_CMD_PING", "PING"),
        HARDWARE_ONLY,
        _BOTH,
        Ack.STATUS,
        bodies.EMPTY,
        "The heartbeat, without a body. A device sends it when nothing went either way for its heartbeat interval"
        " and expects status 200; without an answer it gives the connection up. The server may ping too, and devices"
        " answer. A round trip of a ping is also the cheapest proof that the server has read everything sent before"
        " it.",
        _MEASURED,
    ),
    Command(
        12,
        "MSG_TWEET",
        ("BLYNK_CMD_TWEET", "TWEET"),
        HARDWARE_ONLY,
        _FROM_DEVICE,
        Ack.STATUS,
        bodies.TEXT,
        "Asks the server to post the text on the Twitter account of the project. It needs the Twitter widget: without"
        " one, or without its authorisation, status 14 comes back.",
        _SOURCE,
        failures=(14,),
    ),
    Command(
        13,
        "MSG_EMAIL",
        ("BLYNK_CMD_EMAIL", "EMAIL", "MAIL"),
        HARDWARE_ONLY,
        _FROM_DEVICE,
        Ack.STATUS,
        bodies.EMAIL,
        "Asks the server to send a mail. With two parts they are subject and text, and the address comes from the"
        " project; with three, the first is the recipient. Status 2 means that the parts do not fit, 15 that the mail"
        " could not be sent.",
        _SOURCE,
        failures=(2, 15),
    ),
    Command(
        14,
        "MSG_NOTIFY",
        ("BLYNK_CMD_NOTIFY", "PUSH_NOTIFICATION", "NOTIFY", "PUSH"),
        HARDWARE_ONLY,
        _FROM_DEVICE,
        Ack.STATUS,
        bodies.TEXT,
        "Asks the server for a push notification to the owner's phones. An empty or overlong text is refused with 13,"
        " a project without the widget or a phone without a push token with 14, an inactive dashboard with 8, and too"
        " many of them with 1.",
        _MEASURED,
        failures=(13, 14, 8, 1),
    ),
    Command(
        15,
        "MSG_BRIDGE",
        ("BLYNK_CMD_BRIDGE", "BRIDGE"),
        HARDWARE_ONLY,
        _BOTH,
        Ack.BY_BODY,
        two_way_bodies.BRIDGE_MESSAGE,
        "Lets one device write pins of another. `i` with the other device's token ties a virtual pin to it and is"
        " answered with 200. What follows on that pin is handed on and not answered when it succeeds, so a forwarded"
        " write is as unproven as any other. 7 means that the other device is offline, 6 that the server does not"
        " allow it.",
        _MEASURED,
        failures=(6, 7, 2),
    ),
    Command(
        16,
        "MSG_HW_SYNC",
        ("BLYNK_CMD_HARDWARE_SYNC", "HARDWARE_SYNC", "HW_SYNC", "SYNC"),
        HARDWARE_ONLY,
        _FROM_DEVICE,
        Ack.SYNC,
        bodies.SYNC,
        "Asks for the stored values of some pins, or of all of them where the body is empty. There is no status:"
        " each value comes as an MSG_HW that carries the id of the request, and a pin that has no value yet gives no"
        " answer at all. A sync right after a write is the only way to see that the write was stored.",
        _MEASURED,
        failures=(2,),
    ),
    Command(
        17,
        "MSG_INTERNAL",
        ("BLYNK_CMD_INTERNAL", "BLYNK_INTERNAL", "INTERNAL", "HARDWARE_INFO"),
        HARDWARE_ONLY,
        _BOTH,
        Ack.BY_BODY,
        bodies.INTERNAL,
        "Everything about the device itself. After login a device announces version, heartbeat, buffer size and"
        " firmware as pairs of key and value; `rtc` asks for the time and is answered by an MSG_INTERNAL of the same"
        " id; the server reports apps that come and go (`acon`, `adis`) and offers firmware (`ota` and a URL). The"
        " legacy server decides by the first letter of the first key: info that begins with `mcu`, as the C++ library"
        " 1.3 and later send it, is neither answered nor heeded there, and its heartbeat is ignored. Blynk IoT"
        " answers info with 200.",
        _MEASURED,
        failures=(2,),
        history="Called HARDWARE_INFO before 2017.",
    ),
    Command(
        18,
        "MSG_SEND_SMS",
        ("BLYNK_CMD_SMS", "SMS", "SEND_SMS"),
        HARDWARE_ONLY,
        _FROM_DEVICE,
        Ack.STATUS,
        bodies.TEXT,
        "Asks the server to send the text as an SMS to the number that the project holds. Status 14 means that no SMS"
        " widget or number is set up, 15 that the gateway failed.",
        _SOURCE,
        failures=(14, 15),
    ),
    Command(
        19,
        "MSG_PROPERTY",
        ("BLYNK_CMD_PROPERTY", "SET_WIDGET_PROPERTY", "PROPERTY"),
        HARDWARE_ONLY,
        _BOTH,
        Ack.STATUS,
        bodies.PROPERTY,
        "Changes how the widget of a virtual pin looks: label, colour, limits, menu entries and so on. Unlike a pin"
        " write it is answered: 200, or 11 for an unknown property and 2 for a pin or colour that does not parse. On"
        " the legacy server a dashboard that is not active gives no answer. Devices do not answer the ones they"
        " receive.",
        _MEASURED,
        failures=(11, 2),
    ),
    Command(
        20,
        "MSG_HW",
        ("BLYNK_CMD_HARDWARE", "HARDWARE", "HW"),
        HARDWARE_ONLY,
        _BOTH,
        Ack.NEVER_ON_SUCCESS,
        bodies.PIN_OPERATION,
        "Reads, writes and sets up pins, both ways; `vw` is a virtual write. A good write is never answered, by nobody:"
        " only a malformed one gets status 2, or 11. So silence proves nothing, and a write counts as unacknowledged"
        " until an MSG_HW_SYNC of the pin brings the value back. An app sees a device's write at once, and a device"
        " gets the writes of apps as the same command.",
        _MEASURED,
        failures=(2, 11),
    ),
    Command(
        21,
        "MSG_GROUP",
        ("BLYNK_CMD_GROUP", "GROUP"),
        HARDWARE_ONLY,
        _FROM_DEVICE,
        Ack.UNKNOWN,
        bodies.GROUP,
        "Brackets several writes that belong together: `b` opens the group, `t` opens it with a timestamp in"
        " milliseconds, `e` ends it. It exists on Blynk IoT only. The legacy server has another meaning for the code on"
        " its app side and ignores it silently when a device sends it.",
        f"{_LIBRARY}; silence of the {_MEASURED}",
        era=Era.IOT,
    ),
    Command(
        29,
        "MSG_HW_LOGIN",
        ("BLYNK_CMD_HW_LOGIN", "HARDWARE_LOGIN", "HW_LOGIN", "LOGIN_HARDWARE", "GET_SHARED_DASH"),
        HARDWARE_ONLY,
        _FROM_DEVICE,
        Ack.STATUS,
        bodies.LOGIN,
        "The first message of a device: its 32-character token. Status 200 lets it in. Status 9 says that this"
        " server does not know the token, which most often means the right token at the wrong server, and the"
        " connection stays open; 4 says that this connection is logged in already. Anything sent before it makes the"
        " server hang up.",
        _MEASURED,
        failures=(9, 4),
        history="On the app side the code was GET_SHARED_DASH from 2015 to 2017. Devices use it since library 0.6.",
    ),
    Command(
        41,
        "MSG_REDIRECT",
        ("BLYNK_CMD_REDIRECT", "CONNECT_REDIRECT", "REDIRECT"),
        HARDWARE_ONLY,
        _FROM_SERVER,
        Ack.NOTHING,
        bodies.REDIRECT,
        "Tells the device that its account lives on another server: host, and a port where it differs. The device must"
        " close, connect there and log in again; firmware that ignores it never gets in. A device that connects to the"
        " common name of Blynk IoT must expect it.",
        f"{_SOURCE}; {_LIBRARY}; Blynk IoT documentation",
    ),
    Command(
        55,
        "MSG_DBG_PRINT",
        ("BLYNK_CMD_DEBUG_PRINT", "DEBUG_PRINT", "DBG_PRINT"),
        HARDWARE_ONLY,
        _FROM_SERVER,
        Ack.NOTHING,
        bodies.TEXT,
        "A text that the server wants to see in the device's log. The library prints it and does not answer.",
        _LIBRARY,
    ),
    Command(
        64,
        "MSG_EVENT_LOG",
        ("BLYNK_CMD_EVENT_LOG", "EVENT_LOG", "LOG_EVENT", "HARDWARE_LOG_EVENT"),
        HARDWARE_ONLY,
        _FROM_DEVICE,
        Ack.UNKNOWN,
        bodies.EVENT_LOG,
        "Reports an event by the code that the template gives it, with an optional description; Blynk IoT turns it"
        " into a timeline entry and, where set up, into notifications. Blynk IoT takes 100 events a device and day,"
        " and one of a kind each second.",
        f"{_LIBRARY}; Blynk IoT documentation",
        era=Era.IOT,
        history="The legacy server calls the code HARDWARE_LOG_EVENT.",
    ),
    Command(
        64,
        "MSG_HARDWARE_LOG_EVENT",
        ("HARDWARE_LOG_EVENT",),
        HARDWARE_ONLY,
        _FROM_DEVICE,
        Ack.NOTHING,
        bodies.EVENT_LOG,
        "The legacy server's name for MSG_EVENT_LOG. Its open-source edition has no events: the message is read and"
        " nothing comes back, neither success nor failure.",
        _MEASURED,
        era=Era.LEGACY,
    ),
    Command(
        65,
        "MSG_EVENT_CLEAR",
        ("BLYNK_CMD_EVENT_CLEAR", "EVENT_CLEAR", "CLEAR_EVENT", "HARDWARE_RESEND_FROM_BLUETOOTH"),
        HARDWARE_ONLY,
        _FROM_DEVICE,
        Ack.UNKNOWN,
        bodies.EVENT_CLEAR,
        "Marks an event as resolved; `all` after the name clears every open one of that kind. Blynk IoT only: the"
        " legacy server gives the code another meaning.",
        _LIBRARY,
        era=Era.IOT,
    ),
    Command(
        65,
        "MSG_HARDWARE_RESEND_FROM_BLUETOOTH",
        ("HARDWARE_RESEND_FROM_BLUETOOTH",),
        ALL,
        frozenset({Sender.APP, Sender.DEVICE}),
        Ack.UNKNOWN,
        bodies.RAW,
        "Carries what a phone heard from a device over Bluetooth to the legacy server. A device that speaks to Blynk"
        " IoT means MSG_EVENT_CLEAR by the same code.",
        _SOURCE,
        era=Era.LEGACY,
    ),
)
