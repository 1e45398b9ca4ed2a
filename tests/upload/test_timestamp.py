"""Points in time as the upload service writes them."""

from datetime import UTC, datetime, timedelta, timezone

from phrasim.upload.timestamp import timestamp


def test_one_moment_is_written_in_the_zone_in_which_it_was_told() -> None:
    moment = datetime(2019, 5, 15, 14, 13, 54, 999_999, tzinfo=UTC)
    assert timestamp(moment) == "2019-05-15T14:13:54+00:00"
    assert timestamp(moment.astimezone(timezone(timedelta(hours=2)))) == "2019-05-15T16:13:54+02:00"
    assert timestamp(moment) == "2019-05-15T14:13:54+00:00"
