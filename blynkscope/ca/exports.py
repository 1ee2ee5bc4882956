"""The certificate of the CA in the forms that firmware and programs take. The key is never among them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from blynkscope.ca.authority import Authority

FORMS = ("pem", "der", "c", "fingerprint")
C_NAME = "blynkscope_ca"
"""Name of the array in the C block."""

_C_BLOCK = """\
// {subject}, valid until {until:%Y-%m-%d}
// SHA-256 {fingerprint}
// For debugging with blynkscope only: never ship firmware that trusts it.
//   ESP32    client.setCACert({name});
//   ESP8266  static BearSSL::X509List trusted({name}); client.setTrustAnchors(&trusted);  // set the clock before
#ifdef ARDUINO
#include <Arduino.h>
#endif
#ifndef PROGMEM
#define PROGMEM
#endif
static const char {name}[] PROGMEM = R"EOF({pem})EOF";
"""


def export(authority: Authority, form: str) -> bytes:
    """The root certificate as `pem`, `der`, `c` (a block for Arduino sketches) or `fingerprint` (SHA-256 and SHA-1)."""
    if form == "der":
        return authority.certificate_der
    if form == "c":
        return c_block(authority).encode("ascii")
    if form == "fingerprint":
        return f"SHA-256 {authority.fingerprint}\nSHA-1   {authority.fingerprint_sha1}\n".encode("ascii")
    return authority.certificate_pem


def c_block(authority: Authority) -> str:
    """The root certificate as the text of a C++ array, ready to be pasted or included; GCC takes it as C too."""
    return _C_BLOCK.format(
        subject=subject(authority),
        until=authority.not_after,
        fingerprint=authority.fingerprint,
        name=C_NAME,
        pem=authority.certificate_pem.decode("ascii"),
    )


def subject(authority: Authority) -> str:
    """The name of the root."""
    return authority.certificate.subject.rfc4514_string().removeprefix("CN=")


def facts(authority: Authority) -> dict[str, Any]:
    """What there is to know of a CA, for programs: times are ISO 8601 in UTC."""
    return {
        "folder": str(authority.folder),
        "certificate": str(authority.certificate_path),
        "name": subject(authority),
        "key": f"RSA {authority.bits}",
        "not_before": _iso(authority.not_before),
        "not_after": _iso(authority.not_after),
        "sha256": authority.fingerprint,
        "sha1": authority.fingerprint_sha1,
        "constraints": list(authority.constraints.words),
        "created": authority.created,
    }


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")


USES = """\
Where the device or program verifies the server it has to trust this certificate, and only while you debug. With a
proxy on 192.168.1.10:9443:

  Arduino      blynkscope ca export --format c -o blynkscope_ca.h
               #include "blynkscope_ca.h"   // in the sketch
    ESP32      #include <BlynkSimpleEsp32_SSL.h>
               Blynk.begin(auth, ssid, pass, "192.168.1.10", 9443, blynkscope_ca);
    ESP8266    static BearSSL::X509List trusted(blynkscope_ca);
               client.setTrustAnchors(&trusted);
  MicroPython  blynkscope ca export --format der -o ca.der   # onto the board
               context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
               context.load_verify_locations(cadata=open("ca.der", "rb").read())
  Python       SSL_CERT_FILE="$(blynkscope ca path)" python app.py
  Node.js      NODE_EXTRA_CA_CERTS="$(blynkscope ca path)" node app.js
               (where the program sets no `ca` option)

The clock of the device must be set (NTP): in 1970 this certificate is not yet valid, and the real server's neither.
setFingerprint() and verify() of an ESP8266 want the SHA-1 of the server's own certificate, not of this CA; the proxy
makes a new one each run. For such firmware give the proxy a certificate that stays, with --cert and --key.
"""
"""What to do with the certificate, for people."""
