"""Takes out of texts what a bug report must not show: secrets, and who and where the user is."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import unquote, urlsplit

from autolog.tracking.provenance import redact, user_name

__all__ = ["Scrubber", "address", "without_secrets"]

_NAME: Final = (
    r"[\w-]{0,40}(?:token|secret|passw(?:or)?d|passphrase|credential|connection[_-]?string"
    r"|(?:api|access|account|private)[_-]?key|access[_-]?signature)[\w-]{0,40}"
)
"""Bounded at both ends: a word of 32,000 characters would be gone through from each of them."""
_BRIEF: Final = r"(?:[\w-]{0,40}[_-])?(?:pass|pwd|pat)"
"""Names that are words elsewhere: they count with `=` behind them, in quotes, or as an option."""

_VALUE: Final = r"(?!\*\*\*)(?P<value>'[^']*'|\"[^\"]*\"|[^\s,;'\"]+)"

_ASSIGNED: Final = (
    # api_key=..., "token": "...", --password ...
    re.compile(rf"(?i)(?P<name>{_NAME}['\"]?\s*[=:]\s*){_VALUE}"),
    re.compile(rf"(?i)(?P<name>--(?:{_NAME}|{_BRIEF})\s+){_VALUE}"),
    re.compile(rf"(?i)(?P<name>(?<![\w-]){_BRIEF}(?:=|['\"]\s*[=:]\s*)){_VALUE}"),
)

_LINE: Final = r"(?!\*\*\*)(?:'[^'\n]*'|\"[^\"\n]*\"|[^\r\n'\"]+)"

_BARE: Final = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    r"[sr]k[-_](?=[\w-]*\d)[\w-]{10,}"  # OpenAI, Anthropic, Stripe
    r"|gh[a-z]_[A-Za-z0-9]{10,}|github_pat_\w{10,}|glpat-[\w-]{10,}"
    r"|hf_[A-Za-z0-9]{10,}|xox[a-z]-[\w-]{6,}|xapp-[\w-]{10,}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{12,}|AIza[\w-]{20,}|ya29\.[\w-]{10,}"
    r"|(?:pypi|dapi|npm_|wandb_v1_)(?=[\w-]*\d)[\w-]{24,}"
    r"|eyJ[\w-]{6,}\.[\w-]+(?:\.[\w-]*)?"  # a JSON Web Token
    r")"
)
"""Tokens that are known by their beginning, whatever stands before them."""

_PATTERNS: Final = (
    # scheme://user:password@host, whatever is in the password
    (re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30}://)[^\s'\"]*@"), r"\1***@"),
    # scheme://host/path?token=...
    (re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s?'\"]*)\?[^\s'\"]*"), r"\1?***"),
    # user:password@host without a scheme
    (re.compile(r"(?<![\w/.+%~-])[\w.+%~-]+:(?!//)[^\s'\"]+@(?=[\w\[])"), "***@"),
    (re.compile(r"(?i)\b(digest)\s+\w+=[^\r\n]*"), r"\1 ***"),
    # Authorization: Token ..., Cookie: a=b; c=d
    (re.compile(rf"(?i)([\w-]{{0,40}}(?:authorization|cookie)['\"]?\s*[=:]\s*){_LINE}"), r"\1***"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}"), r"\1 ***"),
    (re.compile(r"(?i)\b(token)\s+(?=\S*\d)[A-Za-z0-9._~+/=-]{16,}"), r"\1 ***"),
    *((pattern, r"\g<name>***") for pattern in _ASSIGNED),
    (_BARE, "***"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*-----|\Z)"), "***"),
    (re.compile(r"(?<![\w.+-])[\w.+-]+@(?:[\w-]+\.)+[A-Za-z]{2,}\b"), "<address>"),
)

_SECRET: Final = re.compile(
    rf"(?i){_NAME}|[\w-]*(?:auth|cookie|private)[\w-]*|(?:.*_)?keys?|(?!(?:OLD)?PWD$)\w*(?:pass|pwd)"
    r"|(?:.*_)?(?:pat|dsn|jwt|sas|creds?)"
)
_NO_SECRETS: Final = frozenset(("true", "false", "none", "null"))
"""Values of switches, such as TOKENIZERS_PARALLELISM."""

_SHORT: Final = 4
"""Values with fewer characters are no secrets, and taking them out would spoil every text."""

_TOKEN: Final = 8
"""The user of an address on the web with so many characters and no password is a token."""


class Scrubber:
    """Replaces secrets by `***`, the home folder by `~`, user and host by `<user>` and `<host>`.

    Args:
        environment: the variables whose values may be secrets: those that are named like one, or
            hold an address with a password or a token, or an assignment such as `AccountKey=...`.
        addresses: store URIs as they were given, with the passwords in them.
    """

    def __init__(self, environment: Mapping[str, str], addresses: Iterable[str] = ()) -> None:
        secrets: set[str] = set()
        for name, text in environment.items():
            if _SECRET.fullmatch(name):
                secrets.add(text)
            secrets |= _within(text)
        hosts: set[str] = set()
        for address in addresses:
            secrets |= _within(address)
            if "://" in address:
                hosts.add(_hostname(address))
        literal = {
            text: "***"
            for text in secrets
            if len(text) >= _SHORT and text.lower() not in _NO_SECRETS
        }
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
        given = without_secrets(given)
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


def without_secrets(given: str) -> str:
    """Return a text without what looks like a secret; names and paths stay."""
    for pattern, instead in _PATTERNS:
        given = pattern.sub(instead, given)
    return given


def address(given: str) -> str:
    """Return a text that is one address, if it is an address, without credentials and query.

    More is known of it than of an address within a text: nothing of it ends at a space or a quote.
    """
    scheme, sign, rest = given.partition("://")
    if scheme == "sqlite" or given.startswith(("/", "~", ".")):
        return given  # a path, in which @ and ? are letters like any other
    if not sign:
        return without_secrets(given)
    _, at, rest = rest.rpartition("@")
    path, query, _ = rest.partition("?")
    return f"{scheme}://{'***@' if at else ''}{path}{'?***' if query else ''}"


def _within(text: str) -> set[str]:
    """Return the secrets in a text that may be an address, a list of them, or a list of pairs."""
    found: set[str] = set()
    for pattern in _ASSIGNED:
        found |= {match["value"].strip("'\"") for match in pattern.finditer(text)}
    if "@" not in text and "://" not in text:
        return found
    for piece in {text, *re.split(r"[\s,;]+", text)}:
        found |= _of_address(piece)
    return found


def _of_address(address: str) -> set[str]:
    """Return the secrets in an address: its password or token, the values of its query.

    Read by hand: a password may hold what ends the host elsewhere, as in `user:pa/ss@host`.
    """
    scheme, sign, rest = address.partition("://")
    rest = rest if sign else address
    userinfo = rest.rpartition("@")[0]
    user, _, password = userinfo.partition(":")
    raw = [password]
    # The user is the token: TOKEN@host, TOKEN:@host, TOKEN:x-oauth-basic@host (of GitHub)
    alone = sign and password in ("", "x-oauth-basic")
    if alone and len(user) >= _TOKEN and (scheme.endswith(("http", "https")) or _opaque(user)):
        raw.append(user)
    if sign:
        _, _, query = rest[len(userinfo) :].partition("?")
        raw += [piece.partition("=")[2] for piece in query.split("&")]
    return {text for one in raw for text in (one, unquote(one)) if text}


def _opaque(user: str) -> bool:
    """Whether a user in an address is a token rather than the name of an account."""
    return len(user) >= 2 * _TOKEN and any(character.isdigit() for character in user)


def _hostname(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
