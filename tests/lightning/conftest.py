"""What Lightning itself warns of in tiny trainings, and autologging switched on."""

from __future__ import annotations

from pathlib import Path

import pytest

_OWN = (
    "ignore:.*LeafSpec.*:FutureWarning",  # torch 2.13 on Lightning's use of pytrees
    "ignore:.*does not have many workers.*",
    "ignore:.*You defined a `validation_step` but have no `val_dataloader`.*",
    "ignore:.*Checkpoint directory .* exists and is not empty.*",
    "ignore:.*callbacks used to create the checkpoint need to be provided.*",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            for one in _OWN:
                item.add_marker(pytest.mark.filterwarnings(one))
