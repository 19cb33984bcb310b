"""A schema registry in the test's process, answering as Confluent's REST interface does."""

import json
import re
from typing import Any

from support.web import Answers, LocalServer


class SchemaRegistry(LocalServer):
    """Keeps schemas; `asked` lists the requests.

    Attributes:
        away: how many of the next requests are answered with 503.
        refuses: the status that all requests are answered with, if any.
        cut: how many of the next answers end in their middle.
    """

    def __init__(self) -> None:
        self.schemas: list[dict[str, Any]] = []
        self.subjects: dict[str, list[int]] = {}
        self.asked: list[str] = []
        self.proofs: list[str | None] = []
        self.away = 0
        self.refuses = 0
        self.cut = 0
        outer = self

        class Handler(Answers):
            def do_GET(self) -> None:
                self._answer(None)

            def do_POST(self) -> None:
                self._answer(json.loads(self.body()))

            def _answer(self, content: Any) -> None:
                outer.asked.append(f"{self.command} {self.path}")
                outer.proofs.append(self.headers.get("authorization"))
                if outer.away:
                    outer.away -= 1
                    status, told = 503, {"message": "back soon"}
                elif outer.refuses:
                    status, told = outer.refuses, {"message": "who are you?"}
                elif outer.cut:
                    outer.cut -= 1
                    self.send_response(200)
                    self.send_header("content-length", "1000")
                    self.end_headers()
                    self.wfile.write(b'{"schema":')
                    self.close_connection = True
                    return
                else:
                    status, told = outer._told(self.command, self.path, content)
                self.answer(status, json.dumps(told).encode())

        super().__init__(Handler)

    def add(
        self,
        text: str,
        kind: str = "AVRO",
        subject: str = "s",
        *,
        compiled: bytes = b"",
        **more: Any,
    ) -> int:
        """Keep a schema; give its id."""
        entry = {"schema": text, **({"schemaType": kind} if kind != "AVRO" else {}), **more}
        if entry not in self.schemas:
            self.schemas.append(entry)
        found = self.schemas.index(entry) + 1
        self.subjects.setdefault(subject, []).append(found)
        return found

    def _told(self, method: str, path: str, content: Any) -> tuple[int, dict[str, Any]]:
        if found := re.fullmatch(r"/schemas/ids/(\d+)", path):
            number = int(found[1])
            if not 0 < number <= len(self.schemas):
                return 404, {"error_code": 40403, "message": "Schema not found"}
            return 200, self.schemas[number - 1]
        if found := re.fullmatch(r"/subjects/([^/]+)/versions/(\d+)", path):
            return 200, {"id": self.subjects[found[1]][int(found[2]) - 1]}
        if method == "POST" and path.startswith("/subjects/"):
            subject, _, rest = path.removeprefix("/subjects/").partition("/")
            return self._posted(subject, content, keep=rest == "versions")
        return 404, {"message": path}

    def _posted(
        self, subject: str, content: dict[str, Any], *, keep: bool
    ) -> tuple[int, dict[str, Any]]:
        if keep:
            kind = content.get("schemaType", "AVRO")
            return 200, {"id": self.add(content["schema"], kind, subject)}
        for number in self.subjects.get(subject, []):
            if self.schemas[number - 1]["schema"] == content["schema"]:
                return 200, {"id": number}
        return 404, {"error_code": 40403, "message": "Schema not found"}
