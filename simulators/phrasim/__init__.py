"""phrasim: simulator and contract-testing harness for the hand-off of uploaded media to Phraseanet."""

__version__ = "0.1.0"
