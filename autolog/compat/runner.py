"""Runs rows of the matrix: makes each environment, tests in it, keeps what was shown."""

from __future__ import annotations

import concurrent.futures
import contextlib
import datetime as dt
import hashlib
import importlib
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from autolog.compat import environments, results
from autolog.compat.results import Legs, Result
from autolog.compat.rows import Row

__all__ = ["Options", "run", "source_digest"]

_TIMEOUT = 1200
"""Seconds for the tests of one row; they take 10 to 100 on two cores."""

_NO_TESTS = 5
"""pytest's exit code for a session without tests."""

_ASKED = (
    "import importlib.metadata as m, json, platform, sys\n"
    "found = {}\n"
    "for name in sys.argv[1:]:\n"
    "    try: found[name] = m.version(name)\n"
    "    except m.PackageNotFoundError: pass\n"
    "print(json.dumps([platform.python_version(), found]))"
)


@dataclass(frozen=True, slots=True)
class Options:
    """How rows are run.

    Args:
        jobs: how many rows at once.
        resume: leave out rows whose result is of the same row, code and tests, and passed.
        fresh: make environments anew.
    """

    jobs: int = 1
    resume: bool = False
    fresh: bool = False


def run(
    chosen: Sequence[Row], root: Path, options: Options, tell: Callable[[Result, bool], None]
) -> list[Result]:
    """Run rows, and return their results in the order of the rows.

    Each result is written as soon as it is there, so that a run that was broken off goes on with
    `resume`. A row whose environment cannot be made has failed; none is passed over.

    Args:
        chosen: the rows.
        root: the checkout.
        options: how they are run.
        tell: called with each result as it comes, and whether it was there before.
    """
    source = source_digest(root)
    found: dict[str, Result] = {}
    waiting: list[Row] = []
    for row in chosen:
        before = results.load(_latest(root, row.id)) if options.resume else None
        if before and before.passed and before.is_of(row) and before.source == source:
            found[row.id] = before
            results.keep(root, before)
            tell(before, True)
        else:
            waiting.append(row)
    _running.start()
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        futures = [pool.submit(_run_row, row, root, source, options) for row in waiting]
        try:
            for future in concurrent.futures.as_completed(futures):
                result = future.result()
                results.save(_latest(root, result.row), result)
                if result.tests:  # without any, nothing is known of the row that was not before
                    results.keep(root, result)
                found[result.row] = result
                tell(result, False)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            _running.stop()
            raise
    return [found[row.id] for row in chosen]


def _latest(root: Path, row: str) -> Path:
    """Return where the result of the last run lies, whatever is kept with the project."""
    return root / environments.FOLDER / "results" / f"{row}.json"


def source_digest(root: Path) -> str:
    """Return a digest over the code and the tests that the rows run."""
    digest = hashlib.sha256()
    for folder in ("autolog", "integrations", "tests/matrix"):
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
            digest.update(results.content(path))
    return digest.hexdigest()[:16]


def _run_row(row: Row, root: Path, source: str, options: Options) -> Result:
    today = dt.datetime.now(dt.timezone.utc).date().isoformat()
    result: dict[str, Any] = {
        "row": row.id,
        "digest": row.digest,
        "tested_by": results.digest_of_tests(row, root),
        "source": source,
        "ran": today,
    }
    try:
        with _alone(row, root):
            begun = time.monotonic()
            python, made = environments.make(row, root, _calling(root), fresh=options.fresh)
            installed = time.monotonic()
            failures, report = _test(row, root, python)
            version, packages = _versions(row, root, python)
    except (environments.InstallError, OSError, ValueError) as error:
        return Result(**result, passed=False, failures=[_neutral(f"{error}", root)])
    tests: dict[str, int] = report.get("tests", {})
    if not failures and not tests.get("passed"):
        failures = [f"no test ran: {', '.join(row.tests)}"]
    failures += results.mismatches(row, version, packages)
    return Result(
        **result,
        passed=not failures,
        python=version,
        installed=packages,
        seconds={
            "install": round(installed - begun) if made else 0,
            "test": round(time.monotonic() - installed),
        },
        tests=tests,
        quirks={name: Legs(**legs) for name, legs in report.get("quirks", {}).items()},
        failures=[_neutral(failure, root) for failure in failures],
    )


def _neutral(text: str, root: Path) -> str:
    """Leave out of a line what is of this machine alone: folders, and where packages come from."""
    text = text.replace(f"{root}{os.sep}", "")
    home = str(Path.home())
    if len(home) > 1:
        text = text.replace(home, "~")
    return re.sub(r"\b[a-z]+://\S+", "<address>", text)


def _test(row: Row, root: Path, python: Path) -> tuple[list[str], dict[str, Any]]:
    """Run the tests of a row; return what failed, and the report of the plugin."""
    folder = root / environments.FOLDER / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    report, log = folder / f"{row.id}.json", folder / f"{row.id}.log"
    report.unlink(missing_ok=True)
    files = [str(path) for path in results.files_of(row, root)]
    if not files:
        return [f"there is no {', '.join(row.tests)}"], {}
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["-p", "autolog.testing.matrix_report", f"--matrix-report={report}", *files]
    env = {**environments.plain_environ(), "OMP_NUM_THREADS": "1", **dict(row.env)}
    with open(log, "wb") as out:
        code = _running.call(command, root, env, out, _TIMEOUT)
    shown = log.relative_to(root)
    if code is None:
        return [f"its tests took more than {_TIMEOUT} s; see {shown}"], {}
    if not report.exists():
        ended = f"by signal {-code}" if code < 0 else f"with code {code}"
        again = "; --fresh makes a broken environment anew"
        return [f"pytest ended {ended} and without a report; see {shown}{again}"], {}
    found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    failures: list[str] = found["failures"]
    if code not in (0, _NO_TESTS) and not failures:
        failures = [f"pytest ended with code {code}; see {shown}"]
    return failures, found


def _versions(row: Row, root: Path, python: Path) -> tuple[str | None, dict[str, str]]:
    """Ask the environment what is installed; nothing if its interpreter does not answer."""
    from packaging.requirements import Requirement

    names = sorted({*(Requirement(one).name for one in row.requirements), "numpy", "wrapt"})
    with tempfile.TemporaryFile() as out:
        command = [str(python), "-c", _ASKED, *names]
        if _running.call(command, root, environments.plain_environ(), out, _TIMEOUT) != 0:
            return None, {}
        out.seek(0)
        answers = [line for line in out.read().splitlines() if line.startswith(b"[")]
        version, packages = json.loads(answers[-1])  # among what else is printed
    return version, packages


@contextlib.contextmanager
def _alone(row: Row, root: Path) -> Generator[None, None, None]:
    """Wait until no other process is at this row: it would take the environment away."""
    place = root / environments.FOLDER / "locks"
    place.mkdir(parents=True, exist_ok=True)
    with open(place / row.id, "ab") as file:
        while not _locked(file):
            _running.require_going()
            time.sleep(0.2)
        yield


def _locked(file: IO[bytes]) -> bool:
    try:
        fcntl: Any = importlib.import_module("fcntl")
    except ModuleNotFoundError:  # Windows
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _calling(root: Path) -> environments.Call:
    """Return what runs a command in the checkout, to be stopped with all others."""

    def call(
        command: Sequence[str], env: Mapping[str, str], out: IO[bytes], limit: float
    ) -> int | None:
        return _running.call(command, root, env, out, limit)

    return call


class _Running:
    """The commands under way, to be stopped with all that they have started."""

    def __init__(self) -> None:
        self._started: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def call(
        self,
        command: Sequence[str],
        folder: Path,
        env: Mapping[str, str],
        out: IO[bytes],
        limit: float,
    ) -> int | None:
        """Run a command in a session of its own; return its exit code, or None if it hung."""
        with self._lock:  # so that none is started after `stop`
            self.require_going()
            process = subprocess.Popen(  # noqa: S603  uv, or Python in the environment
                command,
                cwd=folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._started.add(process)
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            return None
        finally:
            self._end([process])
            self._started.discard(process)

    def require_going(self) -> None:
        """Raise an error once everything was stopped."""
        if self._stopped:
            raise environments.InstallError("it was stopped")

    def stop(self) -> None:
        """End all of them, and start no other."""
        with self._lock:
            self._stopped = True
            self._end(list(self._started))

    def start(self) -> None:
        """Let commands be started, again."""
        self._stopped = False

    def _end(self, processes: Iterable[subprocess.Popen[bytes]]) -> None:
        for process in processes:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)


_running = _Running()
