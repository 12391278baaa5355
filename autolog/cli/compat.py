"""`autolog compat`: which framework versions were tested, and what is known of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from autolog.cli.options import examples, json_option

if TYPE_CHECKING:
    from rich.console import RenderableType

    from autolog.compat.inforce import InForce, Known
    from autolog.compat.outdated import Judged

__all__ = ["command"]


class _Refused(click.ClickException):
    """Nothing can be said; the message says why."""

    exit_code = 2


@click.group(
    "compat",
    invoke_without_command=True,
    epilog=examples("autolog compat", "autolog compat show sklearn", "autolog compat outdated"),
)
@json_option
@click.pass_context
def command(ctx: click.Context, *, as_json: bool) -> None:
    """Show the compatibility matrix in force: ours, and those of third parties.

    `python -m autolog.compat` (compile, check, matrix) is for development, in a checkout: it reads
    compat_matrix.yaml. These commands read the compiled matrix that is installed.

    Without a command: `list`. Exit codes: 0 all is well, 1 something is out of date or cannot be
    read, 2 the command line makes no sense or the package index cannot be asked.
    """
    from autolog.errors import UsageError

    if ctx.invoked_subcommand is None:
        ctx.invoke(_list, as_json=as_json)
    elif as_json:
        raise UsageError(f"--json belongs behind the command: autolog compat {_words(ctx)} --json")


def _words(ctx: click.Context) -> str:
    return str(ctx.invoked_subcommand)


@command.command("list", epilog=examples("autolog compat list", "autolog compat list --json"))
@json_option
def _list(*, as_json: bool) -> None:
    """List the frameworks: what is supported and why, the newest known release, what is tested.

    `from` says whose matrix it is. Exit code 1 if the matrix of an integration cannot be read.
    """
    from autolog.cli.output import emit, notify, screen, write

    found = _in_force()
    if as_json:
        frameworks = [_summary(name, known) for name, known in found.frameworks.items()]
        emit({"frameworks": frameworks, "problems": found.problems})
    else:
        write(screen(), _overview(found))
    for name, why in found.problems.items():
        notify(f"integration {name}: {why}")
    if found.problems:
        raise SystemExit(1)


@command.command("show", epilog=examples("autolog compat show keras", "autolog compat show torch"))
@click.argument("framework")
@json_option
def _show(*, framework: str, as_json: bool) -> None:
    """Show all that is known of FRAMEWORK: tested rows, co-pins, quirks and their guards.

    Also the code paths that depend on its version, and what is logged by default. Exit code 2 if
    the matrix does not know it.
    """
    from autolog.cli.output import emit, screen, write

    name, known = _named(framework)
    if as_json:
        emit({"framework": name, "from": known.origin, **known.data})
    else:
        write(screen(), _page(name, known))


@command.command(
    "outdated",
    epilog=examples("autolog compat outdated", "autolog compat outdated --cooldown 7 --json"),
)
@click.option(
    "--index-url",
    metavar="URL",
    help="The package index. Default: PIP_INDEX_URL, UV_DEFAULT_INDEX, pip's configuration, PyPI.",
)
@click.option(
    "--cooldown",
    metavar="DAYS",
    type=click.FloatRange(min=0),
    default=2.0,
    show_default=True,
    help="Leave out releases that are younger: broken ones are withdrawn in their first days.",
)
@json_option
def _outdated(*, index_url: str | None, cooldown: float, as_json: bool) -> None:
    """Ask the package index for releases that are newer than the newest known.

    What there is to add is printed as lines for compat_matrix.yaml. Yanked files and
    pre-releases do not count. Where an index tells no times of upload, a row is marked
    `age unknown`.

    Exit codes: 0 up to date, 1 something is newer, 2 the index cannot be asked or does not have
    one of the frameworks. Needs pypi-simple.
    """
    from autolog.cli.output import emit
    from autolog.compat import index
    from autolog.compat.outdated import judge

    frameworks = _in_force().frameworks
    pythons = {row["python"] for known in frameworks.values() for row in known.data["tested"]}
    asked = index.Index(index.index_url(index_url))
    try:
        found = [
            judge(name, known.data, asked, pythons=pythons, cooldown=cooldown)
            for name, known in frameworks.items()
        ]
    except index.IndexUnreachableError as error:
        raise _Refused(str(error)) from None
    finally:
        asked.close()
    if as_json:
        emit(
            {
                "index": asked.shown,
                "cooldown_days": cooldown,
                "outdated": any(one.outdated for one in found),
                "frameworks": [_judged(one) for one in found],
            }
        )
    else:
        _print_outdated(found, frameworks, asked.shown)
    unknown = [one.framework for one in found if one.unknown]
    if unknown:
        raise _Refused(f"{asked.shown} has no release of {', '.join(unknown)}")
    if any(one.outdated for one in found):
        raise SystemExit(1)


# -- what is there ------------------------------------------------------------------------------


def _in_force() -> InForce:
    from autolog.compat.inforce import in_force
    from autolog.discovery import discover

    return in_force(discover().integrations.values())


def _named(given: str) -> tuple[str, Known]:
    """Find a framework by its name, an alias of its integration, or a distribution."""
    import difflib

    from autolog.discovery import discover
    from autolog.errors import UsageError

    frameworks = _in_force().frameworks
    spellings = {name: name for name in frameworks}
    for name, known in frameworks.items():
        for distribution in known.data["distributions"]:
            spellings.setdefault(distribution, name)
    for name, integration in discover().integrations.items():
        if name in frameworks:
            spellings |= {alias: name for alias in integration.aliases if alias not in spellings}
    if given not in spellings:
        near = difflib.get_close_matches(given, spellings, 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"no framework {given!r}.{hint} Known: {', '.join(frameworks)}.")
    return spellings[given], frameworks[spellings[given]]


def _summary(name: str, known: Known) -> dict[str, Any]:
    data = known.data
    return {
        "framework": name,
        "from": known.origin,
        "distributions": data["distributions"],
        "supported": data["supported"],
        "because": data["because"],
        "on_unsupported": data["on_unsupported"],
        "latest_known": data["latest_known"],
        "tested": data["tested"],
        "quirks": [quirk["id"] for quirk in data["quirks"]],
    }


def _judged(one: Judged) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(one), "outdated": one.outdated}


# -- for readers --------------------------------------------------------------------------------


def _overview(found: InForce) -> RenderableType:
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    from autolog.cli.format import plain
    from autolog.compat.known import in_words

    parts: list[RenderableType] = []
    for name, known in found.frameworks.items():
        data = known.data
        newest = in_words(data["latest_known"])
        facts = [f"  {data['supported'].replace(',', ', ')}, newest known {newest}"]
        if known.origin != "autolog":
            facts.append(f", from {known.origin}")
        parts.append(Text.assemble((plain(name), "bold"), *map(plain, facts)))
        tested = ", ".join(dict.fromkeys(row["version"] for row in data["tested"]))
        parts.append(Padding(Text(plain(f"tested {tested}")), (0, 0, 0, 2)))
        parts.append(Padding(Text(plain(data["because"]), "dim"), (0, 0, 0, 2)))
    return Group(*parts)


def _page(name: str, known: Known) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    from autolog.cli.format import plain
    from autolog.cli.output import heading, table
    from autolog.compat.known import in_words

    data = known.data
    facts = table("", "", show_header=False)
    facts.columns[0].style = "dim"
    facts.add_row("packages", plain(", ".join(data["distributions"])))
    facts.add_row("supported", plain(f"{data['supported']}: {data['because']}"))
    outside = {"warn": "on, with one line that says so", "skip": "off"}
    facts.add_row("outside of it", outside[data["on_unsupported"]])
    facts.add_row("newest known", plain(in_words(data["latest_known"])))
    facts.add_row("from", plain(known.origin))
    tested = table("version", "Python", "tier", "installed")
    for row in data["tested"]:
        said = [f"{row['distribution']}=={row['version']}", *row["pins"]]
        said += [f"{key}={value}" for key, value in row["env"].items()]
        tested.add_row(row["version"], row["python"], row["tier"], plain(" ".join(said)))
    parts: list[RenderableType] = [
        Text(plain(name), "bold"),
        facts,
        heading("Tested", tested),
        heading("Logged by default", _pairs(data["logs"].items())),
    ]
    if data["co_pins"]:
        pins = table("version", "needs", "because")
        for when, needs, because in data["co_pins"]:
            pins.add_row(plain(when), plain(needs), plain(because))
        parts.append(heading("Needed beside it", pins))
    if data["strategies"]:
        cases = [
            (choice, f"{when}: {use}")
            for choice, ways in data["strategies"].items()
            for when, use in ways
        ]
        parts.append(heading("Code paths by version", _pairs(cases)))
    if data["quirks"]:
        parts.append(heading("Quirks", *_quirks(known)))
    return Group(*parts)


def _pairs(pairs: Any) -> RenderableType:
    from autolog.cli.format import plain
    from autolog.cli.output import table

    rows = table("", "", show_header=False)
    rows.columns[0].style = "dim"
    for key, value in pairs:
        rows.add_row(plain(key), plain(value))
    return rows


def _quirks(known: Known) -> list[RenderableType]:
    from rich.padding import Padding
    from rich.text import Text

    from autolog.cli.format import plain

    lines: list[RenderableType] = []
    for quirk in known.data["quirks"]:
        lines.append(Text.assemble((plain(quirk["id"]), "bold"), f"  {plain(quirk['when'])}"))
        texts = [quirk["symptom"], f"guard: {quirk['guard']}", f"test: {quirk['test']}"]
        if quirk["upstream"]:
            texts.append(f"reported: {quirk['upstream']}")
        lines += [Padding(Text(plain(text), "dim"), (0, 0, 0, 2)) for text in texts]
    return lines


def _print_outdated(found: list[Judged], frameworks: dict[str, Known], index: str) -> None:
    """Print lines that can be pasted, so none is wrapped."""
    from autolog.cli.format import ago, count, plain
    from autolog.compat.known import in_words
    from autolog.compat.outdated import paste

    def say(text: str) -> None:
        click.echo(plain(text))

    for one in found:
        notes = [f"{name} is not on {index}" for name in one.absent]
        notes += [
            f"{version} waits: released {ago(round(1000 * time.timestamp()))}"
            for version, time in one.waiting.items()
        ]
        supported = frameworks[one.framework].data["supported"]
        notes += [f"{version} is outside the supported {supported}" for version in one.outside]
        if one.outdated:
            say(f"  {one.framework}:  # {one.in_words} is newer than {in_words(one.latest_known)}")
            for line in paste(one).splitlines():
                say(line)
        elif notes:
            say(f"  # {one.framework}: {in_words(one.latest_known)} is the newest")
        for note in notes:
            say(f"    # {note}")
    many = [one for one in found if one.outdated]
    if any(row.uploaded is None for one in many for row in one.rows):
        say("# The index tells no times of upload: how old these releases are is not known.")
    said = f"{', '.join(one.framework for one in many)} out of date" if many else "up to date"
    say(f"# {count(len(found), 'framework')} compared with {index}: {said}")
