"""Times, numbers and foreign text as a reader sees them."""

from __future__ import annotations

import math

import pytest

from autolog.cli import format as written

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0 ms"),
        (0.4, "0 ms"),
        (38, "38 ms"),
        (1000, "1.0 s"),
        (59_990, "59.9 s"),
        (60_000, "1 min"),
        (123_000, "2 min 3 s"),
        (3_600_000, "1 h"),
        (3_840_000, "1 h 4 min"),
        (90_000_000, "1 d 1 h"),
        (-5, "0 ms"),
    ],
)
def test_a_duration_has_two_units_at_most(milliseconds: float, text: str) -> None:
    assert written.duration(milliseconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "now"), (5, "5 s ago"), (61, "1 min ago"), (7200, "2 h ago"), (200_000, "2 d ago")],
)
def test_a_moment_is_told_by_its_age(seconds: float, text: str) -> None:
    assert written.ago(int((NOW - seconds) * 1000), NOW) == text


def test_an_age_has_one_unit_however_old_it_is() -> None:
    assert written.age(int((NOW - 400 * 86400) * 1000), NOW) == "400 d"
    assert written.age(int((NOW + 60) * 1000), NOW) == "now"


@pytest.mark.parametrize("seconds", [8 * 86400, -3600])
def test_a_moment_long_ago_or_in_the_future_is_told_by_its_date(seconds: float) -> None:
    assert written.ago(int((NOW - seconds) * 1000), NOW).startswith("2027-01-")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (217.0, "217"),
        (0.98444444, "0.984444"),
        (-3.0, "-3"),
        (1e-9, "1e-09"),
        (1e300, "1e+300"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
    ],
)
def test_a_number_is_short_and_whole_ones_have_no_fraction(value: float, text: str) -> None:
    assert written.number(value) == text


@pytest.mark.parametrize(
    ("octets", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (418_654, "419 kB"), (999_700, "1 MB")],
)
def test_a_size_has_three_digits(octets: int, text: str) -> None:
    assert written.size(octets) == text


def test_text_keeps_its_letters_and_loses_its_control_characters() -> None:
    assert written.plain("größe 🚀") == "größe 🚀"
    assert written.plain("a\x1b[31m\nb\u202ec\ud800") == "a\\x1b[31m\\nb\\u202ec\\ud800"


def test_a_shape_is_read_aloud() -> None:
    assert written.shape([1347, None, 3]) == "1347 x ? x 3"
    assert written.shape(None) == ""


def test_values_that_are_no_text_are_written_as_json() -> None:
    assert written.value([1, "ä", None]) == '[1, "ä", null]'
    assert written.value(True) == "true"
    assert written.value(0.1) == "0.1"
    assert written.value("adam") == "adam"
