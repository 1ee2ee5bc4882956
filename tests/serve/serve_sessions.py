"""Sessions of real clients with `serve`: all at once, a token for each, an app that watches, and a restart between."""

import contextlib
import json
import subprocess
import threading

from serve_world import ACCOUNT, DEADLINE, HW, OK, Served, decoded, until, words

CREATE_WIDGET, PROJECT_SETTINGS = 33, 38
NOTIFICATION = {
    "type": "NOTIFICATION", "id": 77, "x": 0, "y": 0, "color": 600084223, "width": 2, "height": 1, "tabId": 0,
    "isDefaultColor": True, "androidTokens": {"device": "token"}, "iOSTokens": {}, "notifyWhenOffline": False,
    "notifyWhenOfflineIgnorePeriod": 0, "priority": "normal",
}  # fmt: skip


def tokens(names, first=0x41):
    return {name: f"{number:02x}" * 16 for number, name in enumerate(names, first)}


class Sessions:
    """What came of them.

    Attributes:
        told: What each client was told, by its name.
        records: Of the recordings of the server, decoded.
    """

    def __init__(self, folder, clients, *, wrong=False, told=True, again=True, options=()):
        """
        Args:
            folder: For files.
            clients: By name, the command that runs the client up to its name, and whether it speaks TLS.
            wrong: They log in with tokens that the server does not know.
            told: Devices are told when an app comes and goes.
            again: The server is started anew in the midst of it.
            options: More of the server's.
        """
        self.folder = folder
        self.tokens = tokens(clients)
        self.told = {}
        unknown = tokens(clients, 0x81)
        options = [*options, *(part for token in self.tokens.values() for part in ("--token", token))]
        options += ["--store", str(folder / "store"), "--account", ":".join(ACCOUNT)]
        recordings = [folder / "first.pcapng", folder / "second.pcapng"]
        with contextlib.ExitStack() as stack:
            served = stack.enter_context(Served(folder, *options, "--record", str(recordings[0])))
            ports = served.plain, served.tls
            app = None
            if not wrong:
                app = stack.enter_context(served.app())
                json_of = json.dumps(NOTIFICATION, separators=(",", ":"))
                assert app.ask(CREATE_WIDGET, words("1", json_of)) == OK
                settings = json.dumps({"name": "sessions", "isAppConnectedOn": told})
                assert app.ask(PROJECT_SETTINGS, words("1", settings)) == OK
            programs = {}
            for name, (command, secure) in clients.items():
                token = unknown[name] if wrong else self.tokens[name]
                arguments = [name, str(ports[secure]), token, *([str(served.ca)] if secure else [])]
                programs[name] = subprocess.Popen(
                    [*command, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                    text=True,
                )  # fmt: skip
                stack.callback(ended, programs[name])
            if app is not None:
                self.first(app, served)
            if app is not None and again:
                assert served.end() == 0
                served = stack.enter_context(Served(folder, *options, "--record", str(recordings[1]), ports=ports))
                stack.enter_context(served.app())
                self.second(served)
            else:
                del recordings[1]
                for token in self.tokens.values():
                    served.write("V1", "bye", token)
            self.hear(programs)
            assert served.end() == 0
        self.records = decoded(folder, *recordings)

    def hear(self, programs):
        # All at once, for none may wait for a pipe.
        def hear(name, program):
            out, trouble = program.communicate(timeout=2 * DEADLINE)
            self.told[name] = json.loads(out) if program.returncode == 0 else trouble

        threads = [threading.Thread(target=hear, args=each, daemon=True) for each in programs.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(2 * DEADLINE)
        assert all(isinstance(told, list) for told in self.told.values()), self.told
        assert set(self.told) == set(programs)

    def first(self, app, served):
        """Until all clients want the server to leave."""
        leave = set()
        while leave < set(self.tokens):
            place, pin, (word, name, *_) = self.written(app)
            token = self.tokens[name]
            if pin == b"9":
                leave.add(name)
            elif word == "first":
                assert served.read("V2", token)[0].startswith(f"first {name}")
                served.write("V1", "rest", token)
            else:
                assert word == "second"
                app.say(HW, b"\0".join((place, b"vw", b"1", b"app")))

    def second(self, served):
        """Until all clients came back to a server that knows what it knew."""
        # A client may have written before the app was there again, so this asks.
        for name, token in self.tokens.items():
            until(lambda token=token: served.read("V2", token)[0].startswith("back"), name)
            assert served.read("V1", token) == ["app"]
            served.write("V1", "bye", token)

    @staticmethod
    def written(app):
        """The next write of a device, no call of ours: its place, the pin, and the words of the value."""
        _, _, body = app.until(lambda cmd, _, body: cmd == HW and b"\0vw\0" in body and b"\0vw\0" + b"1\0" not in body)
        place, _, pin, value = body.split(b"\0")
        return place, pin, value.decode().split()

    def frames(self, name, cmd, sender="device"):
        """Frames of the connections in which this client said its name."""
        said = name.encode().hex()
        every = [one for one in self.records if one["record"] == "frame"]
        own = {one["stream"] for one in every if one["sender"] == "device" and said in (one["body"] or "")}
        return [one for one in every if one["stream"] in own and (one["cmd"], one["sender"]) == (cmd, sender)]


def ended(program):
    program.kill()
    program.communicate()
