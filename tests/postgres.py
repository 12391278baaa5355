"""A Postgres server for the tests: started as an ordinary user on a free port, ended with them."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

_INSTALL = "Install it: apt-get install -y postgresql (Debian), brew install postgresql (macOS)"


def _folder_of_binaries() -> Path:
    """The folder of initdb and pg_ctl, which Debian keeps off the PATH."""
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: p.parent.name)
    if shutil.which("initdb"):
        candidates.append(Path(shutil.which("initdb")).parent)
    if not candidates:
        raise RuntimeError(f"the tests need a Postgres server (15 or newer). {_INSTALL}")
    return candidates[-1]


def _user() -> str | None:
    """Whom to run it as: the server refuses to be root's."""
    if os.getuid():
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise RuntimeError("no ordinary user is there to run Postgres as")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A running cluster; `psql` sends one statement to a database of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.port = _free_port()
        self.binaries = _folder_of_binaries()
        self.user = _user()
        self.count = 0

    def run(self, program: str, *arguments: object, check: bool = True) -> None:
        """Run one of Postgres' programs as the server's user."""
        command = [str(self.binaries / program), *map(str, arguments)]
        done = subprocess.run(
            command,
            user=self.user,
            group=None if self.user is None else pwd.getpwnam(self.user).pw_gid,
            extra_groups=None if self.user is None else [],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        if check and done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr}")

    def start(self) -> None:
        """Make a cluster without a password and start it."""
        if self.user is not None:
            shutil.chown(self.folder, self.user)
        self.run("initdb", "-D", self.data, "-A", "trust", "-U", "autolog", "-E", "UTF8", "-N")
        self.resume()

    def resume(self) -> None:
        """Start the cluster, also after `stop`."""
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder}"
            " -c fsync=off -c max_connections=200"
        )
        self.run("pg_ctl", "-D", self.data, "-o", options, "-l", self.folder / "log", "-w", "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop the cluster; `immediate` is what a crash looks like."""
        self.run("pg_ctl", "-D", self.data, "-m", mode, "-w", "stop", check=False)

    def uri(self, database: str) -> str:
        """The address of a database."""
        return f"postgresql://autolog@127.0.0.1:{self.port}/{database}"

    def execute(self, database: str, *statements: str) -> list[tuple]:
        """Run statements outside of a transaction; return the rows of the last one."""
        import psycopg

        with psycopg.connect(self.uri(database), autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def create(self, template: str = "template0") -> str:
        """Make a database and return its address."""
        self.count += 1
        name = f"autolog_{self.count}"
        self.execute("postgres", f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.uri(name)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A server for the whole run."""
    folder = Path(tempfile.mkdtemp(prefix="autolog-postgres-"))
    folder.chmod(0o755)
    server = Server(folder)
    server.start()
    yield server
    server.stop("immediate")
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def migrated(postgres: Server) -> str:
    """The name of a database that has the schema already: copying it is quicker than migrating."""
    from autolog.store import open_store

    address = postgres.create()
    open_store(address).close()
    return address.rpartition("/")[2]


@pytest.fixture
def fresh_database(postgres: Server, migrated: str) -> Iterator[Callable[[], str]]:
    """Make databases with the newest schema; they are dropped after the test."""
    made: list[str] = []

    def make() -> str:
        made.append(postgres.create(migrated))
        return made[-1]

    yield make
    for address in made:
        name = address.rpartition("/")[2]
        postgres.execute("postgres", f"DROP DATABASE {name} WITH (FORCE)")
