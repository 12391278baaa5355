"""Generated from compat_matrix.yaml by `python -m autolog.compat compile`; do not edit."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autolog.compat.data import MatrixData

SHA256 = "9ac3a7338d5926087ed665fff03eccd538734275b8ccf55e1b83d58d4002c69d"

DATA: MatrixData = {
    "sklearn": {
        "distributions": ("scikit-learn",),
        "modules": ("sklearn",),
        "supported": ">=1.2,<2",
        "on_unsupported": "warn",
        "latest_known": "1.9.1",
        "tested": (
            {
                "version": "1.2.2",
                "python": "3.10",
                "tier": "commit",
            },
            {
                "version": "1.3.2",
                "python": "3.11",
                "tier": "full",
            },
            {
                "version": "1.4.2",
                "python": "3.11",
                "tier": "full",
            },
            {
                "version": "1.5.2",
                "python": "3.12",
                "tier": "commit",
            },
            {
                "version": "1.6.1",
                "python": "3.12",
                "tier": "full",
            },
            {
                "version": "1.7.2",
                "python": "3.10",
                "tier": "full",
            },
            {
                "version": "1.8.0",
                "python": "3.13",
                "tier": "full",
            },
            {
                "version": "1.9.1",
                "python": "3.11",
                "tier": "commit",
            },
            {
                "version": "1.9.1",
                "python": "3.13",
                "tier": "commit",
            },
        ),
        "strategies": {},
        "quirks": (),
    },
}
