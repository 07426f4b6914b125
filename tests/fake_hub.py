"""A server with the Hub's API for datasets: create, preupload, LFS, commit, info, tree, resolve. Nothing of it leaves the machine.

It takes what huggingface_hub sends and keeps it in memory; each call can be told to fail.
"""

import base64
import hashlib
import json
import re
import threading
import urllib.parse
from collections import Counter
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple

from tests.local_server import LocalServer

FIRST_COMMIT = "0" * 40


class Stored(NamedTuple):
    """A file of a repository; `oid` is git's, or of a large file its SHA-256."""

    data: bytes
    oid: str
    is_large: bool

    def listed(self, path: str) -> dict:
        entry: dict[str, Any] = {"type": "file", "path": path, "oid": self.oid, "size": len(self.data)}
        return entry | ({"lfs": {"oid": self.oid, "size": len(self.data), "pointerSize": 130}} if self.is_large else {})


class Repository:
    def __init__(self, is_private: bool):
        self.is_private = is_private
        self.files: dict[str, Stored] = {}
        self.commits = [FIRST_COMMIT]
        self.messages: list[str] = []


class FakeHub(LocalServer):
    """`fail[call] = n`: the next n calls of that name are answered with the status `how`, or are "lost" after the work was done."""

    def __init__(self, user: str = "me", rights: str = "write"):
        self.user, self.rights = user, rights
        self.repositories: dict[str, Repository] = {}
        self.blobs: dict[str, bytes] = {}
        self.calls: Counter[str] = Counter()
        self.fail: dict[str, int] = {}
        self.how: Any = 503
        self.lock = threading.RLock()
        super().__init__(Handler)

    def environment(self, home: Any) -> dict[str, str]:
        """The variables with which the libraries find it."""
        return {
            "HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_TOKEN": "hf_fake", "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1",
        }  # fmt: skip

    def add(self, name: str, path: str, data: bytes) -> None:
        repository = self.repositories.setdefault(name, Repository(False))
        repository.files[path] = Stored(data, hashlib.sha256(data).hexdigest(), True)
        repository.commits.append(hashlib.sha1(data).hexdigest())


class Handler(BaseHTTPRequestHandler):
    outer: FakeHub
    protocol_version = "HTTP/1.1"

    ROUTES = (
        (r"/api/repos/create", "create"),
        (r"/api/whoami-v2", "whoami"),
        (r"/api/validate-yaml", "yaml"),
        (r"/api/datasets/([^/]+/[^/]+)/preupload/.+", "preupload"),
        (r"/datasets/([^/]+/[^/]+)\.git/info/lfs/objects/batch", "batch"),
        (r"/lfs/([0-9a-f]{64})", "put"),
        (r"/lfs/verify", "verify"),
        (r"/api/datasets/([^/]+/[^/]+)/commit/.+", "commit"),
        (r"/api/datasets/([^/]+/[^/]+)/paths-info/[^/]+", "paths"),
        (r"/api/datasets/([^/]+/[^/]+)/tree/[^/]+(/.*)?", "tree"),
        (r"/api/datasets/([^/]+/[^/]+)(?:/revision/[^/]+)?", "info"),
        (r"/datasets/([^/]+/[^/]+)/resolve/[^/]+/(.+)", "resolve"),
    )

    def answer(self) -> None:
        path, body = urllib.parse.urlparse(self.path).path, self.body()
        for pattern, name in self.ROUTES:  # noqa: B007 - it is used below
            if match := re.fullmatch(pattern, path):
                break
        else:
            return self.send({"error": f"not here: {path}"}, 404)
        hub = self.outer
        with hub.lock:
            hub.calls[name] += 1
            fails = hub.fail.get(name, 0) > 0
            if fails:
                hub.fail[name] -= 1
                if hub.how != "lost":
                    return self.send({"error": "of the test"}, hub.how)
            if match.lastindex and name not in ("put", "create") and match[1] not in hub.repositories:
                return self.send({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
            reply = getattr(self, name)(body, *match.groups())
        if fails:  # the answer is lost, and what it tells of is done
            self.close_connection = True
            return None
        return self.send(*reply)

    do_GET = do_POST = do_PUT = do_HEAD = answer

    def create(self, body: bytes) -> tuple:
        asked = json.loads(body)
        name = f"{asked.get('organization') or self.outer.user}/{asked['name']}"
        if name in self.outer.repositories:
            return {"error": "You already created this dataset repo", "url": f"{self.outer.url}/datasets/{name}"}, 409
        if self.outer.rights == "read":
            return {"error": "You don't have the rights to create a dataset under this namespace"}, 403
        self.outer.repositories[name] = Repository(asked.get("private") or asked.get("visibility") == "private")
        return ({"url": f"{self.outer.url}/datasets/{name}"},)

    def whoami(self, body: bytes) -> tuple:
        if self.headers.get("Authorization", "") != "Bearer hf_fake":
            return {"error": "Invalid credentials"}, 401
        token = {"displayName": "of the test", "role": self.outer.rights}
        return ({"name": self.outer.user, "type": "user", "orgs": [], "auth": {"accessToken": token}},)

    def yaml(self, body: bytes) -> tuple:
        return ({"errors": [], "warnings": []},)

    def preupload(self, body: bytes, name: str) -> tuple:
        files = self.outer.repositories[name].files
        said = []
        for file in json.loads(body)["files"]:
            mode = "lfs" if file["path"].endswith(".parquet") else "regular"
            there = files.get(file["path"])
            said.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": there and there.oid})
        return ({"files": said},)

    def batch(self, body: bytes, name: str) -> tuple:
        objects = []
        for one in json.loads(body)["objects"]:
            actions = {
                "upload": {"href": f"{self.outer.url}/lfs/{one['oid']}"},
                "verify": {"href": f"{self.outer.url}/lfs/verify"},
            }
            objects.append(one if one["oid"] in self.outer.blobs else {**one, "actions": actions})
        return ({"transfer": "basic", "objects": objects},)

    def put(self, body: bytes, oid: str) -> tuple:
        assert hashlib.sha256(body).hexdigest() == oid
        self.outer.blobs[oid] = body
        return ({},)

    def verify(self, body: bytes) -> tuple:
        return ({},)

    def commit(self, body: bytes, name: str) -> tuple:
        repository = self.outer.repositories[name]
        header, *operations = map(json.loads, body.splitlines())
        parent = header["value"].get("parentCommit")
        if parent and parent != repository.commits[-1]:
            return {"error": "A commit has happened since. Please refresh and try again."}, 412
        for operation in operations:
            value = operation["value"]
            if operation["key"] == "file":
                data = base64.b64decode(value["content"])
                oid = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
                repository.files[value["path"]] = Stored(data, oid, False)
            elif operation["key"] == "lfsFile":
                repository.files[value["path"]] = Stored(self.outer.blobs[value["oid"]], value["oid"], True)
            elif operation["key"] == "deletedFile":
                del repository.files[value["path"]]
        commit = hashlib.sha1(body + str(len(repository.commits)).encode()).hexdigest()
        repository.commits.append(commit)
        repository.messages.append(header["value"].get("summary", ""))
        url = f"{self.outer.url}/datasets/{name}/commit/{commit}"
        return ({"success": True, "commitOid": commit, "commitUrl": url, "hookOutput": ""},)

    def info(self, body: bytes, name: str) -> tuple:
        repository = self.outer.repositories[name]
        files = [{"rfilename": path} for path in repository.files]
        return (
            {
                "id": name,
                "sha": repository.commits[-1],
                "private": repository.is_private,
                "siblings": files,
                "tags": [],
            },
        )

    def paths(self, body: bytes, name: str) -> tuple:
        asked = json.loads(body)["paths"] if body[:1] == b"{" else urllib.parse.parse_qs(body.decode())["paths"]
        files = self.outer.repositories[name].files
        found = [files[path].listed(path) for path in asked if path in files]
        folders = {path for path in asked if any(file.startswith(f"{path}/") for file in files)}
        return ([*found, *({"type": "directory", "path": path, "oid": FIRST_COMMIT, "size": 0} for path in folders)],)

    def tree(self, body: bytes, name: str, below: str | None) -> tuple:
        inside = urllib.parse.unquote(below or "").strip("/")
        files = self.outer.repositories[name].files
        found = [stored.listed(path) for path, stored in files.items() if not inside or path.startswith(f"{inside}/")]
        if not inside:
            folders = {path.rpartition("/")[0] for path in files if "/" in path}
            found += [{"type": "directory", "path": path, "oid": FIRST_COMMIT, "size": 0} for path in folders]
        return (found,) if found else ({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})

    def resolve(self, body: bytes, name: str, path: str) -> tuple:
        repository = self.outer.repositories[name]
        headers = {"X-Repo-Commit": repository.commits[-1], "Accept-Ranges": "bytes"}
        stored = repository.files.get(urllib.parse.unquote(path))
        if stored is None:
            return {"error": "Entry not found"}, 404, headers | {"X-Error-Code": "EntryNotFound"}
        data, headers["ETag"] = stored.data, f'"{stored.oid}"'
        if asked := re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
            first, last = int(asked[1]), int(asked[2] or len(data) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            return data[first : last + 1], 206, headers
        return data, 200, headers

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().strip(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def send(self, said: Any, status: int = 200, headers: dict | None = None) -> None:
        data = said if isinstance(said, bytes) else json.dumps(said).encode()
        kind = "application/octet-stream" if isinstance(said, bytes) else "application/json"
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *words):
        pass
