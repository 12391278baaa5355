"""How `autolog doctor` shows what it found: the verdict first, then tables, then details."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from autolog.cli.checkup import Checkup
    from autolog.cli.frameworks import Framework
    from autolog.cli.probe import Probed

__all__ = ["page"]

_STATE_STYLES: Final = {
    "tested": "green",
    "supported": "green",
    "newer than known": "yellow",
    "unsupported": "red",
    "not installed": "dim",
}

_TOPICS: Final = ("params", "series", "evaluations", "data", "model", "more")


def page(
    found: Checkup,
    probed: Sequence[Probed] | None,
    problems: Sequence[str],
    *,
    in_full: bool,
) -> RenderableType:
    """Lay out what was found.

    Args:
        found: all that was looked at.
        probed: what came of importing the frameworks; None if that was not tried.
        problems: all that is wrong.
        in_full: show everything of each framework, instead of a table of them.
    """
    from rich.console import Group
    from rich.text import Text

    from autolog.cli.output import heading

    parts: list[RenderableType] = [
        Text(f"autolog {found.autolog}, Python {found.python}, {found.platform}", "dim"),
        *_verdict(found, probed, problems),
    ]
    if in_full:
        parts += [Group(Text(""), _in_full(one)) for one in found.frameworks]
    else:
        parts.append(heading("Frameworks", *_table(found.frameworks)))
    if probed:
        parts.append(heading("Imported and looked at", *map(_sites, probed)))
    if found.advice:
        parts.append(heading("Advice", *_advice(found)))
    if not in_full:
        parts += [heading("Store", _store(found)), heading("Settings", *_settings(found))]
    return Group(*parts)


def _verdict(
    found: Checkup, probed: Sequence[Probed] | None, problems: Sequence[str]
) -> list[RenderableType]:
    from rich.padding import Padding
    from rich.text import Text

    from autolog.cli.format import count, plain
    from autolog.cli.output import table

    lines: list[RenderableType] = [Text("")]
    broken = {one.integration for one in probed or () if one.unusable}
    recorded = [
        one.integration for one in found.frameworks if one.records and one.integration not in broken
    ]
    if problems:
        lines.append(Text(count(len(problems), "problem"), style="bold red"))
        numbered = table("", "", show_header=False)
        for at, text in enumerate(problems, 1):
            numbered.add_row(f"{at}.", plain(text))
        lines.append(Padding(numbered, (0, 0, 1, 0), expand=False))
    store = found.store
    if store.uri is None or not (store.journalled or store.writable):
        lines.append(Text("Nothing is recorded: the store cannot be used.", style="bold red"))
    elif recorded:
        later = "" if store.writable else " In journals, until the store can take them."
        said = f"Trainings are recorded of {_listed(recorded)}.{later}"
        lines.append(Text(said, style="bold" if problems else "bold green"))
    else:
        lines.append(Text("No framework is here whose trainings are recorded.", style="yellow"))
    if not problems:
        lines.append(Text("No problems."))
    return lines


def _listed(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _table(frameworks: Sequence[Framework]) -> list[RenderableType]:
    from rich.padding import Padding
    from rich.text import Text

    from autolog.cli.format import count, plain

    titles = ("FRAMEWORK", "INSTALLED", "SUPPORTED", "STATE", "GUARDS")
    there = [one for one in frameworks if one.state != "not installed"]
    missing = [one for one in frameworks if one not in there]
    rows = [[tuple(map(plain, facts)) for facts in _facts(one)] for one in there]
    widths = [max(map(len, column)) for column in zip(titles, *chain(*rows), strict=True)]
    lines: list[RenderableType] = [Text(_aligned(titles, widths), "dim")] if there else []
    for one, (facts, *others) in zip(there, rows, strict=True):
        line = Text(_aligned(facts, widths), no_wrap=True, overflow="fold")
        line.highlight_words([facts[3]], _STATE_STYLES.get(facts[3], ""))
        line.stylize("bold", 0, len(facts[0]))
        lines.append(line)
        for more in others:
            line = Text(_aligned(more, widths), no_wrap=True, overflow="fold")
            line.highlight_words([more[3]], _STATE_STYLES.get(more[3], ""))
            lines.append(line)
        lines.append(Padding(_what(one), (0, 0, 0, 2), expand=False))
    if missing:
        names = ", ".join(one.integration for one in missing)
        lines.append(Text(f"Not installed: {names}", "dim"))
    shown = [one for one in frameworks if one.records]
    if shown:
        said = f"Each also logs {_listed(_common_topics(shown))}. " if shown[0].logs else ""
        lines.append(Text(f"{said}More: autolog doctor {shown[0].integration}", "dim"))
    elif missing:
        lines.append(Text(f"To install one: autolog doctor {missing[0].integration}", "dim"))
    lines += [
        Text(f"{one.integration} is of a third party: {plain(one.third_party)}", "dim")
        for one in frameworks
        if one.third_party
    ]
    off = sum(not guard.active for one in frameworks for guard in one.guards)
    if off:
        lines.append(Text(f"{count(off, 'guard')} switched off", "yellow"))
    return lines


def _facts(one: Framework) -> list[tuple[str, ...]]:
    """Return the columns of a framework: a line for each distribution that is installed."""
    lines = [(f"{each.distribution} {each.version}", each) for each in one.installed]
    facts: list[tuple[str, ...]] = []
    for installed, judged in lines or [("without metadata", one)]:
        active = sum(guard.active for guard in judged.guards)
        many = len(judged.guards)
        guards = f"{active} of {many}" if active < many else str(active)
        head = ("", "") if facts else (one.integration, one.supported or "")
        facts.append((head[0], installed, head[1], judged.state, guards))
    return facts


def _aligned(facts: Sequence[str], widths: Sequence[int]) -> str:
    padded = [f"{fact:<{width}}" for fact, width in zip(facts, widths, strict=True)]
    return "  ".join(padded).rstrip()


def _common_topics(frameworks: Sequence[Framework]) -> list[str]:
    topics = [topic for topic in _TOPICS if topic not in ("series", "more")]
    return [one for one in topics if all(one in framework.logs for framework in frameworks)]


def _what(one: Framework) -> Text:
    """Say what comes of a training of this framework."""
    from rich.text import Text

    from autolog.cli.format import plain

    if one.disabled:
        return Text("nothing: switched off by the setting disabled", "yellow")
    if not one.records:
        return Text("nothing: this version is left alone", "red")
    series = one.logs.get("series")
    return Text(plain(series.replace("`", "")) if series else "by its integration", "dim")


def _in_full(one: Framework) -> RenderableType:
    """Show all that is known of one framework."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    from autolog.cli.format import plain
    from autolog.cli.output import table

    head = Text.assemble((one.integration, "bold"), "  ", (one.state, _STATE_STYLES[one.state]))
    if one.disabled:
        head.append("  switched off by the setting disabled", "yellow")
    rows = table("", "", show_header=False)
    rows.columns[0].style = "dim"

    def row(name: str, *texts: str | None) -> None:
        for at, text in enumerate([text for text in texts if text]):
            rows.add_row(name if at == 0 else "", plain(text))

    if one.installed:
        states = [f", {each.state}" if len(one.installed) > 1 else "" for each in one.installed]
        row(
            "installed",
            *(
                f"{each.distribution} {each.version}{state}"
                for each, state in zip(one.installed, states, strict=True)
            ),
        )
    else:
        row("to install", one.install)
    row("third party", one.third_party)
    row("supported", one.supported)
    row("because", one.because)
    row(
        "outside of it",
        "off (setting strict)"
        if one.strict
        else {"warn": "on, with one notice", "skip": "off"}.get(one.on_unsupported or ""),
    )
    row("newest known", one.latest_known)
    row("tested", ", ".join(one.tested))
    row("note", one.note)
    for topic in _TOPICS:
        row(f"logs {topic}" if topic != "more" else "and", one.logs.get(topic, "").replace("`", ""))
    row("not yet", *one.limits)
    row("watches", ", ".join(one.sites))
    row("bridges", ", ".join(one.bridges))
    for pin in one.co_pins:
        state = f"{pin.found} is installed" if pin.found else "not installed"
        row("needs beside it", f"{pin.needs}, {state}: {pin.because}")
    row("code paths", *(f"{name}: {use}" for name, use in one.strategies.items()))
    for guard in one.guards:
        state = "guard" if guard.active else "guard (off)"
        of = [each.distribution for each in one.installed if guard in each.guards]
        whose = f" ({plain(', '.join(of))})" if len(of) < len(one.installed) else ""
        rows.add_row(state, Text.assemble(guard.quirk, (f"{whose}: {plain(guard.symptom)}", "dim")))
        if guard.upstream:
            rows.add_row("", Text(plain(guard.upstream), "dim"))
    return Group(head, Padding(rows, (0, 0, 0, 2), expand=False))


def _sites(one: Probed) -> RenderableType:
    """Say what is watched of one framework, and of the rest why it is not."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    from autolog.cli.format import plain

    states = Counter(site.state for site in one.sites)
    summary = ", ".join(f"{many} {state}" for state, many in sorted(states.items())) or "no sites"
    style = "red" if one.error or one.lost else ""
    lines = [Text(plain(one.error), "red")] if one.error else []
    waiting = [site.place.partition(":")[0] for site in one.sites if site.state == "waiting"]
    if waiting and not one.error:  # parts of it that need more than is installed
        lines.append(Text(f"waiting for {', '.join(dict.fromkeys(map(plain, waiting)))}", "dim"))
    lines += [
        Text(
            f"{plain(site.place)} {site.state}" + (f": {plain(site.reason)}" if site.reason else "")
        )
        for site in one.sites
        if site.state not in ("applied", "waiting")
    ]
    head = Text.assemble((one.integration, "bold"), "  ", (summary, style))
    return Group(head, *(Padding(line, (0, 0, 0, 2), expand=False) for line in lines))


def _advice(found: Checkup) -> list[RenderableType]:
    from rich.text import Text

    from autolog.cli.format import plain

    return [
        Text.assemble((plain(one.text), "yellow"), f": {plain(one.action)}") for one in found.advice
    ]


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
    if store.damaged:
        rows.add_row("damage", Text(str(len(store.damaged)), "red"))
    if store.helper:
        rows.add_row("helper", plain(store.helper))
    if store.system_metrics:
        rows.add_row("system metrics", plain(store.system_metrics))
    if store.notice:
        rows.add_row("", Text(plain(store.notice), "yellow"))
    return rows


def _settings(found: Checkup) -> list[RenderableType]:
    """Show the settings that somebody has set."""
    from rich.text import Text

    from autolog.cli.format import count, plain, value
    from autolog.cli.output import table

    rows = table("NAME", "VALUE", "FROM")
    given = [one for one in found.settings if one.origin != "default"]
    for one in given:
        said = "" if one.value is None else value(one.value)
        rows.add_row(one.name, said, plain(one.origin))
    defaults = len(found.settings) - len(given)
    lines: list[RenderableType] = [rows] if given else []
    said = f"{count(defaults, 'setting')} as by default; --json lists all"
    return [*lines, Text(said, "dim")]
