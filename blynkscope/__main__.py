"""`python -m blynkscope`."""

from blynkscope.cli import main

main()
