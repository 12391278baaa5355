"""Asks a package index for the releases of a distribution (PEP 503, 691 and 700).

The index is the one that pip and uv use on this machine. Credentials in its address are handed to
the client and never shown. Needs `pypi-simple`, which autolog itself does not depend on.
"""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from autolog.errors import AutologError, UsageError

__all__ = ["Index", "IndexUnreachableError", "NotOnIndexError", "Release", "index_url"]

DEFAULT: Final = "https://pypi.org/simple/"
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_QUERY: Final = re.compile(r"[?#]")
_SECONDS: Final = 30
"""How long an index may be silent."""


class IndexUnreachableError(AutologError):
    """The package index cannot be asked, or its answer cannot be read."""


class NotOnIndexError(AutologError):
    """The index has no project of this name."""


@dataclass(slots=True)
class Release:
    """One release: the earliest upload of its files, and which Pythons they are for."""

    version: Version
    uploaded: datetime | None = None
    """When the first file came; None if the index tells no times."""
    requires: list[SpecifierSet] = field(default_factory=list[SpecifierSet])
    tags: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    """Interpreter and ABI of the wheels for Linux on x86-64 and for any platform."""

    def runs_on(self, python: str) -> bool:
        """Whether Requires-Python and the wheels admit a Python, `"3.12"`.

        Without a wheel for Linux, Requires-Python alone decides: it would be built.
        """
        # The newest patch of a minor: `>=3.9.2` admits Python 3.9.
        if not all(one.contains(f"{python}.99") for one in self.requires):
            return False
        return not self.tags or any(_admits(*tag, python) for tag in self.tags)


class Index:
    """A package index.

    Args:
        url: its address, that of the Simple API; it may hold `user:password@`.

    Raises:
        UsageError: the address is none of the web, or `pypi-simple` is not installed.
    """

    def __init__(self, url: str) -> None:
        self.shown = shown(url)
        try:
            parts = urlsplit(url)
            parts.port  # noqa: B018  a password with a slash is read as a port that is no number
        except ValueError:
            raise UsageError(
                "the address of the package index cannot be read: name one with --index-url, and"
                " write what is special in its password as %2F and the like"
            ) from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(
                f"{self.shown} is no package index on the web: name one with --index-url"
            )
        try:
            self._api: Any = importlib.import_module("pypi_simple")
        except ModuleNotFoundError:
            raise UsageError(
                "asking a package index needs pypi-simple, which autolog itself does not depend"
                " on: pip install pypi-simple"
            ) from None
        auth = None
        if parts.username is not None:
            auth = (unquote(parts.username), unquote(parts.password or ""))
        self._client: Any = self._api.PyPISimple(_bare(url), auth=auth)
        certificates = os.environ.get("PIP_CERT") or _pip("cert")
        if certificates and not os.environ.get("REQUESTS_CA_BUNDLE"):
            self._client.s.verify = certificates

    def close(self) -> None:
        """Close the connections."""
        self._client.s.close()

    def releases(self, distribution: str) -> list[Release]:
        """Return the releases with files that are not yanked, without pre-releases.

        Raises:
            NotOnIndexError: the index does not know the distribution, or has no files of it.
            IndexUnreachableError: it does not answer, or not as an index does.
        """
        requests: Any = importlib.import_module("requests")
        try:
            page = self._client.get_project_page(distribution, timeout=_SECONDS)
        except self._api.NoSuchProjectError:
            raise NotOnIndexError(f"{distribution} is not on {self.shown}") from None
        except requests.HTTPError as error:
            answer = f"{error.response.status_code} {error.response.reason}"
            raise IndexUnreachableError(
                f"{self.shown} answers {answer} when asked for {distribution}"
            ) from None
        except requests.JSONDecodeError:
            raise self._unreadable(distribution, "it is no JSON") from None
        except requests.RequestException as error:
            raise IndexUnreachableError(
                f"{self.shown} cannot be reached: {_reason(error)}. --index-url or PIP_INDEX_URL"
                " names another index"
            ) from None
        except self._api.UnsupportedContentTypeError as error:
            raise self._unreadable(distribution, f"it is {error.content_type}") from None
        except self._api.UnsupportedRepoVersionError as error:
            raise self._unreadable(distribution, str(error)) from None
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            # pydantic's error is a ValueError
            raise self._unreadable(distribution, f"{type(error).__name__}") from None
        if not any(file.version for file in page.packages):  # the page of a login, say
            raise NotOnIndexError(f"{distribution} has no files on {self.shown}")
        return _releases(page.packages)

    def _unreadable(self, distribution: str, why: str) -> IndexUnreachableError:
        return IndexUnreachableError(
            f"the answer of {self.shown} for {distribution} cannot be read: {why}"
        )


def index_url(given: str | None = None) -> str:
    """Return the index to ask: `given`, else that of pip and uv, else PyPI.

    `PIP_INDEX_URL`, `UV_DEFAULT_INDEX`, `UV_INDEX_URL` and `pip config` are read in this order.
    """
    named = (os.environ.get(name) for name in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"))
    return given or next(filter(None, named), None) or _pip("index-url") or DEFAULT


def shown(url: str) -> str:
    """Return an address as it may be printed: without credentials, query and fragment.

    Nothing in front of the last `@` is shown, whatever the scheme and however broken the address.
    """
    known = _SCHEME.match(url)
    scheme = known[0] if known else ""
    front, at, rest = url.rpartition("@")
    if at and _QUERY.search(front):  # the end of a password, or of a value in a query
        return f"{scheme}***"
    return (scheme if at else "") + _QUERY.split(rest, maxsplit=1)[0]


def _bare(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _pip(setting: str) -> str | None:
    """Read a setting of pip's configuration files, as pip itself finds them."""
    for line in pip_config():
        key, _, value = line.partition("=")
        if key == f"global.{setting}":
            return " ".join(shlex.split(value))
    return None


@lru_cache(maxsize=1)
def pip_config() -> list[str]:
    """Return the lines of `pip config list`, once per process; none without pip."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    done = subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    return done.stdout.splitlines() if done.returncode == 0 else []


def _releases(packages: list[Any]) -> list[Release]:
    found: dict[Version, Release] = {}
    for file in packages:
        if file.is_yanked or file.version is None or file.package_type not in ("wheel", "sdist"):
            continue
        try:
            version = Version(file.version)
        except InvalidVersion:
            continue
        if version.is_prerelease:
            continue
        release = found.setdefault(version, Release(version))
        if file.upload_time is not None:
            time: datetime = file.upload_time
            time = time if time.tzinfo is not None else time.replace(tzinfo=timezone.utc)
            release.uploaded = min(release.uploaded or time, time)
        if file.requires_python:
            try:
                specifier = SpecifierSet(file.requires_python)
            except InvalidSpecifier:
                continue
            if specifier not in release.requires:
                release.requires.append(specifier)
        if file.package_type == "wheel":
            release.tags |= _tags(file.filename)
    return sorted(found.values(), key=lambda release: release.version)


def _tags(filename: str) -> set[tuple[str, str]]:
    try:
        tags = parse_wheel_filename(filename)[3]
    except (InvalidWheelFilename, InvalidVersion):
        return set()
    return {
        (tag.interpreter, tag.abi)
        for tag in tags
        if tag.platform == "any"
        or (tag.platform.startswith(("manylinux", "linux")) and tag.platform.endswith("x86_64"))
    }


def _admits(interpreter: str, abi: str, python: str) -> bool:
    major, minor = python.split(".")
    if interpreter in (f"cp{major}{minor}", f"py{major}{minor}"):
        return abi in ("none", "abi3", f"cp{major}{minor}")
    if interpreter == f"py{major}":
        return True
    # The stable ABI: built for one Python, good for all later ones.
    oldest = interpreter.removeprefix(f"cp{major}")
    return abi == "abi3" and oldest.isdigit() and int(oldest) <= int(minor)


def _reason(error: Exception) -> str:
    """Say in a few words why there was no answer; never the whole address."""
    name = type(error).__name__
    known = {
        "SSLError": "its certificate is not trusted (PIP_CERT names a file of certificates)",
        "ProxyError": "the proxy does not answer",
        "ConnectTimeout": f"no answer within {_SECONDS} s",
        "ReadTimeout": f"no answer within {_SECONDS} s",
        "ConnectionError": "no connection",
    }
    return known.get(name, name)
