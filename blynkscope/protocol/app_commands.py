"""The rows of the command table that hold between apps or dashboards and the legacy server.

Most of them are rare on a device developer's wire, so a row here is one call: what differs from row to row is its code,
its names, who sends it, what answers it and what its body looks like.
"""

from __future__ import annotations

from blynkscope.protocol import bodies, two_way_bodies
from blynkscope.protocol.app_bodies import (
    APP_DOCUMENT,
    APP_ID,
    ASSIGN_TOKEN,
    DASH,
    DASH_APP,
    DASH_DEVICE,
    DASH_DOCUMENT,
    DASH_REPORT,
    DASH_STATE,
    DASH_TAG,
    DASH_WIDGET,
    DASH_WIDGET_TEMPLATE,
    DEVICE_DOCUMENT,
    ENERGY,
    GRAPH,
    GRAPH_RESPONSE,
    MAIL,
    PHONE,
    PURCHASE,
    PUSH_TOKEN,
    REDEEM,
    REPORT_DOCUMENT,
    RESET_PASSWORD,
    TAG_DOCUMENT,
    TARGET,
    TARGET_ARGS,
    TARGET_DATASTREAMS,
    TARGET_PROPERTY,
    TARGET_WIDGET,
    WIDGET_DOCUMENT,
)
from blynkscope.protocol.model import APP, APP_WEB, SERVER, Ack, Command, Era, Sender
from blynkscope.protocol.schema import Body

_APP = frozenset({APP})
_SERVER = frozenset({SERVER})
_BOTH = frozenset({APP, SERVER})
_NOBODY: frozenset[Sender] = frozenset()
_MEASURED = "legacy server 0.41.17, measured"
_SOURCE = "legacy server 0.41.17, read from its source"
_REFUSED = (6, 11)
"""Not allowed or too big; JSON that does not parse."""


def _row(
    code: int,
    name: str,
    ack: Ack,
    body: Body,
    doc: str,
    *,
    senders: frozenset[Sender] = _APP,
    aliases: tuple[str, ...] = (),
    failures: tuple[int, ...] = (),
    history: str = "",
    source: str = _MEASURED,
) -> Command:
    """A row of the app and web dialects of the legacy server; the server's own name is the first alias."""
    own = () if name in aliases else (name,)
    return Command(
        code, f"MSG_{name}", (*own, *aliases), APP_WEB, senders, ack, body, doc, source,
        era=Era.LEGACY, failures=failures, history=history,
    )  # fmt: skip


def _counter(code: int, name: str) -> Command:
    """A code that the server uses for its statistics alone."""
    return Command(
        code, f"MSG_{name}", (name,), APP_WEB, _NOBODY, Ack.NOTHING, bodies.RAW,
        "Counts calls in the legacy server's statistics. The code never appears on the wire: bytes that read as it are"
        " not a frame.",
        _SOURCE, era=Era.LEGACY, on_wire=False,
    )  # fmt: skip


STATUS, SAME, NOTHING, UNKNOWN = Ack.STATUS, Ack.SAME_COMMAND, Ack.NOTHING, Ack.UNKNOWN
TEXT = bodies.TEXT
DASH_OR_TOKEN, PROFILE = two_way_bodies.DASH_OR_TOKEN, bodies.PROFILE

# fmt: off
APP_COMMANDS: tuple[Command, ...] = (
    _row(1, "REGISTER", STATUS, bodies.REGISTER,
         "Creates an account from an e-mail address and a password hash. 4 means that the account exists.",
         aliases=("BLYNK_CMD_REGISTER",), failures=(2, 4, 6)),
    _row(2, "LOGIN", STATUS, bodies.APP_LOGIN,
         "Login of an app or dashboard: e-mail, password hash, client, version and app name. 3 means that the"
         " account does not exist on this server, 5 that the password is wrong.",
         aliases=("BLYNK_CMD_LOGIN",), failures=(3, 5)),
    _row(3, "REDEEM", UNKNOWN, REDEEM,
         "Redeems a code that was bought with a board.", failures=(6,),
         aliases=("BLYNK_CMD_SAVE_PROF", "SAVE_PROFILE"), history="SAVE_PROFILE before 2016."),
    _row(4, "HARDWARE_CONNECTED", NOTHING, TARGET,
         "The server tells an app that a device has logged in; the body names dashboard and device.",
         senders=_SERVER, aliases=("BLYNK_CMD_LOAD_PROF", "LOAD_PROFILE"), history="LOAD_PROFILE before 2016."),
    _row(5, "GET_TOKEN", UNKNOWN, DASH_OR_TOKEN,
         "Asked for the token of a dashboard's device. Today's server does not know it any more.",
         aliases=("BLYNK_CMD_GET_TOKEN",), history="Removed in October 2018.", source=_SOURCE),
    _row(6, "PING", STATUS, bodies.EMPTY,
         "The heartbeat of an app. The server closes an app that stays silent for its idle time.",
         aliases=("BLYNK_CMD_PING",)),
    _row(7, "ACTIVATE_DASHBOARD", STATUS, DASH,
         "Starts a dashboard. 7 says that none of its devices is online; the dashboard is active all the same.",
         aliases=("BLYNK_CMD_ACTIVATE", "ACTIVATE", "GRAPH_GET"), failures=(7,),
         history="GRAPH_GET before March 2015."),
    _row(8, "DEACTIVATE_DASHBOARD", STATUS, DASH,
         "Stops a dashboard; without a body, all of them. Devices then get 8 for notifications.",
         aliases=("BLYNK_CMD_DEACTIVATE", "DEACTIVATE", "GRAPH_LOAD"), history="GRAPH_LOAD before March 2015."),
    _row(9, "REFRESH_TOKEN", SAME, DASH_OR_TOKEN,
         "Gives a device a new token, which comes back in the answer. The old one stops working: devices that still use"
         " it are refused with 9.",
         aliases=("BLYNK_CMD_REFRESH",), senders=_BOTH, source=_SOURCE),
    _row(10, "GET_GRAPH_DATA", UNKNOWN, TARGET_ARGS,
         "Asked for the history of pins; answered by MSG_GET_GRAPH_DATA_RESPONSE.",
         aliases=("BLYNK_CMD_GET_GRAPH_DATA",), history="Removed in July 2018.", source=_SOURCE),
    _row(11, "GET_GRAPH_DATA_RESPONSE", NOTHING, GRAPH_RESPONSE,
         "Carried the history that MSG_GET_GRAPH_DATA asked for.",
         senders=_SERVER, aliases=("BLYNK_CMD_GET_GRAPH_DATA_RESPONSE",), history="Removed in July 2018.",
         source=_SOURCE),
    _row(13, "EMAIL", UNKNOWN, MAIL,
         "An app asks the server to mail the tokens of a dashboard's devices to the account.",
         aliases=("BLYNK_CMD_EMAIL",), failures=(15,)),
    _row(19, "PROPERTY", STATUS, TARGET_PROPERTY,
         "Changes a widget's property. The server sends it too, with the pin's number, when a device has changed one"
         " or an app asked for a sync; that one is not answered.",
         senders=_BOTH, aliases=("BLYNK_CMD_PROPERTY", "SET_WIDGET_PROPERTY"), failures=(2, 11)),
    _row(20, "HW", Ack.NEVER_ON_SUCCESS, bodies.TARGET_OPERATION,
         "A pin operation with the dashboard, and mostly the device, in front. Success is silent, as for devices;"
         " 7 says that the device is offline, 11 or 2 that the body does not parse.",
         senders=_BOTH, aliases=("BLYNK_CMD_HARDWARE", "HARDWARE"), failures=(7, 11, 2)),
    _row(21, "CREATE_DASH", STATUS, bodies.JSON,
         "Creates a dashboard from a JSON document. On the device side of Blynk IoT the code is MSG_GROUP.",
         aliases=("BLYNK_CMD_CREATE_DASH",), failures=_REFUSED),
    _row(22, "UPDATE_DASH", UNKNOWN, bodies.JSON,
         "Replaces a dashboard by a JSON document. A server that reports this command from a device has most likely"
         " read 0x16, the first byte of a TLS handshake.",
         aliases=("BLYNK_CMD_SAVE_DASH", "SAVE_DASH"), failures=_REFUSED, source=_SOURCE),
    _row(23, "DELETE_DASH", STATUS, DASH, "Deletes a dashboard with its devices.", aliases=("BLYNK_CMD_DELETE_DASH",)),
    _row(24, "LOAD_PROFILE_GZIPPED", SAME, PROFILE,
         "Fetches the account's dashboards, or one of them; the answer is a JSON document, compressed with zlib.",
         senders=_BOTH, aliases=("BLYNK_CMD_LOAD_PROF_GZ",)),
    _row(25, "APP_SYNC", STATUS, two_way_bodies.APP_SYNC,
         "Asks for the current values of a dashboard. After the 200 they arrive as APP_SYNC and PROPERTY messages,"
         " all of them with id 1111.",
         senders=_BOTH, aliases=("BLYNK_CMD_SYNC", "SYNC")),
    _row(26, "SHARING", STATUS, DASH_STATE, "Switches the sharing of a dashboard on or off, and tells guests about it.",
         senders=_BOTH, aliases=("BLYNK_CMD_SHARING",)),
    _row(27, "ADD_PUSH_TOKEN", STATUS, PUSH_TOKEN,
         "Registers a phone for push notifications. Without it a device's MSG_NOTIFY is refused with 14.",
         aliases=("BLYNK_CMD_ADD_PUSH_TOKEN",)),
    _row(28, "EXPORT_GRAPH_DATA", UNKNOWN, TARGET_WIDGET, "Asks for a mail with the history of a widget as CSV files.",
         failures=(2, 17)),
    _row(30, "GET_SHARE_TOKEN", SAME, DASH_OR_TOKEN, "Fetches the token with which guests may open a dashboard.",
         senders=_BOTH, aliases=("BLYNK_CMD_GET_SHARE_TOKEN",)),
    _row(31, "REFRESH_SHARE_TOKEN", SAME, DASH_OR_TOKEN,
         "Replaces a dashboard's share token; guests lose their access.",
         senders=_BOTH, aliases=("BLYNK_CMD_REFRESH_SHARE_TOKEN",), source=_SOURCE),
    _row(32, "SHARE_LOGIN", STATUS, bodies.SHARE_LOGIN, "Login of a guest: e-mail of the owner and share token.",
         aliases=("BLYNK_CMD_SHARE_LOGIN",), failures=(3, 6)),
    _row(33, "CREATE_WIDGET", STATUS, WIDGET_DOCUMENT, "Adds a widget to a dashboard.", failures=_REFUSED),
    _row(34, "UPDATE_WIDGET", STATUS, WIDGET_DOCUMENT, "Replaces a widget of a dashboard.", failures=_REFUSED),
    _row(35, "DELETE_WIDGET", STATUS, DASH_WIDGET, "Removes a widget from a dashboard."),
    _row(36, "GET_ENERGY", SAME, ENERGY, "Asks how much energy, the app's currency for widgets, the account has.",
         senders=_BOTH),
    _row(37, "ADD_ENERGY", STATUS, PURCHASE, "Adds bought energy to the account, with the shop's transaction.",
         failures=(2, 6, 21)),
    _row(38, "UPDATE_PROJECT_SETTINGS", STATUS, DASH_DOCUMENT, "Changes name, theme and options of a dashboard.",
         aliases=("SAVE_METADATA",), failures=_REFUSED, history="SAVE_METADATA in 2016."),
    _row(39, "ASSIGN_TOKEN", STATUS, ASSIGN_TOKEN, "Ties a token that was flashed beforehand to a device.",
         aliases=("GET_METADATA",), failures=(6,), history="GET_METADATA in 2016.", source=_SOURCE),
    _row(40, "GET_SERVER", SAME, two_way_bodies.SERVER_ADDRESS,
         "Asks before login which server holds the account; the answer is its host name or address.",
         senders=_BOTH),
    _row(41, "CONNECT_REDIRECT", NOTHING, bodies.REDIRECT,
         "Tells an app that the account lives on another server: it must connect there.",
         senders=_SERVER, aliases=("BLYNK_CMD_REDIRECT", "REDIRECT"), source=_SOURCE),
    _row(42, "CREATE_DEVICE", SAME, DEVICE_DOCUMENT,
         "Adds a device to a dashboard; the answer is the device as the server keeps it, with its token.",
         senders=_BOTH, failures=_REFUSED),
    _row(43, "UPDATE_DEVICE", STATUS, DEVICE_DOCUMENT, "Changes the name and board of a device.", failures=_REFUSED),
    _row(44, "DELETE_DEVICE", STATUS, DASH_DEVICE, "Deletes a device; its token stops working."),
    _row(45, "GET_DEVICES", SAME, DEVICE_DOCUMENT, "Lists the devices of a dashboard as JSON, tokens included.",
         senders=_BOTH),
    _row(46, "CREATE_TAG", SAME, TAG_DOCUMENT, "Adds a tag, a named group of devices, to a dashboard.",
         senders=_BOTH, failures=_REFUSED),
    _row(47, "UPDATE_TAG", STATUS, TAG_DOCUMENT, "Changes a tag.", failures=_REFUSED),
    _row(48, "DELETE_TAG", STATUS, DASH_TAG, "Deletes a tag."),
    _row(49, "GET_TAGS", SAME, TAG_DOCUMENT, "Lists the tags of a dashboard as JSON.", senders=_BOTH),
    _row(50, "MOBILE_GET_DEVICE", SAME, DEVICE_DOCUMENT, "Fetches one device as JSON, token included.",
         senders=_BOTH, aliases=("GET_DEVICE", "APP_CONNECTED"), history="APP_CONNECTED from 2016 to 2018."),
    _row(51, "UPDATE_FACE", UNKNOWN, DASH, "Hands a changed dashboard on to the apps that were made from it.",
         source=_SOURCE),
    _counter(52, "WEB_SOCKETS"),
    _counter(53, "EVENTOR"),
    _counter(54, "WEB_HOOKS"),
    _row(55, "CREATE_APP", SAME, APP_DOCUMENT,
         "Creates a branded app in the app builder. On the device side the code is MSG_DBG_PRINT.",
         senders=_BOTH, failures=_REFUSED, source=_SOURCE),
    _row(56, "UPDATE_APP", STATUS, APP_DOCUMENT, "Changes a branded app.", failures=_REFUSED, source=_SOURCE),
    _row(57, "DELETE_APP", STATUS, APP_ID, "Deletes a branded app.", source=_SOURCE),
    _row(58, "GET_PROJECT_BY_TOKEN", SAME, PROFILE,
         "Fetches a published dashboard by the token of its QR code; the answer is compressed with zlib.",
         senders=_BOTH, source=_SOURCE),
    _row(59, "EMAIL_QR", UNKNOWN, DASH_APP, "Asks for a mail with the QR codes of a dashboard.", source=_SOURCE),
    _row(60, "GET_ENHANCED_GRAPH_DATA", SAME, GRAPH,
         "Asks for the history that a chart shows; the answer is binary. 17 means that nothing was recorded.",
         senders=_BOTH, failures=(2, 17), source=_SOURCE),
    _row(61, "DELETE_ENHANCED_GRAPH_DATA", STATUS, TARGET_WIDGET,
         "Deletes the history behind a chart.", source=_SOURCE),
    _row(62, "GET_CLONE_CODE", SAME, DASH_OR_TOKEN, "Fetches a code with which others may copy a dashboard.",
         senders=_BOTH),
    _row(63, "GET_PROJECT_BY_CLONE_CODE", SAME, PROFILE,
         "Fetches a dashboard by its clone code; the answer is compressed with zlib.", senders=_BOTH, source=_SOURCE),
    _row(66, "LOGOUT", STATUS, PHONE, "Ends an app's session: 200, then the server closes."),
    _row(67, "CREATE_TILE_TEMPLATE", UNKNOWN, WIDGET_DOCUMENT, "Adds a template to a device-tiles widget.",
         failures=_REFUSED, source=_SOURCE),
    _row(68, "UPDATE_TILE_TEMPLATE", UNKNOWN, WIDGET_DOCUMENT, "Changes a template of a device-tiles widget.",
         failures=_REFUSED, source=_SOURCE),
    _row(69, "DELETE_TILE_TEMPLATE", UNKNOWN, DASH_WIDGET_TEMPLATE,
         "Removes a template from a device-tiles widget.", source=_SOURCE),
    _row(70, "GET_WIDGET", SAME, WIDGET_DOCUMENT, "Fetches one widget as JSON.", senders=_BOTH),
    _row(71, "DEVICE_OFFLINE", NOTHING, TARGET,
         "The server tells an app that a device is gone; its id is 0.", senders=_SERVER),
    _row(72, "OUTDATED_APP_NOTIFICATION", NOTHING, TEXT, "The server asks the user to update the app.",
         senders=_SERVER, source=_SOURCE),
    _row(73, "TRACK_DEVICE", UNKNOWN, TARGET, "Says which device the app is looking at."),
    _row(74, "GET_PROVISION_TOKEN", SAME, DEVICE_DOCUMENT,
         "Asks for a token before the device exists, so that the app can hand it over during Wi-Fi provisioning.",
         senders=_BOTH, failures=_REFUSED),
    _row(75, "RESOLVE_EVENT", UNKNOWN, TARGET_ARGS, "Marks a device's event as resolved.", source=_SOURCE),
    _row(76, "DELETE_DEVICE_DATA", STATUS, TARGET_DATASTREAMS, "Deletes what the server recorded of a device."),
    _row(77, "CREATE_REPORT", SAME, REPORT_DOCUMENT, "Adds a scheduled report.",
         senders=_BOTH, failures=_REFUSED, source=_SOURCE),
    _row(78, "UPDATE_REPORT", SAME, REPORT_DOCUMENT, "Changes a scheduled report.",
         senders=_BOTH, failures=_REFUSED, source=_SOURCE),
    _row(79, "DELETE_REPORT", STATUS, DASH_REPORT, "Deletes a scheduled report.", source=_SOURCE),
    _row(80, "EXPORT_REPORT", SAME, REPORT_DOCUMENT, "Makes a report at once.", senders=_BOTH, source=_SOURCE),
    _row(81, "RESET_PASSWORD", UNKNOWN, RESET_PASSWORD, "One of the steps by which a password is reset.",
         source=_SOURCE),
    _counter(82, "HTTP_IS_HARDWARE_CONNECTED"),
    _counter(83, "HTTP_IS_APP_CONNECTED"),
    _counter(84, "HTTP_GET_PIN_DATA"),
    _counter(85, "HTTP_UPDATE_PIN_DATA"),
    _counter(86, "HTTP_NOTIFY"),
    _counter(87, "HTTP_EMAIL"),
    _counter(88, "HTTP_GET_PROJECT"),
    _counter(89, "HTTP_QR"),
    _counter(90, "HTTP_GET_HISTORY_DATA"),
    _counter(91, "HTTP_START_OTA"),
    _counter(92, "HTTP_STOP_OTA"),
    _counter(93, "HTTP_CLONE"),
    _counter(94, "HTTP_TOTAL"),
)
# fmt: on
