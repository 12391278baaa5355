"""Takes out of texts what a bug report must not show: secrets, and who and where the user is."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import unquote, urlsplit

from autolog.tracking.provenance import redact, user_name

__all__ = ["Scrubber"]

_NAME: Final = r"[\w-]*(?:token|secret|passw(?:or)?d|api[_-]?key|credential|authorization)[\w-]*"
_VALUE: Final = r"(?!\*\*\*)(?:'[^']*'|\"[^\"]*\"|[^\s,;'\"]+)"

_PATTERNS: Final = (
    # scheme://user:password@host, whatever is in the password
    (re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^\s'\"]*@"), r"\1***@"),
    # scheme://host/path?token=...
    (re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^\s?'\"]*)\?[^\s'\"]*"), r"\1?***"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}"), r"\1 ***"),
    # api_key=..., "token": "...", --password ...
    (re.compile(rf"(?i)({_NAME}['\"]?\s*[=:]\s*){_VALUE}"), r"\1***"),
    (re.compile(rf"(?i)(--{_NAME}\s+){_VALUE}"), r"\1***"),
    # Tokens that are known by their form: of GitHub, GitLab, Hugging Face, OpenAI, Slack, PyPI,
    # Amazon; and JSON web tokens.
    (
        re.compile(r"\b(?:gh[opsur]_|github_pat_|glpat-|hf_|sk-|sk-[a-z]+-)[A-Za-z0-9]{20,}\w*"),
        "***",
    ),
    (re.compile(r"\b(?:xox[abeprs]-|pypi-)[\w-]{16,}"), "***"),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), "***"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), "***"),
    (re.compile(r"(?<![\w.+-])[\w.+-]+@(?:[\w-]+\.)+[A-Za-z]{2,}\b"), "<address>"),
)

_SECRET: Final = re.compile(rf"(?i){_NAME}|[\w-]*(?:auth|cookie|private)[\w-]*|(?:.*_)?key")

_SHORT: Final = 4
"""Values with fewer characters are no secrets, and taking them out would spoil every text."""


class Scrubber:
    """Replaces secrets by `***`, the home folder by `~`, user and host by `<user>` and `<host>`.

    Args:
        environment: the variables whose values may be secrets: those that are named like one, and
            whose value is an address with a password.
        addresses: store URIs as they were given, with the passwords in them.
    """

    def __init__(self, environment: Mapping[str, str], addresses: Iterable[str] = ()) -> None:
        secrets: set[str] = set()
        for name, text in environment.items():
            if _SECRET.fullmatch(name):
                secrets.add(text)
            if "://" in text:
                secrets |= _of_address(text)
        hosts: set[str] = set()
        for address in addresses:
            secrets |= _of_address(address)
            if "://" in address:
                hosts.add(_hostname(address))
        literal = {text: "***" for text in secrets if len(text) >= _SHORT}
        home = str(Path.home()).rstrip("/")
        if home:
            literal[home] = "~"
            literal[str(Path(home).resolve())] = "~"
        self._literal = sorted(literal.items(), key=lambda item: -len(item[0]))
        names = {name: "<user>" for name in (user_name(), environment.get("USER")) if name}
        hosts |= {socket.gethostname(), socket.gethostname().partition(".")[0]}
        names |= dict.fromkeys(hosts - {"", "localhost", "127.0.0.1", "::1"}, "<host>")
        self._names = [
            (re.compile(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])"), instead)
            for name, instead in sorted(names.items(), key=lambda item: -len(item[0]))
        ]

    def text(self, given: str) -> str:
        """Return a text without what is not to be shown."""
        for secret, instead in self._literal:
            given = given.replace(secret, instead)
        for pattern, instead in _PATTERNS:
            given = pattern.sub(instead, given)
        for name, instead in self._names:
            given = name.sub(instead, given)
        return given

    def all(self, document: Any) -> Any:
        """Return mappings, sequences and texts with every text in them scrubbed."""
        if isinstance(document, str):
            return self.text(*redact([document]))
        if isinstance(document, Mapping):
            entries = cast("Mapping[Any, Any]", document)
            return {key: self.all(value) for key, value in entries.items()}
        if isinstance(document, (list, tuple)):
            return [self.all(item) for item in cast("list[Any]", document)]
        return document


def _of_address(address: str) -> set[str]:
    """Return the secrets in an address: its user, its password, the values of its query."""
    try:
        parts = urlsplit(address)
        password = parts.password or ""
    except ValueError:
        return set()
    query = [piece.partition("=")[2] for piece in parts.query.split("&")]
    raw = [password, *query]
    return {text for one in raw for text in (one, unquote(one)) if text}


def _hostname(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
