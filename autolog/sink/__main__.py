"""`python -m autolog.sink`: the helper process of the store that AUTOLOG_STORE names."""

from __future__ import annotations

from autolog.sink.helper import detach, serve
from autolog.store.location import locate, prepare

if __name__ == "__main__":
    detach()
    place = locate()
    prepare(place)
    serve(place)
