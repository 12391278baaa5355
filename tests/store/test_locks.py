"""SQLite removes its log with the last user: no process may be overlooked as one."""

from __future__ import annotations

import contextlib

from autolog.store import open_store
from autolog.store.fold import fold
from tests.store.training import Trainer, finish


def test_what_is_written_after_a_sync_is_kept_though_another_process_closes(embedded, python):
    with contextlib.closing(Trainer(embedded)) as trainer:
        uid = trainer.open()
        store = open_store(embedded)
        fold(store)
        store.sync()
        finish(python("open_store(sys.argv[1]).close()", embedded.address))
        trainer.params(uid, lr=0.1)
        fold(store)
        with contextlib.closing(open_store(embedded)) as here:
            assert here.run(uid).params == {"lr": 0.1}
        code = "print(open_store(sys.argv[1]).run(sys.argv[2]).params)"
        assert finish(python(code, embedded.address, uid)) == "{'lr': 0.1}\n"
        store.close()


def test_what_a_forked_child_writes_is_kept_though_its_parent_closes(embedded, python):
    with contextlib.closing(Trainer(embedded)) as trainer:
        uid = trainer.open()
    code = """
        location = locate(sys.argv[1])
        store = open_store(location)
        store.runs()
        opened, closed = os.pipe(), os.pipe()
        if os.fork() == 0:
            mine = open_store(location)
            mine.runs()
            os.write(opened[1], b".")
            os.read(closed[0], 1)
            fold(mine)
            os._exit(0)
        os.read(opened[0], 1)
        store.close()
        os.write(closed[1], b".")
        os.wait()
    """
    finish(python(code, embedded.address))
    with contextlib.closing(open_store(embedded)) as store:
        assert store.run(uid).run_id == uid


def test_a_child_forked_in_a_transaction_reads_a_copy_and_leaves_the_file_alone(embedded, python):
    """SQLite in it would take the locks of the parent's transaction for its own."""
    with contextlib.closing(Trainer(embedded)) as trainer:
        uid = trainer.open()
        trainer.params(uid, lr=0.1)
    code = """
        import threading
        store = open_store(sys.argv[1])
        fold(store)
        inside, done = threading.Event(), threading.Event()

        def read():
            with store._database.read() as connection:
                connection.exec_driver_sql("SELECT count(*) FROM run").scalar()
                inside.set()
                done.wait()

        reader = threading.Thread(target=read)
        reader.start()
        inside.wait()
        pid = os.fork()
        if pid == 0:
            mine = open_store(sys.argv[1])
            os._exit(0 if not mine.writable and mine.run(sys.argv[2]).params else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        done.set()
        reader.join()
        print(open_store(sys.argv[1]).writable)
    """
    process = python(code, embedded.address, uid)
    assert finish(process) == "0\nTrue\n"
