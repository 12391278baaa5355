"""A store full of awkward runs: mixed types, missing values, NaN, trees, text of every kind."""

from __future__ import annotations

import math
from random import Random

from autolog.journal import records
from tests.store.training import Trainer

KEYS = ["a", "b", "val/loss", "q'uo`te\" \\", "größe; --"]
TEXTS = [
    "adam", "Adam", "ADAM", "ada%", "a_am", "it's", 'say "hi"', "back\\slash", "", " ", "0.5", "1",
    "True", "None", "größe", "GRÖSSE", "İstanbul", "ΣΑΣ", "日本", "\U0001f680",
    "%", "_", "' OR 1=1 --", "'); DROP TABLE run; --", "a\nb", "x" * 200, "x" * 200 + "y",
]  # fmt: skip
NUMBERS = [0, 1, -1, 0.5, -0.0, 1e-300, 1e308, math.inf, -math.inf, 3, 2**53, 2**64 - 1]
VALUES = [0.0, 1.0, 1.0, -1.0, 0.5, 1e308, math.inf, -math.inf, math.nan, math.nan, 3.0]
EXPERIMENTS = ["one", "two/deep", "drei"]
RUN_IDS = [f"{number:032x}" for number in range(1, 61)]
START_MS = 1_700_000_000_000
TIMES = [
    START_MS, START_MS + 3, START_MS + 3.5, math.inf, "2023-11-14T22:13:20.007Z", "2023-11-14",
    "2023-11-14T23:13:20.010+01:00",
]  # fmt: skip


def params(random: Random) -> dict:
    """Return parameters of every type."""
    pool = [*NUMBERS, *TEXTS, True, False, None, math.nan, [1, 2], {"k": [None, 1.5]}]
    return {key: random.choice(pool) for key in KEYS if random.random() < 0.7}


def populate(trainer: Trainer, seed: int) -> dict[tuple[str, str], list[float]]:
    """Journal the runs of `RUN_IDS` and return the values of each metric of each run."""
    random = Random(seed)
    history: dict[tuple[str, str], list[float]] = {}
    for number, uid in enumerate(RUN_IDS):
        user, dirty = random.choice([None, *TEXTS]), random.choice([None, True, False])
        trainer.append(records.Process, user=user, dirty=dirty)
        trainer.open(
            random.choice(TEXTS) or "SVC",
            uid=uid,
            kind=random.choice(["fit", "run"]),
            experiment=random.choice(EXPERIMENTS),
            parent=random.choice([None, None, *RUN_IDS[:number]]) if number else None,
            start_us=(START_MS + random.randrange(20)) * 1000,
        )
        trainer.params(uid, **params(random))
        trainer.tags(uid, **{k: random.choice(TEXTS) for k in KEYS if random.random() < 0.6})
        for key in KEYS:
            if random.random() < 0.6:
                values = random.choices(VALUES, k=random.choice([1, 1, 3]))
                history[uid, key] = values
                for step, value in enumerate(values):
                    trainer.metrics(uid, {key: value}, step)
        if random.random() < 0.6:
            end = (START_MS + 20 + random.choice([0, 1, 500, 3_000])) * 1000
            trainer.end(uid, random.choice(["FINISHED", "FAILED"]), end_us=end)
    return history


def summary(history):
    """Return the `summary` of a `Collection` for what `populate` has journalled."""

    def read(run, key, part):
        values = history.get((run.run_id, key))
        if values is None:
            return None
        if part in ("first", "last"):
            return values[0 if part == "first" else -1]
        present = [value for value in values if not math.isnan(value)]
        return (min if part == "min" else max)(present, default=math.nan)

    return read
