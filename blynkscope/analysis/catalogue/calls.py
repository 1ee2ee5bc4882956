"""BS340 to BS347, BS409 to BS411, BS606: calls of the HTTP APIs, and what is loaded over HTTP."""

from __future__ import annotations

from blynkscope.analysis.catalogue.model import Rule, Severity

_GROUP = "HTTP API"
_SECTION = "HTTP API"
_UPDATE = "firmware update"
_UPDATES = "firmware updates"

RULES: tuple[Rule, ...] = (
    Rule(
        "BS340",
        "rest-invalid-token",
        Severity.ERROR,
        _GROUP,
        "The server does not know the token of an HTTP call",
        "The call names a token that this server has no device for: a typing error, the token of another server, of "
        "the other era, or one that was refreshed. A legacy server answers 400 with `Invalid token.`, Blynk IoT 400 "
        "or 401. Nothing of the call is carried out.",
        "Copy the token anew: from the device's settings in the app (legacy), or from Device Info in the console "
        "(Blynk IoT). It has 32 characters. On Blynk IoT use the region that the device is in (fra1.blynk.cloud, "
        "ny3.blynk.cloud, …) or plain blynk.cloud.",
        _SECTION,
    ),
    Rule(
        "BS341",
        "rest-refused",
        Severity.WARNING,
        _GROUP,
        "The server refuses an HTTP call",
        "The server was reached and knows the token, and it does not carry the call out. Legacy: `Wrong pin format.` "
        "for a pin that is not V, D or A with a number, `Requested pin doesn't exist in the app.` for one that no "
        "widget or device has written yet, `Project is not active.` for mails, notifications and properties while the "
        "project is stopped in the app, and 500 with `Error parsing body param.` for a body that is not a JSON array "
        "of texts. 404 means that the path or the method is none of this server's.",
        'Write PUT /TOKEN/update/V1 with the header Content-Type: application/json and the body ["42"] (an array, '
        "values in quotes), or GET /TOKEN/update/V1?value=42. On Blynk IoT: GET "
        "/external/api/update?token=TOKEN&V1=42, and a datastream for the pin in the template.",
        _SECTION,
    ),
    Rule(
        "BS342",
        "rest-other-era",
        Severity.ERROR,
        _GROUP,
        "An HTTP call in the form of the other era",
        "The two generations of Blynk have different HTTP APIs. The legacy server takes "
        "http://HOST:8080/TOKEN/update/V1, the Blynk IoT cloud "
        "https://blynk.cloud/external/api/update?token=TOKEN&V1=…; neither knows the other's paths.",
        "Change the URL to the form that this server knows: /external/api/update?token=TOKEN&V1=VALUE and "
        "/external/api/get?token=TOKEN&V1 on Blynk IoT, /TOKEN/update/V1?value=VALUE and /TOKEN/get/V1 on a legacy "
        "server. Tokens of one are not known to the other.",
        _SECTION,
    ),
    Rule(
        "BS343",
        "rest-device-offline",
        Severity.WARNING,
        _GROUP,
        "An HTTP call finds the device offline",
        "The server took the call and says that the device is not connected. The value is kept for the app, and the "
        "device does not learn of it unless it asks for its pins when it comes back.",
        "Look why the device is offline: power, Wi-Fi, its own log. Let it call Blynk.syncVirtual() or Blynk.syncAll() "
        "in BLYNK_CONNECTED(), and ask /isHardwareConnected before a call that matters.",
        _SECTION,
    ),
    Rule(
        "BS344",
        "rest-quota",
        Severity.ERROR,
        _GROUP,
        "HTTP calls go beyond what the server takes",
        "The server answers 429, or says that a quota is used up: calls come faster, or more of them in a month, than "
        "it allows. Those calls are not carried out, and a server may block the device for a while.",
        "Send changes alone, not in every pass of a loop. Put several pins into one call "
        "(/external/api/batch/update on Blynk IoT), wait at least a second between calls, and wait longer after each "
        "refusal.",
        _SECTION,
    ),
    Rule(
        "BS345",
        "rest-server-error",
        Severity.WARNING,
        _GROUP,
        "The server fails at an HTTP call",
        "An answer of 5xx is the server's own failure: a defect, a missing configuration (mail and push need "
        "mail.properties and gcm.properties on a legacy server), or a proxy in front of it that does not reach it "
        "(502, 503, 504).",
        "Read the server's log (logs/blynk.log) at the time of the call. With a proxy check where it leads to and "
        "whether it waits long enough.",
        _SECTION,
    ),
    Rule(
        "BS346",
        "rest-unanswered",
        Severity.WARNING,
        _GROUP,
        "An HTTP call got no answer",
        "The request went out whole, and the connection ended without an answer to it. Where the client closed it, it "
        "did not wait long enough, or does not wait at all (a sketch that calls stop() behind print()); where the "
        "server did, it could not read the request or was restarted. Nobody knows whether the call was carried out.",
        "Let the client wait for the answer, for 5 s at least, before it closes the connection. Check that the head "
        "ends with an empty line, and that Content-Length has the number of bytes of the body.",
        _SECTION,
    ),
    Rule(
        "BS347",
        "rest-not-relayed",
        Severity.NOTE,
        _GROUP,
        "A pin was written over HTTP, and its device got nothing in this capture",
        "The server accepted the call, and passed no write on over the connection of the device with this token that "
        "the capture holds. A widget may turn the value into another one, the device may have a second connection "
        "elsewhere, or the server did not take the connection for a live one.",
        "Look at the device's own log for the value. Ask /isHardwareConnected with the same token, and check which "
        "widget of the project has this pin.",
        _SECTION,
    ),
    Rule(
        "BS409",
        "ota-not-firmware",
        Severity.ERROR,
        _UPDATE,
        "A web page came in place of the firmware",
        "The download was answered with 200 and HTML: a login page, the page of a router or of a proxy, or an error "
        "page that does not say so in its status. An updater that does not look at the first byte writes it into "
        "flash and fails then; ESPhttpUpdate tells error -106.",
        "Open the URL with curl -v and without the cookies of a browser: the first byte of the file must be 0xE9 for "
        "ESP8266 and ESP32 (1F 8B where it is compressed). Put the file where no login is needed, and name the file "
        "itself, not the page that links it.",
        _UPDATES,
    ),
    Rule(
        "BS410",
        "ota-length-unknown",
        Severity.WARNING,
        _UPDATE,
        "The firmware comes without its length",
        "The answer has no Content-Length: it is sent in chunks, or ends with the connection. The updaters of ESP8266 "
        "and ESP32 must know the size before they begin, and stop with error -101, `Server did not report size`. "
        "Proxies that compress, and scripts that stream a file, answer so.",
        "Let the web server send the file with a Content-Length: serve it as a static file, switch compression off "
        "for it (gzip off in nginx), and turn chunked transfer off in scripts.",
        _UPDATES,
    ),
    Rule(
        "BS411",
        "ota-too-large",
        Severity.ERROR,
        _UPDATE,
        "The firmware is larger than the device's free space",
        "The updater tells the free space for a new image in its request, and the answer announces more bytes than "
        "that. The device must keep the running firmware while it loads the new one, so the update ends with error "
        "-100 before it begins.",
        "Choose a partition scheme with room for two images (ESP32: one with OTA; ESP8266: a smaller file system), "
        "flash it once over USB, and make the firmware smaller: fewer libraries, no debug output, a compressed image "
        "(.bin.gz) on the ESP8266.",
        _UPDATES,
    ),
    Rule(
        "BS606",
        "password-in-clear",
        Severity.WARNING,
        "exposure",
        "A password goes over the internet in clear",
        "Basic authentication is no encryption: without TLS everybody on the way can read name and password. Those of "
        "the administrator open all projects and tokens of the server, and let one send firmware to every device.",
        "Use https:// with the server's secure port (9443 by default), verify its certificate, and change the "
        "password, for this one was seen.",
        "ports",
    ),
)
