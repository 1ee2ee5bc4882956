"""Logs as people paste them: lines in, messages and facts out. Sans-I/O."""
