"""`autolog doctor`: what is installed, what would be recorded, and what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autolog.cli.options import examples, json_option, store_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autolog.cli.checkup import Checkup
    from autolog.cli.probe import Probed

__all__ = ["command"]


@click.command(
    "doctor",
    epilog=examples(
        "autolog doctor", "autolog doctor torch --probe", "autolog doctor --bundle report.zip"
    ),
)
@click.argument("frameworks", nargs=-1)
@click.option(
    "--probe",
    "with_probe",
    is_flag=True,
    help="Import each installed framework in a process of its own and list what is watched.",
)
@click.option(
    "--bundle",
    metavar="FILE.zip",
    type=click.Path(path_type=Path),
    help="Write what a bug report needs to a file, secrets and data left out as far as they can be"
    " told; nothing is sent.",
)
@click.option("--force", is_flag=True, help="Let --bundle overwrite a file.")
@store_option
@json_option
def command(
    *,
    frameworks: tuple[str, ...],
    with_probe: bool,
    bundle: Path | None,
    force: bool,
    store: str | None,
    as_json: bool,
) -> None:
    """Say what is recorded on this machine, and what is wrong; FRAMEWORKS are shown in full.

    No framework is imported without --probe or --bundle, and nothing is written but the bundle.

    Exit codes: 0 all is well, or the bundle was written; 1 a problem was found (a store that
    cannot be written, a setting that cannot be read, an integration that does not load, a version
    that is not supported, a package beside it that breaks it, a site that is missing); 2 the
    command line makes no sense, or the bundle cannot be written.
    """
    from autolog.cli.checkup import examine
    from autolog.cli.output import emit, screen, write

    names = _names(frameworks)
    if bundle is not None:
        from autolog.cli.bugreport import refuse

        refuse(bundle, force=force)
    elif force:
        raise click.UsageError("--force belongs to --bundle")
    found = examine(store, names)
    probed = _probe(found) if with_probe or bundle is not None else None
    problems = [*found.problems, *(text for one in probed or () for text in one.problems)]
    document = _document(found, probed, problems)
    if bundle is not None:
        _write_bundle(bundle, document, store, as_json=as_json)
        return
    if as_json:
        emit(document)
    else:
        from autolog.cli.diagnosis import page

        write(screen(), page(found, probed, problems, in_full=bool(names)))
    if problems:
        raise SystemExit(1)


def _names(frameworks: Sequence[str]) -> list[str]:
    """Return the integrations that are meant; a name that is none makes no sense."""
    from autolog.discovery import by_name, discover
    from autolog.errors import IntegrationError, UsageError

    names: list[str] = []
    for name in frameworks:
        if name in discover().problems:
            names.append(name)
            continue
        try:
            names.append(by_name(name).name)
        except IntegrationError as error:
            raise UsageError(str(error)) from None
    return names


def _probe(found: Checkup) -> list[Probed]:
    from autolog.cli.output import screen
    from autolog.cli.probe import probe

    console = screen(stderr=True)
    answers: list[Probed] = []
    for one in found.frameworks:
        if one.state == "not installed" or one.disabled:
            continue
        with console.status(f"Importing {one.distribution}"):
            answers += probe([one.integration])
    return answers


def _document(found: Checkup, probed: list[Probed] | None, problems: list[str]) -> dict[str, Any]:
    import msgspec

    document: dict[str, Any] = {
        **msgspec.structs.asdict(found),
        "problems": problems,
        "ok": not problems,
    }
    if probed is not None:
        document["probe"] = probed
    return document


def _write_bundle(
    bundle: Path, document: dict[str, Any], store: str | None, *, as_json: bool
) -> None:
    from rich.console import Group
    from rich.text import Text

    from autolog.cli.bugreport import collect, save
    from autolog.cli.format import plain, size
    from autolog.cli.output import emit, screen, table, write

    files = collect(document, store)
    save(bundle, files)
    if as_json:
        emit({"bundle": str(bundle), "files": {name: len(text) for name, text in files.items()}})
        return
    rows = table("FILE", "SIZE", right=("SIZE",))
    for name, text in files.items():
        rows.add_row(name, size(len(text)))
    said = (
        f"Wrote {plain(str(bundle))}. Secrets, names of users and hosts, parameters and data were"
        " left out as far as they can be told: messages of errors may still hold some. Look through"
        " it before you attach it to a report. Nothing was sent anywhere."
    )
    write(screen(), Group(rows, Text(said)))
