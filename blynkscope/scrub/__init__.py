"""Captures and logs without their secrets, for sharing: same-length placeholders, every other byte as it was.

`captures.scrub` and `logs.scrub` go over their input three times: they learn what is secret, write the input with
placeholders in place of it, and read what they wrote to prove that nothing is left.
"""
