"""Whether a call of `xgboost.train` is a worker's part of a training that its client records.

Dask's and Spark's workers call `xgboost.train` themselves. Those of a Dask cluster in threads
(`LocalCluster(processes=False)`) do so in the client's process, where autolog is on.
"""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["works_for_another"]


def works_for_another() -> bool:
    """Whether this process or thread trains a part of what somebody else records.

    Of the ranks of a distributed training the first is the one that counts, if no client leads.
    """
    collective: Any = sys.modules.get("xgboost.collective")
    if collective is None or not collective.is_distributed():
        return False
    return collective.get_rank() > 0 or _in_dask_task() or _in_spark_task()


def _in_dask_task() -> bool:
    distributed: Any = sys.modules.get("distributed")
    if distributed is None:
        return False
    try:
        return distributed.get_worker() is not None
    except ValueError:  # not in a task
        return False


def _in_spark_task() -> bool:
    pyspark: Any = sys.modules.get("pyspark")
    return pyspark is not None and pyspark.TaskContext.get() is not None
