"""The page of one run: what `autolog show` prints for a reader, part by part."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from autolog.artifacts import links
from autolog.cli import format as written
from autolog.cli.curves import metric_table
from autolog.cli.listing import run_time, runs_table
from autolog.cli.machine import system_table
from autolog.cli.output import heading, status_text, table
from autolog.cli.series import Series, saw_no_evaluation
from autolog.cli.spread import rollup_part
from autolog.discovery import discover
from autolog.entities import (
    HEALTH,
    OPEN_AT_EXIT,
    TABLE,
    Event,
    Kind,
    Model,
    Run,
    RunDetails,
    Status,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.console import Console, RenderableType

    from autolog.store.answers import Rollup

__all__ = ["page"]

_OWN_PARTS: Final = frozenset(
    {"preparation", "notice", "logging_error", HEALTH, OPEN_AT_EXIT, TABLE}
)
"""Kinds of events that have a part of the page to themselves."""


_LIFECYCLES: Final = {
    "deleted": "deleted; autolog store restore brings it back",
    "absorbed": "part of the run above it, and in no list",
}

_ROWS: Final = 10
_COLUMNS: Final = 6
"""Rows and columns of a table that are shown."""

_RECIPE: Final = 12
"""Digits of a recipe that are shown."""

_DIGEST: Final = 8
"""Digits of a fingerprint of data that are shown."""


def page(
    details: RunDetails,
    series: Mapping[str, tuple[Series, NDArray[np.float64]]],
    children: Sequence[Run],
    console: Console,
    rollup: Rollup | None = None,
) -> RenderableType:
    """Return the page.

    Args:
        details: the run.
        series: its metrics, as `read_series` gives them.
        children: its first children.
        console: what the page is printed on: its width and encoding decide on the curves.
        rollup: what its children came to.
    """
    from rich.console import Group

    run = details.run
    parts = [*_head(details)]
    if run.params:
        parts.append(heading("Params", _pairs(run.params)))
    system = {key: one for key, (one, _) in series.items() if one.system}
    metrics = {key: one for key, one in series.items() if key not in system}
    if metrics:
        parts.append(heading("Metrics", metric_table(metrics, console)))
    if saw_no_evaluation(run, {key: summary for key, (summary, _) in series.items()}):
        parts.append(_remark(f"This run saw no evaluation; add e.g. `{_evaluation(details)}`"))
    if system:
        parts.append(heading("System", system_table(system)))
    parts += _attempts(details)
    parts += _preparation(details.events)
    parts += _tables(details)
    parts += _inputs(details)
    parts += _models(details)
    parts += _artifacts(details)
    if children:
        rows = [runs_table(children, (), console.width - 2)]
        if len(details.children) > len(children):
            rest = len(details.children) - len(children)
            rows.append(_remark(f"and {rest} more, all with autolog ls --json"))
        parts.append(heading("Children", *rows))
    if rollup is not None and rollup.runs > 1:
        parts.append(rollup_part(rollup))
    parts += _problems(details)
    parts += _events(details.events)
    return Group(*parts)


def _head(details: RunDetails) -> Iterator[RenderableType]:
    from rich.padding import Padding
    from rich.text import Text

    run = details.run
    title = Text.assemble((written.plain(run.name), "bold"), "  ", status_text(run.status))
    if details.exit_code is not None:
        title.append(f"  exit code {details.exit_code}", style="dim")
    elif any(event.kind == OPEN_AT_EXIT for event in details.events):
        title.append("  exit code unknown", style="dim")
    yield title
    if details.description:
        yield Padding(Text(written.plain(details.description)), (0, 0, 0, 2), expand=False)
    rows: dict[str, str | None] = {
        "error": details.error,
        "id": run.run_id,
        "kind": run.kind,
        "experiment": run.experiment,
        "parent": run.parent_id,
        "started": f"{written.clock(run.start_time)} ({written.ago(run.start_time)})",
        "took": None,
        "silent since": _silence(details),
        "state": _LIFECYCLES.get(details.lifecycle),
        "by": _who(run),
        "source": run.source,
        "command": shlex.join(details.argv) or None,
        "folder": details.cwd,
        "commit": _commit(details),
        "python": details.python,
        "versions": _versions(details.packages),
        "recipe": run.recipe and run.recipe[:_RECIPE],
        "tags": ", ".join(f"{key}={value}" for key, value in run.tags.items()) or None,
    }
    took = run_time(run, time.time() * 1000)
    rows["took"] = f"{took} so far" if run.status == Status.RUNNING else took
    yield Padding(
        _pairs({key: text for key, text in rows.items() if text}), (0, 0, 0, 2), expand=False
    )


def _silence(details: RunDetails) -> str | None:
    if details.silent_since is None:
        return None
    return (
        f"{written.clock(details.silent_since)} ({written.ago(details.silent_since)}):"
        " whether its process lives cannot be known from here"
    )


def _who(run: Run) -> str | None:
    return "@".join(part for part in (run.user, run.host) if part) or None


def _commit(details: RunDetails) -> str | None:
    commit = details.run.commit
    if commit is None:
        return None
    states = {True: "with uncommitted changes", False: "clean", None: "changes not known"}
    branch = f" on {details.branch}" if details.branch else ""
    return f"{commit[:12]}{branch}, {states[details.run.dirty]}"


def _versions(packages: Mapping[str, str]) -> str:
    """Name the frameworks among the packages; of others only how many there are."""
    frameworks = {name for one in discover().integrations.values() for name in one.distributions}
    named = [f"{name} {version}" for name, version in packages.items() if name in frameworks]
    others = len(packages) - len(named)
    if others:
        named.append(f"{written.count(others, 'other package')} (--json lists them)")
    return ", ".join(named)


def _attempts(details: RunDetails) -> Iterator[RenderableType]:
    if len(details.attempts) <= 1:
        return
    rows = table(
        "ATTEMPT", "STATUS", "STARTED", "TOOK", "HOST", "FROM STEP", "WHY", right=("TOOK",)
    )
    for one in details.attempts:
        end = time.time() * 1000 if one.end is None else one.end
        rows.add_row(
            str(one.number),
            status_text(one.status or ""),
            written.clock(one.start),
            written.duration(end - one.start),
            written.plain(one.host or ""),
            "" if one.restored_step is None else f"after {one.restored_step}",
            written.plain(one.reason or ""),
        )
    yield heading("Attempts", rows)


def _preparation(events: Sequence[Event]) -> Iterator[RenderableType]:
    steps = [event.data for event in events if event.kind == "preparation"]
    if not steps:
        return
    rows = table("STEP", "METHOD", "DATA", "SHAPE", "TIME", "USED", right=("TIME",))
    for step in steps:
        seconds = step.get("seconds")
        rows.add_row(
            written.plain(str(step.get("class", "?"))),
            written.plain(str(step.get("method", ""))),
            written.plain(str(step.get("data") or "")),
            written.shape(step.get("shape")),
            written.duration(1000 * seconds) if isinstance(seconds, (int, float)) else "",
            "yes" if step.get("linked") else "not seen",
        )
    yield heading("Preparation", rows)


def _tables(details: RunDetails) -> Iterator[RenderableType]:
    """Print the first rows of each table."""
    last = {event.data["name"]: event.data for event in details.events if event.kind == TABLE}
    for name, told in last.items():
        title = f"Table {written.plain(str(name))}"
        columns = cast("dict[str, list[Any]]", told.get("columns") or {})
        if not columns:
            rows = written.count(told.get("rows", 0), "row")
            yield heading(title, _remark(f"{rows}, in {told.get('artifact')}"))
            continue
        shown = list(columns)[:_COLUMNS]
        right = [key for key in shown if all(map(_is_number, columns[key]))]
        printed = table(*map(written.plain, shown), right=list(map(written.plain, right)))
        for cells in list(zip(*(columns[key] for key in shown), strict=True))[:_ROWS]:
            printed.add_row(*map(_cell, cells))
        parts: list[RenderableType] = [printed]
        rows = len(columns[shown[0]])
        if rows > _ROWS or len(columns) > len(shown):
            size = f"{written.count(rows, 'row')} and {written.count(len(columns), 'column')}"
            call = f'autolog.load_table("{written.plain(details.run.name)}", "{name}")'
            parts.append(_remark(f"{size} in all: {call}"))
        yield heading(title, *parts)


def _is_number(cell: Any) -> bool:
    return cell is None or (isinstance(cell, (int, float)) and not isinstance(cell, bool))


def _cell(cell: Any) -> str:
    if cell is None:
        return ""
    return written.number(cell) if isinstance(cell, float) else written.value(cell)


def _inputs(details: RunDetails) -> Iterator[RenderableType]:
    if not details.inputs:
        return
    rows = table("ROLE", "NAME", "CLASS", "SHAPE", "DTYPE", "FINGERPRINT")
    for one in details.inputs:
        profile = one.profile
        columns = profile.get("columns")
        dtype = str(profile.get("dtype") or "")
        if isinstance(columns, dict):
            kinds = cast("dict[str, Any]", columns).values()
            dtype = ", ".join(sorted({str(kind) for kind in kinds}))
        name = str(profile.get("class", ""))
        shape = written.shape(profile.get("shape"))
        cells = (one.role, one.name, name, shape, dtype, _fingerprint(profile))
        rows.add_row(*map(written.plain, cells))
    yield heading("Inputs", rows)


def _fingerprint(profile: Mapping[str, Any]) -> str:
    """Write the beginning of a digest, and the share of the data that it covers."""
    digest = str(profile.get("digest") or "").rpartition(":")[2][:_DIGEST]
    covered = profile.get("covered", 1.0)
    return f"{digest} of {covered:.2%}" if digest and covered < 1 else digest


def _models(details: RunDetails) -> Iterator[RenderableType]:
    if not details.models:
        return
    rows = table("NAME", "CLASS", "FORMAT", "SIZE", "", right=("SIZE",))
    for model in details.models:
        remarks = ["safe to load" if model.safe else "runs code when loaded"]
        if model.manifest.get("contains_data"):
            remarks.append("holds training rows")
        rows.add_row(
            written.plain(model.name),
            written.plain(str(model.manifest.get("class", "")).rpartition(".")[2]),
            written.plain(model.format),
            written.size(model.size),
            ", ".join(remarks),
        )
    told = [_remark(written.plain(text)) for text in _reservations(details.models)]
    line = f'autolog.load_model("{written.plain(details.run.name)}")'
    yield heading("Models", rows, *told, _remark(f"in Python: {line}"))


def _reservations(models: Sequence[Model]) -> Iterator[str]:
    """Say of each model why a safe format does not hold it, or whose code it needs."""
    for model in models:
        manifest = model.manifest
        why = manifest.get("fallback") or manifest.get("not_converted")
        if why:
            pickled = model.format == "pickle"
            yield f"{model.name} is kept {'as a pickle alone: ' if pickled else ''}{why}"
        if manifest.get("unknown_types"):
            yield f"{model.name} as {model.format} needs {', '.join(manifest['unknown_types'])}"


def _artifacts(details: RunDetails) -> Iterator[RenderableType]:
    if not details.artifacts:
        return
    states = {one.path: links.state(one.uri) for one in details.artifacts}
    linked = any(states.values())
    rows = table("PATH", "SIZE", *(("STATE", "FILE") if linked else ()), right=("SIZE",))
    for one in details.artifacts:
        state = states[one.path]
        more = [state or "", links.place(one.uri) if state else ""] if linked else []
        rows.add_row(written.plain(one.path), written.size(one.size), *map(written.plain, more))
    yield heading("Artifacts", rows)


def _problems(details: RunDetails) -> Iterator[RenderableType]:
    from rich.text import Text

    unwell = [event.data for event in details.events if event.kind == HEALTH]
    if unwell:
        texts = [Text(written.plain(str(one.get("text", one))), style="yellow") for one in unwell]
        yield heading("Health (the training was not touched)", *texts)
    notices = [event.data for event in details.events if event.kind == "notice"]
    if notices:
        texts = [Text(written.plain(str(one.get("text", one)))) for one in notices]
        yield heading("Notices", *texts)
    if details.run.logging_errors:
        errors = details.run.logging_errors
        texts = [Text(written.plain(one), style="yellow") for one in errors]
        yield heading("Logging errors (the training itself was not affected)", *texts)


def _is_of_rank(event: Event) -> bool:
    """Whether it says where the points of another rank came from, which the metrics show."""
    return event.kind == "absorbed" and event.data.get("kind") == Kind.RANK.value


def _events(events: Sequence[Event]) -> Iterator[RenderableType]:
    others = [event for event in events if event.kind not in _OWN_PARTS and not _is_of_rank(event)]
    if not others:
        return
    rows = table("TIME", "EVENT", "")
    for event in others:
        said = ", ".join(f"{key}: {written.value(value)}" for key, value in event.data.items())
        rows.add_row(written.clock(event.time), written.plain(event.kind), said)
    yield heading("Events", rows)


def _pairs(values: Mapping[str, Any]) -> RenderableType:
    rows = table("", "", show_header=False)
    rows.columns[0].style = "dim"
    rows.columns[0].max_width = 40
    for key, value in values.items():
        rows.add_row(written.plain(key), written.value(value))
    return rows


def _evaluation(details: RunDetails) -> str:
    """Return a line that evaluates a model of the run's framework."""
    formats = {model.format for model in details.models}
    for integration in discover().integrations.values():
        if integration.evaluation and formats & {one.name for one in integration.formats}:
            return integration.evaluation
    return "model.score(X_test, y_test)"


def _remark(text: str) -> RenderableType:
    from rich.padding import Padding
    from rich.text import Text

    return Padding(Text(text, style="dim"), (1, 0, 0, 0), expand=False)
