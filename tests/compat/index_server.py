"""A package index on this machine: JSON (PEP 691 and 700) or HTML (PEP 503), as it is told."""

from __future__ import annotations

import base64
import html
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JSON = "application/vnd.pypi.simple.v1+json"


def days_ago(days: float) -> str:
    return (datetime.now(timezone.utc) - timedelta(days=days)).isoformat().replace("+00:00", "Z")


def wheel(name: str, version: str, tags: str = "py3-none-any", **more: Any) -> dict[str, Any]:
    """A file as the index tells it: `days` old, and `yanked` or with `python` if that is given."""
    filename = f"{name.replace('-', '_')}-{version}-{tags}.whl"
    file: dict[str, Any] = {"filename": filename, "url": f"../../{filename}", "hashes": {}}
    days = more.get("days", 30)
    if days is not None:
        file["upload-time"] = days_ago(days)
    if "python" in more:
        file["requires-python"] = more["python"]
    return file | {"yanked": more.get("yanked", False)}


@dataclass
class PackageIndex:
    """What the server answers; `asked` are the paths, with the user it was asked by."""

    url: str
    files: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    pages: bool = False
    """Answer with HTML, which has no times."""
    raw: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    """Status, content type and body for a project, instead of its files."""
    moved: dict[str, str] = field(default_factory=dict)
    """Where a project is to be asked for instead."""
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def answer(self, project: str) -> tuple[int, str, str]:
        if project in self.raw:
            return self.raw[project]
        if project not in self.files:
            return 404, "text/plain", "no such project"
        files = self.files[project]
        if self.pages:
            links = "".join(map(_link, files))
            return 200, "text/html", f"<!DOCTYPE html><html><body>{links}</body></html>"
        about = {"api-version": "1.1"}
        document = {"meta": about, "name": project, "files": files, "versions": []}
        return 200, JSON, json.dumps(document)


def _link(file: dict[str, Any]) -> str:
    requires = html.escape(file.get("requires-python", ""))
    told = f' data-requires-python="{requires}"' if requires else ""
    return f'<a href="{file["url"]}"{told}>{file["filename"]}</a>'


@contextmanager
def serve() -> Iterator[PackageIndex]:
    """Serve an index for as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            given = self.headers.get("Authorization", "").removeprefix("Basic ")
            user = base64.b64decode(given).decode() if given else None
            index.asked.append((self.path, user))
            project = self.path.strip("/").rpartition("/")[2]
            if project in index.moved:
                self.send_response(302)
                self.send_header("Location", index.moved[project])
                self.end_headers()
                return
            status, kind, body = index.answer(project)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *words: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    index = PackageIndex(f"http://127.0.0.1:{server.server_port}/simple/")
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    try:
        yield index
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
