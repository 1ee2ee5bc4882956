"""BS211 to BS216, BS323 to BS333: MQTT of Blynk IoT, logging in and talking."""

from __future__ import annotations

from blynkscope.analysis.catalogue.model import Rule, Severity

RULES: tuple[Rule, ...] = (
    Rule(
        "BS211",
        "mqtt-login-refused",
        Severity.ERROR,
        "login",
        "The broker refused the MQTT login",
        "A device logs in to Blynk IoT with the user name `device` and its auth token as the password; the broker "
        "answers every CONNECT with CONNACK, and any code but 0 refuses it. Code 4 (MQTT 5: 134) stands for wrong "
        "credentials: another user name, a token that is mistyped, cut short, refreshed, with white space around it, "
        "of a legacy server or of an account on another server. The other codes speak of the client's protocol "
        "version, its client id or the server.",
        'Connect with the user name "device" and the 32 characters of the auth token from the Device info page, '
        'without quotes or spaces: client.username_pw_set("device", BLYNK_AUTH_TOKEN) in paho, '
        'client.connect("", "device", BLYNK_AUTH_TOKEN) with PubSubClient. Look at the code before trying again.',
        "MQTT",
    ),
    Rule(
        "BS212",
        "mqtt-login-unanswered",
        Severity.ERROR,
        "login",
        "The MQTT CONNECT was not answered",
        "A broker answers a CONNECT at once with CONNACK. Silence, or a connection that is closed without one, means "
        "that no MQTT broker listens there, that the port expects TLS, or that the CONNECT was so malformed that the "
        "broker dropped it.",
        "Blynk IoT takes MQTT on port 1883 (plain), 8883 (TLS) and on 443 as WebSocket with the path /mqtt. Try it "
        "from a computer: mosquitto_sub -h blynk.cloud -p 8883 -u device -P TOKEN -t 'downlink/#' -v",
        "MQTT",
    ),
    Rule(
        "BS213",
        "mqtt-redirect-not-followed",
        Severity.ERROR,
        "login",
        "The broker sent the device elsewhere (downlink/redirect), and it did not go",
        "blynk.cloud is the address of many regional servers. Where the device's account lives on another one, the "
        "broker publishes its address on downlink/redirect right after the login, and the device has to disconnect "
        "and connect there; this server will not serve it. It comes without a subscription, but a client that does "
        "not look for this topic, or sets its callback too late, misses it.",
        "Set the message callback before connecting, and when a message comes on downlink/redirect, disconnect and "
        "connect to the host and port in its payload (mqtts://HOST:PORT/). Or configure that regional host directly.",
        "MQTT",
    ),
    Rule(
        "BS214",
        "mqtt-redirect-followed",
        Severity.NOTE,
        "login",
        "The device was redirected by downlink/redirect and went there",
        "The broker tells the device which regional server its account lives on. This is normal and costs one more "
        "connection at every start.",
        "Nothing has to be done. To save a round trip, configure the host of the redirect directly.",
        "MQTT",
    ),
    Rule(
        "BS215",
        "mqtt-second-connect",
        Severity.WARNING,
        "login",
        "A second CONNECT on one MQTT connection",
        "A client may send CONNECT once for each network connection; the broker has to close it at the second one. It "
        "happens where a reconnect routine runs although the old socket is still open.",
        "Close the network connection before connecting anew, and call connect() only when the client is not "
        "connected: if (!client.connected()) reconnect();",
        "MQTT",
    ),
    Rule(
        "BS216",
        "mqtt-token-on-two-connections",
        Severity.WARNING,
        "login",
        "One token is logged in by MQTT on two connections at once",
        "Blynk IoT does not let several MQTT clients use one token: the new one throws out the old one, which connects "
        "again and throws out the new one. Usually a test client (mosquitto_pub, MQTT Explorer) runs with the token of "
        "the device, or two devices were flashed with the same token.",
        "Give every client a device and a token of its own. For tests create a second device of the same template.",
        "MQTT",
    ),
    Rule(
        "BS323",
        "mqtt-unknown-topic",
        Severity.WARNING,
        "topics",
        "A message on a topic that Blynk does not take from a device",
        "A device may publish on ds/NAME, ds/NAME/prop/PROPERTY, ds/NAME/erase, batch_ds, event/CODE, meta/NAME, "
        "get/ds, get/ds/all, get/meta, get/utc/all/json, get/loc/all, info/mcu and pong. Names are case-sensitive and "
        "no slash leads. What goes elsewhere is dropped without an error, unless the template has an MQTT data "
        "converter that takes it.",
        'Publish values on "ds/" and the name of the datastream as the template has it '
        '(client.publish("ds/Temperature", "21.3")). Topics below downlink/ are the server\'s.',
        "MQTT",
    ),
    Rule(
        "BS324",
        "mqtt-not-subscribed",
        Severity.NOTE,
        "topics",
        "The device did not subscribe to downlink messages",
        "Without a subscription the broker sends a device nothing but redirects and firmware updates: no values from "
        "apps, no answers to get/ds, no reboot. Sessions are clean, so that the subscription has to be made anew "
        "after every connect.",
        'Subscribe to "downlink/#" each time the connection is accepted: client.subscribe("downlink/#") in the '
        "handler of the connect, not once in setup().",
        "MQTT",
    ),
    Rule(
        "BS325",
        "mqtt-value-too-long",
        Severity.WARNING,
        "topics",
        "A value is longer than a datastream holds",
        "Blynk IoT takes values of up to 1024 bytes; of longer ones nothing says whether they are cut or dropped, as "
        "the broker acknowledges them like any other.",
        "Send shorter values: several datastreams, or one message for each part.",
        "MQTT",
    ),
    Rule(
        "BS326",
        "mqtt-flood",
        Severity.WARNING,
        "pace",
        "More MQTT messages a second than Blynk IoT takes",
        "The published limit is 50 requests a second for a device; older texts and the forum speak of 10 to 20. Above "
        "it the broker drops messages or closes the connection.",
        "Publish from a timer (every second or slower) and only what has changed, and put several values into one "
        'message on batch_ds: {"Temperature": 21.3, "Humidity": 40}.',
        "MQTT",
    ),
    Rule(
        "BS327",
        "mqtt-publish-unacknowledged",
        Severity.WARNING,
        "delivery",
        "Messages with QoS 1 or 2 were not acknowledged",
        "A message with QoS 1 is answered by PUBACK, one with QoS 2 by PUBREC and PUBCOMP. Without it nothing says "
        "that it arrived. A client has to send it again after the next connect, but Blynk IoT keeps no sessions, and "
        "simple clients forget it.",
        "Keep the message until its PUBACK has come, and publish it again where it does not. Blynk IoT has use for "
        "QoS 0 and 1.",
        "MQTT",
    ),
    Rule(
        "BS328",
        "mqtt-keep-alive",
        Severity.NOTE,
        "heartbeat",
        "An unusual MQTT keep-alive",
        "The broker closes a connection on which the device said nothing for 1.5 times the keep-alive of its CONNECT, "
        "and the device is shown offline then. With 0 or a long one, a device that lost its power or its network is "
        "shown online for as long; with a very short one every small delay costs the connection. 45 s is recommended.",
        "Set the keep-alive to 45 seconds: client.connect(host, port, keepalive=45) in paho, client.setKeepAlive(45) "
        "with PubSubClient, before connecting.",
        "MQTT",
    ),
    Rule(
        "BS329",
        "mqtt-keep-alive-missed",
        Severity.WARNING,
        "heartbeat",
        "The device was silent for longer than its MQTT keep-alive allows",
        "A client has to send something, or PINGREQ, within every keep-alive; after 1.5 times as long the broker "
        "closes the connection and the device is shown offline. Client libraries ping only while their loop runs.",
        "Call client.loop() in every turn of loop() and replace delay() by timers (paho: loop_start()); or announce a "
        "longer keep-alive where the device sleeps.",
        "MQTT",
    ),
    Rule(
        "BS330",
        "mqtt-protocol-violation",
        Severity.WARNING,
        "integrity",
        "An MQTT packet breaks the rules of the standard",
        "A broker has to close the connection at a malformed packet. They come from hand-written clients, from "
        "libraries that write into a buffer that is too small, from two tasks that write to one socket, and from a "
        "client that speaks another version than it stated.",
        "Use a library that is kept up, enlarge its buffer (PubSubClient: setBufferSize), and let one task alone use "
        "the client.",
        "MQTT",
    ),
    Rule(
        "BS331",
        "mqtt-subscription-refused",
        Severity.WARNING,
        "topics",
        "The broker refused a subscription",
        "SUBACK tells for each topic filter whether it was granted; 128 and above is a refusal. Devices of Blynk IoT "
        "may subscribe below downlink/ only.",
        'Subscribe to "downlink/#", or to single topics such as "downlink/ds/Mode", and to nothing else.',
        "MQTT",
    ),
    Rule(
        "BS332",
        "mqtt-server-complains",
        Severity.WARNING,
        "topics",
        "The broker says what is wrong",
        "Blynk IoT publishes on downlink/diag when it sees something wrong in what a device sends, and in MQTT 5 a "
        "broker gives a reason when it closes the connection. Neither is shown by most clients.",
        "Read the message, and print what comes on downlink/diag in the device's log while developing.",
        "MQTT",
    ),
    Rule(
        "BS333",
        "mqtt-payload-form",
        Severity.WARNING,
        "topics",
        "The payload is not what its topic takes",
        "batch_ds and info/mcu take one JSON object whose members are values; ds/NAME takes the value in plain text, "
        "without quotes or braces around it. Anything else is dropped.",
        'Publish {"Temperature": 21.3, "Humidity": 40} on batch_ds (double quotes around names), and 21.3 on '
        "ds/Temperature.",
        "MQTT",
    ),
)
