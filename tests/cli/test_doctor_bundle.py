"""`autolog doctor --bundle`: all that a report needs, and nothing that is the user's own."""

from __future__ import annotations

import socket
import zipfile
from pathlib import Path

import pytest

from autolog.cli import scrub
from autolog.cli.messages import without_values
from autolog.cli.scrub import Scrubber
from autolog.journal.files import list_writers
from autolog.sink.state import log_path
from autolog.store.location import locate, prepare
from tests.cli.recording import python, strict_json

PROGRAM = """
import autolog

with autolog.start_run("older-run"):
    pass
for _ in range(20):
    with autolog.start_run("again"):
        pass
with autolog.start_run("private-run", experiment="private-experiment") as run:
    autolog.set_tag("t", "tagvalue-1")
    autolog.log_param("lr", 0.123456)
    autolog.log_param("lr_private", 1)
    autolog.log_param("data", "/data/patients-7.csv")
    autolog.log_param("api_key", "paramsecret-2")
    text = "fit of /data/patients-7.csv at 0.123456 by jdoe"
    run.log_event("notice", {"key": "odd", "text": text})
    text = "hook: ValueError: could not convert 'Jane Roe' in File '/home/x.py' token=errsecret-3"
    run.log_event("logging_error", {"message": text})
    run.log_event("logging_error", {"message": "hook: AttributeError: no attribute 'coef_'"})
"""

SECRETS = """
    private-run private-experiment lr_private older-run tagvalue-1 0.123456 patients-7 paramsecret-2
    errsecret-3 Roe argsecret-4 envsecret-5 urlsecret-6 querysecret-7 logsecret-8 Smith
    experiment-9 jdoe
    plainkey-10
""".split()  # noqa: SIM905  read more easily than as a list


@pytest.fixture
def someone(tmp_path, monkeypatch):
    """A user with a home folder, secrets in variables, and all frameworks switched off."""
    home = tmp_path / "home" / "jdoe"
    home.mkdir(parents=True)
    for name, text in {
        "HOME": str(home),
        "USER": "jdoe",
        "LOGNAME": "jdoe",
        "AUTOLOG_USER": "jdoe",
        "AUTOLOG_DISABLED": "1",
        "AUTOLOG_EXPERIMENT": "experiment-9",
        "WANDB_API_KEY": "envsecret-5",
        "MLFLOW_TRACKING_URI": "https://jdoe:urlsecret-6@host.example/x?token=querysecret-7",
        "DD_KEY": "plainkey-10",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }.items():
        monkeypatch.setenv(name, text)
    return home


def contents(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_a_bundle_tells_what_went_wrong_and_nothing_of_the_user(someone, invoke, tmp_path):
    store = someone / "store"
    words = ("-c", PROGRAM, "--api-key", "argsecret-4")
    done = python(*words, store=store, cwd=someone, AUTOLOG_EXPERIMENT="")
    assert done.returncode == 0, done.stderr
    log = log_path(locate(str(store)))
    log.write_text(
        "--password logsecret-8\nRefused: the value 'Ann Smith' in helper.py\n"
        "run private-run of private-experiment with lr_private of older-run\n"
    )
    before = [files.segments for files in list_writers(store / "journal")]
    result = invoke("doctor", "--bundle", "report.zip", store=store)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "Nothing was sent anywhere." in result.stdout
    found = contents(tmp_path / "report.zip")
    assert list(found) == [
        "doctor.json",
        "python.json",
        "environment.json",
        "store.json",
        "runs.json",
        "packages.txt",
        "helper.log",
    ]
    for name, text in found.items():
        for secret in (*SECRETS, str(someone), socket.gethostname()):
            if secret != "vm":  # a host's name that is part of words
                assert secret not in text, (secret, name)
    run, *_ = strict_json(found["runs.json"])
    assert run["params"] == 4
    assert run["notices"] == ["notice odd: fit of <value> at <value> by <user>"]
    first, second = run["logging_errors"]
    assert first == "hook: ValueError: could not convert '<value>' in File '/home/x.py' token=***"
    assert second == "hook: AttributeError: no attribute 'coef_'"
    environment = strict_json(found["environment.json"])
    assert environment["TF_CPP_MIN_LOG_LEVEL"] == "3"
    assert environment["WANDB_API_KEY"] == "(set)"
    document = strict_json(found["doctor.json"])
    assert document["store"]["uri"] == "sqlite:///~/store/store.db"
    assert document["probe"] == []
    shown = {one["name"]: (one["value"], one["origin"]) for one in document["settings"]}
    assert shown["experiment"] == ("***", "AUTOLOG_EXPERIMENT")
    assert any(line.startswith("wrapt==") for line in found["packages.txt"].splitlines())
    assert "helper.py" in found["helper.log"]
    assert [files.segments for files in list_writers(store / "journal")] == before


def test_a_password_of_a_server_is_in_no_file(someone, invoke, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(someone / "data"))
    address = "postgresql://jdoe:urlsecret-6@127.0.0.1:1/db?connect_timeout=1&token=querysecret-7"
    prepare(locate(address))
    log_path(locate(address)).write_text(f"no answer of {address}\nfor urlsecret-6\n")
    result = invoke("doctor", "--store", address, "--bundle", "r.zip", "--json", store=tmp_path)
    assert result.exit_code == 0
    assert "runs.json" not in strict_json(result.stdout)["files"]  # nobody answers
    for name, text in {**contents(tmp_path / "r.zip"), "stdout": result.stdout}.items():
        for secret in ("urlsecret-6", "querysecret-7", "jdoe"):
            assert secret not in text, (secret, name)


@pytest.mark.parametrize("name", ["there.zip", "folder", "nowhere/r.zip", "/proc/r.zip"])
def test_a_bundle_that_cannot_be_written_is_wrong_usage(someone, invoke, tmp_path, name):
    (tmp_path / "there.zip").write_text("mine")
    (tmp_path / "folder").mkdir()
    result = invoke("doctor", "--bundle", name, store=tmp_path / "store")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert (tmp_path / "there.zip").read_text() == "mine"


def test_force_overwrites_a_bundle(someone, invoke, tmp_path):
    (tmp_path / "there.zip").write_text("mine")
    words = ("doctor", "--bundle", "there.zip", "--force")
    assert invoke(*words, store=tmp_path / "store").exit_code == 0
    assert "doctor.json" in contents(tmp_path / "there.zip")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "there.zip"]


@pytest.mark.parametrize(
    ("given", "scrubbed"),
    [
        ("https://u:p@ss/w@host/x", "https://***@host/x"),
        ("GET https://host/x?sig=abcdef now", "GET https://host/x?*** now"),
        ("Authorization: Bearer abcdef.123", "Authorization: ***"),
        ("Authorization: Token 9944b09199c6\nnext", "Authorization: ***\nnext"),
        ("{'authorization': 'Token 9944b09199c6', 'a': 1}", "{'authorization': ***, 'a': 1}"),
        ('Authorization: Digest username="u", response="r"', "Authorization: ***"),
        ("Cookie: a=1; session=2", "Cookie: ***"),
        ("sent token 9944b09199c62bcf9418 twice", "sent token *** twice"),
        ("a token was refused in a pass: 3", "a token was refused in a pass: 3"),
        ("Server=db;Uid=me;Pwd=abc;Timeout=3", "Server=db;Uid=me;Pwd=***;Timeout=3"),
        (
            "AccountName=me;AccountKey=abc==;EndpointSuffix=x",
            "AccountName=me;AccountKey=***;EndpointSuffix=x",
        ),
        ("aws_access_key_id=AKIAIOSFODNN7EXAMPLE", "aws_access_key_id=***"),
        ("by AKIAIOSFODNN7EXAMPLE", "by ***"),
        ("no answer of me:pa/ss@host:5432", "no answer of ***@host:5432"),
        ("postgresql://me:pa/ss@host:5432/db", "postgresql://***@host:5432/db"),
        ("key sk-proj-abcdef1234567890", "key ***"),
        ("key ghp_abcdefghijklmnop", "key ***"),
        ("key hf_abcdefghijklmnop", "key ***"),
        ("key xoxb-123-456-abc", "key ***"),
        ("key eyJhbGciOiJI.eyJzdWIiOiIx.SflKxw", "key ***"),
        ("sk-learn-contrib-extensions", "sk-learn-contrib-extensions"),
        ("{'aws_secret_access_key': 'abc'}", "{'aws_secret_access_key': ***}"),
        ("run --hf-token abc --lr 1", "run --hf-token *** --lr 1"),
        ("DB_PASSWORD=abc", "DB_PASSWORD=***"),
        (f"for ghp_{'a1' * 18} and hf_{'Zz' * 17}", "for *** and ***"),
        (f"sk-{'a1' * 20}, sk-proj-{'a1' * 20}, xoxb-{'1' * 20}", "***, ***, ***"),
        ("key id AKIAIOSFODNN7EXAMPLE", "key id ***"),
        ("sent eyJhbGciOiJI.eyJzdWIiOiIx.dozjgNryP4", "sent ***"),
        ("mail to jane.roe@example.org", "mail to <address>"),
        ("torch@2.13.0, scikit-learn, sk-learn", "torch@2.13.0, scikit-learn, sk-learn"),
        ("password authentication failed", "password authentication failed"),
    ],
)
def test_texts_lose_what_looks_like_a_secret(given, scrubbed):
    assert Scrubber({}).text(given) == scrubbed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_PASS", "hidden-11"),
        ("MYSQL_PWD", "hidden-11"),
        ("GITHUB_PAT", "hidden-11"),
        ("AZURE_STORAGE_CONNECTION_STRING", "hidden-11"),
        ("STORAGE", "AccountName=me;AccountKey=hidden-11;EndpointSuffix=core"),
        ("INDEX", "https://hidden-11@pypi.fury.io/me"),
        ("INDEX", "https://hidden-11:@pypi.fury.io/me"),
        ("INDEXES", "https://one.example https://me:hidden-11@two.example"),
        ("REPORTS", "https://hidden-11@o0.ingest.sentry.io/0"),
        ("DATABASE", "postgresql://me:hidden-11@host/db"),
        ("DATABASE", "me:hidden-11@host:5432"),
    ],
)
def test_the_value_of_a_secret_variable_is_known_wherever_it_stands(name, value):
    assert Scrubber({name: value}).text("refused hidden-11 there") == "refused *** there"


def test_a_password_with_a_slash_is_known_wherever_it_stands():
    scrubber = Scrubber({"DATABASE": "postgresql://me:hidden/11@host/db"})
    assert scrubber.text("refused hidden/11 there") == "refused *** there"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PWD", "/some/folder"),
        ("TOKENIZERS_PARALLELISM", "false"),
        ("GITHUB_PATH", "/some/folder"),
        ("STORE", "postgresql://somebody@host/db"),
    ],
)
def test_the_value_of_another_variable_stays(name, value):
    given = "no /some/folder, which is false, for somebody"
    assert Scrubber({name: value}).text(given) == given


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (
            "could not convert string to float: 'Smith'",
            "could not convert string to float: '<value>'",
        ),
        ("could not convert string to float: Smith", "could not convert string to float: <value>"),
        ("KeyError: 'Smith'", "KeyError: '<value>'"),
        ("can't take 'Smith', won't", "can't take '<value>', won't"),
        ("no 'Ann O'Brien' there", "no '<value>' there"),
        ("y contains 'Smi", "y contains '<value>'"),
        ("labels b'Smith' and \"Roe\"", "labels '<value>' and '<value>'"),
        ("born 1970-01-31, id 4711471, 12.5 kg", "born <date>, id <number>, <number> kg"),
        ("of ann.smith@clinic.example", "of <value>"),
        (
            "'NoneType' object has no attribute 'coef_'",
            "'NoneType' object has no attribute 'coef_'",
        ),
        ("No module named 'torch.nn'", "No module named 'torch.nn'"),
        ("unexpected keyword argument 'foo'", "unexpected keyword argument 'foo'"),
        ('File "/x/y.py", line 31', 'File "/x/y.py", line 31'),
        ("shapes (100, 3) and (99, 3)", "shapes (100, 3) and (99, 3)"),
    ],
)
def test_a_message_keeps_names_of_code_and_loses_values(given, kept):
    assert without_values(given, ()) == kept


@pytest.mark.parametrize("text", ["/data/me@work/runs?x", "sqlite:///home/me@work.com/runs.db"])
def test_a_path_is_shown_as_it_is(text):
    assert scrub.address(text) == text


def test_a_word_of_any_length_is_gone_through_once():
    assert "token" in scrub.without_secrets("deadbeef" * 25_000 + " token")
