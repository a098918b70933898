"""Stands in for W&B's server on this machine, so that the real `wandb sync` can be run: keeps what arrives.

It answers the requests that wandb 0.31 makes when it syncs, as their GraphQL asks; one that it does not know
is in `unknown`. Uploads, history and artifacts are kept by the names that they came under.
"""

from __future__ import annotations

import contextlib
import gzip
import http.server
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Received:
    """What arrived: per run its rows of history, its uploads and its last summary; per artifact its files."""

    def __init__(self) -> None:
        self.runs: dict[str, dict[str, Any]] = {}
        self.history: dict[str, list[dict[str, Any]]] = {}
        self.artifacts: dict[str, dict[str, Any]] = {}
        self.files: dict[str, bytes] = {}
        self.committed: set[str] = set()
        self.ended: dict[str, int] = {}
        self.unknown: list[str] = []
        self.lock = threading.Lock()

    def artifact(self, name: str) -> dict[str, bytes]:
        """The uploaded files of the artifact of that name, if it was committed."""
        found = [key for key, one in self.artifacts.items() if one["artifactCollectionName"] == name]
        return {
            path.removeprefix(f"/artifact/{key}/"): data
            for key in found[-1:]
            if key in self.committed
            for path, data in self.files.items()
            if path.startswith(f"/artifact/{key}/")
        }

    def table(self, run: str, name: str) -> list[list[Any]]:
        """The rows of a table that a run logged."""
        (data,) = {
            data
            for key in self.committed
            if self.artifacts[key]["artifactCollectionName"].startswith(f"run-{run}-")
            for path, data in self.files.items()
            if path == f"/artifact/{key}/{name}.table.json"
        }
        rows: list[list[Any]] = json.loads(data)["data"]
        return rows

    # Operations by their GraphQL names

    def RunResumeStatus(self, given: dict[str, Any], host: str) -> Any:
        name = given["name"]
        if name not in self.runs:
            return {"model": None}
        rows = self.history.get(name, [])
        bucket = {
            "name": name, "historyLineCount": len(rows), "eventsLineCount": 0, "logLineCount": 0,
            "historyTail": json.dumps([json.dumps(row) for row in rows[-1:]]), "eventsTail": "[]",
            "summaryMetrics": "{}", "config": "{}", "id": name, "displayName": name, "tags": [],
            "wandbConfig": "{}",
        }  # fmt: skip
        return {
            "model": {"id": "project", "name": "tests", "entity": {"id": "e", "name": "me"}, "bucket": bucket}
        }

    def UpsertBucket(self, given: dict[str, Any], host: str) -> Any:
        name = given["name"]
        new = name not in self.runs
        self.runs.setdefault(name, {}).update({key: one for key, one in given.items() if one is not None})
        project = {"id": "project", "name": given["project"], "entity": {"id": "e", "name": "me"}}
        bucket = {
            "id": name, "name": name, "displayName": name, "description": None, "config": "{}",
            "sweepName": None, "project": project, "historyLineCount": len(self.history.get(name, [])),
        }  # fmt: skip
        return {"upsertBucket": {"bucket": bucket, "inserted": new}}

    def ServerFeaturesQuery(self, given: dict[str, Any], host: str) -> Any:
        return {"serverInfo": {"features": []}}

    def CreateArtifact(self, given: dict[str, Any], host: str) -> Any:
        key = f"a{len(self.artifacts)}"
        self.artifacts[key] = given["input"]
        sequence = {"id": given["input"]["artifactCollectionName"], "latestArtifact": None}
        return {"createArtifact": {"artifact": {"id": key, "state": "PENDING", "artifactSequence": sequence}}}

    def CreateArtifactManifest(self, given: dict[str, Any], host: str) -> Any:
        key, name = given["artifactID"], given["name"]
        return {
            "createArtifactManifest": {"artifactManifest": {"id": f"m-{key}", "file": _file(host, key, name)}}
        }

    def CreateArtifactFiles(self, given: dict[str, Any], host: str) -> Any:
        nodes = [_file(host, one["artifactID"], one["name"]) for one in given["input"]["artifactFiles"]]
        return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}

    def CommitArtifact(self, given: dict[str, Any], host: str) -> Any:
        self.committed.add(given["artifactID"])
        return {"commitArtifact": {"artifact": {"id": given["artifactID"], "digest": "d"}}}

    def ClientIDMapping(self, given: dict[str, Any], host: str) -> Any:
        found = (key for key, one in self.artifacts.items() if one.get("clientID") == given["clientID"])
        return {"clientIDMapping": {"serverID": next(found, None)}}

    def CreateRunFiles(self, given: dict[str, Any], host: str) -> Any:
        files = [{"name": one, "uploadUrl": f"{host}/run/{given['run']}/{one}"} for one in given["files"]]
        return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}


def _file(host: str, artifact: str, name: str) -> dict[str, Any]:
    return {
        "id": name, "name": name, "displayName": name, "uploadUrl": f"{host}/artifact/{artifact}/{name}",
        "uploadHeaders": [], "storagePath": name, "uploadMultipartUrls": None, "artifact": {"id": artifact},
    }  # fmt: skip


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    received: Received

    def log_message(self, *_: Any) -> None:
        return

    def body(self) -> bytes:
        data = b""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(data) if self.headers.get("Content-Encoding") == "gzip" else data

    def answer(self, said: Any) -> None:
        data = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_PUT(self) -> None:
        data = self.body()
        with self.received.lock:
            self.received.files[self.path] = data
        self.answer({})

    def do_POST(self) -> None:
        data, known = self.body(), self.received
        with known.lock:
            if self.path.endswith("/file_stream"):
                said = self.stream(self.path.split("/")[-2], json.loads(data))
            elif self.path.endswith("/graphql"):
                asked = json.loads(data)
                named = re.search(r"(?:query|mutation)\s+(\w+)", asked["query"])
                said = self.operation(named[1] if named else "", asked.get("variables") or {})
            else:
                said = {}  # telemetry
        self.answer(said)

    def stream(self, run: str, body: dict[str, Any]) -> Any:
        rows = body.get("files", {}).get("wandb-history.jsonl")
        if rows:
            kept = self.received.history.setdefault(run, [])
            kept[rows["offset"] :] = map(json.loads, rows["content"])
        if body.get("complete"):
            self.received.ended[run] = body["exitcode"]
        return {"limits": {}}

    def operation(self, name: str, given: dict[str, Any]) -> Any:
        known = getattr(self.received, name, None)
        if known is None:
            self.received.unknown.append(name)
            return {"data": {}}
        host = f"http://{self.headers['Host']}"
        return {"data": known(given, host)}


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        return  # the client hung up


@contextlib.contextmanager
def server() -> Iterator[tuple[str, Received]]:
    """The address of one, and what it receives."""
    received = Received()
    with _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"received": received})) as one:
        thread = threading.Thread(target=one.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{one.server_address[1]}", received
        finally:
            one.shutdown()
            thread.join()


def sync(mirror: Path, address: str) -> str:
    """Run `wandb sync` on every offline run below `mirror`, in order; what it said. Raises if it failed."""
    runs = sorted((path.parent for path in mirror.rglob("offline-run-*/*.wandb")), key=lambda path: path.name)
    known = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
    environment = {**known, "HOME": str(mirror), "WANDB_BASE_URL": address, "WANDB_API_KEY": "k" * 40}
    command = [sys.executable, "-P", "-m", "wandb", "sync", "--yes", *map(str, runs)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return done.stdout + done.stderr
