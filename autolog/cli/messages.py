"""Takes a user's values out of the messages of errors, as far as they can be told."""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

__all__ = ["own_texts", "without_values"]

_SHORT: Final = 2
"""Texts with so few characters are in every message."""

_COMMON: Final = frozenset(("None", "True", "False"))

# An apostrophe within a word (can't, O'Brien) neither opens nor closes a quotation; one that a
# message was cut in goes to the end of its line.
_QUOTED: Final = re.compile(
    r"(?<!File )(?<!\w)(?:[bruf]{0,2})"
    r"(?:'((?:[^'\\\n]|\\.|'(?=\w))*)(?:'|$)|\"((?:[^\"\\\n]|\\.)*)(?:\"|$))",
    re.IGNORECASE | re.MULTILINE,
)
_BEFORE_NAMES: Final = re.compile(r"\b(?:attribute|module|named|argument|object)\s+$")
_NUMBER: Final = re.compile(r"(?<![\w.:])-?\d+\.\d+(?:e[+-]?\d+)?|(?<![\w.:])-?\d{5,}(?![\w.])")
_DATE: Final = re.compile(r"(?<!\d)\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?(?!\d)")
_MAIL: Final = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")

# What Python, NumPy and pandas say before a value that they do not quote.
_UNQUOTED: Final = re.compile(
    r"(?m)((?:could not convert|cannot convert|invalid literal|unable to parse|unknown label"
    r"|unseen labels|unknown categor|not understood|does not match format|KeyError)[^:\n]*:\s*)"
    r"(?!')\S[^\n]*$",
    re.IGNORECASE,
)


def own_texts(given: Iterable[Any]) -> set[str]:
    """Return every text of a run that the user chose, values of parameters among them."""
    texts: set[str] = set()
    for one in given:
        if isinstance(one, Mapping):
            texts |= own_texts([*one.keys(), *one.values()])  # type: ignore[reportUnknownArgumentType]
        elif isinstance(one, (list, tuple)):
            texts |= own_texts(one)  # type: ignore[reportUnknownArgumentType]
        elif one is not None and not isinstance(one, bool):
            texts.add(str(one))
    return {text for text in texts - _COMMON if len(text) > _SHORT}


def without_values(text: str, own: Iterable[str]) -> str:
    """Return a message without the user's own texts, and without what is quoted, numbers, dates.

    A quoted word stays where the message says that it is the name of an attribute, a module or an
    argument, and where it is a name of Python's.
    """
    for word in sorted((word for word in own if word in text), key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", "<value>", text)

    def quoted(match: re.Match[str]) -> str:
        inner = match[1] if match[1] is not None else match[2]
        name = inner.isascii() and all(part.isidentifier() for part in inner.split("."))
        named = name and _BEFORE_NAMES.search(match.string, 0, match.start())
        known = inner == "NoneType" or hasattr(builtins, inner)
        return match[0] if named or known else "'<value>'"

    text = _UNQUOTED.sub(r"\1<value>", _QUOTED.sub(quoted, text))
    for pattern, instead in ((_MAIL, "<value>"), (_DATE, "<date>"), (_NUMBER, "<number>")):
        text = pattern.sub(instead, text)
    return text
