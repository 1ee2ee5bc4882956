"""What logs of boards say about networks, servers that are not reached, direct links and wrong ports."""

import pytest

from blynkscope.analysis.analyser import Analyser
from blynkscope.analysis.records import FindingRecord
from blynkscope.sources.text import TextSource

TOKEN = "c4ad62ead005b80c82e6c7a3dd0d2dbc"
LOGIN = f"[7101] <[1D|00|01|00|20]{TOKEN}\n"


def findings(log):
    source, analyser = TextSource(log.encode(), "a.txt"), Analyser()
    records = [record for batch in source for record in analyser.feed(batch)]
    records += analyser.finish(source.lost)
    return {one.id: one for one in records if isinstance(one, FindingRecord) and one.id != "BS907"}


def connecting(count, host="192.168.1.5:8080"):
    return "".join(f"[{4200 + 5001 * turn}] Connecting to {host}\n" for turn in range(count))


class TestServersThatAreNotReached:
    def test_attempts_and_nothing_else(self):
        finding = findings(connecting(4))["BS102"]
        assert finding.severity == "error"
        assert "4 times to connect to 192.168.1.5:8080" in finding.detail
        assert "every 5.0 s" in finding.detail

    def test_an_address_inside_docker_is_named(self):
        assert "Docker" in findings(connecting(3, "172.17.0.2:8080"))["BS102"].detail

    def test_attempts_of_which_one_worked(self):
        assert "BS102" not in findings(connecting(4) + "[30000] Ready (ping: 8ms).\n")

    def test_two_attempts_at_the_end_prove_nothing(self):
        assert findings(connecting(2)) == {}

    def test_a_redirect_to_a_server_that_is_not_reached(self):
        log = (
            f"[1] Connecting to blynk.cloud:80\n{LOGIN}[7200] >)[00|01|00|10]\n[7200] >45.55.130.102[00]80\n"
            "[7200] Redirecting to 45.55.130.102:80\n" + connecting(3, "45.55.130.102:80")
        )
        found = findings(log)
        assert "no connection came about" in found["BS208"].detail
        assert "45.55.130.102:80" in found["BS102"].detail


class TestNetworks:
    @pytest.mark.parametrize(
        ("line", "what"),
        [
            ("[2634] ESP is not responding", "network module"),
            ("[2634] Failed to enable MUX", "network module"),
            ("[2634] Connect WiFi failed", "Wi-Fi"),
            ("CONNECTING_NET => ERROR", "Wi-Fi"),
            ("[2634] Register in network failed", "mobile network"),
            ("[2634] DHCP Failed!", "DHCP"),
        ],
    )
    def test_what_the_board_says(self, line, what):
        finding = findings(f"[631] Connecting to MyWiFi\n{line}\n")["BS117"]
        assert finding.severity == "error"
        assert what in finding.detail

    def test_it_explains_attempts_and_restarts(self):
        log = f"[1] Register in network failed\n{connecting(4)}Restarting after error.\n"
        assert set(findings(log)) == {"BS117"}

    def test_a_network_that_came_later(self):
        log = "[1] Connect WiFi failed\n[900] Connected to WiFi\n[901] Ready (ping: 8ms).\n"
        assert findings(log) == {}

    def test_a_log_that_ends_while_joining(self):
        assert findings("[57] Connecting to HomeNet\n")["BS117"].severity == "warning"
        assert findings("[57] Connecting to HomeNet\n[900] Connected to WiFi\n") == {}


class TestDirectLinks:
    def test_a_token_that_the_device_refuses(self):
        log = f"[27000] Connecting...\n[35878] >[1D|00|01|00] \n[35912] >{TOKEN}\n[35912] Invalid token\n"
        finding = findings(log + "[35912] <[00|00|01|00|09]\n")["BS201"]
        assert "the app logged in to the device" in finding.detail
        assert "the answer" not in finding.detail

    def test_a_device_that_logs_in_over_a_serial_link(self):
        finding = findings(f"[46490] Connecting...\n[46490] <[1D|00|01|00|20]{TOKEN}\n[49571] Login timeout\n")["BS202"]
        assert "serial or Bluetooth link" in finding.detail
        assert "BLYNK_USE_DIRECT_CONNECT" in finding.fix

    def test_both_sides_log_in(self):
        half, rest = TOKEN[:15], TOKEN[15:]
        log = (
            f"[1] BLE connect\n[2] <[02|00|01|00] {half}\n[2] <{rest}\n[9] >> [02|00|01|00] {half}\n"
            f"[9] >[02|00|01|00] \n[10] >> {rest}\n[10] >{TOKEN}\n[10] Invalid header type: 2\n"
        )
        finding = findings(log)["BS210"]
        assert "both sides logged in" in finding.detail
        assert "BLYNK_USE_DIRECT_CONNECT" in finding.fix


@pytest.mark.parametrize(("board", "said"), [("NodeMCU", "was connected"), ("Arduino Uno", "receive path")])
def test_a_login_without_an_answer_by_the_board(board, said):
    log = f"[1] /___/ v0.6.1 on {board}\n[7001] Connecting to 192.168.1.5:8080\n{LOGIN}[13102] Login timeout\n"
    assert said in findings(log)["BS202"].detail


class TestWrongPorts:
    def test_a_web_server_answers(self):
        log = f"[7001] Connecting to 192.168.1.5:80\n{LOGIN}[7120] >HTTP/\n[7120] Packet too big: 20527\n"
        found = findings(log)
        assert "web server" in found["BS111"].detail
        assert "BS115" not in found

    def test_a_tls_alert_answers(self):
        log = f"[7001] Connecting to 192.168.1.5:9443\n{LOGIN}[7120] >[15|03|03|00|02]\n[7120] >[02|28]\n"
        found = findings(log + "[7121] Invalid header type: 21\n")
        assert found["BS107"].severity == "error"
        assert "BS108" not in found


def test_one_failed_handshake_is_told_once():
    log = "[1] Connecting to a.example:443\n[2] Certificate not validated\n[3] Secure connection failed\n"
    assert set(findings(log)) == {"BS604"}


def test_the_library_says_that_the_sketch_floods():
    log = "[1] <[14|00|07|00|06]vw[00]5[00]1\n[2] Trouble detected: http://docs.blynk.cc/#troubleshooting-flood-error\n"
    assert findings(log)["BS308"].severity == "warning"


def test_a_restart_in_a_log_that_begins_with_frames():
    log = "[60120] >[14|00|07|00|06]\n[60120] >vw[00]2[00]1\n ets Jan  8 2013,rst cause:4, boot mode:(3,6)\n[71] IP: 10.0.0.2\n"
    assert "watchdog" in findings(log)["BS321"].detail


def test_the_placeholder_of_the_examples():
    log = "[7001] Connecting to blynk.cloud:80\n[7101] <[1D|00|01|00|0D]YourAuthToken\n[7201] >[00|00|01|00|09]\n"
    assert "placeholder" in findings(log)["BS201"].detail


@pytest.mark.parametrize(
    ("before", "cause", "severity"),
    [
        ("Going to sleep\n", "rst cause:2", "note"),
        ("", "rst cause:5", "note"),
        ("", "rst cause:2", "warning"),
        ("Going to sleep\n", "rst cause:4", "note"),
        ("Exception (29):\n", "rst cause:5", "warning"),
    ],
)
def test_a_board_that_wakes_up_did_not_crash(before, cause, severity):
    log = f"[71] IP: 10.0.0.2\n[90] Ready (ping: 8ms).\n{before} ets Jan  8 2013,{cause}, boot mode:(3,6)\n[71] IP: 10.0.0.2\n"
    assert findings(log)["BS321"].severity == severity


def test_bytes_that_the_modem_library_threw_away():
    log = "[1] >[14|00|05|00|06]\n[1] >vw[00]1[00]1\n[9] Buffer overflow\n[9] >w[00]2[00]1\n[9] Packet too big: 256\n"
    finding = findings(log)["BS319"]
    assert "Buffer overflow" in finding.detail
    assert "Blynk.run()" in finding.fix


def test_a_login_that_breaks_each_time():
    turns = range(188000, 210000, 5500)
    log = "".join(
        f"[{at}] Connecting to 10.0.0.5:8442\n[{at + 120}] Ready (ping: 0ms).\n[{at + 5400}] Login timeout\n"
        for at in turns
    )
    finding = findings(log)["BS209"]
    assert 'Behind "Ready" comes "Login timeout"' in finding.detail
    assert "Free RAM" in finding.fix


def test_messages_that_the_library_kept_back():
    log = "[1] Cmd skipped:20\n[2] Cmd skipped:20\n[3] Cmd skipped:16\n"
    finding = findings(log)["BS204"]
    assert finding.severity == "note"
    assert "skipped 3 messages (MSG_HW, MSG_HW_SYNC; line 1 on)" in finding.detail
