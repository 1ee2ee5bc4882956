"""Troubles that people have written about, from the input as they had it to what is found in it.

Each row names an input, the findings that must be there with words of cause and cure, and findings that must not.
"""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from blynkscope.cli.decode import command

HERE = Path(__file__).parent
LOGS, MADE = HERE / "seeds", HERE.parent / "captures" / "made"
TOKENS = ("Zx8QeW1rTy_FakeTokenOfNoDevice-7", "0123456789abcdef0123456789abcdef")
CONSEQUENCES = ("BS209", "BS304", "BS305", "BS306", "BS319")

CASES = {
    LOGS / "upython_legacy_cloud_iot_token.txt": {
        "BS105": ["blynk-cloud.com", "blynk.cloud"],
        "BS201": ["legacy", "Blynk IoT", "STA_INVALID_TOKEN"],
    },
    LOGS / "upython_tls_record_as_answer.txt": {
        "BS108": ["TLS", "23", "771", "29", "encrypted"],
    },
    LOGS / "upython_write_without_answer.txt": {
        "BS301": ["V1", "never answers a good write", "syncVirtual"],
    },
    LOGS / "cpp_write_sync_compare.txt": {
        "BS301": ["V0: 4 sent", "compare"],
    },
    LOGS / "cpp_nine_is_a_length.txt": {
        "BS318": ["9", "STA_INVALID_TOKEN", "body"],
    },
    LOGS / "cpp_forty_writes_a_second.txt": {
        "BS308": ["40", "20", "second"],
    },
    LOGS / "ota_url_of_a_container.txt": {
        "BS401": ["172.17.0.2", "Docker", "server.host", "server.properties"],
        "BS402": ["refused", "172.17.0.2"],
    },
    LOGS / "ota_file_not_found.txt": {
        "BS403": ["404", "blynk.example.org", "?auth="],
    },
    LOGS / "ota_connection_refused.txt": {
        "BS402": ["refused", "blynk.example.org:8080", "http.port"],
    },
    LOGS / "curl_upload_without_file.txt": {
        "BS407": ["-F file=@Greenhouse.ino.nodemcu.bin", "500", "without an @"],
    },
    LOGS / "particle_photon_clouddebug.txt": {
        "BS501": ["256", "particle keys doctor", "particle keys server"],
    },
    MADE / "seed_legacy_cloud.pcap": {
        "BS105": ["blynk-cloud.com", "blynk.cloud"],
        "BS201": ["legacy", "Blynk IoT"],
    },
    MADE / "seed_write_then_sync.pcap": {
        "BS301": ["V1: 1 passed, 1 delivered", "syncVirtual"],
    },
    MADE / "seed_forty_a_second.pcap": {
        "BS308": ["40", "20", "second"],
    },
    MADE / "seed_ota_refused.pcap": {
        "BS402": ["refused", "198.51.100.77:8080"],
    },
    MADE / "ota_refused_container.pcap": {
        "BS401": ["172.17.0.2", "Docker", "server.host"],
        "BS402": ["refused"],
    },
    MADE / "ota_download_404.pcap": {
        "BS403": ["404", "/static/ota/"],
    },
    MADE / "ota_upload_without_file.pcap": {
        "BS407": ["/admin/ota/start", "500", "file=@"],
    },
    MADE / "seed_particle_keys.pcap": {
        "BS501": ["256", "particle keys doctor", "particle keys server"],
    },
    MADE / "particle_refused_after_key.pcap": {
        "BS501": ["256", "particle keys doctor", "particle keys server"],
    },
    MADE / "seed_dns_one_name.pcap": {
        "BS104": ["blynk.cloud"],
    },
    MADE / "dns_nxdomain.pcap": {
        "BS104": ["blynk-cloud.com", "NXDOMAIN"],
    },
    MADE / "dns_unanswered.pcap": {
        "BS104": ["blynk-cloud.com"],
    },
}
ABSENT = {
    LOGS / "upython_write_without_answer.txt": ["BS304", "BS201", "BS105"],
    LOGS / "cpp_write_sync_compare.txt": ["BS302", "BS304", "BS201", "BS318"],
    LOGS / "cpp_nine_is_a_length.txt": ["BS201", "BS306", "BS909"],
    LOGS / "upython_tls_record_as_answer.txt": ["BS909"],
    LOGS / "ota_file_not_found.txt": ["BS401", "BS402", "BS408"],
    LOGS / "ota_connection_refused.txt": ["BS101", "BS401", "BS408"],
    LOGS / "ota_url_of_a_container.txt": ["BS101", "BS408"],
    LOGS / "curl_upload_without_file.txt": ["BS403", "BS907"],
    LOGS / "particle_photon_clouddebug.txt": ["BS907"],
    MADE / "seed_write_then_sync.pcap": ["BS302", "BS304"],
    MADE / "seed_ota_refused.pcap": ["BS101", "BS401", "BS405", "BS406", "BS408"],
    MADE / "ota_refused_container.pcap": ["BS101"],
    MADE / "ota_download_404.pcap": ["BS401", "BS402", "BS405", "BS406", "BS408"],
}


def decode(path):
    """The records of an input, as the program prints them."""
    done = CliRunner().invoke(command, ["--format", "jsonl", str(path)])
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def findings_of(rows):
    by_id = {}
    for row in rows:
        if row["record"] == "finding":
            by_id.setdefault(row["id"], []).append(row)
    return by_id


def page(finding):
    """All that a person reads about a finding: here, and with `explain`."""
    from blynkscope.analysis.catalogue import CATALOGUE

    return " ".join([finding["title"], finding["detail"], finding["fix"], CATALOGUE[finding["id"]].why])


@pytest.mark.parametrize(
    ("path", "name"), [(path, name) for path, names in CASES.items() for name in names],
    ids=lambda value: value.stem if isinstance(value, Path) else value,
)  # fmt: skip
def test_cause_and_cure_are_told(path, name):
    found = findings_of(decode(path))
    assert name in found
    told = " ".join(page(finding) for finding in found[name])
    assert [word for word in CASES[path][name] if word not in told] == []


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_cause_is_told_once_and_without_its_consequences(path):
    found = findings_of(decode(path))
    for name in CASES[path]:
        if name in found:
            assert len(found[name]) == 1, name
    unwanted = {*CONSEQUENCES, *ABSENT.get(path, [])} - set(CASES[path])
    assert sorted(unwanted & set(found)) == []


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_no_token_is_shown(path):
    text = json.dumps(decode(path))
    assert [token for token in TOKENS if token in text] == []


def test_an_unacknowledged_write_beside_an_answered_property():
    rows = decode(LOGS / "upython_write_without_answer.txt")
    frames = [row for row in rows if row["record"] == "frame"]
    (prop,) = [row for row in frames if row["name"] == "MSG_PROPERTY"]
    assert [row["status"] for row in frames if row["answers"] == prop["n"]] == [200]
    writes = [row["n"] for row in frames if row["write"]]
    assert len(writes) == 2
    assert not [row for row in frames if row["answers"] in writes]


@pytest.mark.parametrize("path", [LOGS / "cpp_write_sync_compare.txt", MADE / "seed_write_then_sync.pcap"], ids=str)
def test_write_sync_compare_proves_the_write(path):
    rows = decode(path)
    (sync,) = [row for row in rows if row["record"] == "frame" and row["name"] == "MSG_HW_SYNC"]
    (answer,) = [row for row in rows if row["record"] == "frame" and row["answers"] == sync["n"]]
    (proof,) = [row for row in rows if row["record"] == "write" and row["state"] == "confirmed"]
    assert proof["by"] == answer["n"]
    (written,) = [row for row in rows if row["record"] == "frame" and row["n"] == proof["frame"]]
    assert written["fields"]["pins"] == answer["fields"]["pins"]


def test_nine_is_the_length_of_a_body():
    rows = decode(LOGS / "cpp_write_sync_compare.txt")
    (answer,) = [row for row in rows if row["record"] == "frame" and row["sender"] == "server" and row["cmd"] == 20]
    assert (answer["length"], answer["status"], answer["text"]) == (9, None, "V0 = 10.0")


def test_the_repeated_refusals_of_a_particle_are_one_finding():
    (finding,) = findings_of(decode(MADE / "seed_particle_keys.pcap")).get("BS501", [None])
    assert finding is not None
    assert finding["severity"] == "error"
