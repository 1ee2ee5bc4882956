"""The certificate authority of this user, for connections that are looked into."""

from blynkscope.ca.authority import Authority

__all__ = ["Authority"]
