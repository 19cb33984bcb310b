"""A receiver of traces, as a collector is one."""

import gzip
from dataclasses import dataclass
from threading import Lock
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from support.web import Answers, LocalServer


@dataclass(frozen=True)
class Told:
    """A span as it arrived; ids as hexadecimal text."""

    name: str
    kind: int
    trace: str
    span: str
    parent: str
    links: frozenset[tuple[str, str]]
    attributes: dict[str, Any]
    failed: bool
    began: int
    ended: int
    service: str

    @property
    def place(self) -> tuple[str, str]:
        """Trace and span."""
        return self.trace, self.span


class Receiver(LocalServer):
    """Takes OTLP over HTTP on a free port."""

    def __init__(self) -> None:
        self._spans: list[Told] = []
        self._lock = Lock()
        outer = self

        class Handler(Answers):
            def do_POST(self) -> None:
                body = self.body()
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                outer._take(ExportTraceServiceRequest.FromString(body))
                self.answer(200, kind="application/x-protobuf")

        super().__init__(Handler)

    @property
    def spans(self) -> list[Told]:
        """What has arrived."""
        with self._lock:
            return list(self._spans)

    def named(self, name: str) -> list[Told]:
        """The spans of one name, in the order of their begin."""
        return sorted((s for s in self.spans if s.name == name), key=lambda span: span.began)

    def _take(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            about = {entry.key: entry.value.string_value for entry in resource.resource.attributes}
            spans = [span for scope in resource.scope_spans for span in scope.spans]
            told = [_told(span, about["service.name"]) for span in spans]
            with self._lock:
                self._spans += told


def _told(span: Any, service: str) -> Told:
    return Told(
        name=span.name,
        kind=span.kind,
        trace=span.trace_id.hex(),
        span=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        links=frozenset((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        attributes={
            entry.key: getattr(entry.value, entry.value.WhichOneof("value"))
            for entry in span.attributes
        },
        failed=span.status.code == span.status.STATUS_CODE_ERROR,
        began=span.start_time_unix_nano,
        ended=span.end_time_unix_nano,
        service=service,
    )
