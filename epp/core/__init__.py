"""The pure part: no I/O, no clock and no randomness of its own; both are arguments."""
