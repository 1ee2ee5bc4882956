"""Records out to people and programs. The only place that prints, so the only place that must mask and escape."""
