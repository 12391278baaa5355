"""`autolog journal`: whose journals lie in a store's folder, whether they are whole, repairs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autolog.cli.options import examples, json_option, store_option

if TYPE_CHECKING:
    from autolog.journal.files import WriterFiles
    from autolog.journal.repair import Repaired
    from autolog.journal.verify import FileReport
    from autolog.store.batch import WriterRow
    from autolog.store.location import Location

__all__ = ["command"]


@click.group(
    "journal",
    epilog=examples(
        "autolog journal ls --json", "autolog journal verify", "autolog journal repair --all"
    ),
)
def command() -> None:
    """Look at the journals that processes write, and repair one.

    Each takes --store and --json. Exit codes: 0 all is well, 1 damage was found or a file could
    not be repaired, 2 the command line makes no sense.
    """


@command.command("ls", epilog=examples("autolog journal ls", "autolog journal ls --json"))
@store_option
@json_option
def _ls(*, store: str | None, as_json: bool) -> None:
    """List the writers: whether they live, what their files hold, and how far it was folded.

    Nothing is folded by looking. Exit code 0.
    """
    from autolog.cli.output import emit
    from autolog.store.location import locate

    location = locate(store)
    rows = _known(location)
    writers = [_writer(files, rows) for files in _writers(location)]
    if as_json:
        emit(writers)
    else:
        _print_writers(writers)


@command.command("verify", epilog=examples("autolog journal verify", "autolog journal verify FILE"))
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@store_option
@json_option
def _verify(*, files: tuple[Path, ...], store: str | None, as_json: bool) -> None:
    """Read every journal file (or FILES) wholly and say what is wrong with it.

    Checksums, gaps in the numbers of records, points whose keys are defined nowhere, records of
    unknown types. An unfinished record at the end of a writer's newest file is what a crash
    leaves: it is shown and is no damage. Exit code 1 if there is damage.
    """
    from autolog.cli.output import emit
    from autolog.store.location import locate

    reports = _reports(files or None, locate(store))
    if as_json:
        emit([_file(report) for report in reports])
    else:
        _print_reports(reports)
    if any(report.damaged for report in reports):
        raise SystemExit(1)


@command.command(
    "repair", epilog=examples("autolog journal repair FILE", "autolog journal repair --all")
)
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--all", "every", is_flag=True, help="Repair every file that needs it.")
@store_option
@json_option
def _repair(*, files: tuple[Path, ...], every: bool, store: str | None, as_json: bool) -> None:
    """Write damaged files anew with every record of them that is whole.

    The original goes to the folder `damaged` beside them once the new file is safely on the
    disk. Files that are being written, or of a newer format, are left alone. Exit code 1 if a
    file could not be repaired.
    """
    from autolog.cli.output import emit
    from autolog.errors import JournalError
    from autolog.journal.repair import repair
    from autolog.store.location import locate

    if bool(files) == every:
        raise click.UsageError("name the files to repair, or say --all")
    done: list[Repaired] = []
    refused: list[str] = []
    for writer, number in _chosen(files or None, locate(store)):
        try:
            repaired = repair(writer, number)
        except JournalError as error:
            refused.append(str(error))
        else:
            done += [repaired] if repaired is not None else []
    if as_json:
        emit({"repaired": [_repaired(one) for one in done], "refused": refused})
    else:
        _print_repaired(done, refused)
    if refused:
        raise SystemExit(1)


def _writers(location: Location) -> list[WriterFiles]:
    from autolog.journal.files import list_writers

    return list_writers(location.journal)


def _chosen(
    paths: tuple[Path, ...] | None, location: Location
) -> Iterator[tuple[WriterFiles, int]]:
    """Yield each file that is meant with its writer; without paths every one."""
    if paths is None:
        yield from _by_path(location.journal).values()
    for path in paths or ():
        found = _by_path(path.absolute().parent).get(path.absolute())
        if found is None:
            raise click.UsageError(f"{path} is no journal file: they are called <writer>.<n>.alj")
        yield found


def _by_path(folder: Path) -> dict[Path, tuple[WriterFiles, int]]:
    from autolog.journal.files import list_writers

    return {
        path: (writer, number)
        for writer in list_writers(folder)
        for number, path in sorted(writer.segments.items())
    }


def _reports(paths: tuple[Path, ...] | None, location: Location) -> list[FileReport]:
    from autolog.errors import JournalError
    from autolog.journal.verify import verify, verify_file

    try:
        if paths is None:
            return [report for writer in _writers(location) for report in verify(writer)]
        return [verify_file(writer, number) for writer, number in _chosen(paths, location)]
    except OSError as error:
        raise JournalError(f"{error.filename} cannot be read: {error.strerror}") from error


def _known(location: Location) -> dict[str, WriterRow] | None:
    """Return what the store knows of the writers; None where it cannot be asked."""
    from autolog.errors import StoreError
    from autolog.journal.files import list_writers
    from autolog.store import open_store

    if location.database is not None and not location.database.exists():
        return {}
    try:
        store = open_store(location)
    except StoreError:
        return None
    try:
        return store.writers(files.uid for files in list_writers(location.journal))
    finally:
        store.close()


def _writer(files: WriterFiles, rows: dict[str, WriterRow] | None) -> dict[str, Any]:
    from autolog.journal.reader import Cursor
    from autolog.journal.walk import defined_elsewhere
    from autolog.store.fold import bytes_behind

    header = files.header()
    row = None if rows is None else rows.get(files.uid)
    cursor = Cursor() if row is None else row.cursor
    return {
        "writer": files.uid,
        "state": files.state(),
        "host": header.host if header else None,
        "pid": header.process.pid if header else None,
        "started": header.wall_us // 1000 if header else None,
        "segments": sorted(files.segments),
        "files": [str(files.segments[number]) for number in sorted(files.segments)],
        "bytes": sum(path.stat().st_size for path in files.segments.values() if path.exists()),
        "folded": None
        if rows is None
        else {"segment": cursor.segment, "offset": cursor.offset, "seq": cursor.seq},
        "unfolded_bytes": None if rows is None else bytes_behind(files, cursor),
        "runs": sorted(set(defined_elsewhere(files, 0).runs.values())),
    }


def _file(report: FileReport) -> dict[str, Any]:
    import msgspec

    return {
        "writer": report.writer,
        "segment": report.segment,
        "path": str(report.path),
        "bytes": report.bytes,
        "records": report.records,
        "points": report.points,
        "first_seq": report.first_seq,
        "last_seq": report.last_seq,
        "closed": report.closed,
        "repaired": bool(report.header and report.header.repaired_us),
        "runs": report.runs,
        "unknown_types": report.unknown_types,
        "damaged": report.damaged,
        "problems": [msgspec.structs.asdict(problem) for problem in report.problems],
    }


def _repaired(one: Repaired) -> dict[str, Any]:
    return {
        "path": str(one.path),
        "original": str(one.original),
        "records": one.records,
        "points": one.points,
        "lost_bytes": one.lost,
        "problems": _file(one.report)["problems"],
    }


def _print_writers(writers: list[dict[str, Any]]) -> None:
    from autolog.cli.format import ago, count, plain, size
    from autolog.cli.output import notify, screen, table, write

    if not writers:
        notify("no journals: all is folded, or nothing was logged")
        return
    rows = table("WRITER", "STATE", "PROCESS", "SINCE", "FILES", "SIZE", "UNFOLDED", "RUNS")
    for one in writers:
        process = f"{one['pid']} on {one['host']}" if one["pid"] is not None else "unknown"
        behind = one["unfolded_bytes"]
        rows.add_row(
            one["writer"],
            one["state"],
            plain(process),
            ago(one["started"]) if one["started"] else "",
            count(len(one["files"]), "file"),
            size(one["bytes"]),
            "unknown" if behind is None else size(behind),
            str(len(one["runs"])),
        )
    write(screen(), rows)


def _print_reports(reports: list[FileReport]) -> None:
    from rich.text import Text

    from autolog.cli.format import count, plain, size
    from autolog.cli.output import screen, write

    console = screen()
    for report in reports:
        broken = [problem for problem in report.problems if problem.sort != "torn"]
        head = Text(f"{plain(str(report.path))}  {size(report.bytes)}, ")
        head.append(f"{count(report.records, 'record')}, {count(report.points, 'point')}  ")
        word, style = ("damaged", "red") if report.damaged else ("whole", "green")
        if any(problem.sort == "newer" for problem in broken):
            word, style = "newer", "yellow"
        head.append(word, style)
        write(console, head)
        for problem in report.problems:
            where = f"  byte {problem.offset}, {count(problem.length, 'byte')}: "
            write(console, Text(f"{where}{plain(problem.why)}"))
        for kind, many in report.unknown_types.items():
            write(console, Text(f"  {count(many, 'record')} of the unknown type {kind}", "dim"))
    whole = sum(not report.damaged for report in reports)
    write(console, Text(f"{count(len(reports), 'file')}, {whole} without damage"))


def _print_repaired(done: list[Repaired], refused: list[str]) -> None:
    from rich.text import Text

    from autolog.cli.format import count, plain, size
    from autolog.cli.output import notify, screen, write

    console = screen()
    for one in done:
        kept = f"{count(one.records, 'record')} with {count(one.points, 'point')}"
        lines = [
            f"{plain(str(one.path))}: kept {kept}, lost {size(one.lost)}",
            f"  the original is {plain(str(one.original))}",
            *(f"  byte {at.offset}: {plain(at.why)}" for at in one.report.problems),
        ]
        write(console, Text("\n".join(lines)))
    if not done and not refused:
        write(console, Text("nothing to repair"))
    for text in refused:
        notify(text)
