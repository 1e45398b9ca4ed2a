"""The live page of a landscape: its messages as they happen, its participants, and what a user does in a browser."""
