"""A store on a Postgres server: what a file does not have, and what only a server can do."""

from __future__ import annotations

import threading
import time

import pytest
from sqlalchemy import event

from autolog.errors import NewerStoreError, StoreError
from autolog.ids import new_id
from autolog.store import open_store
from autolog.store.fold import fold
from autolog.store.location import locate, prepare
from autolog.store.sql import postgres as connections
from autolog.store.sql import upgrade
from tests.store.training import Trainer, finish


@pytest.fixture
def location(tmp_path, monkeypatch, fresh_database):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    found = locate(fresh_database())
    prepare(found)
    return found


@pytest.fixture
def empty(tmp_path, monkeypatch, postgres):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    found = locate(postgres.create())
    prepare(found)
    return found


def _database(location) -> str:
    return location.address.rpartition("/")[2]


def test_of_many_processes_that_open_an_empty_database_one_makes_the_tables(empty, python):
    code = """
        print("ready", flush=True)
        while not os.path.exists(sys.argv[2]):
            time.sleep(0.02)
        store = open_store(sys.argv[1])
        print(len(store.runs().runs), store.writable)
    """
    gate = empty.root / "go"
    processes = [python(code, empty.address, gate) for _ in range(12)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    gate.touch()
    assert {finish(process) for process in processes} == {"0 True\n"}


def _migrate_to(location, revision, monkeypatch):
    """Make the tables of an earlier release."""
    monkeypatch.setattr(upgrade, "HEAD", revision)
    database = connections.open_server(location)
    upgrade.create_schema(database)
    database.close()
    monkeypatch.undo()


def test_an_older_schema_waits_for_the_command_that_upgrades_it(
    empty, postgres, monkeypatch, tmp_path
):
    _migrate_to(empty, "0001", monkeypatch)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    postgres.execute(
        _database(empty),
        "INSERT INTO experiment (name, created_us) VALUES ('old', 1)",
        "INSERT INTO run (uid, experiment_id, name, root_uid, start_us, last_us, opened)"
        f" SELECT '{'0' * 32}', id, 'kept', '{'0' * 32}', 1, 1, true FROM experiment",
    )
    with pytest.raises(StoreError, match=r"0001.*autolog store upgrade"):
        open_store(empty)
    database = connections.open_server(empty)
    assert upgrade.upgrade_server(database) == ("0001", upgrade.HEAD)
    assert upgrade.upgrade_server(database) == (upgrade.HEAD, upgrade.HEAD)
    database.close()
    store = open_store(empty)
    assert [run.name for run in store.runs().runs] == ["kept"]
    store.close()


def test_a_newer_schema_is_refused_and_what_was_logged_is_stored_after_the_update(
    location, postgres
):
    trainer = Trainer(location)
    uid = trainer.open()
    postgres.execute(_database(location), "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(NewerStoreError, match=r"9999.*pip install -U autolog-ml"):
        open_store(location)
    trainer.metrics(uid, {"loss": 1.0})
    revision = f"UPDATE alembic_version SET version_num = '{upgrade.HEAD}'"
    postgres.execute(_database(location), revision)
    store = open_store(location)
    fold(store)
    assert store.run(uid).metrics == {"loss": 1.0}
    store.close()
    trainer.close()


def test_a_user_who_may_only_read_sees_what_is_stored_and_changes_nothing(location, postgres):
    trainer = Trainer(location)
    uid = trainer.open()
    store = open_store(location)
    fold(store)
    store.close()
    trainer.metrics(uid, {"loss": 1.0})
    postgres.execute(
        _database(location),
        "DROP ROLE IF EXISTS guest",
        "CREATE ROLE guest LOGIN",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO guest",
    )
    reader = open_store(location.address.replace("autolog@", "guest@"))
    assert not reader.writable
    fold(reader)
    assert reader.run(uid).name == "SVC-test"
    assert [run.run_id for run in reader.search("status = 'RUNNING'")] == [uid]
    assert reader.rollup(uid).runs == 0
    assert reader.identity() == reader.identity()  # nobody has made one yet
    with pytest.raises(StoreError, match=r"Ask for the right to write"):
        reader.delete_run(uid)
    reader.close()
    postgres.execute(_database(location), "DROP OWNED BY guest", "DROP ROLE guest")
    trainer.close()


def test_status_tells_a_guest_what_waits_for_somebody_who_may_write(
    location, postgres, monkeypatch
):
    from click.testing import CliRunner

    from autolog.cli.commands import cli

    open_store(location).close()
    trainer = Trainer(location)
    trainer.open()
    postgres.execute(
        _database(location),
        "DROP ROLE IF EXISTS guest",
        "CREATE ROLE guest LOGIN",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO guest",
    )
    monkeypatch.setenv("AUTOLOG_STORE", location.address.replace("autolog@", "guest@"))
    out = CliRunner().invoke(cli, ["status"]).stdout
    assert "read only" in out
    assert "not in the store yet" in out
    postgres.execute(_database(location), "DROP OWNED BY guest", "DROP ROLE guest")
    trainer.close()


def test_a_server_that_is_not_there_is_named_without_its_password(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:1/runs.*cannot be reached") as caught:
        open_store("postgresql://ada:secret@127.0.0.1:1/runs")
    assert "secret" not in str(caught.value)


def test_no_password_is_journalled(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    location = locate("postgresql://ada:secret@db.lab/runs")
    trainer = Trainer(location)
    trainer.open()
    trainer.close()
    assert b"secret" not in b"".join(path.read_bytes() for path in location.journal.iterdir())


def test_nothing_is_kept_in_a_session(location):
    """Behind a pooler, each transaction may run in another session."""
    store = open_store(location)
    engine = store._database.engine
    said: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *call: said.append(call[2]))

    def forget(connection, record):
        connection.rollback()
        connection.autocommit = True
        connection.execute("DISCARD ALL")
        connection.autocommit = False

    event.listen(engine, "checkin", forget)
    trainer = Trainer(location)
    uid = trainer.open()
    trainer.metrics(uid, {"loss": 1.0})
    fold(store)
    assert store.run(uid).metrics == {"loss": 1.0}
    words = " ".join(said).lower()
    for kept in ("pg_advisory_lock", "prepare ", "listen ", "set session", "temp "):
        assert kept not in words
    with engine.connect() as connection:
        assert connection.connection.driver_connection.prepare_threshold is None
    store.close()
    trainer.close()


def test_many_writers_of_one_run_store_every_point_and_none_fails(location):
    uid = new_id()
    keys = [f"m{number}" for number in range(1000)]
    trainers = [Trainer(location) for _ in range(32)]
    trainers[0].open(uid=uid)
    for number, trainer in enumerate(trainers):
        order = keys[number:] + keys[:number]
        for step in range(3):
            trainer.metrics(uid, dict.fromkeys(order, float(number)), step)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            store = open_store(location)
            fold(store)
            store.close()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    store = open_store(location)
    for key in ("m0", "m500", "m999"):
        assert len(store.history(uid, key)) == 32 * 3
    store.close()
    for trainer in trainers:
        trainer.close()


def test_a_server_that_dies_in_mid_transaction_loses_and_doubles_nothing(
    location, postgres, monkeypatch
):
    from autolog.store.sql import apply as applying

    trainer = Trainer(location)
    uid = trainer.open()
    for step in range(100):
        trainer.metrics(uid, {"loss": float(step)}, step)
    store = open_store(location)
    move = applying._move_cursor

    def die(connection, *rest):
        move(connection, *rest)
        postgres.stop("immediate")

    with monkeypatch.context() as patched:
        patched.setattr(applying, "_move_cursor", die)
        with pytest.raises(StoreError, match="cannot be reached"):
            fold(store)
    postgres.resume()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            fold(store)
            break
        except StoreError:  # connections of the pool that died with the server
            continue
    assert store.history(uid, "loss").step.tolist() == list(range(100))
    store.close()
    trainer.close()
