"""Events in, records out: what answers what, how far each write got, and the findings that follow."""
