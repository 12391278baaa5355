"""What the commands print with: a console for readers, JSON for programs.

With `--json` nothing but one JSON document goes to stdout; everything else is on stderr. JSON has
no NaN and no infinities: as in the JSON form of protocol buffers they are written as the texts
`"NaN"`, `"Infinity"` and `"-Infinity"`, which `float()` of Python and `Number()` of JavaScript
read. Nothing is shortened, and times are milliseconds since the epoch.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

from autolog.errors import AutologError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

__all__ = [
    "STATUS_STYLES",
    "as_json",
    "emit",
    "heading",
    "notify",
    "screen",
    "status_text",
    "table",
    "write",
]

_PIPE_WIDTH: Final = 100
"""Columns of a pipe or a file, for text that is wrapped."""

STATUS_STYLES: Final = {
    "RUNNING": "cyan",
    "FINISHED": "green",
    "FAILED": "red",
    "KILLED": "magenta",
    "LOST": "yellow",
}


def screen(*, stderr: bool = False, pipe_width: int = _PIPE_WIDTH) -> Console:
    """Return a console for stdout (or stderr) that prints text literally.

    Colours need a terminal, and `NO_COLOR` turns them off there too. `COLUMNS` sets the width.

    Args:
        stderr: print there.
        pipe_width: width where there is no terminal and no `COLUMNS`.
    """
    from rich.console import Console

    console = Console(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=False)
    if console.width < 1 or not (console.is_terminal or _columns_given(console)):
        console.width = pipe_width  # COLUMNS=0 would leave no room for anything
    return console


def _columns_given(console: Console) -> bool:
    return str(console._environ.get("COLUMNS", "")).isdigit()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]


def write(console: Console, page: RenderableType) -> None:
    """Print a page; where no terminal reads it, without the blanks that fill up its lines."""
    if console.is_terminal:
        console.print(page)
        return
    with console.capture() as captured:
        console.print(page)
    lines = captured.get().splitlines()
    _send("".join(f"{line.rstrip()}\n" for line in lines))


def emit(document: Any) -> None:
    """Print a document of structs, dataclasses, mappings and sequences as JSON on stdout."""
    text = as_json(document)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:  # a stream without Unicode, or a name that is no Unicode text
        text = as_json(document, ascii_only=True)
    _send(text + "\n")


def _send(text: str) -> None:
    """Write to stdout now: a reader that has gone (`| head`) is noticed inside the command."""
    stream: TextIO | None = sys.stdout
    if stream is None:  # started with `>&-`
        raise AutologError("the answer cannot be written: standard output is closed")
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise AutologError(f"the answer cannot be written: {error.strerror}") from error


def as_json(document: Any, *, ascii_only: bool = False) -> str:
    """Return a document as JSON text that strict parsers read."""
    import msgspec

    plain = _finite(msgspec.to_builtins(document, str_keys=True, enc_hook=str))
    return json.dumps(plain, indent=2, ensure_ascii=ascii_only, allow_nan=False)


def _finite(given: Any) -> Any:
    """Replace numbers that JSON has not by their names."""
    if isinstance(given, float) and not math.isfinite(given):
        return "NaN" if math.isnan(given) else "Infinity" if given > 0 else "-Infinity"
    if isinstance(given, Mapping):
        entries = cast("Mapping[Any, Any]", given)
        return {key: _finite(value) for key, value in entries.items()}
    if isinstance(given, (list, tuple)):
        items = cast("Sequence[Any]", given)
        return [_finite(item) for item in items]
    return given


def notify(text: str) -> None:
    """Print a remark on stderr, out of the way of what is read by programs."""
    screen(stderr=True).print(text, style="dim")


def status_text(status: str, health: str | None = None) -> Text:
    """Return a run's status in its colour, and what is wrong with its training."""
    from rich.text import Text

    text = Text(status, style=STATUS_STYLES.get(status, ""))
    if health:
        text.append(f", {health}", style="yellow")
    return text


def table(*columns: str, right: Sequence[str] = (), **options: Any) -> Any:
    """Return an empty table without borders; the columns in `right` are aligned right."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0), **options)
    for name in columns:
        made.add_column(
            name, justify="right" if name in right else "left", overflow="fold", no_wrap=False
        )
    return made


def heading(title: str, *parts: RenderableType) -> RenderableType:
    """Return a titled part of a page: an empty line, the title, its content indented by two."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    body = [Padding(part, (0, 0, 0, 2), expand=False) for part in parts]
    return Group(Text(""), Text(title, style="bold"), *body)
