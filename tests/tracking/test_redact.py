"""The arguments of a program are recorded without the secrets in them."""

from __future__ import annotations

import pytest

from autolog.tracking.provenance import redact


@pytest.mark.parametrize(
    ("argument", "recorded"),
    [
        ("https://me:hidden@host/x", "https://***@host/x"),
        ("postgresql://me:se/hidden@host:5432/db", "postgresql://***@host:5432/db"),
        (
            "postgresql://host/db?user=me&password=hidden",
            "postgresql://host/db?user=me&password=***",
        ),
        ("https://host:8080/@team/x?page=2", "https://host:8080/@team/x?page=2"),
    ],
)
def test_an_address_is_recorded_without_its_password(argument, recorded):
    assert redact([argument]) == [recorded]
