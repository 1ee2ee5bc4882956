"""BS4xx: firmware update."""

from __future__ import annotations

from blynkscope.analysis.catalogue.model import Rule, Severity

_GROUP = "firmware update"
_SECTION = "firmware updates"

RULES: tuple[Rule, ...] = (
    Rule(
        "BS401",
        "ota-url-private",
        Severity.ERROR,
        _GROUP,
        "The firmware URL names an address that the device cannot reach",
        "The server orders an update with a URL (INTERNAL `ota`), and builds it from its own idea of its address. "
        "Inside a container that is the container's address: 172.17.0.2 belongs to Docker's bridge network, which "
        "exists on the server's machine alone. Loopback addresses and localhost mean the device itself, and private "
        "addresses (10/8, 172.16/12, 192.168/16) lead nowhere from another network. The device then finds no one "
        "there, or someone else, and keeps its old firmware.",
        "Set server.host in server.properties to the name or address under which devices reach the server, and restart "
        "the server. With Docker also publish the HTTP port (docker run -p 8080:8080 …); the URL uses http.port.",
        _SECTION,
    ),
    Rule(
        "BS402",
        "ota-unreachable",
        Severity.ERROR,
        _GROUP,
        "The device cannot connect to where its new firmware is",
        "The update was ordered, and the connection for the download was refused or never answered. Refused means that "
        "the address exists and nothing listens on that port; no answer means a wrong address or a firewall. The "
        "updater of the ESP8266 calls every failure to connect `HTTP error: connection refused` (error -1).",
        "Open the URL with curl -v from the device's own network. Let the server listen on http.port (8080 by default) "
        "on all addresses, publish and forward that port, and set server.host in server.properties to a name that "
        "devices can resolve.",
        _SECTION,
    ),
    Rule(
        "BS403",
        "ota-http-status",
        Severity.ERROR,
        _GROUP,
        "The firmware update was answered with an HTTP error",
        "The web server behind the URL was reached and did not give the file. 404: it is not there (removed, never "
        "uploaded, or a query such as ?auth= was appended that this server build takes for a part of the name). 401 "
        "and 403: credentials, or allowed.administrator.ips for /admin/ota. 5xx: the server failed, blynk.log tells "
        "why. Updaters do not follow redirects (301, 302) unless they are told to.",
        "Fetch the URL with curl -v, with and without its query. For 404 upload the file again (curl -F "
        "file=@firmware.bin …/admin/ota/start) and use a server and library of the same age; for 401 and 403 check "
        "admin.email, admin.pass and allowed.administrator.ips in server.properties; for redirects call "
        "setFollowRedirects() on the updater or give the final URL.",
        _SECTION,
    ),
    Rule(
        "BS404",
        "ota-https-url",
        Severity.WARNING,
        _GROUP,
        "The firmware URL is HTTPS, which simple updaters cannot open",
        "ESPhttpUpdate.update(url) and the updaters of old sketches open plain TCP. An https:// URL needs a TLS client "
        "with a certificate or fingerprint and enough free memory (some 20 KiB on an ESP8266); without one the "
        "download fails before it begins, often as error -1, `connection refused`.",
        "Give the updater a TLS client: WiFiClientSecure with setCACert() or setInsecure() passed to "
        "httpUpdate.update(client, url). Or let the server offer the file over plain HTTP on http.port, in a network "
        "that is trusted.",
        _SECTION,
    ),
    Rule(
        "BS405",
        "ota-no-return",
        Severity.WARNING,
        _GROUP,
        "The device did not come back after the update",
        "The update was ordered and the device left to load it, but no login of it followed. It may still be loading, "
        "hang in its boot loader, have lost its Wi-Fi credentials, or run firmware that crashes at start or logs in "
        "elsewhere.",
        "Read the device's serial output while it starts. Check that the binary was built for this board, flash size "
        "and partition scheme, that it holds the right token and host, and that the power supply stands the flash "
        "writing; keep a rollback (esp_ota_mark_app_valid_cancel_rollback() on the ESP32).",
        _SECTION,
    ),
    Rule(
        "BS406",
        "ota-old-build",
        Severity.WARNING,
        _GROUP,
        "The device came back with its old firmware",
        "After the update the device told the same `build` in its INTERNAL info as before: the new firmware was not "
        "loaded, not started, or it is the same one. A legacy server goes on ordering the update to all devices until "
        "the build changes.",
        "Check what the updater returned (ESPhttpUpdate.getLastErrorString()). Upload a binary that was compiled anew: "
        "`build` is the compiler's __DATE__ and __TIME__. There must be room for both images (on an ESP8266 free "
        "flash ≥ sketch size), and the device must restart after HTTP_UPDATE_OK.",
        _SECTION,
    ),
    Rule(
        "BS407",
        "upload-without-file",
        Severity.ERROR,
        _GROUP,
        "The firmware upload carries no file",
        "With curl -F file=firmware.bin the form holds the file's name as text. Only file=@firmware.bin, with the @, "
        "sends what is in the file. The server finds no file in the form and answers 500 Internal Server Error; its "
        "log tells `Can't find field`. A Content-Length of a few hundred bytes shows it too.",
        "Put an @ in front of the file name: curl -v -F file=@firmware.bin -u USER:PASSWORD "
        "https://HOST:9443/admin/ota/start?token=TOKEN (add --insecure for a self-signed certificate).",
        _SECTION,
    ),
    Rule(
        "BS408",
        "ota-failed",
        Severity.ERROR,
        _GROUP,
        "The firmware update failed",
        "The device began the update or was ordered to, and it did not come to an end: the download broke off, the "
        "image was refused or could not be written, or the sketch does not handle the order.",
        "Read the updater's own error (ESPhttpUpdate.getLastError() and getLastErrorString(), Update.printError()). "
        "The sketch must take BLYNK_WRITE(InternalPinOTA), call Blynk.disconnect() and then its updater; Edgent does "
        "that by itself.",
        _SECTION,
    ),
)
