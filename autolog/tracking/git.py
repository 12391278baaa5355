"""Commit and branch, read from the repository's files without starting git.

Only `is_dirty` runs git, once, when the program ends: starting a process in the middle of a
training would give it a child to wait for.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

__all__ = ["Checkout", "find_checkout", "is_dirty"]


class Checkout(msgspec.Struct, frozen=True):
    """A git work tree. `commit` is None before the first one, `branch` on a detached head."""

    root: Path
    commit: str | None
    branch: str | None


def find_checkout(start: Path) -> Checkout | None:
    """Find the work tree that holds `start`; None if there is none or it cannot be read."""
    for folder in (start, *start.parents):
        entry = folder / ".git"
        try:
            if entry.is_dir():
                return _read(folder, entry)
            if entry.is_file():  # a linked work tree or a submodule
                target = entry.read_text().partition("gitdir:")[2].strip()
                return _read(folder, (folder / target).resolve())
        except (OSError, UnicodeDecodeError):
            return None
    return None


def is_dirty(root: Path, timeout: float) -> bool | None:
    """Whether tracked files differ from the commit; None if git is absent or too slow."""
    import subprocess

    command = [
        "git", "--no-optional-locks", "-C", str(root),
        "status", "--porcelain", "--untracked-files=no",
    ]  # fmt: skip
    try:
        answer = subprocess.run(  # noqa: S603
            command, capture_output=True, timeout=timeout, check=True, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError, RuntimeError):
        return None
    return bool(answer.stdout.strip())


def _read(root: Path, git: Path) -> Checkout:
    head = (git / "HEAD").read_text().strip()
    if not head.startswith("ref:"):
        return Checkout(root, head or None, None)
    reference = head.partition("ref:")[2].strip()
    common = git
    if (git / "commondir").is_file():
        common = (git / (git / "commondir").read_text().strip()).resolve()
    branch = reference.removeprefix("refs/heads/")
    return Checkout(root, _resolve(git, common, reference), branch)


def _resolve(git: Path, common: Path, reference: str) -> str | None:
    for folder in (git, common):
        loose = folder / reference
        if loose.is_file():
            return loose.read_text().strip()
    packed = common / "packed-refs"
    if packed.is_file():
        for line in packed.read_text().splitlines():
            commit, _, name = line.partition(" ")
            if name == reference:
                return commit
    return None
