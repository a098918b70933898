"""The writing half of the hub on this machine (`tests.hub`): repositories, uploads, commits.

Large files go through LFS, as clients without xet do it: a batch request says where each is to be put, and
the commit names it by its digest. The requests and answers were read from huggingface_hub's source.

Not covered: xet, branches, pull requests, deleting, several parts of one file.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import yaml

TOKEN = "hf_written"
"""The one token that may write."""
LFS = (".safetensors", ".parquet", ".zip", ".bin")
_PATHS = {
    "create": re.compile(r"/api/repos/create"),
    "yaml": re.compile(r"/api/validate-yaml"),
    "preupload": re.compile(r"/api/(models|datasets)/([^/]+/[^/]+)/preupload/main"),
    "commit": re.compile(r"/api/(models|datasets)/([^/]+/[^/]+)/commit/main"),
    "batch": re.compile(r"/(datasets/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch"),
    "put": re.compile(r"/uploads/([0-9a-f]{64})"),
}

Answer = tuple[int, Any]
"""Status and JSON."""


class Writing:
    """What was written; `hub` is the `tests.hub.Hub` that shows it to readers."""

    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self._objects: dict[str, bytes] = {}
        self._made: set[tuple[str, str]] = set()
        self._folder = tempfile.TemporaryDirectory()
        self.private: dict[str, bool] = {}
        self.messages: list[str] = []

    def answer(self, path: str, body: bytes, token: str) -> Answer | None:
        """The answer to a POST or PUT, None where it is not about writing."""
        for name, pattern in _PATHS.items():
            if found := pattern.fullmatch(path):
                if name not in ("put", "yaml") and token != f"Bearer {TOKEN}":
                    return 401, {"error": "Invalid username or password."}
                answer: Answer = getattr(self, f"_{name}")(body, *found.groups())
                return answer
        return None

    def _create(self, body: bytes) -> Answer:
        asked = json.loads(body)
        repository = f"{asked['organization']}/{asked['name']}"
        kind = f"{asked.get('type', 'model')}s"
        known = (kind, repository) in self._made or bool(self._hub.commits(kind, repository))
        self._made.add((kind, repository))
        self.private.setdefault(repository, asked.get("visibility") == "private")
        prefix = "datasets/" if kind == "datasets" else ""
        return (409 if known else 200), {"url": f"{self._hub.url}/{prefix}{repository}"}

    def _yaml(self, body: bytes) -> Answer:
        content = json.loads(body)["content"]
        head = content.split("---\n")[1] if content.startswith("---\n") else "{}"
        if not isinstance(yaml.safe_load(head), dict):
            return 400, {"errors": [{"message": "metadata is no mapping"}], "warnings": []}
        return 200, {"errors": [], "warnings": []}

    def _preupload(self, body: bytes, kind: str, repository: str) -> Answer:
        if (kind, repository) not in self._made:
            return 404, {"error": "Repository not found"}
        files = [
            {
                "path": one["path"],
                "uploadMode": "lfs" if one["path"].endswith(LFS) else "regular",
                "shouldIgnore": False,
            }
            for one in json.loads(body)["files"]
        ]
        return 200, {"files": files}

    def _batch(self, body: bytes, prefix: str | None, repository: str) -> Answer:
        objects = [
            {**one, "actions": {"upload": {"href": f"{self._hub.url}/uploads/{one['oid']}"}}}
            for one in json.loads(body)["objects"]
        ]
        return 200, {"transfer": "basic", "objects": objects}

    def _put(self, body: bytes, oid: str) -> Answer:
        if hashlib.sha256(body).hexdigest() != oid:
            return 400, {"error": "digest does not match"}
        self._objects[oid] = body
        return 200, {}

    def _commit(self, body: bytes, kind: Any, repository: str) -> Answer:
        before = list(self._hub.commits(kind, repository).values())
        folder = Path(self._folder.name) / f"{kind}-{repository.replace('/', '-')}-{len(before)}"
        if before:
            shutil.copytree(before[-1], folder)
        folder.mkdir(exist_ok=True)
        for line in body.splitlines():
            operation = json.loads(line)
            value = operation["value"]
            if operation["key"] == "header":
                self.messages.append(value["summary"])
                continue
            target = folder / value["path"]
            target.parent.mkdir(parents=True, exist_ok=True)
            if operation["key"] == "file":
                target.write_bytes(base64.b64decode(value["content"]))
            elif operation["key"] == "lfsFile" and value["oid"] in self._objects:
                target.write_bytes(self._objects[value["oid"]])
            else:
                return 400, {"error": f"cannot {operation['key']} {value}"}
        commit = self._hub.publish(kind, repository, folder)
        return 200, {"commitUrl": f"{self._hub.url}/{repository}/commit/{commit}", "commitOid": commit}
