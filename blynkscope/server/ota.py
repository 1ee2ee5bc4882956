"""Firmware updates: who may order one, what is uploaded with the order, and the files that devices fetch."""

from __future__ import annotations

import base64
import binascii
import hmac
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import unquote

from blynkscope.server.images import FOLDER, UPLOAD_MAX, UPLOADS_MAX, Order
from blynkscope.server.multipart import FormError, FormReader, boundary
from blynkscope.server.web_model import Answer, Request, text

if TYPE_CHECKING:
    from blynkscope.server.hub import Hub
    from blynkscope.server.projects import Device

_REALM = ((b"www-authenticate", b'Basic realm="blynkscope"'),)
CACHED_SECONDS = 60
"""How long a client may keep a file, as the legacy server tells."""


def refused(hub: Hub, request: Request) -> Answer | None:
    """Why this caller may not order anything; None where it may.

    Without a password nobody may: what an order does to a device is not for whoever finds the port.
    """
    user, password = hub.settings.admin
    if not password:
        return text(403, "No password of the administration is set: start the server with one.", close=True)
    method, _, given = request.header(b"authorization").strip().partition(" ")
    try:
        pair = base64.b64decode(given.strip(), validate=True) if method.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        pair = b""
    if hmac.compare_digest(pair, f"{user}:{password}".encode()):
        return None
    return Answer(401, b"User or password is wrong.", "text/plain;charset=utf-8", _REALM, close=True)


class Upload:
    """The body of an order that brings its file along, while it arrives.

    `begin` gives one, or the answer that refuses it.
    """

    def __init__(self, hub: Hub, request: Request, reader: FormReader) -> None:
        self._hub = hub
        self._request = request
        self._reader = reader
        self._size = 0
        self._open = True
        hub.images.uploading += 1

    @staticmethod
    def begin(hub: Hub, request: Request) -> Upload | Answer:
        """What the head of the request says is known; nothing of the body was read."""
        length = request.header(b"content-length")
        if length.isdecimal() and int(length) > UPLOAD_MAX:
            return text(413, f"A file has at most {UPLOAD_MAX} bytes.", close=True)
        if hub.images.uploading >= UPLOADS_MAX:
            return text(503, "Other uploads are under way; try again.", close=True)
        try:
            mark = boundary(request.header(b"content-type"))
        except FormError as error:
            return text(500, str(error), close=True)
        return Upload(hub, request, FormReader(mark))

    def feed(self, data: bytes) -> Answer | None:
        """The next bytes; the answer that ends it, where they are too many or no form."""
        self._size += len(data)
        if self._size > UPLOAD_MAX:
            return text(413, f"A file has at most {UPLOAD_MAX} bytes.", close=True)
        try:
            self._reader.feed(data)
        except FormError as error:
            return text(500, str(error), close=True)
        return None

    def end(self) -> Answer:
        """It is whole: keep the file, and tell the devices."""
        try:
            name, data = self._reader.end()
        except FormError as error:
            return text(500, str(error))
        finally:
            self.drop()
        if not data:
            return text(500, "The file is empty.")
        target = _target(self._hub, self._request)
        if isinstance(target, Answer):
            return target
        own = self._hub.images.keep(name, data, self._hub.clock())
        if own is None:
            return text(507, "The server has no more room.")
        return _ordered(self._hub, self._request, own, target, FOLDER + own)

    def drop(self) -> None:
        """Nothing more comes."""
        if self._open:
            self._open = False
            self._hub.images.uploading -= 1
            self._reader = FormReader(b"-")


def start(hub: Hub, request: Request) -> Answer:
    """An order for a file that is there already: `fileName`, and `token`, `user` or `project` of who shall load it."""
    target = _target(hub, request)
    if isinstance(target, Answer):
        return target
    name = dict(request.pairs() or ()).get("fileName", "")
    if not name:
        return text(400, "Which file? Name it as fileName, or upload one with POST.")
    if hub.settings.public is None and not hub.images.has(name):
        return text(400, "There is no such file of firmware.")
    return _ordered(hub, request, name, target, "")


def stop(hub: Hub) -> Answer:
    """Take the order back: who logs in from now on is left alone."""
    hub.images.ordered = None
    return text(200)


def download(hub: Hub, request: Request) -> Answer:
    """A file for a device, in pieces."""
    found = hub.images.find(unquote(request.path[len(FOLDER) :]))
    if found is None:
        return text(404)
    size, pieces = found
    now = hub.clock()
    headers = (
        (b"date", formatdate(now, usegmt=True).encode()),
        (b"expires", formatdate(now + CACHED_SECONDS, usegmt=True).encode()),
        (b"cache-control", b"private, max-age=%d" % CACHED_SECONDS),
    )
    return Answer(200, kind="application/octet-stream", headers=headers, stream=pieces, length=size)


def _target(hub: Hub, request: Request) -> Device | Answer | None:
    """The device that an order names; None where it names none, and means many."""
    pairs = request.pairs()
    if pairs is None:
        return text(400, "Too many parameters.")
    token = dict(pairs).get("token")
    if token is None:
        return None
    return hub.device(token) or text(400, "Invalid token.")


def _ordered(hub: Hub, request: Request, name: str, target: Device | None, body: str) -> Answer:
    """Tell the devices. Where an order means many, those that log in later hear of it too."""
    if not request.host and hub.settings.public is None:
        return text(400, "The order does not say which host devices shall ask (header Host).")
    url = hub.images.url(name, request.host, secure=request.secure)
    if target is not None:
        if not hub.send_internal(target, b"ota", url):
            return text(400, "No device in session.")
        return text(200, body)
    named = dict(request.pairs() or ())
    user = named.get("user")
    hub.images.ordered = Order(url, hub.images.build_of(name), user.lower() if user else None, named.get("project"))
    for device in hub.projects.all_devices():
        told = hub.updates.info(device.token).get("build")
        project = hub.board(device).get("name")
        if hub.online(device.token) and hub.images.due(device, told.encode() if told else None, project):
            hub.send_internal(device, b"ota", url)
    return text(200, body)
