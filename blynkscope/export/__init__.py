"""What was decoded as other programs read it: a capture of clean synthetic TCP."""
