"""How fast points go from a loop into sealed chunks, how large they are, and how fast they return.

Run it with `python benchmarks/throughput.py [--points 1000000] [--rounds 3] [--directory DIR]
[--server postgresql://...]`. A server's database must be empty.

Every stage is timed alone, in CPU seconds of this one process (a server's own are not in it, so
its rows show elapsed seconds): writing the journal; reading it; applying what was read; summing it
up; sealing. *journal to chunks* is one `fold`: reading, applying, summing up and sealing. The base
are plain rows (series, step, time, value; primary key series and step) by `executemany`, one
transaction per 100,000, in the same round. Sizes: data of an open tail, of sealed chunks, and how
much the database file grew after VACUUM; values are a random walk, and for the sizes times are
those of a loop of 1 ms a turn, give or take 30 %.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from autolog.ids import new_id
from autolog.journal import records
from autolog.journal.files import list_writers
from autolog.journal.reader import Chunk, Cursor, read
from autolog.journal.writer import Writer
from autolog.store import open_store
from autolog.store.batch import Batch
from autolog.store.fold import fold
from autolog.store.location import Location, locate, prepare

TABLES = ("tail", "axis", "chunk")
STAGES = ("journal write", "read", "apply", "sum up", "seal", "journal to chunks", "plain rows")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--directory", help="where to write; a temporary folder by default")
    parser.add_argument("--server", default=os.environ.get("AUTOLOG_TEST_POSTGRES"))
    options = parser.parse_args()
    console = Console()
    for server in (None, options.server) if options.server else (None,):
        clock = time.perf_counter if server else time.process_time
        with tempfile.TemporaryDirectory(dir=options.directory) as folder:
            rows = {
                keys: [
                    round_of(Path(folder, f"{keys}-{n}"), server, keys, options.points, clock)
                    for n in range(options.rounds)
                ]
                for keys in (5, 1)
            }
            console.print(speeds(rows, server))
            console.print(answers(Path(folder, "answers"), server, options.rounds))


def place(folder: Path, server: str | None) -> Location:
    os.environ["AUTOLOG_JOURNAL_DIR"] = str(folder / "journal")
    location = locate(server or folder / ".autolog")
    prepare(location)
    return location


def journal(location: Location, keys: int, points: int) -> tuple[str, Callable[[], None]]:
    """Return a run and what writes its journal, the dictionary made anew as a loop does."""
    writer = Writer(location.journal, location.uri)
    uid = new_id()
    opened = {"name": "throughput", "kind": "run", "experiment": "benchmark", "parent": None}
    writer.append(records.RunOpen(run=writer.run(uid), start_us=writer.now_us(), **opened))
    run, context = writer.run(uid), writer.context()
    walk = np.cumsum(np.random.default_rng(0).normal(size=(points // keys, keys)), axis=0).tolist()

    def write() -> None:
        log = writer.metrics
        if keys == 1:
            for step, (loss,) in enumerate(walk):
                log(run, {"loss": loss}, step, None, context, 0)
        else:
            for step, (loss, acc, lr, norm, wait) in enumerate(walk):
                values = {"loss": loss, "acc": acc, "lr": lr, "norm": norm, "wait": wait}
                log(run, values, step, None, context, 0)
        writer.close()

    return uid, write


def round_of(
    folder: Path, server: str | None, keys: int, points: int, clock: Callable[[], float]
) -> dict[str, float]:
    """Return points per second of each stage, and bytes per point."""
    found: dict[str, float] = {}

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        start = clock()
        answer = work()
        found[stage] = points / (clock() - start)
        return answer

    location = place(folder, server)
    with_base = folder / "rows.db"
    store = open_store(location, create=True)
    uid, write = journal(location, keys, points)
    timed("journal write", write)
    (files,) = list_writers(location.journal)
    header = files.header()
    assert header is not None
    chunks = timed("read", lambda: list(stretches(files)))
    jitter(chunks)
    before = sizes(location)

    def apply() -> None:
        cursor = Cursor()
        for chunk in chunks:
            assert store.apply(Batch(header, cursor, chunk))
            cursor = chunk.cursor

    timed("apply", apply)
    found["open bytes"] = (sizes(location)[0] - before[0]) / points
    timed("sum up", lambda: store.run(uid))
    assert timed("seal", lambda: store.seal(points)) == points
    after = sizes(location)
    found["sealed bytes"] = (after[0] - before[0]) / points
    found["file bytes"] = (after[1] - before[1]) / points
    uid, write = journal(location, keys, points)
    write()
    report = timed("journal to chunks", lambda: fold(store))
    assert (report.points, report.sealed) == (points, points)
    assert store.run(uid).metrics
    store.close()
    timed("plain rows", lambda: plain_rows(with_base, keys, points))
    return found


def stretches(files: Any) -> Any:
    cursor, more = Cursor(), True
    while more:
        chunk = read(files, cursor)
        cursor, more = chunk.cursor, chunk.more
        yield chunk


def jitter(chunks: list[Chunk]) -> None:
    """Give points the times of a loop of a millisecond a turn: this one is too even to be true."""
    random = np.random.default_rng(1)
    for points in (points for chunk in chunks for points in chunk.points):
        turns = random.lognormal(np.log(1000), 0.3, len(points.wall_us))
        points.wall_us[:] = points.wall_us[0] + np.cumsum(turns).astype(np.int64)


def sizes(location: Location) -> tuple[int, int]:
    """Return the bytes of all points, and of the database once it is packed."""
    totals = [f"SELECT coalesce(sum(length(data)), 0) FROM {name}" for name in TABLES]
    if location.database is None:
        import psycopg

        with psycopg.connect(location.address, autocommit=True) as connection:
            for name in TABLES:
                connection.execute(f"VACUUM FULL {name}")
            *data, size = (
                int(connection.execute(query).fetchone()[0])
                for query in (*totals, "SELECT pg_database_size(current_database())")
            )
        return sum(data), size
    with contextlib.closing(sqlite3.connect(location.database, isolation_level=None)) as packed:
        packed.execute("VACUUM")
        packed.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        data = sum(packed.execute(query).fetchone()[0] for query in totals)
    return data, location.database.stat().st_size


def plain_rows(path: Path, keys: int, points: int) -> None:
    base = sqlite3.connect(path, isolation_level=None)
    base.execute("PRAGMA journal_mode = WAL")
    base.execute("PRAGMA synchronous = NORMAL")
    base.execute(
        "CREATE TABLE point (series INTEGER, step INTEGER, us INTEGER, value REAL,"
        " PRIMARY KEY (series, step)) WITHOUT ROWID"
    )
    for start in range(0, points // keys, 100_000 // keys):
        steps = range(start, min(start + 100_000 // keys, points // keys))
        base.execute("BEGIN")
        base.executemany(
            "INSERT INTO point VALUES (?, ?, ?, ?)",
            [(key, step, 1000 * step, step / 3) for step in steps for key in range(keys)],
        )
        base.execute("COMMIT")
    base.close()


def speeds(rounds: dict[int, list[dict[str, float]]], server: str | None) -> Table:
    of = "Postgres, elapsed seconds" if server else "SQLite, CPU seconds"
    table = Table(title=f"points per second ({of})")
    for column in ("", *(f"{keys} keys a record" for keys in rounds)):
        table.add_column(column, justify="left" if not column else "right")
    for stage in STAGES:
        table.add_row(stage, *(f"{median(some, stage):,.0f}" for some in rounds.values()))
    ratios = (
        statistics.median(one["journal to chunks"] / one["plain rows"] for one in some)
        for some in rounds.values()
    )
    table.add_row("journal to chunks / plain rows", *(f"{ratio:.2f}" for ratio in ratios))
    for name in ("open bytes", "sealed bytes", "file bytes"):
        table.add_row(f"{name} a point", *(f"{median(some, name):.2f}" for some in rounds.values()))
    return table


def median(rounds: list[dict[str, float]], name: str) -> float:
    return statistics.median(one[name] for one in rounds)


def answers(folder: Path, server: str | None, rounds: int) -> Table:
    """Time single batches and reads, in milliseconds: median of elapsed and of CPU time."""
    location = place(folder, server)
    store = open_store(location, create=True)
    table = Table(title="milliseconds (median, of which CPU)")
    for column in ("", "elapsed", "CPU"):
        table.add_column(column, justify="left" if not column else "right")

    def row(name: str, work: Callable[[], Any], times: int = 7 * rounds) -> None:
        work()
        taken: list[tuple[float, float]] = []
        for _ in range(times):
            start = time.perf_counter(), time.process_time()
            work()
            taken.append((time.perf_counter() - start[0], time.process_time() - start[1]))
        figures = (statistics.median(some) * 1000 for some in zip(*taken, strict=True))
        table.add_row(name, *(f"{figure:.2f}" for figure in figures))

    for name, keys, times in (("1,000 metrics", 1000, 1), ("1,000 points of a metric", 1, 1000)):
        writer = Writer(location.journal, location.uri)
        run, context = writer.run(new_id()), writer.context()
        pending: list[Batch] = []
        values = {f"layer{n}/norm": 0.1 * n for n in range(keys)}
        cursor = Cursor()
        for number in range(7 * rounds + 1):
            for step in range(times):
                writer.metrics(run, values, number * times + step, None, context, 0)
            (files,) = [one for one in list_writers(location.journal) if one.uid == writer.uid]
            chunk = read(files, cursor)
            pending.append(Batch(files.header(), cursor, chunk))
            cursor = chunk.cursor
        row(f"apply a batch of {name}", lambda batches=pending: store.apply(batches.pop(0)))
        writer.close()
    for points in (100_000, 1_000_000):
        uid, write = journal(location, 1, points)
        write()
        fold(store)
        row(f"history of {points:,} points", lambda uid=uid: store.history(uid, "loss"))
        row(
            f"{points:,} points to 2,500 buckets",
            lambda uid=uid: store.downsample(uid, "loss", buckets=2500),
        )
    store.close()
    return table


if __name__ == "__main__":
    main()
