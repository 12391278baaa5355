"""Searches over SQL answer what the definition in `autolog.query.evaluate` says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autolog.query.evaluate import Collection
from autolog.query.parser import parse_filter, parse_order
from autolog.query.printer import print_filter, print_order
from tests.query import population
from tests.query.strategies import filters, orders


def pages(store, limit, **wanted):
    """Return the ids on every page of a search."""
    found, token = [], None
    while True:
        page = store.search(limit=limit, page_token=token, **wanted)
        found.append([run.run_id for run in page])
        assert page.complete == (page.next is None)
        token = page.next
        if token is None:
            return found


@pytest.mark.parametrize("seed", [1, 2])
def test_every_filter_and_order_finds_what_the_definition_finds(trainer, folded, seed):
    history = population.populate(trainer, seed)
    store = folded()
    collection = Collection(store.search(limit=None), population.summary(history))

    @settings(max_examples=60, deadline=None)
    @given(st.none() | filters, orders, st.sampled_from([1, 7, 1000]))
    def check(node, order, limit):
        wanted = [run.run_id for run in collection.search(node, order)]
        texts = {"filter": print_filter(node), "order_by": [print_order(key) for key in order]}
        found = pages(store, limit if len(wanted) < 20 else max(limit, 7), **texts)
        assert [uid for page in found for uid in page] == wanted
        assert all(len(page) <= max(limit, 7) for page in found)
        everything = store.search(limit=None, total=True, **texts)
        assert [run.run_id for run in everything] == wanted
        assert everything.total == len(wanted)

    check()
