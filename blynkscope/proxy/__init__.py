"""Between a device and its server: bytes go through as they are, the analysis gets a copy."""
