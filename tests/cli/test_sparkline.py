"""A series as one line of text."""

from __future__ import annotations

import math

import pytest

from autolog.cli.sparkline import sparkline


def test_a_rising_series_rises_from_the_lowest_to_the_highest_block() -> None:
    assert sparkline(range(8), 8) == "▁▂▃▄▅▆▇█"


def test_a_short_series_is_as_long_as_it_is() -> None:
    assert sparkline([1, 2], 40) == "▁█"


def test_an_empty_series_is_an_empty_line() -> None:
    assert sparkline([], 10) == ""


@pytest.mark.parametrize("value", [0.0, 3.3, -7.5, 1e308, 5e-324])
def test_a_constant_series_is_a_line_in_the_middle(value: float) -> None:
    assert sparkline([value] * 5, 10) == "▄▄▄▄▄"
    assert sparkline([value] * 1007, 10) == "▄▄▄▄▄▄▄▄▄▄"


@pytest.mark.parametrize("many", [41, 1000, 99_999])
def test_a_long_series_has_the_width_and_keeps_its_course(many: int) -> None:
    line = sparkline(range(many), 40)
    assert len(line) == 40
    assert list(line) == sorted(line)
    assert (line[0], line[-1]) == ("▁", "█")


def test_nan_and_infinities_are_shown_and_do_not_flatten_the_rest() -> None:
    cross = "\N{MULTIPLICATION SIGN}"
    assert sparkline([0, math.nan, 1, math.inf, -math.inf], 10) == f"▁{cross}█↑↓"


def test_a_single_nan_is_seen_even_in_a_long_series() -> None:
    values = [float(step) for step in range(1000)]
    values[500] = math.nan
    assert sparkline(values, 20, ascii_only=True).count("x") == 1


def test_a_series_of_nothing_but_nan_is_drawn() -> None:
    assert sparkline([math.nan] * 3, 10, ascii_only=True) == "xxx"


def test_values_whose_distance_is_beyond_a_float_are_drawn() -> None:
    assert sparkline([-1.7e308, 0.0, 1.7e308], 10) == "▁▅█"
    assert len(sparkline([1.7e308] * 100, 7)) == 7


def test_without_unicode_it_is_ascii() -> None:
    line = sparkline([0, 1, 2, math.nan, math.inf, -math.inf], 10, ascii_only=True)
    assert line.isascii()
    assert len(set(line)) == 6
