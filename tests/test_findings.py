"""Every capture and every log raises exactly the findings that it should: none missing, none extra.

The table is written by hand. A file that is not in it raises what `USUAL` says: writes that nothing confirmed.
"""

import re
from pathlib import Path

import pytest

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.catalogue import CATALOGUE
from blynkscope.analysis.records import FindingRecord
from blynkscope.cli import COMMANDS
from blynkscope.sources import open_input
from blynkscope.wire.keylog import KeyLog

ROOT = Path(__file__).parent.parent
FILES = sorted(
    path
    for pattern in (
        "captures/*.pcap",
        "captures/made/*.pcap*",
        "captures/*.txt",
        "captures/logs/*.txt",
        "tests/seeds/*.txt",
    )
    for path in ROOT.glob(pattern)
)
GOOD = ("01a", "03", "04", "06a", "06d", "07a", "08a", "08d", "09a", "09c", "12c", "13", "15a")
"""Recordings of good sessions."""
USUAL = "BS301 note 1"

TABLE = {
    "01a": "BS301 note 1;BS306 note 1;BS307 note 1;BS307 note 1",
    "03": "BS301 note 1;BS306 note 1;BS307 note 1",
    "04": "BS301 note 2;BS307 note 2;BS312 note 2",
    "05": "BS201 error 1;BS201 error 2;BS201 error 3;BS201 error 4;BS201 error 5;BS209 warning 1",
    "06a": "BS604 note 2;BS905 note -",
    "06d": "BS905 note 1",
    "07a": "BS604 note 1;BS301 note 4;BS905 note -",
    "08a": "BS301 note 1;BS306 note 1",
    "08d": "BS604 note 1;BS905 note 1",
    "09a": "BS341 note 6;BS340 note 21",
    "09c": "BS602 note 1;BS604 note 2;BS905 note 2",
    "10b": "BS309 error 1;BS301 note 1;BS308 warning 1;BS310 error 1",
    "11b": (
        "BS301 note 1;BS307 note 1;BS311 warning 1;BS312 note 1;BS311 warning 2;BS312 note 3;"
        "BS301 note 6;BS301 note 7;BS313 warning 7"
    ),
    "11c": (
        "BS204 warning 1;BS301 note 2;BS319 error 9;BS319 error 10;BS319 error 11;BS201 error 12;"
        "BS111 error 14;BS111 error 19;BS111 error 20;BS111 error 21;BS106 error 22;BS209 warning 1;"
        "BS209 warning 21"
    ),
    "12b": "BS315 warning 1",
    "12c": "BS206 note 2;BS205 note 2",
    "13": "BS306 note 1;BS306 note 1;BS307 note 1",
    "15b": "BS301 note 1;BS308 note 1;BS316 warning 1",
    "01-esp8266-healthy-connect-061": "BS301 note 1;BS908 note 1;BS105 note 1",
    "03-hm10-okconn-noise-packet-too-big": "BS114 error 4",
    "05-teensy-at-masked-token-cmd-error": "BS113 error 1;BS908 note 1",
    "07-nano-046-markdown-banner-login-no-answer": "BS202 error 1;BS209 warning 1",
    "09-sim800-132-ide-timestamps-spaces-hex": "BS113 error 1;BS909 note 1",
    "102-textonly-com0com-usb-script": "BS116 warning -;BS105 warning -;BS907 note -",
    "112-S-uno-split-header-and-body-sent": "BS113 error 1;BS301 note 1",
    "12-esp32-ble-two-layers-invalid-header-type-2": "BS210 error 1",
    "121-S-redirect-frame": "BS208 note 1",
    "13-nano-0410-info-cut-short-cmd-skipped": "BS320 warning 1",
    "15-esp32-ble-app-data-parsed-as-frames-interleaved": "BS115 error 1;BS907 note -",
    "20-msg-notation-030-healthy-pm-ping": "BS105 note 1",
    "30-hercules-braces-login": "",
    "32-plynx-spec-hex-wrong-lengths": "BS301 note 1;BS319 error 1",
    "41-ascii-gutter-dots-serial-shared-with-prints": "BS114 error -;BS907 note -",
    "61-javaserver-ping-id0-disconnect-relogin": "BS311 warning 1",
    "70-nodered-ws-redirect-length-read-as-status": "BS318 note 1;BS105 warning 1;BS207 error 1",
    "72-nodered-ws-login-ok-masked-token": "BS105 note 1",
    "74-nodered-ws-pm-without-pins": "",
    "76-blynklib-auth-stage-failed-status-4": "BS210 warning 1;BS907 note -",
    "90-textonly-redirect-login-timeout": "BS907 note -;BS208 note 1",
    "92-textonly-reconnect-every-5s-app-prints-reset": "BS105 note 2;BS907 note -;BS321 warning -;BS209 warning 1",
    "94-trap-esp8266-stack-dump-hex": "BS105 note 1;BS907 note -;BS321 warning 1",
    "96-textonly-edgent-ota-token-in-url": "BS602 warning -;BS408 error -;BS907 note -",
    "98-textonly-socat-eof-and-cert-fail": "BS103 warning -;BS604 error -;BS105 warning -;BS907 note -",
    "04.clientlog": "BS301 note 1;BS307 note 1;BS312 note 1",
    "05.clientlog": "BS201 error 1",
    "08a.clientlog": "BS301 note 1;BS306 note 1",
    "dns_nxdomain": "BS104 error -;BS105 warning -",
    "dns_then_no_answer": "BS102 error 1",
    "dns_unanswered": "BS104 error -;BS105 warning -",
    "link_ethernet": "BS206 note 1;BS301 note 1;BS301 note 2",
    "link_null": "BS206 note 1;BS301 note 1;BS301 note 2;BS301 note 3;BS301 note 4",
    "link_null_big_endian": "BS206 note 1;BS301 note 1;BS301 note 2;BS301 note 3;BS301 note 4",
    "link_raw": "BS206 note 1;BS301 note 1;BS301 note 2",
    "link_sll": "BS206 note 1;BS301 note 1;BS301 note 2",
    "link_sll2": "BS206 note 1;BS301 note 1;BS301 note 2",
    "login_invalid_token": "BS201 error 1;BS201 error 1",
    "mqtt_idle": "BS329 warning 1",
    "mqtt_on_8080": "BS111 error 1",
    "mqtt_redirect": "BS214 note 1;BS213 error 3",
    "mqtt_refused": "BS211 error 1;BS211 error 2;BS211 error 3",
    "mqtt_session": "",
    "mqtt_session_5": "BS332 warning 1",
    "ota_download_404": "BS602 note 1;BS403 error 2;BS301 note 1",
    "ota_download_returns": "BS602 note 1;BS103 note 1;BS301 note 3",
    "ota_refused_container": "BS401 error 1;BS602 note 1;BS402 note 2;BS301 note 1",
    "ota_upload_without_file": "BS603 warning 1;BS407 error 1",
    "particle_closed_early": "BS503 error 1",
    "particle_no_nonce": "BS502 error 1",
    "particle_refused_after_key": "BS501 error 1",
    "pcapng_two_interfaces": "BS206 note 1;BS301 note 1;BS301 note 2",
    "seed_dns_one_name": "BS104 error -",
    "seed_forty_a_second": "BS301 note 1;BS308 warning 1",
    "seed_legacy_cloud": "BS201 error 1;BS105 warning 1",
    "seed_ota_refused": "BS602 note 1;BS402 error 2",
    "seed_particle_keys": "BS501 error 1",
    "tcp_data_after_fin": "BS103 warning 1",
    "tcp_half_close": "",
    "tcp_lost_inside_body": "BS901 warning 1;BS301 note 1",
    "tcp_lost_segment": "BS901 warning 1;BS301 note 1",
    "tcp_mid_stream": "BS902 note 1;BS301 note 1",
    "tcp_one_direction": "BS903 warning 1;BS301 note 1",
    "tcp_port_reuse": "BS301 note 1;BS301 note 2",
    "tcp_reset": "BS301 note 1;BS103 warning 1",
    "tcp_snaplen": "BS904 warning 1;BS301 note 1",
    "tls12_expired_certificate": "BS605 error 1;BS604 warning 1;BS905 note 1",
    "tls_alert_handshake_failure": "BS110 error 1",
    "tls_alert_protocol_version": "BS109 error 1",
    "tls_alert_unknown_ca": "BS109 error 1;BS605 error 1",
    "tls_alert_unrecognized_name": "BS109 error 1",
    "tls_on_plain_port": "BS106 error 1",
    "wifi_wpa2": "",
    "writes_states": "BS302 warning 1;BS301 note 1;BS322 warning 1;BS307 note 1;BS103 warning 1",
    "cpp_forty_writes_a_second": "BS301 note 1;BS308 warning 1",
    "cpp_nine_is_a_length": "BS318 note 1",
    "curl_upload_without_file": "BS603 warning -;BS407 error -",
    "ota_connection_refused": "BS602 note 1;BS402 error 1;BS907 note -",
    "ota_file_not_found": "BS602 note 1;BS403 error 1;BS907 note -",
    "ota_url_of_a_container": "BS401 error 1;BS602 note 1;BS402 note 1;BS907 note -",
    "particle_photon_clouddebug": "BS501 error 1",
    "upython_legacy_cloud_iot_token": "BS201 error 1;BS105 warning 1",
    "upython_tls_record_as_answer": "BS108 error 1",
}

OPENED = {
    "06a": "BS301 note 2;BS604 note 2;BS301 note 1;BS604 note 1",
    "06d": "BS301 note 1;BS604 note 1",
    # Among good sessions it holds logins that were meant to be refused.
    "07a": (
        "BS203 error 1;BS604 note 1;BS306 warning 2;BS203 error 3;BS203 error 5;BS604 note 5;BS301 note 6;BS301 note 7;"
        "BS604 note 7;BS301 note 4;BS301 note 3;BS303 note 3;BS303 note 3;BS305 note 3;BS306 note 3;BS306 note 3;"
        "BS306 note 3;BS306 note 3;BS306 note 3;BS306 note 3;BS307 note 3;BS307 note 3;BS307 note 3;BS307 note 3;"
        "BS307 note 3;BS307 note 3;BS307 note 3;BS307 note 3;BS311 note 3;BS604 note 3"
    ),
    "08d": "BS301 note 1;BS303 note 1;BS305 note 1;BS311 note 1;BS604 note 1",
    "09c": "BS603 note 2;BS602 note 1;BS604 note 2",
}
"""The recordings inside TLS, read with their keys."""


def findings_of(path, keys=None):
    source, analyser = open_input(path), Analyser(keys=keys)
    records = [record for batch in source for record in analyser.feed(batch)]
    records += analyser.finish(source.lost)
    return [record for record in records if isinstance(record, FindingRecord)]


def name_of(path):
    log = ".clientlog" if ".clientlog" in path.name else ""
    return path.name.split("_", 1)[0] + log if path.parent.name == "captures" else path.name.split(".")[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_exactly_these(path):
    found = [f"{one.id} {one.severity} {one.stream or '-'}" for one in findings_of(path)]
    assert ";".join(found) == TABLE.get(name_of(path), USUAL)


@pytest.mark.parametrize("start", OPENED)
def test_exactly_these_with_keys(start):
    (path,) = (ROOT / "captures").glob(f"{start}_*.pcap")
    keys = KeyLog(path.with_suffix(".keys").read_bytes())
    found = [f"{one.id} {one.severity} {one.stream or '-'}" for one in findings_of(path, keys)]
    assert ";".join(found) == OPENED[start]


def test_every_name_in_the_table_is_a_file():
    assert set(TABLE) <= {name_of(path) for path in FILES}
    assert set(GOOD) <= set(TABLE) | {name_of(path) for path in FILES}


@pytest.mark.parametrize("start", GOOD)
def test_good_sessions_raise_nothing_above_a_note(start):
    (path,) = (ROOT / "captures").glob(f"{start}_*.pcap")
    assert {one.severity for one in findings_of(path)} <= {"note"}


def test_the_catalogue_is_complete():
    """Each page says what it means and what to do, and ids tell their family."""
    for rule in CATALOGUE.values():
        assert len(rule.why) > 80, rule.id
        assert len(rule.fix) > 20, rule.id
        assert rule.title
        assert rule.group
        assert rule.section
        assert rule.id[2] in "1234569"
    assert len({rule.slug for rule in CATALOGUE.values()}) == len(CATALOGUE)


def test_advice_names_no_command_that_does_not_exist():
    sources = [*(ROOT / "blynkscope" / "analysis").rglob("*.py"), *(ROOT / "blynkscope" / "wire").rglob("*.py")]
    named = {name for path in sources for name in re.findall(r"`blynkscope (\w+)", path.read_text(encoding="utf-8"))}
    assert named
    assert named <= set(COMMANDS)
