"""A model hub of one repository, on this machine: what the real one answers to its client."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit

from support.web import Answers, LocalServer


class Hub:
    """A repository with its commits; counts what is asked.

    Attributes:
        commits: files by commit, oldest first.
        moving: the branches.
        asked: paths of requests, in order.
    """

    def __init__(self, repo: str) -> None:
        self.repo = repo
        self.commits: dict[str, dict[str, bytes]] = {}
        self.moving: dict[str, str] = {}
        self.asked: list[str] = []
        self.down = False

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        """Add a commit; give its hash."""
        digest = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()  # noqa: S324
        self.commits[digest] = files
        self.moving[branch] = digest
        return digest

    def resolved(self, revision: str) -> str | None:
        """Give a revision's commit."""
        commit = self.moving.get(revision, revision)
        return commit if commit in self.commits else None

    def described(self, commit: str) -> dict[str, object]:
        """Tell a commit as the hub's API does."""
        files = self.commits[commit]
        siblings = [
            {"rfilename": name, "size": len(content), **_large(name, content)}
            for name, content in files.items()
        ]
        return {"id": self.repo, "modelId": self.repo, "sha": commit, "siblings": siblings}

    def tree(self, commit: str) -> list[dict[str, object]]:
        """List a commit as the hub's API does."""
        return [
            {
                "type": "file",
                "path": name,
                "size": len(content),
                "oid": _etag(name, content),
                **_large(name, content),
            }
            for name, content in self.commits[commit].items()
        ]


def _is_large(name: str) -> bool:
    return name.endswith((".onnx", ".safetensors", ".bin"))


def _etag(name: str, content: bytes) -> str:
    if _is_large(name):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()  # noqa: S324 - git's


def _large(name: str, content: bytes) -> dict[str, object]:
    if not _is_large(name):
        return {}
    digest = _etag(name, content)
    # a listing calls it oid, a description sha256
    told = {"oid": digest, "sha256": digest, "size": len(content), "pointerSize": 130}
    return {"lfs": told}


class _Answers(Answers):
    """Requests as the hub answers them."""

    hub: Hub

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(path)
        api = f"/api/models/{self.hub.repo}/"
        if self.hub.down:
            self.send_error(503)
        elif path.startswith(api):
            self._describe(*path.removeprefix(api).partition("/")[::2])
        else:
            place = path.removeprefix(f"/{self.hub.repo}/resolve/")
            self._give(*place.partition("/")[::2], with_body=with_body)

    def _describe(self, kind: str, revision: str) -> None:
        commit = self.hub.resolved(revision)
        if commit is None:
            self._missing("RevisionNotFound")
            return
        told = self.hub.tree(commit) if kind == "tree" else self.hub.described(commit)
        self._send(json.dumps(told).encode(), {"Content-Type": "application/json"})

    def _give(self, revision: str, name: str, *, with_body: bool) -> None:
        commit = self.hub.resolved(revision)
        content = self.hub.commits.get(commit or "", {}).get(name)
        if commit is None or content is None:
            self._missing("EntryNotFound" if commit else "RepoNotFound")
            return
        headers = {"X-Repo-Commit": commit, "ETag": f'"{_etag(name, content)}"'}
        self._send(content if with_body else b"", headers, content)

    def _missing(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, body: bytes, headers: dict[str, str], whole: bytes | None = None) -> None:
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body if whole is None else whole)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def served(hub: Hub) -> Iterator[str]:
    """Serve a hub on a free port; gives its address."""
    server = LocalServer(type("Answers", (_Answers,), {"hub": hub}))
    try:
        yield server.url
    finally:
        server.close()
