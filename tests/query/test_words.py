# ruff: noqa: RUF001
from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autolog.query.words import is_like, lowered


@given(st.text("ab%_.\n*", max_size=12), st.text("ab%_.\n*", max_size=8))
def test_a_pattern_means_any_text_and_any_character(text, pattern):
    wild = {"%": ".*", "_": "."}
    expression = "".join(wild.get(char, re.escape(char)) for char in pattern)
    assert is_like(text, pattern) == bool(re.fullmatch(expression, text, re.DOTALL))


def test_a_pattern_of_many_wildcards_takes_no_exponential_time():
    assert not is_like("a" * 20_000, "%a" * 200 + "%b")


@pytest.mark.parametrize(
    ("text", "lower"),
    [("ADAM", "adam"), ("GRÖSSE", "grösse"), ("ΣΑΣ", "σασ"), ("İ", "İ"), ("K", "k"), ("ẞ", "ß")],
)
def test_each_character_is_lowered_on_its_own(text, lower):
    assert lowered(text) == lower
