"""Writes journals as training processes do, in this process or in others."""

from __future__ import annotations

import subprocess

from autolog.ids import new_id
from autolog.journal import records
from autolog.journal.writer import Writer
from autolog.store.location import Location


class Trainer:
    """Journals runs as a training process does."""

    def __init__(self, location: Location, **options) -> None:
        self.writer = Writer(location.journal, location.uri, **options)

    def open(self, name="SVC-test", *, uid=None, parent=None, experiment="exp", **fields) -> str:
        uid = uid or new_id()
        self.append(
            records.RunOpen,
            uid,
            name=name,
            kind=fields.pop("kind", "fit"),
            experiment=experiment,
            parent=parent,
            start_us=fields.pop("start_us", self.writer.now_us()),
            **fields,
        )
        return uid

    def append(self, record, uid=None, /, **fields) -> None:
        if uid is not None:
            fields["run"] = self.writer.run(uid)
        self.writer.append(record(**fields))

    def params(self, uid, **values) -> None:
        self.append(records.Params, uid, values=values)

    def tags(self, uid, **values) -> None:
        self.append(records.Tags, uid, values=values)

    def metrics(self, uid, values, step=0, *, epoch=None, attempt=0, **context) -> None:
        run = self.writer.run(uid)
        number = self.writer.context(**context)
        self.writer.metrics(run, values, step, epoch, number, attempt)

    def end(self, uid, status="FINISHED", **fields) -> None:
        end_us = fields.pop("end_us", self.writer.now_us())
        self.append(records.RunEnd, uid, status=status, end_us=end_us, **fields)

    def event(self, kind, uid=None, **data) -> None:
        self.append(records.Event, uid, kind=kind, wall_us=self.writer.now_us(), data=data)

    def close(self) -> None:
        self.writer.close()


def finish(process: subprocess.Popen) -> str:
    """Wait for a process that must succeed and return what it printed."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out
