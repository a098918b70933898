"""A model and dataset hub on this machine: its wire format over folders, for the real client libraries.

It answers what huggingface_hub, datasets and transformers ask in order to read: what a repository is, its
tree, and its files, large ones by way of another host as a content network serves them; what they ask in
order to write is in `tests.hub_writing`. A repository may be told to misbehave (`Hub.faults`). Clients read
HF_ENDPOINT when they are imported, so they run in a process of their own (`Hub.run`).

Not covered: searching, tokens for reading, xet, the dataset viewer. How a real hub reports gated and missing
repositories was read from its clients' source; no real one has been compared.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from tests.hub_writing import Writing

REPOSITORY = Path(__file__).parents[1]
LARGE = (".safetensors", ".parquet", ".zip", ".bin")
"""Files that a hub keeps elsewhere and redirects to."""
_API = re.compile(
    r"/api/(models|datasets)/([^/]+/[^/]+)(?:/(revision|tree|paths-info|refs))?(?:/([^/]+))?(?:/(.+))?"
)
_FILE = re.compile(r"(?:/elsewhere)?/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")

Fault = Literal["gated", "private", "broken", "cut", "silent"]
"""`gated` and `private` want a token (401), the first only for files; `broken` is a 500, `cut` ends every
large file half-way, and `silent` closes the connection without an answer."""


class Hub:
    """Listens on 127.0.0.1. `asked` holds requests as `METHOD path`, `faults` how a repository misbehaves."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[str] = []
        self.faults: dict[str, Fault] = {}
        self._commits: dict[tuple[str, str], dict[str, Path]] = {}
        self.written = Writing(self)

    def publish(self, kind: Literal["models", "datasets"], repository: str, folder: Path) -> str:
        """Make `folder` the newest revision of a repository, and its branch `main`; returns the commit."""
        commits = self._commits.setdefault((kind, repository), {})
        commit = hashlib.sha1(f"{kind} {repository} {len(commits)}".encode()).hexdigest()
        commits[commit] = folder
        return commit

    def commits(self, kind: str, repository: str) -> Mapping[str, Path]:
        """Folders by commit, oldest first; none where there is no such repository."""
        return self._commits.get((kind, repository), {})

    def environment(self, home: Path) -> dict[str, str]:
        """What a client process needs in order to know no other hub, and no other cache than `home`."""
        own = {
            name: text for name, text in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))
        }
        return own | {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_XET": "1",
            "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'tests'}",
            "no_proxy": "*",
        }

    def run(self, program: str, home: Path, *arguments: str, **environment: str) -> str:
        """What the Python `program` prints in a process of its own; an AssertionError holds its complaint."""
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            capture_output=True,
            text=True,
            cwd=REPOSITORY,
            env=self.environment(home) | environment,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


class _Request(BaseHTTPRequestHandler):
    """One connection; `hub` is set by `serving`."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are in `Hub.asked`."""

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        token = self.headers.get("Authorization", "")
        if self.command in ("POST", "PUT") and (done := self.hub.written.answer(path, content, token)):
            return self._send(done[0], json.dumps(done[1]).encode(), {"Content-Type": "application/json"})
        body = content.decode()
        if found := _FILE.fullmatch(path):
            kind, repository, revision, name = found.groups()
            self._within(
                "datasets" if kind else "models",
                repository,
                revision,
                lambda *at: self._file(*at, name, self.hub.faults.get(repository)),
            )
        elif found := _API.fullmatch(path):
            kind, repository, question, revision, name = found.groups()
            answers: dict[str | None, Callable[[str, Path], None]] = {
                "tree": lambda _, root: self._tree(root, name or ""),
                "paths-info": lambda _, root: self._paths(root, parse_qs(body).get("paths", [])),
                "refs": lambda commit, _: self._json(
                    {"branches": [{"name": "main", "ref": "refs/heads/main", "targetCommit": commit}],
                     "converts": [], "tags": []}
                ),
            }  # fmt: skip
            about = answers.get(question, lambda commit, root: self._json(_about(repository, commit, root)))
            self._within(kind, repository, revision or "main", about)
        else:
            self._refuse(404, "")
        return None

    def _within(self, kind: str, repository: str, revision: str, answer: Callable[[str, Path], None]) -> None:
        """Answer from the revision's folder, or with what is wrong with it."""
        commits, fault = self.hub.commits(kind, repository), self.hub.faults.get(repository)
        commit = list(commits)[-1] if commits and revision == "main" else revision
        if fault == "silent":
            self.close_connection = True
        elif fault == "broken":
            self._refuse(500, "")
        elif fault == "private" or not commits:
            self._refuse(401, "RepoNotFound")
        elif commit not in commits:
            self._refuse(404, "RevisionNotFound")
        elif fault == "gated" and "/resolve/" in self.path:
            self._refuse(401, "GatedRepo")
        else:
            answer(commit, commits[commit])

    def _file(self, commit: str, root: Path, name: str, fault: Fault | None) -> None:
        path = root / name
        if not path.is_file():
            return self._refuse(404, "EntryNotFound", {"X-Repo-Commit": commit})
        headers = {"X-Repo-Commit": commit, "ETag": f'"{_id(path)}"', "Accept-Ranges": "bytes"}
        if path.suffix in LARGE and not self.path.startswith("/elsewhere"):
            headers |= {"X-Linked-Etag": f'"{_id(path)}"', "X-Linked-Size": str(path.stat().st_size)}
            port = self.hub.url.rpartition(":")[2]
            return self._send(
                302, b"", headers | {"Location": f"http://localhost:{port}/elsewhere{self.path}"}
            )
        content, first = path.read_bytes(), 0
        if wanted := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            first = int(wanted[1])
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        end = len(content) // 2 if path.suffix in LARGE and fault == "cut" else len(content)
        return self._send(206 if first else 200, content[first:], headers, sent=max(0, end - first))

    def _tree(self, root: Path, name: str) -> None:
        folder = root / name
        if not folder.is_dir():
            return self._refuse(404, "EntryNotFound")
        deep = parse_qs(urlsplit(self.path).query).get("recursive") == ["true"]
        return self._json([_listed(path, root) for path in sorted(folder.glob("**/*" if deep else "*"))])

    def _paths(self, root: Path, names: list[str]) -> None:
        self._json([_listed(root / name, root) for name in names if (root / name).exists()])

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str, headers: Mapping[str, str] | None = None) -> None:
        named = {"X-Error-Code": code, "X-Error-Message": f"told to answer {status}"} if code else {}
        self._send(status, b"{}", {**named, **(headers or {})})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str], sent: int | None = None) -> None:
        """`sent` bytes of `body` after headers that promise it whole."""
        self.send_response(status)
        for name, text in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:sent])
            self.close_connection = sent is not None and sent < len(body)


def _about(repository: str, commit: str, root: Path) -> dict[str, Any]:
    files = [{"rfilename": str(path.relative_to(root))} for path in sorted(root.rglob("*")) if path.is_file()]
    return {
        "_id": commit[:24], "id": repository, "sha": commit,
        "private": False, "gated": False, "disabled": False,
        "lastModified": "2026-01-01T00:00:00.000Z", "createdAt": "2026-01-01T00:00:00.000Z",
        "downloads": 0, "likes": 0, "tags": [], "siblings": files,
    }  # fmt: skip


def _listed(path: Path, root: Path) -> dict[str, Any]:
    name = str(path.relative_to(root))
    if path.is_dir():
        return {"type": "directory", "oid": hashlib.sha1(name.encode()).hexdigest(), "size": 0, "path": name}
    size = path.stat().st_size
    large = {"lfs": {"oid": _id(path), "size": size, "pointerSize": 134}} if path.suffix in LARGE else {}
    oid = hashlib.sha1(path.read_bytes()).hexdigest()
    return {"type": "file", "oid": oid, "size": size, "path": name, **large}


def _id(path: Path) -> str:
    """Git's id of a small file, SHA-256 of a large one."""
    content = path.read_bytes()
    if path.suffix in LARGE:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub without repositories, until the end of the block."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Request", (_Request,), {"hub": hub}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield hub
    server.shutdown()
    server.server_close()
    thread.join()
