"""Why a connection could not be made, in words that help: what a proxy tells of handshakes and of its upstream."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from typing import Any

from blynkscope.protocol import tls
from blynkscope.proxy.contexts import missing, server_name
from blynkscope.proxy.secure import alert_in
from blynkscope.wire import hellos
from blynkscope.wire.hellos import ClientHello

DISTRUST = frozenset({42, 46, 48})
"""Alerts of a client that refuses the certificate: bad_certificate, certificate_unknown, unknown_ca."""
_DISTRUST = (
    "The device does not trust the CA of the proxy: put the proxy's CA certificate into the firmware in place of the "
    "server's, or turn the check off for the test."
)
_NO_WORD = (
    "The device closed without a reason after it got the certificate: most likely it does not trust the CA of the "
    "proxy, compares a fingerprint, or ran out of memory."
)
_REASONS = {
    "NO_SHARED_CIPHER": ("no-common-cipher", "no cipher suite in common"),
    "UNSUPPORTED_PROTOCOL": ("no-common-version", "no TLS version in common"),
    "VERSION_TOO_LOW": ("no-common-version", "no TLS version in common"),
    "WRONG_VERSION_NUMBER": ("no-tls", "what came is no TLS record"),
    "HTTP_REQUEST": ("no-tls", "what came is a plain HTTP request"),
    "NO_SUITABLE_SIGNATURE_ALGORITHM": ("no-common-signature", "no signature algorithm in common"),
    "NO_SUITABLE_KEY_SHARE": ("no-common-group", "no group for the key exchange in common"),
    "NO_SHARED_GROUP": ("no-common-group", "no group for the key exchange in common"),
    "UNEXPECTED_MESSAGE": ("no-tls", "the messages of the handshake come in no sensible order"),
    "CA_KEY_TOO_SMALL": ("weak", "the key of a CA in the chain is too short"),
    "EE_KEY_TOO_SMALL": ("weak", "the key of the certificate is too short"),
    "CA_MD_TOO_WEAK": ("weak", "the signature of a CA in the chain is too weak"),
    "DH_KEY_TOO_SMALL": ("weak", "the key of the key exchange is too short"),
    "UNSAFE_LEGACY_RENEGOTIATION_DISABLED": ("weak", "the peer knows no safe renegotiation"),
}
_SUITES_TOLD = 8
_VERIFY = {
    10: "expired", 9: "not-yet-valid", 18: "self-signed", 19: "unknown-ca", 20: "unknown-ca", 21: "unknown-ca",
    2: "unknown-ca", 62: "wrong-name", 64: "wrong-name", 23: "revoked",
}  # fmt: skip
"""Why OpenSSL refuses a certificate (X509_V_ERR_…)."""
_VERIFY_HELP = {
    "expired": "the certificate of the upstream has expired, or the clock of this computer is wrong",
    "not-yet-valid": "the certificate of the upstream is not valid yet, or the clock of this computer is wrong",
    "self-signed": "the certificate of the upstream is self-signed: give it as the upstream CA, or do not verify",
    "unknown-ca": "the CA of the upstream is not known here: give it as the upstream CA, or do not verify",
    "wrong-name": "the certificate of the upstream is for another name",
    "revoked": "the certificate of the upstream was revoked",
}
_SYSTEM = {
    errno.ECONNREFUSED: "refused", errno.ECONNRESET: "reset", errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable", errno.ETIMEDOUT: "timeout", errno.EADDRNOTAVAIL: "unreachable",
    errno.EACCES: "forbidden", errno.EPERM: "forbidden", errno.EMFILE: "files", errno.ENFILE: "files",
}  # fmt: skip


def alert_detail(number: int) -> dict[str, Any]:
    """The detail of a `tls-alert` that was decrypted on the device leg; the fatal ones alone end a handshake."""
    return {
        "encrypted": False, "decrypted": True, "level": tls.LEVELS[2], "number": number, "name": tls.alert_name(number),
        "cause": tls.cause_of(number),
    }  # fmt: skip


def handshake_failure(hello: ClientHello | None, why: ssl.SSLError | str, *, legacy: bool) -> dict[str, Any]:
    """The detail of `proxy-handshake-failed` for the device leg.

    Args:
        hello: The device's, as far as there was one.
        why: The error of OpenSSL, or "closed", "reset", "timeout", "no-certificate", "no-hello", "too-long".
        legacy: Are old versions and weak ciphers allowed?
    """
    detail: dict[str, Any] = {"leg": "device", "versions": [], "ciphers": [], "sni": None, "legacy": legacy}
    if hello is not None:
        described = hellos.client_detail(hello)
        detail |= {"versions": described["versions"], "ciphers": described["ciphers"], "sni": server_name(hello)}
    lacking = missing(hello, legacy=legacy)
    if isinstance(why, str):
        cause = {
            "closed": _NO_WORD if hello is not None else "The device closed inside its first TLS message.",
            "reset": _NO_WORD if hello is not None else "The device closed inside its first TLS message.",
            "timeout": "The device does not go on with the handshake: it hangs, or the line lost bytes.",
            "no-certificate": "The proxy has no certificate for TLS: start it with its CA, or with --cert and --key.",
            "no-hello": "What came begins like TLS, but holds no ClientHello.",
            "too-long": "The ClientHello is longer than any real one.",
        }.get(why, why)
        return detail | {"reason": why, "alert": None, "cause": lacking or cause}
    alert = alert_in(why)
    if alert is not None:
        name = tls.alert_name(alert)
        detail |= {"reason": f"the device sent the alert {name} ({alert})", "alert": alert}
        return detail | {"cause": _DISTRUST if alert in DISTRUST else tls.cause_of(alert)}
    label, text = _REASONS.get(why.reason or "", ("tls", _plain(why)))
    cause = text
    if lacking is not None:
        label, cause = "no-common-version", lacking
    elif label == "no-common-cipher" and hello is not None:
        offered = ", ".join(detail["ciphers"][:_SUITES_TOLD])
        more = len(detail["ciphers"]) - _SUITES_TOLD
        cause = f"{text}: it offers {offered}{f' and {more} more' if more > 0 else ''}"
    if label.startswith("no-common") and not legacy:
        cause += ". --legacy-tls allows TLS 1.0 and weak ciphers on the side of the device"
    return detail | {"reason": label, "alert": None, "cause": cause[:1].upper() + cause[1:].rstrip(".") + "."}


def upstream_failure(error: BaseException | str, stage: str) -> dict[str, Any]:
    """`stage` (dns, connect, tls, timeout, refused), `reason` in a word and `text` of `proxy-upstream-failed`."""
    if isinstance(error, str):
        return {"stage": stage, "reason": error, "text": error}
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = _VERIFY.get(error.verify_code, "certificate")
        # The name that was expected comes from the command line or the device; OpenSSL's text only repeats it.
        return {"stage": "tls", "reason": reason, "text": _VERIFY_HELP.get(reason, error.verify_message)}
    if isinstance(error, ssl.SSLError):
        alert = alert_in(error)
        if alert is not None:
            return {
                "stage": "tls", "reason": f"alert {tls.alert_name(alert)}", "alert": alert,
                "text": f"the upstream refuses the handshake with the alert {tls.alert_name(alert)} ({alert})",
            }  # fmt: skip
        label, text = _REASONS.get(error.reason or "", ("tls", _plain(error)))
        return {"stage": "tls", "reason": label, "text": text}
    if isinstance(error, socket.gaierror):
        return {"stage": "dns", "reason": "unknown-host", "text": error.strerror or "the name cannot be resolved"}
    if isinstance(error, TimeoutError):
        return {"stage": "timeout", "reason": "timeout", "text": "it did not answer in time"}
    if isinstance(error, OSError):
        # The loop puts words of its own into `strerror`; those of the number are the system's.
        text = os.strerror(error.errno) if error.errno else error.strerror or str(error)
        return {"stage": stage, "reason": _SYSTEM.get(error.errno or 0, "failed"), "text": text.lower()}
    return {"stage": stage, "reason": "failed", "text": type(error).__name__}


def _plain(error: ssl.SSLError) -> str:
    return (error.reason or "the handshake failed").lower().replace("_", " ")
