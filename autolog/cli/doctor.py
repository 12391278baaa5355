"""`autolog doctor`: what is installed, what would be recorded, and what is wrong."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from autolog.cli.options import examples, json_option, store_option

if TYPE_CHECKING:
    from rich.console import RenderableType

    from autolog.cli.checkup import Checkup, Framework
    from autolog.cli.probe import Probed

__all__ = ["command"]

_STATE_STYLES = {
    "tested": "green",
    "supported": "green",
    "newer than known": "yellow",
    "unsupported": "red",
    "not installed": "dim",
}


@click.command("doctor", epilog=examples("autolog doctor", "autolog doctor --probe"))
@click.option(
    "--probe",
    "with_probe",
    is_flag=True,
    help="Import each installed framework in a process of its own and list what is watched.",
)
@store_option
@json_option
def command(*, with_probe: bool, store: str | None, as_json: bool) -> None:
    """Check the installation: settings and where they come from, the store, the frameworks.

    No framework is imported without --probe, and nothing is written. Exit code 1 if something
    is wrong: a store that cannot be written, a setting that cannot be read, an integration that
    does not load, an unsupported version.
    """
    from autolog.cli.checkup import examine
    from autolog.cli.output import emit, screen, write

    found = examine(store)
    probed = _probe(found) if with_probe else None
    problems = [*found.problems, *(text for one in probed or () for text in one.problems)]
    if as_json:
        emit(_document(found, probed, problems))
    else:
        write(screen(), _page(found, probed, problems))
    if problems:
        raise SystemExit(1)


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


def _page(found: Checkup, probed: list[Probed] | None, problems: list[str]) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    from autolog.cli.format import count, plain
    from autolog.cli.output import heading

    parts: list[RenderableType] = [
        Text(f"autolog {found.autolog}, Python {found.python}, {found.platform}"),
        heading("Store", _store(found)),
        heading("Settings", _settings(found)),
        heading("Frameworks", *(_framework(one) for one in found.frameworks)),
    ]
    if probed is not None:
        parts.append(heading("Probe", *(_sites(one) for one in probed)))
    if problems:
        texts = [Text(f"{at}. {plain(text)}") for at, text in enumerate(problems, 1)]
        title = Text(f"\n{count(len(problems), 'problem')}", style="bold red")
        parts += [title, *texts]
    else:
        parts.append(Text("\nNo problems.", style="green"))
    return Group(*parts)


def _store(found: Checkup) -> RenderableType:
    from rich.text import Text

    from autolog.cli.format import plain
    from autolog.cli.output import table

    rows = table("", "", show_header=False)
    rows.columns[0].style = "dim"
    store = found.store
    rows.add_row("where", plain(store.uri or "unknown"))
    rows.add_row("state", "there" if store.exists else "not there yet; the first run creates it")
    rows.add_row("writable", Text("yes", "green") if store.writable else Text("no", "red"))
    pending = ", ".join(f"{many} {state}" for state, many in sorted(store.pending.items()))
    if pending:
        rows.add_row("journals", f"{pending} (writers; the next look folds them)")
    if store.helper:
        rows.add_row("helper", plain(store.helper))
    if store.system_metrics:
        rows.add_row("system metrics", plain(store.system_metrics))
    if store.notice:
        rows.add_row("", Text(plain(store.notice), "yellow"))
    return rows


def _settings(found: Checkup) -> RenderableType:
    from autolog.cli.format import plain, value
    from autolog.cli.output import table

    rows = table("NAME", "VALUE", "FROM")
    for one in found.settings:
        said = "" if one.value is None else value(one.value)
        rows.add_row(one.name, said, plain(one.origin))
    return rows


def _framework(one: Framework) -> RenderableType:
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    from autolog.cli.format import plain
    from autolog.cli.output import table

    head = Text.assemble(
        (one.integration, "bold"),
        f"  {one.distribution} {one.version or ''}".rstrip(),
        "  ",
        (one.state, _STATE_STYLES.get(one.state, "")),
    )
    if one.disabled:
        head.append("  switched off by the setting disabled", "yellow")
    if one.state == "not installed":
        head.append(f"  pip install {one.distribution}", "dim")
        return head
    rows = table("", "", show_header=False)
    rows.columns[0].style = "dim"
    if one.note:
        rows.add_row("note", Text(plain(one.note), "yellow"))
    rows.add_row("watches", ", ".join(one.sites))
    if one.bridges:
        rows.add_row("bridges", ", ".join(one.bridges))
    for limit in one.limits:
        rows.add_row("not yet", plain(limit))
    for guard in one.guards:
        state = "" if guard.active else " (off)"
        rows.add_row(f"guard{state}", Text.assemble(guard.quirk, (f": {guard.symptom}", "dim")))
    return Group(head, Padding(rows, (0, 0, 0, 2), expand=False))


def _sites(one: Probed) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    from autolog.cli.format import plain

    states = Counter(site.state for site in one.sites)
    summary = ", ".join(f"{many} {state}" for state, many in sorted(states.items())) or "no sites"
    lines: list[Text] = [Text.assemble((one.integration, "bold"), f"  {summary}")]
    lines += [
        Text(
            f"  {plain(site.place)}: {site.state}"
            + (f", {plain(site.reason)}" if site.reason else "")
        )
        for site in one.sites
        if site.state != "applied"
    ]
    if one.error:
        lines.append(Text(f"  {plain(one.error)}", "red"))
    return Group(*lines)
