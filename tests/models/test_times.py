"""Times as they are stored."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statestore.models.times import format_time, parse_time, parse_times, time_ns

zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(
    min_value=datetime(1, 1, 2),  # noqa: DTZ001 # the strategy adds the zone
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=zones,
)


@settings(max_examples=200, deadline=None)
@given(moments)
def test_time_comes_back_as_the_same_moment(moment):
    text = format_time(moment)

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", text)
    assert parse_time(text) == moment
    assert parse_time(text).tzinfo is UTC
    assert format_time(parse_time(text)) == text


@settings(max_examples=100, deadline=None)
@given(moments, moments)
def test_texts_are_in_the_order_of_times(one, other):
    assert (format_time(one) < format_time(other)) == (one < other)


@settings(max_examples=100, deadline=None)
@given(moments)
def test_nanoseconds_are_exact(moment):
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_ns(moment) // 1000) == (
        moment
    )
    assert time_ns(moment) % 1000 == 0


def test_time_is_written_in_utc_with_microseconds():
    zone = timezone(timedelta(hours=2))

    assert format_time(datetime(2026, 11, 20, 19, tzinfo=zone)) == "2026-11-20T17:00:00.000000Z"


def test_time_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="zone"):
        format_time(datetime(2026, 1, 1))  # noqa: DTZ001 # the point


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [
        ("2026-01-02T03:04:05Z", 0),
        ("2026-01-02t03:04:05z", 0),
        ("2026-01-02 03:04:05Z", 0),
        ("2026-01-02T03:04:05.1Z", 100000),
        ("2026-01-02T03:04:05.123456789Z", 123456),
        ("2026-01-02T05:04:05.5+02:00", 500000),
        ("2026-01-01T22:04:05-05:00", 0),
    ],
)
def test_every_form_of_rfc_3339_is_read(text, microsecond):
    assert parse_time(text) == datetime(2026, 1, 2, 3, 4, 5, microsecond, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        *("", "now", "2026-01-02", "2026-01-02T03:04:05", "2026-01-02T03:04Z", "20260102T030405Z"),
        *("2026-01-02T03:04:05.Z", "2026-01-02T03:04:05+0200", "2026-13-02T03:04:05Z"),
        *(
            "2026-02-30T03:04:05Z",
            "2026-01-02T25:04:05Z",
            "2026-01-02T03:04:60Z",
            "0000-01-01T00:00:00Z",
        ),
        *("2026-01-02T03:04:05Z\n", " 2026-01-02T03:04:05Z", "2026-01-02T03:04:05+99:99"),
        *("\u0662026-01-02T03:04:05Z", None, 1767323045, b"2026-01-02T03:04:05Z"),
        *("0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"),
        datetime(2026, 1, 1, tzinfo=UTC),
    ],
    ids=repr,
)
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError):
        parse_time(text)


def test_many_times_are_read_as_each_alone():
    texts = [format_time(datetime(2026, 11, 20, 17, 0, n, n, tzinfo=UTC)) for n in range(60)]

    assert parse_times(texts) == [parse_time(text) for text in texts]
    assert all(moment.tzinfo is UTC for moment in parse_times(texts))


@given(
    st.text("0123456789-:.,TZW+ t٣", min_size=27, max_size=27)
    | st.tuples(moments, st.integers(0, 26), st.sampled_from("0123456789-:.,TZW+ t٣")).map(
        lambda made: replaced(format_time(made[0]), made[1], made[2])
    )
)
def test_many_times_are_read_only_in_the_form_in_which_they_are_written(text):
    try:
        (moment,) = parse_times([text])
    except ValueError:
        return
    assert moment == parse_time(text)
    assert format_time(moment) == text


def replaced(text, place, character):
    return text[:place] + character + text[place + 1 :]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-20T17:00:00Z",
        "2026-11-20 17:00:00.123456Z",
        "2026-11-20t17:00:00.123456z",
        "2026-11-20T17:00:00,123456Z",
        "2026-W47-5T17:00:00.123456Z",
        "2026-11-20T170000.12345678Z",
        "2026-11-20T17:00:00.12345+Z",
        "2026-11-20T17:00:00.12+01Z ",
        "2026-11-20T17:00:00.12-05Z",
        "2026-13-20T17:00:00.123456Z",
    ],
)
def test_many_times_are_refused_for_one_of_another_form(text):
    with pytest.raises(ValueError):  # whatever the parser says
        parse_times(["2026-11-20T17:00:00.123456Z", text])
