"""Holds a participant, simulated or real, to the specification; `verify` and `contracts/` use it."""
