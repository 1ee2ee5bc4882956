"""The evidence for an era in words."""

from blynkscope.analysis.era import Evidence
from blynkscope.protocol.model import Era


def test_what_speaks_against_the_era_says_so():
    evidence = Evidence()
    evidence.info({"ver": "1.4.0"})
    assert evidence.weighed == ["library version 1.4.0 is of Blynk IoT"]
    evidence.server(Era.LEGACY, 1, "port 8080")
    assert evidence.era is Era.LEGACY
    assert evidence.weighed == ["port 8080", "against it: library version 1.4.0 is of Blynk IoT"]
    assert evidence.told == ["library version 1.4.0 is of Blynk IoT", "port 8080"]
    evidence.server(Era.IOT, 1, "a header")
    evidence.device(Era.LEGACY, 1, "a token")
    assert evidence.era is None
    assert evidence.weighed == evidence.told
