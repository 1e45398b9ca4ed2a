"""How a poll of the upload service ends that came to nothing, in whichever profile."""


class PollFailed(Exception):
    """A poll came to nothing; the message says why."""
