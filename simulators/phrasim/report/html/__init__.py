"""A run as a page that a browser shows: its messages in lanes, each to be opened, its verdicts, its queues."""
