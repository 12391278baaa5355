"""docs/journal.md is enough to read a journal: this reader knows nothing else."""

from __future__ import annotations

import math
import re
import struct
import zlib
from pathlib import Path

import msgspec

from autolog.journal import records
from tests.journal.reading import RUN

PAGE = Path(__file__).parents[2] / "docs" / "journal.md"


def by_the_page(data: bytes):
    """Yield (seq, run uid, name, step, epoch, value) as the page says."""
    assert data[:8] == b"ALJRNL\r\n"
    position, shapes, runs = 8, {}, {}
    while position < len(data):
        length, crc, kind, flags, seq = struct.unpack_from("<IIBBQ", data, position)
        assert zlib.crc32(data[position + 8 : position + 8 + length]) == crc
        payload = data[position + 18 : position + 8 + length]
        position += 8 + length
        if kind == 16:
            run, shape, _, _, step, epoch, _ = struct.unpack_from("<IIIHqiq", payload)
            for index, name in enumerate(shapes[shape]):
                (value,) = struct.unpack_from("<d", payload, 34 + 8 * index)
                yield seq, runs[run], name, step, epoch if flags & 1 else None, value
            continue
        fields = msgspec.msgpack.decode(payload)
        if kind == 0:
            assert {"version", "writer", "first_seq", "process"} <= {*fields}
            assert fields["process"].keys() == {"pid", "start"}
        elif kind == 1:
            shapes[fields["id"]] = fields["keys"]
        elif kind == 3:
            runs[fields["run"]] = fields["uid"]


def test_a_reader_written_from_the_page_alone_reads_a_journal(journal):
    writer = journal.writer()
    run = writer.run(RUN)
    writer.metrics(run, {"loss": 0.5, "acc": math.inf}, -7, epoch=3)
    writer.metrics(run, {"loss": 0.25, "acc": 1.0}, 8)
    writer.close()
    assert [point[1:] for point in by_the_page(writer.path.read_bytes())] == [
        (RUN, "loss", -7, 3, 0.5),
        (RUN, "acc", -7, 3, math.inf),
        (RUN, "loss", 8, None, 0.25),
        (RUN, "acc", 8, None, 1.0),
    ]


def test_the_page_lists_every_type_by_its_number():
    listed: dict[str, int] = {}
    for numbers, names in re.findall(
        r"^\| ([\d ]+) \| ([\w ]+) \|", PAGE.read_text(), re.MULTILINE
    ):
        listed |= zip(names.split(), map(int, numbers.split()), strict=True)
    known = {cls.__name__: number for cls, number in records.TYPES.items()}
    assert listed == known | {"Header": 0, "METRICS": records.METRICS}
