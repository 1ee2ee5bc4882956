"""What the proxy says of itself, in words."""

import pytest

from blynkscope.analysis.records import StreamRecord
from blynkscope.render.connecting import Start, lines
from blynkscope.render.notices import Notices, said
from blynkscope.render.options import Options
from blynkscope.render.proxied import refusal


def record(fact, **detail):
    return StreamRecord("proxy", 1, 100.0, "unknown", 0, {"fact": fact, **detail})


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (record("proxy-upstream-failed", stage="dns", reason="unknown-host", text="not known.", host="x.y", port=443),
         "proxy: the server x.y:443 was not reached: its name is not known: not known"),
        (record("proxy-upstream-failed", stage="tls", reason="expired", text="it expired", host="::1", port=443),
         "proxy: the server [::1]:443 was not reached: no TLS: it expired"),
        (record("proxy-upstream-failed"), "proxy: the server was not reached: it failed"),
        (record("proxy-handshake-failed", leg="device", reason="timeout", alert=None, cause="It hangs.", versions=[],
                ciphers=[], sni=None), "proxy: no TLS with the device: It hangs."),
        (record("proxy-refused", reason="no-name", text="it names no server", host=None),
         "proxy: refused: it names no server"),
        (record("proxy-refused", reason="name", text="not there", host="evil.example"),
         "proxy: refused: not there (it asked for evil.example)"),
        (record("proxy-limit", limit="idle", seconds=3600.0), "proxy: ended, nothing was said for 3600 s"),
        (record("proxy-limit", limit="inject", size=1048576),
         "rules: more than 1048576 bytes of them wait to be sent; what is beyond is dropped"),
        (record("proxy-limit", limit="new"), "proxy: ended, new"),
        (record("proxy-rule", rule="slow", action="delay", detail="2 s later", command=20, id=7),
         'rule "slow": delayed MSG_HW id 7 (2 s later)'),
        (record("proxy-rule", rule="intercept", action="drop", detail="dropped by hand"),
         "by hand: dropped (dropped by hand)"),
        (record("proxy-rule", rule="x", action="replace", detail="no pin", failed=True),
         'rule "x": could not replace (no pin)'),
        (record("proxy-rule", rule="slow", action="drop", detail="11 bytes", command=20, id=2),
         'rule "slow": dropped MSG_HW id 2 (11 bytes)'),
        (record("proxy-rule", rule="slow", action="reset", detail="", command=20, id=2),
         'rule "slow": reset the connection at MSG_HW id 2'),
        (record("proxy-rule-failed", who="the gate", error="KeyError"),
         "proxy: the gate failed (KeyError); the frame passed. Please report this."),
        (record("proxy-partial", size=3, seconds=2.0),
         "proxy: 3 bytes of a frame passed without its rest, which did not come within 2 s"),
        (record("proxy-tls-broken", leg="upstream", reason="bad record"), "proxy: TLS with the server broke: bad record"),
        (record("proxy-something-new", why="x", none=None), "proxy: something new · why x"),
        (record("proxy-rule", rule="\x1b[2J", detail=["a"]), "rule \"\\x1b[2J\": applied (['a'])"),
    ],
)  # fmt: skip
def test_words(told, words):
    assert said(told).text == words
    assert not said(told).calm


def test_they_are_lines_of_the_table():
    (line,) = Notices(Options(width=200)).stream(record("proxy-limit", limit="idle", seconds=60), "0.000")
    assert line.strip() == "0.000 ╌╌ stream 1 proxy: ended, nothing was said for 60 s"


def test_refusals():
    detail = {"reason": "per-address", "text": "x", "client": "::1", "port": 4, "before": 9}
    assert refusal("proxy-refused", detail) == "refused ::1 (9 more before): this address has too many connections open"
    assert refusal("proxy-refused", {}) == "refused a client: refused"
    assert refusal("proxy-tap-failed", {"error": "KeyError"}).startswith("the analysis missed something")


def text(**more):
    start = Start(**{"host": "127.0.0.1", "port": 8080, "upstream": "tls://a.b:443", **more})
    return "\n".join(lines(start, width=400))


@pytest.mark.parametrize("by_name", [False, True])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "192.168.1.100"])
def test_the_start_fits_into_a_terminal(host, by_name):
    fingerprint = ":".join(["AB"] * 32)
    start = Start(
        host=host, port=9443, upstream="tls://fra1.blynk.cloud:443", by_name=by_name, verified=False, legacy=True,
        addresses=["192.168.1.10", "10.100.100.100", "172.17.100.100"], fingerprint=fingerprint, created=True,
    )  # fmt: skip
    said_at_start = lines(start)
    assert "  " + fingerprint in said_at_start
    assert [line for line in said_at_start if len(line) > 80 and fingerprint not in line] == []
    assert any("setTrustAnchors" in line for line in said_at_start) == (host != "127.0.0.1")
    assert any("set the clock" in line for line in said_at_start) == (host != "127.0.0.1")


def test_the_start_for_this_computer_alone():
    said_at_start = text(verified=True, fingerprint="AB:CD", created=True)
    assert "127.0.0.1:8080 → tls://a.b:443, its certificate is verified" in said_at_start
    assert "from this computer alone" in said_at_start
    assert "--listen 0.0.0.0:8080" in said_at_start
    assert "Arduino" not in said_at_start
    assert 'blynklib.Blynk(auth, server="127.0.0.1", port=8080)' in said_at_start
    assert "(made just now), SHA-256:\n  AB:CD" in said_at_start
    start = Start(host="127.0.0.1", port=8080, upstream="tcp://a.b:80")
    assert len(lines(start, short=True, width=200)) == 2


def test_the_start_for_the_network():
    said_at_start = text(host="0.0.0.0", addresses=["192.168.1.10", "10.0.0.1"], verified=False, legacy=True)
    assert "NOT VERIFIED" in said_at_start
    assert "reachable at 192.168.1.10:8080, 10.0.0.1:8080" in said_at_start
    assert "warning: everyone" in said_at_start
    assert "--legacy-tls" in said_at_start
    assert 'Blynk.begin(auth, ssid, pass, "192.168.1.10", 8080);' in said_at_start
    assert "ca export" not in said_at_start
    limited = text(host="::", addresses=["2001:db8::1"], allowed=["2001:db8::/64"])
    assert "[2001:db8::1]:8080, clients from 2001:db8::/64 alone" in limited
    assert "warning" not in limited
    assert "ADDRESS-OF-THIS-COMPUTER" in text(host="0.0.0.0")
    assert "in the network of 192.168.1.10; --allow" in text(host="192.168.1.10")


def test_the_start_where_devices_name_their_server():
    said_at_start = text(upstream="tls://auto:443", by_name=True, fingerprint="AB")
    assert "let their DNS or router lead it to 127.0.0.1:8080" in said_at_start
    assert "blynklib" not in said_at_start
