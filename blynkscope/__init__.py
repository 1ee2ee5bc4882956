"""Wire analysis for the Blynk IoT protocol: what was said, what it meant, what went wrong."""

__version__ = "0.1.0"
