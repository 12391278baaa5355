"""A journal under test, and what is in it."""

from __future__ import annotations

from pathlib import Path

from autolog.journal.files import list_writers
from autolog.journal.reader import Chunk, Cursor, read
from autolog.journal.writer import Writer

RUN = "0123456789abcdef" * 2


class Journal:
    """A directory of journals, and the shortest ways to write and read it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def writer(self, **options) -> Writer:
        return Writer(self.directory, "sqlite:///s", **options)

    def read(self, cursor: Cursor | None = None, **options) -> Chunk:
        """Read the only writer's journal from `cursor` on, in one go."""
        (files,) = list_writers(self.directory)
        chunk = read(files, cursor or Cursor(), **{"max_bytes": 1 << 40, **options})
        assert not chunk.more
        return chunk

    def files(self):
        (files,) = list_writers(self.directory)
        return files


def points_of(*chunks: Chunk) -> list[tuple]:
    """Every point as (seq, run, key, step, value), in the order of the records."""
    found = [
        (int(seq), block.run_uid, key, int(step), float(value))
        for chunk in chunks
        for block in chunk.points
        for seq, step, row in zip(block.seq, block.step, block.values, strict=True)
        for key, value in zip(block.keys, row, strict=True)
    ]
    return sorted(found, key=lambda point: point[0])
