"""An integration that breaks while it attaches leaves nothing behind."""

from __future__ import annotations

import signal
import sys

import pytest

from autolog.capture.attachment import Attachment
from autolog.capture.options import Options
from autolog.errors import IntegrationError
from autolog.integration import API, Attach, Hook, Integration
from autolog.patching import Engine, ModuleWatch
from autolog.tracking import notices


class Model:
    def fit(self):
        return self


raised: list[BaseException] = []


def breaks_off(capture):
    capture.patch(Model, "fit", Hook())
    raise raised[0]


def interrupted(capture):
    signal.raise_signal(signal.SIGUSR1)
    return lambda: None


def attached(attach: str, compat: str | None = None) -> tuple[Attachment, Engine]:
    integration = Integration(
        api=API,
        name="breaking",
        distributions=("breaking",),
        modules=("json",),
        sites=(Attach(module="json", attach=f"{__name__}:{attach}"),),
        compat=compat,
    )
    engine = Engine(strict=False)
    attachment = Attachment(
        integration,
        engine,
        ModuleWatch(),
        own_options=None,
        options=Options,
        watched=frozenset,
        bridges_only=False,
    )
    return attachment, engine


@pytest.mark.edge_case("EC-I2", "EC-I9")
@pytest.mark.parametrize("error", [ValueError("broken"), SystemExit("broken")])
def test_what_an_attachment_did_before_it_broke_off_is_undone(error):
    assert "json" in sys.modules
    before = vars(Model)["fit"]
    raised[:] = [error]
    attachment, engine = attached("breaks_off")
    attachment.start()
    assert [one.state for one in attachment.statuses()] == ["missing"]
    assert any("attaching breaking" in one.text for one in notices.every())
    attachment.stop()
    assert vars(Model)["fit"] is before
    assert engine.sites() == ()


def test_what_a_signal_handler_raises_while_we_attach_is_the_users():
    def expire(number, frame):
        raise TimeoutError("the user's")

    before = signal.signal(signal.SIGUSR1, expire)
    try:
        attachment, _ = attached("interrupted")
        with pytest.raises(TimeoutError, match="the user's"):
            attachment.start()
        attachment.stop()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_matrix_that_leads_nowhere_is_named_where_it_is_asked_for():
    attachment, _ = attached("breaks_off", compat="no_such_package:DATA")
    with pytest.raises(IntegrationError, match="the matrix of breaking, no_such_package:DATA"):
        attachment.require_supported()
