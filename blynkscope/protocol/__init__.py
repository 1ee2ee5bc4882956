"""What bytes mean: the command and status tables, the headers and bodies as schemas, and every numeric limit."""
