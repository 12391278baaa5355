"""`autolog.status()`: what is watched, what it has cost, and what the user should know."""

from __future__ import annotations

from dataclasses import dataclass

from autolog.capture import activation
from autolog.discovery import discover
from autolog.patching import SiteStatus
from autolog.tracking import notices, recorder

__all__ = ["Status", "status"]


@dataclass(frozen=True, slots=True)
class Status:
    """The state of autologging in this process.

    Args:
        active: whether any integration is on.
        versions: for each integration that is on, the framework's version; None if not imported.
        sites: every watched place: integration, state, calls, seconds spent, faults, reason.
        notices: what was said once, with how often it came up.
        problems: integrations that could not be loaded, and why.
        waiting_records: what was logged and waits in memory, because the disk of the journal
            refuses it.
        waiting_points: the metric points among them.
        dropped_records: what was logged and is lost, because there was no memory left for more.
        dropped_points: the metric points among them.
    """

    active: bool
    versions: dict[str, str | None]
    sites: tuple[SiteStatus, ...]
    notices: tuple[notices.Notice, ...]
    problems: dict[str, str]
    waiting_records: int = 0
    waiting_points: int = 0
    dropped_records: int = 0
    dropped_points: int = 0

    def __str__(self) -> str:
        lines = [f"autolog is {'on' if self.active else 'off'}"]
        for name, version in self.versions.items():
            mine = [site for site in self.sites if site.integration == name]
            calls = sum(site.calls for site in mine)
            seconds = sum(site.seconds for site in mine)
            lines.append(
                f"  {name} {version or '(not imported)'}: {len(mine)} sites, {calls} calls,"
                f" {1000 * seconds:.1f} ms"
            )
            lines += [
                f"    {site.place}: {site.state}" + (f" ({site.reason})" if site.reason else "")
                for site in mine
                if site.state not in ("applied", "waiting")
            ]
        lines += [f"  notice ({one.count}x): {one.text}" for one in self.notices]
        lines += [f"  problem: {text}" for text in self.problems.values()]
        if self.waiting_records or self.dropped_records:
            lines.append(
                f"  journal: {self.waiting_records:,} records ({self.waiting_points:,} points) wait"
                f" for the disk, {self.dropped_records:,} ({self.dropped_points:,} points) dropped"
            )
        return "\n".join(lines)


def status() -> Status:
    """Return what autolog watches in this process, and what it has met."""
    attached = activation.attachments()
    versions = {
        one.integration.name: one.installed_version() for one in attached if not one.bridges_only
    }
    return Status(
        active=bool(attached),
        versions=versions,
        sites=activation.site_statuses(),
        notices=notices.every(),
        problems=discover().problems if attached else {},
        **recorder.not_on_disk()._asdict(),
    )
