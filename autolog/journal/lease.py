"""Who wrote a journal, and whether that process still lives.

On Linux all is read from /proc. Elsewhere psutil answers for start times, imported only there.
A writer holds `flock(LOCK_SH)` on its current file, which decides between pid namespaces of one
boot (containers of one host), where pids cannot be compared.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Final, Literal

import msgspec

from autolog.journal.records import Header, ProcessId

if sys.platform == "win32":
    fcntl: Any = None
else:
    import fcntl

__all__ = ["Identity", "Lease", "lease_state", "locked", "this_process"]

Lease = Literal["alive", "dead", "unknown"]

_LINUX: Final = sys.platform.startswith("linux")
_GENERATIONS: Final = 64


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """This process as the header of its journal names it; empty text is "cannot be known"."""

    host: str
    machine: str
    boot: str
    pid_namespace: str
    process: ProcessId
    ancestors: list[ProcessId]


_known: tuple[int, Identity] | None = None


def this_process() -> Identity:
    """Return who this process is. Read once per pid, so a forked child gets its own."""
    global _known
    pid = os.getpid()
    if _known is None or _known[0] != pid:
        _known = (pid, _look(pid))
    return _known[1]


def lease_state(header: Header, path: str | os.PathLike[str]) -> Lease:
    """Whether the writer of the journal file at `path` lives. Never raises.

    `header` is that file's (or an earlier one's of the same writer), `path` the writer's newest
    file. `unknown` is every case that cannot be decided from here, as a writer on another host.
    """
    try:
        return _judge(header, path, this_process())
    except Exception:
        return "unknown"


def locked(path: str | os.PathLike[str]) -> bool | None:
    """Whether some process holds a lock on the file; None if that cannot be asked here."""
    if fcntl is None:
        return None
    try:
        # NFS grants an exclusive lock only on a descriptor that may write.
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    else:
        return False
    finally:
        os.close(fd)


def _judge(header: Header, path: str | os.PathLike[str], me: Identity) -> Lease:
    same_machine = header.host == me.host and header.machine == me.machine
    if header.boot != me.boot:
        known = header.machine and header.boot and me.boot
        return "dead" if same_machine and known else "unknown"
    if not header.boot and not same_machine:
        return "unknown"
    if header.pid_namespace != me.pid_namespace:
        return _by_lock(path)
    seen = _process(header.process.pid)
    if seen is not None:
        return "alive" if seen.id == header.process and not seen.zombie else "dead"
    # A hidden /proc (hidepid) shows no processes of other users; a signal still finds them.
    return _by_lock(path) if _exists(header.process.pid) else "dead"


def _by_lock(path: str | os.PathLike[str]) -> Lease:
    held = locked(path)
    return "unknown" if held is None else "alive" if held else "dead"


def _exists(pid: int) -> bool:
    if not _LINUX:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


class _Seen(msgspec.Struct, frozen=True):
    id: ProcessId
    parent: int
    zombie: bool


def _process(pid: int) -> _Seen | None:
    if not _LINUX:
        return _process_by_psutil(pid)
    try:
        stat = _read(f"/proc/{pid}/stat")
    except OSError:
        return None
    # The name in parentheses may itself hold spaces and parentheses.
    fields = stat[stat.rindex(b")") + 2 :].split()
    return _Seen(ProcessId(pid, int(fields[19])), int(fields[1]), fields[0] in {b"Z", b"X"})


def _read(path: str) -> bytes:
    """Read a small file by its descriptor.

    A Ctrl-C that strikes between opening a file object and its `with` leaves the object to the
    collector, which warns of it in the middle of the user's program.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 1 << 16)
    finally:
        os.close(fd)


def _process_by_psutil(pid: int) -> _Seen | None:
    import psutil

    try:
        process = psutil.Process(pid)
        start = round(process.create_time() * 1e6)
        zombie = process.status() == psutil.STATUS_ZOMBIE
        return _Seen(ProcessId(pid, start), process.ppid(), zombie)
    except psutil.Error:
        return None


def _look(pid: int) -> Identity:
    seen = _process(pid)
    ancestors: list[ProcessId] = []
    parent = seen.parent if seen else 0
    while parent > 0 and len(ancestors) < _GENERATIONS:
        above = _process(parent)
        if above is None or above.id in ancestors:
            break
        ancestors.append(above.id)
        parent = above.parent
    return Identity(
        host=_host(),
        machine=_line("/etc/machine-id"),
        boot=_line("/proc/sys/kernel/random/boot_id"),
        pid_namespace=_pid_namespace(),
        process=seen.id if seen else ProcessId(pid, 0),
        ancestors=ancestors,
    )


def _host() -> str:
    if sys.platform == "win32":
        return os.environ.get("COMPUTERNAME", "")
    return os.uname().nodename


def _line(path: str) -> str:
    try:
        return _read(path).decode("ascii").strip()
    except (OSError, ValueError):
        return ""


def _pid_namespace() -> str:
    try:
        return str(os.stat("/proc/self/ns/pid").st_ino)  # noqa: PTH116
    except OSError:
        return ""
