"""BS2xx: logging in."""

from __future__ import annotations

from blynkscope.analysis.catalogue.model import Rule, Severity

RULES: tuple[Rule, ...] = (
    Rule(
        "BS201",
        "invalid-token",
        Severity.ERROR,
        "login",
        "The server does not know this token",
        "STA_INVALID_TOKEN means that the token is unknown to the server that was asked, not that it was damaged on "
        "the way. Most often a token of Blynk IoT was sent to a legacy server (blynk-cloud.com or a self-hosted one), "
        "or the other way round: the two know nothing of each other's tokens. Otherwise the token was refreshed, "
        "mistyped, cut short, or pasted with quotes or white space. The connection stays open, so a device that goes "
        "on writing is ignored.",
        "Compare the host with where the token comes from: Blynk IoT tokens (and BLYNK_TEMPLATE_ID in the sketch) "
        "belong to blynk.cloud, legacy tokens to the legacy server that issued them. Copy the token again, 32 "
        "characters, without quotes or spaces.",
        "status codes",
    ),
    Rule(
        "BS202",
        "login-unanswered",
        Severity.ERROR,
        "login",
        "The login was not answered",
        "A server answers every login with a status at once: 200, or 9 where it does not know the token. Libraries "
        'wait 3 to 6 s, print "Login timeout" and connect again. No answer means that the login did not reach a '
        "Blynk server, or that the answer did not reach the device: another service listens on that port, something "
        "between them swallows the bytes, or the module (AT modem, shield, serial bridge) loses what it receives.",
        "Try the port from a computer: `nc -vz HOST PORT` shows whether anything listens there. With an AT modem or "
        "shield on SoftwareSerial, lower the baud rate to 9600 or use a hardware serial port. Legacy servers take "
        "devices on 8080 (plain) and 9443 (TLS), Blynk IoT on 80 and 443.",
        "timing and limits",
    ),
    Rule(
        "BS203",
        "login-rejected",
        Severity.ERROR,
        "login",
        "The server refused the login",
        'The login got an error status other than "unknown token". For apps these are 3 (no such account) and 5 '
        "(wrong password); a device sees others only where the server itself is in trouble or does not take this "
        "kind of client.",
        "Act by the status: for apps check the account, its server and the password; for devices look at the server's "
        "log at the time of the login.",
        "status codes",
    ),
    Rule(
        "BS204",
        "frames-before-login",
        Severity.WARNING,
        "login",
        "The client spoke before it logged in",
        "The first message on every connection has to be the login. On the legacy server anything else makes the "
        "server hang up without an answer, so what was sent is lost and the device connects again. It happens where a "
        "sketch writes in loop() although Blynk.connected() is false, where hand-written clients skip the login, and "
        "where a client keeps sending its queue on a new connection.",
        "Log in first (MSG_HW_LOGIN with the token) and wait for status 200. In a sketch, write only `if "
        "(Blynk.connected())` or from BLYNK_CONNECTED() and timers that start there.",
        "acknowledgements",
    ),
    Rule(
        "BS205",
        "second-login",
        Severity.NOTE,
        "login",
        "A second login on a connection that is logged in",
        "The server refuses it with STA_ALREADY_REGISTERED (4) and the session goes on as before; libraries take the "
        "4 for success. It does no harm, but it shows a client that does not keep track of its own state.",
        "Log in once for each connection.",
        "acknowledgements",
    ),
    Rule(
        "BS206",
        "token-on-two-connections",
        Severity.NOTE,
        "login",
        "One token is logged in on two connections at once",
        "The second login does not throw out the first: both stay online, both get what apps write, and the writes of "
        "both end up in the same pins. Either two devices were flashed with the same token, or one device came back "
        "after losing a connection that the server still takes for open.",
        "Give every device a token of its own. If it is one device, close the old connection before opening a new one "
        "(Blynk.disconnect()), or wait until the server's idle limit has closed it.",
        "timing and limits",
    ),
    Rule(
        "BS207",
        "redirect-not-followed",
        Severity.ERROR,
        "login",
        "The server sent the device elsewhere, and it did not go",
        "MSG_REDIRECT names the server on which the account lives. The device has to close the connection, open one "
        "to that host and port and log in there; the first server will not serve it. Libraries that do not know the "
        "message wait in vain and log in to the same place again.",
        "Update the library to one that follows redirects, or put the host of the redirect into the sketch: "
        "Blynk.begin(auth, ssid, pass, HOST, PORT). Hand-written clients read the body as host, NUL, port.",
        "timing and limits",
    ),
    Rule(
        "BS208",
        "redirect-followed",
        Severity.NOTE,
        "login",
        "The device was redirected and went there",
        "A login can be answered by MSG_REDIRECT, because the account lives on another server of the cloud. This is "
        "normal and costs one more connection at every start.",
        "Nothing has to be done. To save a round trip, configure the host of the redirect directly.",
        "timing and limits",
    ),
    Rule(
        "BS209",
        "reconnect-loop",
        Severity.WARNING,
        "login",
        "The device connects again and again",
        "Libraries connect anew after every failure, usually every 5 to 10 s. A loop with an even period shows that "
        "the same thing goes wrong each time at the same point: the login, the first large message, the heartbeat, or "
        "the sketch restarts.",
        "Remove the cause that is told for the single connections. Where there is none: see that loop() calls "
        "Blynk.run() without long delays, that no second client uses the same socket, and that the sketch does not "
        "call Blynk.connect() or Blynk.begin() while it is connected.",
        "timing and limits",
    ),
    Rule(
        "BS210",
        "login-command-mismatch",
        Severity.WARNING,
        "login",
        "The other side wants another login command",
        "There are two: MSG_LOGIN (2), which libraries up to 0.5.4 and blynklib 0.2.6 send, and MSG_HW_LOGIN (29) of "
        "all later ones. Servers of the legacy era take both; Blynk IoT wants 29, and a device in direct (Bluetooth or "
        'serial) mode takes only the one that its library knows. Signs are "Invalid header type: 2" and a first '
        "login that is answered with status 4.",
        "Bring both sides to one generation: update the library (C++ 1.x; for Python BlynkLib instead of blynklib "
        "0.2.6), or, in direct mode, use the app that belongs to the library.",
        "login commands",
    ),
)
