"""Rules and scenarios that break a conversation on purpose: what proxy and server share.

`load` reads a rules file, `scenario` one of those that are shipped (`SCENARIOS`), and an `Injector` applies the rules
to the frames of one connection: frame in, commands out. What a rule may say is told in `reference`, the order in which
it is carried out also in `faults.engine`, the commands in `faults.model`.
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
from blynkscope.faults.shipped import SCENARIOS, reference, scenario, scenario_text

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
    "reference",
    "scenario",
    "scenario_text",
]
