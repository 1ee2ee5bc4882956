"""What a server speaks and accepts, found out step by step: DNS, TCP, TLS, certificates, login."""

from blynkscope.probe.model import Report, Settings
from blynkscope.probe.run import close, new_report, probe

__all__ = ["Report", "Settings", "close", "new_report", "probe"]
