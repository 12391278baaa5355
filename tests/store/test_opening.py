from __future__ import annotations

import os
import sqlite3
import tempfile
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from autolog.errors import NewerStoreError, StoreError
from autolog.journal.filesystem import mount_type
from autolog.store import open_store
from autolog.store.fold import fold
from autolog.store.location import locate
from autolog.store.sql import upgrade
from autolog.store.sql.schema import metadata
from tests.store.training import Trainer, finish


@pytest.fixture
def location(embedded):
    """Opening is a matter of files; tests/store/test_server.py has what a server does."""
    return embedded


def _definitions(connection) -> dict[str, object]:
    """Every table with its columns and every index with its text."""
    found: dict[str, object] = {}
    rows = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
    for kind, name, sql in rows:
        if name.startswith(("alembic", "sqlite_autoindex")):
            continue
        found[name] = " ".join((sql or "").split())
        if kind == "table":
            columns = connection.execute("SELECT * FROM pragma_table_xinfo(?)", (name,))
            found[name] = ([row[1:] for row in columns], "WITHOUT ROWID" in sql)
    return found


def test_the_migrations_make_the_tables_of_the_schema(location, store):
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.connect() as made:
        wanted = _definitions(made.connection.driver_connection)
    engine.dispose()
    migrated = sqlite3.connect(location.database)
    assert _definitions(migrated) == wanted
    migrated.close()


def test_the_known_revisions_are_those_of_the_scripts():
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "autolog.store.sql:migrations")
    scripts = ScriptDirectory.from_config(config)
    assert tuple(s.revision for s in reversed(list(scripts.walk_revisions()))) == upgrade.REVISIONS


def test_an_open_store_uses_a_write_ahead_log(location, store):
    connection = sqlite3.connect(location.database)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA page_size").fetchone() == (8192,)
    connection.close()


def test_opening_a_store_of_this_version_does_not_import_alembic(location, store, python):
    code = "open_store(sys.argv[1]).runs(); print('alembic' in sys.modules)"
    assert finish(python(code, location.root)).strip() == "False"


def test_of_many_processes_that_open_a_fresh_store_one_migrates(location, python):
    code = """
        print("ready", flush=True)
        while not os.path.exists(sys.argv[2]):
            time.sleep(0.02)
        store = open_store(sys.argv[1])
        assert store.writable
        print(len(store.runs().runs), "alembic" in sys.modules)
    """
    gate = location.root / "go"
    processes = [python(code, location.root, gate) for _ in range(12)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    gate.touch()
    answers = [finish(process).split() for process in processes]
    assert [count for count, _ in answers] == ["0"] * 12
    assert [migrated for _, migrated in answers].count("True") == 1


def test_a_newer_schema_is_refused_with_both_revisions_and_the_upgrade_command(location, store):
    store.close()
    connection = sqlite3.connect(location.database)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    for write in (True, False):
        with pytest.raises(NewerStoreError, match=r"9999.*0002.*pip install -U autolog-ml"):
            open_store(location, write=write)


@pytest.mark.parametrize("write", [True, False])
def test_a_damaged_database_is_named_with_what_to_do(location, write):
    location.database.write_bytes(b"no database at all\n" * 1000)
    with pytest.raises(StoreError, match=r"store\.db.*damaged.*Move it aside"):
        open_store(location, write=write)


def test_damage_met_later_is_named_too(location, trainer, folded):
    trainer.open()
    folded().close()
    with open(location.database, "r+b") as file:
        file.seek(8192)
        file.write(os.urandom(location.database.stat().st_size - 8192))
    with pytest.raises(StoreError, match=r"store\.db"):
        open_store(location).details("SVC-test")


@pytest.mark.parametrize("write", [True, False])
def test_a_store_that_is_not_there_reads_as_empty_and_is_not_created(tmp_path, write):
    store = open_store(tmp_path / "none", write=write)
    fold(store)
    assert store.runs().runs == []
    assert store.experiments() == []
    assert not store.writable
    assert list(tmp_path.iterdir()) == []


def test_a_store_is_created_when_asked(tmp_path):
    store = open_store(tmp_path / ".autolog", create=True)
    assert store.writable
    assert (tmp_path / ".autolog" / "store.db").exists()
    store.close()


def test_a_store_opened_for_reading_shows_what_is_not_folded_yet(location, trainer, folded):
    first = trainer.open("SVC-aaaa")
    trainer.metrics(first, {"loss": 1.0})
    folded()
    second = trainer.open("SVC-bbbb")
    trainer.metrics(first, {"loss": 0.5}, 1)
    before = location.database.read_bytes()
    reader = open_store(location, write=False)
    fold(reader)
    assert [run.run_id for run in reader.runs().runs] == [second, first]
    assert reader.run(first).metrics == {"loss": 0.5}
    assert not reader.writable
    reader.close()
    assert location.database.read_bytes() == before
    assert trainer.writer.path.exists()


def test_journals_without_a_database_can_be_read_only(location, trainer):
    uid = trainer.open()
    reader = open_store(location, write=False)
    fold(reader)
    assert [run.run_id for run in reader.runs().runs] == [uid]
    reader.close()
    assert not location.database.exists()


def test_a_user_without_permission_reads_everything(python):
    """Run as an ordinary user, who may read a foreign store but not write it."""
    if os.getuid():
        pytest.skip("needs root, to become somebody else")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        location = locate(folder)
        trainer = Trainer(location)
        uid = trainer.open()
        trainer.metrics(uid, {"loss": 1.0})
        store = open_store(location)
        fold(store)
        code = """
            import autolog.store.sql.opening, alembic.command, numpy
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            store = open_store(sys.argv[1])
            fold(store)
            print(store.writable, store.runs().runs[0].metrics)
        """
        trainer.metrics(uid, {"loss": 0.5}, 1)
        for path in location.root.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        # Once with the shared memory of an open database at hand, once without.
        assert finish(python(code, folder)).strip() == "False {'loss': 0.5}"
        store.close()
        assert finish(python(code, folder)).strip() == "False {'loss': 0.5}"
        trainer.close()


def test_a_network_file_system_is_known_by_its_mount(tmp_path):
    table = tmp_path / "mountinfo"
    table.write_text(
        "1 0 8:1 / / rw - ext4 /dev/a rw\n"
        "2 1 0:9 / /data rw shared:1 - nfs4 server:/x rw\n"
        "3 2 0:9 / /data/local rw - xfs /dev/b rw\n"
    )

    def kind(path):
        return mount_type(path, str(table))

    assert kind("/home/x") == "ext4"
    assert kind("/data/project") == "nfs4"
    assert kind("/data/local/x") == "xfs"
    assert kind("/database") == "ext4"


def test_on_a_network_file_system_writers_take_turns_without_wal(
    location, trainer, monkeypatch, caplog
):
    from autolog.store.sql import connect, opening

    monkeypatch.setattr(connect, "is_network", lambda path: True)
    monkeypatch.setattr(opening, "is_network", lambda path: True)
    uid = trainer.open()
    store = open_store(location)
    fold(store)
    assert store.run(uid).run_id == uid
    store.close()
    connection = sqlite3.connect(location.database)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    connection.close()
    assert "network file system" in caplog.text


def test_a_store_survives_a_fork(location, trainer, folded):
    uid = trainer.open()
    store = folded()
    pid = os.fork()
    if pid == 0:
        os._exit(0 if store.run(uid).run_id == uid else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert store.run(uid).run_id == uid


def test_a_location_is_taken_as_it_is(location):
    assert open_store(location).uri == locate(location.root).uri


SCHEMAS = Path(__file__).parent / "schemas"


@pytest.mark.parametrize("revision", upgrade.REVISIONS[:-1])
def test_a_store_of_each_released_schema_is_copied_migrated_and_read(location, revision):
    before = sqlite3.connect(location.database)
    before.executescript((SCHEMAS / f"{revision}.sql").read_text())
    before.close()
    store = open_store(location)
    fold(store)
    run = store.run("parent")
    assert run.params["layers"] == [64, 64]
    assert run.metrics["loss"] == 1 / 50
    assert store.history("parent", "loss").epoch.tolist() == [step // 10 for step in range(50)]
    assert store.history("parent", "odd").step.tolist() == [-(2**63), 2**63 - 1]
    assert store.run("child").parent_id == run.run_id
    assert {run.status for run in store.runs().runs} == {"FINISHED", "FAILED"}
    store.close()
    copy = sqlite3.connect(location.root / f"store.db.before-{upgrade.HEAD}")
    assert copy.execute("SELECT version_num FROM alembic_version").fetchone() == (revision,)
    copy.close()


def test_there_is_a_store_of_each_released_schema():
    assert {path.stem for path in SCHEMAS.glob("*.sql")} == set(upgrade.REVISIONS[:-1])
