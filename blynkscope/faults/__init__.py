"""Rules and scenarios that break a conversation on purpose: what proxy and server share.

`load` reads a rules file, `scenario` one of those that are shipped (`SCENARIOS`), and an `Injector` applies the rules
to the frames of one connection: frame in, commands out. What a rule may say, in TOML:

    seed = 7                                    # of all chance; a run with the same seed repeats
    [[rule]]
    name = "slow"                               # by default "rule 1" …
    match = 'cmd == HW and pin == V1'           # the filter language (`blynkscope filters`); by default every frame
    direction = "to-device"                     # to-server, to-device, both (default)
    answers = "PING"                            # only what answers this command, or one of a list
    connection = 2                              # only this connection of the run, or one of a list
    from = 10                                   # seconds since the connection opened
    until = 60
    after = 3                                   # pass over the first three that match …
    every = 2                                   # … then take every second one …
    probability = 0.5                           # … half of them …
    count = 10                                  # … and ten in all; counters are those of one connection

and at least one action:

    pass = true                                 # leave it, and ask no further rule
    delay = 2                                   # seconds, or { seconds = 1, jitter = 0.5 }: 1 to 1.5
    drop = true
    duplicate = 2                               # two more copies; true: one
    split = true                                # single bytes; or a size; or { size = 4, gap = 0.05 }
    merge = 5                                   # five frames as one write; or { frames = 5, within = 0.2 }
    reorder = 2                                 # behind the next two; true: one; or { frames = 2, within = 3 }
    status = "INVALID_TOKEN"                    # of a RESPONSE, by name or number
    replace = { pin = "V5", value = "99" }      # fields of the body, by the names of the filter language
    body = ["vw", 5, 99]                        # parts; or a text; or { hex = "76 77 00" }
    truncate = 3                                # only the first three bytes, header included
    corrupt = { offset = 4, xor = 0x80 }        # true: byte and bits by the seed; negative offsets count from the end
    answer = { status = 9 }                     # to the sender, with its id; the frame itself is not sent on
    answer = { redirect = "blynk.example:80" }  # or { cmd = "INTERNAL", body = ["ota", "http://…"], id = 7777 },
                                                # or a list of them; each may have a delay of its own
    forward = true                              # with answer: send the frame on all the same
    stall = 30                                  # nothing passes in this direction, true: for good;
                                                # or { seconds = 30, direction = "both" }: a half-open link
    close = true                                # behind the frame; with drop, in its place
    reset = true

The order in which they are carried out is told in `faults.engine`, the commands in `faults.model`.
"""

from blynkscope.faults.engine import Injector
from blynkscope.faults.load import load
from blynkscope.faults.model import (
    TO_DEVICE,
    TO_SERVER,
    Applied,
    Close,
    Command,
    FaultsError,
    Later,
    Pass,
    Reset,
    Rule,
    RuleSet,
    Send,
    Stall,
)
from blynkscope.faults.shipped import SCENARIOS, scenario, scenario_text

__all__ = [
    "SCENARIOS",
    "TO_DEVICE",
    "TO_SERVER",
    "Applied",
    "Close",
    "Command",
    "FaultsError",
    "Injector",
    "Later",
    "Pass",
    "Reset",
    "Rule",
    "RuleSet",
    "Send",
    "Stall",
    "load",
    "scenario",
    "scenario_text",
]
