"""Times and sizes as scenarios write them, a number and its unit."""

_SECONDS = {"ms": 0.001, "s": 1, "min": 60, "h": 3600, "d": 86_400}
_BYTES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}


def seconds(written: str) -> float:
    """The seconds of `30 s`, `500 ms` or `2 h`; the schema has checked the form."""
    number, unit = written.split(" ")
    return float(number) * _SECONDS[unit]


def size_bytes(written: str) -> int:
    """The bytes of `148 KiB`; the schema has checked the form."""
    number, unit = written.split(" ")
    return int(number) * _BYTES[unit]
