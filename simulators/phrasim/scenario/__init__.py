"""Scenarios: what is done and what must hold afterwards, as data; the runner that plays them."""
