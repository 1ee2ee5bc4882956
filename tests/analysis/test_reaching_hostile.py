"""Whatever a log or a connection tells, the rules about ways, protocols and exposure take it without an error."""

from hypothesis import given
from hypothesis import strategies as st
from logtalk import LogTalk
from nettalk import Connections

KINDS = (
    "refused", "unreachable", "timeout", "dns-failure", "disconnected", "eof", "tls-error", "certificate-error",
    "tls-record", "particle", "ota", "connecting", "ready", "gateway", "cmd-error", "sent", "packet-too-big",
    "invalid-header-type", "bad-header-length", "ble-module", "modem", "user-print", "upload",
)  # fmt: skip
NAMES = (
    "host", "port", "reason", "code", "bytes", "size", "read", "written", "step", "says", "url", "sent", "total", "text",
    "type", "what",
)  # fmt: skip
VALUES = st.one_of(
    st.integers(-70000, 70000), st.text(max_size=30),
    st.sampled_from(["blynk-cloud.com", "170303001d", "http://[::1", "nonce", "OK+CONN", "alert unknown ca", "172.17.0.2"]),
)  # fmt: skip
LINES = st.tuples(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=5), st.booleans())


@given(st.lists(LINES, max_size=20), st.sampled_from([None, "blynk-cloud.com", "192.168.1.5"]))
def test_lines(lines, host):
    log = LogTalk(host=host, port=443 if host else 0).device(29, 1, b"x" * 32)
    for kind, facts, of_stream in lines:
        log.line(kind, str(facts), at=None if of_stream else 0, **facts)
    log.finish()
    assert all(finding.detail and finding.fix for name in log.ids for finding in log.findings(name))


BYTES = st.one_of(
    st.binary(max_size=60),
    st.sampled_from([
        bytes.fromhex("15030300020228"), bytes.fromhex("160301000401000000"), bytes.fromhex("170303001d") + bytes(29),
        b"GET /websocket HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-a\r\n",
        bytes.fromhex("1d00010020") + b"x" * 32, bytes.fromhex("00000100c8"), bytes(40), bytes(256), b"OK+CONN\r\n",
    ]),
)  # fmt: skip


@given(
    st.lists(st.tuples(st.integers(0, 1), BYTES), max_size=6), st.sampled_from([80, 443, 8080, 1883, 5683, 22]),
    st.sampled_from(["fin", "reset", "end", "evicted"]), st.sampled_from([0, 1, None]),
    st.sampled_from(["1.1.1.1", "172.17.0.2", "127.0.0.1"]),
)  # fmt: skip
def test_connections(wires, port, how, by, server):
    run = Connections().talk(wires=wires, port=port, how=how, by=by, server=server, end=130.0).finish()
    # One connection has one reason for its failure.
    causes = [name for name in ("BS106", "BS107", "BS110", "BS111", "BS112") if run.findings(name)]
    assert len(causes) <= 1
