"""The status table: what the length field of a RESPONSE says, and what to do about it."""

from __future__ import annotations

from blynkscope.protocol.model import Status

QUOTA_LIMIT = 1
ILLEGAL_COMMAND = 2
NOT_REGISTERED = 3
ALREADY_REGISTERED = 4
NOT_AUTHENTICATED = 5
NOT_ALLOWED = 6
DEVICE_NOT_IN_NETWORK = 7
NO_ACTIVE_DASHBOARD = 8
INVALID_TOKEN = 9
ILLEGAL_COMMAND_BODY = 11
NTF_INVALID_BODY = 13
NTF_NOT_AUTHORIZED = 14
NTF_ECXEPTION = 15
TIMEOUT = 16
NO_DATA = 17
SERVER_EXCEPTION = 19
ENERGY_LIMIT = 21
SUCCESS = 200

_ROWS = (
    Status(
        1,
        "STA_QUOTA_LIMIT_EXCEPTION",
        ("BLYNK_QUOTA_LIMIT_EXCEPTION", "QUOTA_LIMIT", "TOO_MANY_REQUESTS", "UNSUPPORTED_COMMAND"),
        "The device sends more messages than the server takes. The legacy server allows about 100 a second on"
        " average, says this at most once a minute, and from then on loses its place in the stream; for Blynk IoT 10"
        " to 50 a second are given, and it closes the connection.",
        "Send from a timer, not from loop(); write only when a value changed, and several values in one message."
        " Reconnect after this answer: the stream may not recover.",
        "Before April 2015: TOO_MANY_REQUESTS, and UNSUPPORTED_COMMAND.",
    ),
    Status(
        2,
        "STA_ILLEGAL_COMMAND",
        ("BLYNK_ILLEGAL_COMMAND", "ILLEGAL_COMMAND", "INVALID_COMMAND_FORMAT"),
        "The body does not parse for its command: a missing part, a pin that is no number, an empty sync or value.",
        "Look at the refused message byte by byte: parts are separated by NUL, pins are decimal text, and the length"
        " field counts the body's bytes.",
        "Before February 2015: INVALID_COMMAND_FORMAT.",
    ),
    Status(
        3,
        "STA_NOT_REGISTERED",
        ("BLYNK_NOT_REGISTERED", "USER_NOT_REGISTERED", "NOT_REGISTERED"),
        "App login: this server has no such account.",
        "Check that the app points to the server on which the account was made.",
    ),
    Status(
        4,
        "STA_ALREADY_REGISTERED",
        ("BLYNK_ALREADY_REGISTERED", "USER_ALREADY_REGISTERED", "ALREADY_REGISTERED"),
        "From a device: it logged in twice on one connection; libraries treat it as success. From an app: the account"
        " exists already.",
        "Log in once for each connection. The connection itself is fine.",
    ),
    Status(
        5,
        "STA_NOT_AUTHENTICATED",
        ("BLYNK_NOT_AUTHENTICATED", "USER_NOT_AUTHENTICATED", "NOT_AUTHENTICATED"),
        "A command came before the login, or the app's password is wrong.",
        "Wait for status 200 to the login before anything else is sent.",
    ),
    Status(
        6,
        "STA_NOT_ALLOWED",
        ("BLYNK_NOT_ALLOWED", "NOT_ALLOWED"),
        "The server understood the request and refuses it, for instance because it is too big or not permitted here.",
        "Check that the command fits the project: its widgets, its size, its sharing.",
    ),
    Status(
        7,
        "STA_DEVICE_NOT_IN_NETWORK",
        ("BLYNK_DEVICE_NOT_IN_NETWORK", "DEVICE_NOT_IN_NETWORK"),
        "The target of an app's command or of a bridge is not connected to this server.",
        "Find out why the other device is offline; the one that sent this command is fine.",
    ),
    Status(
        8,
        "STA_NO_ACTIVE_DASHBOARD",
        ("BLYNK_NO_ACTIVE_DASHBOARD", "NO_ACTIVE_DASHBOARD", "NOT_SUPPORTED_COMMAND"),
        "No dashboard of the project is running, so there is nothing that the command could act on.",
        "Press play in the legacy app.",
        "Before March 2015: NOT_SUPPORTED_COMMAND.",
    ),
    Status(
        9,
        "STA_INVALID_TOKEN",
        ("BLYNK_INVALID_TOKEN", "INVALID_TOKEN"),
        "This server does not know the token. Most often the token is right and the server is wrong: a Blynk IoT"
        " token on a legacy server, or the other way round. The connection stays open.",
        "Compare the token with the console character by character (32 of them, no quotes or blanks), then check the"
        " host: blynk.cloud for Blynk IoT, your own server's name for the legacy one. Logging in again with the same"
        " token is of no use.",
    ),
    Status(
        10,
        "STA_DEVICE_WENT_OFFLINE",
        ("SERVER_ERROR",),
        "In 2015 only: the device that a command was meant for had gone offline. Its name lives on with code 18.",
        history="Named STA_DEVICE_WENT_OFFLINE in 2015, SERVER_ERROR before; retired in December 2015.",
        retired=True,
    ),
    Status(
        11,
        "STA_ILLEGAL_COMMAND_BODY",
        ("BLYNK_ILLEGAL_COMMAND_BODY", "ILLEGAL_COMMAND_BODY", "USER_ALREADY_LOGGED_IN"),
        "The body parses into parts, but a part is wrong: an unknown widget property, bad JSON, a number out of range.",
        "Check the spelling of the property and its value against the widget's documentation.",
        "Before July 2015: USER_ALREADY_LOGGED_IN.",
    ),
    Status(
        12,
        "STA_GET_GRAPH_DATA_EXCEPTION",
        ("BLYNK_GET_GRAPH_DATA_EXCEPTION", "GET_GRAPH_DATA_EXCEPTION", "TWEET_EXCEPTION"),
        "The history of a pin could not be read.",
        history="Retired in September 2018. Before July 2015: TWEET_EXCEPTION, SERVER_EXCEPTION.",
        retired=True,
    ),
    Status(
        13,
        "STA_NTF_INVALID_BODY",
        ("BLYNK_NTF_INVALID_BODY", "NOTIFICATION_INVALID_BODY", "NTF_INVALID_BODY"),
        "A mail, push notification, tweet or SMS whose text the server does not take.",
        "Send a text that is neither empty nor very long.",
    ),
    Status(
        14,
        "STA_NTF_NOT_AUTHORIZED",
        ("BLYNK_NTF_NOT_AUTHORIZED", "NOTIFICATION_NOT_AUTHORIZED", "NTF_NOT_AUTHORIZED"),
        "The project has no right to send this notification: the widget is missing, or no phone or account is tied"
        " to it.",
        "Add the widget to the project, and log in to the app on the phone that shall be notified.",
    ),
    Status(
        15,
        "STA_NTF_ECXEPTION",
        ("BLYNK_NTF_ECXEPTION", "NOTIFICATION_ERROR", "NTF_EXCEPTION", "STA_NTF_EXCEPTION"),
        "The server tried to send the mail, push notification, tweet or SMS and failed. The spelling is that of the"
        " firmware headers.",
        "Look at the server's log and at its mail and push settings; the device did nothing wrong.",
    ),
    Status(
        16,
        "STA_TIMEOUT",
        ("BLYNK_TIMEOUT", "TIMEOUT"),
        "The other side did not answer in time. Client libraries also use the name for a time-out of their own.",
        "Check the connection of the device that was asked.",
        "The server has not sent it since September 2018.",
        retired=True,
    ),
    Status(
        17,
        "STA_NO_DATA_EXCEPTION",
        ("BLYNK_NO_DATA_EXCEPTION", "NO_DATA", "NO_DATA_EXCEPTION"),
        "There is nothing recorded that could be returned.",
        "Write the pin first, or check that its history is kept.",
    ),
    Status(
        18,
        "STA_DEVICE_WENT_OFFLINE",
        ("BLYNK_DEVICE_WENT_OFFLINE", "DEVICE_WENT_OFFLINE"),
        "The device that a command was meant for went offline.",
        "Find out why that device lost its connection.",
        "The server has not sent it since December 2017.",
        retired=True,
    ),
    Status(
        19,
        "STA_SERVER_EXCEPTION",
        ("BLYNK_SERVER_EXCEPTION", "SERVER_ERROR", "SERVER_EXCEPTION"),
        "Something broke inside the server while it worked on the message.",
        "Look at the server's log; try again later on a cloud server.",
    ),
    Status(
        20,
        "STA_NOT_SUPPORTED_VERSION",
        ("BLYNK_NOT_SUPPORTED_VERSION", "NOT_SUPPORTED_VERSION"),
        "The server does not take this version of the client.",
        "Update the library or the app.",
        "The server has not sent it since January 2018.",
        retired=True,
    ),
    Status(
        21,
        "STA_ENERGY_LIMIT",
        ("BLYNK_ENERGY_LIMIT", "ENERGY_LIMIT"),
        "The account has not enough energy for the widget or project.",
        "Free energy by deleting widgets, or raise the account's limit on your own server.",
    ),
    Status(
        22,
        "STA_FACEBOOK_USER_LOGIN_WITH_PASS",
        ("FACEBOOK_USER_LOGIN_WITH_PASS",),
        "Legacy app only: an account that was made through Facebook tried to log in with a password.",
        "Log in the way the account was made.",
        "From May 2017, legacy app only.",
        retired=True,
    ),
    Status(
        23,
        "STA_OPERATION_ACCEPT",
        ("BLYNK_OPERATION_ACCEPT", "OPERATION_ACCEPT"),
        "Blynk IoT: the operation that was offered is accepted.",
    ),
    Status(
        24,
        "STA_OPERATION_DECLINE",
        ("BLYNK_OPERATION_DECLINE", "OPERATION_DECLINE"),
        "Blynk IoT: the operation that was offered is declined.",
    ),
    Status(
        200,
        "STA_SUCCESS",
        ("BLYNK_SUCCESS", "OK", "SUCCESS"),
        "The message of this id was carried out. A virtual write never gets it: its silence is normal.",
    ),
)

STATUSES: dict[int, Status] = {row.code: row for row in _ROWS}

_PREFIXES = ("BLYNK_", "STA_")


def _key(name: str) -> str:
    key = name.strip().upper().replace("-", "_").replace(" ", "_")
    for prefix in _PREFIXES:
        if key.startswith(prefix):
            return key.removeprefix(prefix)
    return key


def _by_name() -> dict[str, list[Status]]:
    table: dict[str, list[Status]] = {}
    # STA_DEVICE_WENT_OFFLINE moved from 10 to 18: the newer holder of a name comes first.
    for row in reversed(_ROWS):
        table.setdefault(_key(row.name), []).append(row)
    for row in _ROWS:
        for alias in row.aliases:
            found = table.setdefault(_key(alias), [])
            if row not in found:
                found.append(row)
    return table


_BY_NAME = _by_name()


def status_name(code: int) -> str:
    """Canonical name, or `STA_?` and the number."""
    row = STATUSES.get(code)
    return row.name if row else f"STA_?{code}"


def named(name: str) -> list[Status]:
    """All statuses of this name, whatever its case and with or without `STA_` or `BLYNK_`.

    Returns:
        Rows whose canonical name it is first, then those that have it as an alias; empty if there are none.
    """
    return list(_BY_NAME.get(_key(name), ()))
