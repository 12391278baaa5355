from __future__ import annotations

import subprocess
import sys

import pytest

from autolog.errors import StoreError, UsageError
from autolog.store.location import locate, prepare


def test_the_default_is_the_nearest_autolog_folder_upwards(tmp_path):
    (tmp_path / ".autolog").mkdir()
    (tmp_path / "a" / ".git").mkdir(parents=True)
    found = locate(cwd=tmp_path / "a")
    assert found.root == tmp_path / ".autolog"
    assert found.database == tmp_path / ".autolog" / "store.db"
    assert found.journal == tmp_path / ".autolog" / "journal"
    assert found.artifacts == tmp_path / ".autolog" / "artifacts"


def test_without_one_the_default_is_the_top_of_the_git_work_tree(tmp_path):
    (tmp_path / "repo" / ".git").mkdir(parents=True)
    (tmp_path / "repo" / "src" / "deep").mkdir(parents=True)
    assert locate(cwd=tmp_path / "repo/src/deep").root == tmp_path / "repo/.autolog"


def test_linked_work_trees_share_the_store_of_the_main_one(tmp_path):
    def git(*words):
        identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
        subprocess.run(
            ["git", *identity, *words], cwd=tmp_path / "main", check=True, capture_output=True
        )

    (tmp_path / "main").mkdir()
    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "first")
    git("worktree", "add", "-q", "../linked")
    assert locate(cwd=tmp_path / "linked").root == tmp_path / "main" / ".autolog"


def test_a_submodule_is_a_project_of_its_own(tmp_path):
    (tmp_path / "outer/.git/modules/inner").mkdir(parents=True)
    (tmp_path / "outer/inner").mkdir()
    (tmp_path / "outer/inner/.git").write_text("gitdir: ../.git/modules/inner\n")
    assert locate(cwd=tmp_path / "outer/inner").root == tmp_path / "outer/inner/.autolog"


def test_outside_of_git_the_default_is_the_working_directory(tmp_path):
    assert locate(cwd=tmp_path).root == tmp_path / ".autolog"


def test_looking_creates_nothing(tmp_path):
    locate(cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_place_gives_way_to_the_users_data_folder_with_a_notice(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    # A file where the folder should be cannot be written by anybody, not even by root.
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / ".autolog").write_text("")
    found = locate(cwd=tmp_path / "work")
    assert found.root == tmp_path / "data" / "autolog"
    assert str(tmp_path / "work" / ".autolog") in found.notice


def test_a_prepared_folder_ignores_itself_in_git(tmp_path):
    found = locate(cwd=tmp_path)
    prepare(found)
    prepare(found)
    assert (tmp_path / ".autolog" / ".gitignore").read_text() == "*\n"


def test_a_folder_of_another_name_gets_no_gitignore(tmp_path):
    prepare(locate(tmp_path / "runs"))
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["journal"]


@pytest.mark.parametrize(
    "uri", ["runs", "runs/store.db", "sqlite:///runs/store.db", "sqlite:///{}/runs/store.db"]
)
def test_every_spelling_of_a_place_has_the_same_uri(tmp_path, uri):
    found = locate(uri.format(tmp_path), cwd=tmp_path)
    assert found.uri == f"sqlite:///{tmp_path}/runs/store.db"
    assert found.scheme == "sqlite"


def test_two_databases_of_one_folder_keep_their_journals_apart(tmp_path):
    first, second = locate(tmp_path / "a.db"), locate(tmp_path / "b.sqlite")
    assert first.journal != second.journal
    assert first.artifacts != second.artifacts


@pytest.mark.parametrize(
    "uri",
    [
        "http://u:secret@h:5000",
        "https://h",
        "mlflow+http://h",
        "databricks",
        "databricks://prod",
    ],
)
def test_a_scheme_of_a_later_version_says_what_to_write(uri):
    with pytest.raises(StoreError, match="SQLite and Postgres") as caught:
        locate(uri)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://db.lab:5432/runs",
        "postgres://ada:s%40cret@db.lab/runs",
        "postgresql+psycopg://ada:secret@DB.lab:5432/runs?sslmode=require",
        "postgresql:///runs?host=db.lab&port=5432",
    ],
)
def test_every_spelling_of_a_server_has_the_same_uri_without_a_password(uri, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    found = locate(uri)
    assert found.uri == "postgresql://db.lab:5432/runs"
    assert found.remote
    assert "cret" not in repr(found)
    assert found.address == f"postgresql://{uri.partition('://')[2]}"
    assert found.journal.parent.parent == tmp_path / "autolog" / "stores"


@pytest.mark.parametrize("uri", ["postgresql://h", "postgresql://h/a/b", "postgresql://h:x/db"])
def test_a_server_without_a_database_or_with_a_broken_port_is_refused(uri):
    with pytest.raises(UsageError, match=r"names no database|no number"):
        locate(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://me:se/hidden@h/db",
        "postgresql://h/a/b?password=hidden",
        "postgresql://m[e:hidden@h/db",
        "me:hidden@h/db",
    ],
)
def test_the_password_in_a_uri_that_is_refused_is_not_shown(uri):
    with pytest.raises(UsageError) as refused:
        locate(uri)
    assert "hidden" not in str(refused.value)


def test_an_unknown_scheme_is_named_with_the_known_ones():
    with pytest.raises(UsageError, match=r"'s3'.*postgresql://"):
        locate("s3://bucket/runs")


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///", "sqlite+aiosqlite:///x.db"])
def test_an_sqlite_uri_without_a_file_is_refused(uri):
    with pytest.raises(UsageError, match="names no file"):
        locate(uri)


def test_the_journal_folder_can_be_moved(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOLOG_JOURNAL_DIR", str(tmp_path / "fast"))
    assert locate(tmp_path / ".autolog").journal == tmp_path / "fast"


def test_the_setting_names_the_default_store(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOLOG_STORE", str(tmp_path / "shared"))
    assert locate(cwd="/").root == tmp_path / "shared"


def test_the_trainers_import_needs_the_standard_library_only():
    code = (
        "import sys; import autolog.store, autolog.store.location;"
        "heavy = ('sqlalchemy', 'numpy', 'alembic', 'msgspec', 'sqlite3');"
        "print([name for name in heavy if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
