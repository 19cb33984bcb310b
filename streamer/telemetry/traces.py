"""Traces by OpenTelemetry, named as its conventions for messaging have it.

A record has a span from its poll to its acknowledgement, begun by the producer's `traceparent`; a
batch has one, linked with the records that share it; the answer has one, whose context goes out in
its headers. Records that are not sampled cost a look at their headers; without traces nothing.
"""

from collections.abc import Mapping, Sequence
from time import monotonic, time_ns
from typing import Any, Literal, Protocol

from streamer.errors import ConfigError
from streamer.records import Headers, OutRecord, Record, Wave

try:
    from opentelemetry import trace
    from opentelemetry.context import Context
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.propagators.textmap import Getter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, TraceIdRatioBased
    from opentelemetry.trace import Link, Span, SpanKind, StatusCode
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError as error:
    _MISSING: ImportError | None = error
else:
    _MISSING = None

_PARENT, _STATE = "traceparent", "tracestate"
_FLUSH_MS = 2000
_SECOND = 1_000_000_000


class TraceOptions(Protocol):
    """What is chosen; the settings have it."""

    @property
    def endpoint(self) -> str | None:
        """Where traces go; None: as OpenTelemetry's own variables say."""

    @property
    def service(self) -> str:
        """The service's name."""

    @property
    def sample(self) -> float:
        """Share of the records without a parent that are traced."""

    @property
    def parent(self) -> Literal["continue", "link"]:
        """What becomes of the producer's trace."""


class Traces:
    """Where a process's spans go."""

    def __init__(self, settings: TraceOptions, instance: str, exporter: Any = None) -> None:
        """Open it; nothing is sent yet.

        Raises:
            ConfigError: the extra is not installed.
        """
        if _MISSING is not None:
            told = "traces.enabled: OpenTelemetry is not installed; pip install 'streamer[otel]'"
            raise ConfigError(told) from _MISSING
        self.continues = settings.parent == "continue"
        about = Resource.create({"service.name": settings.service, "service.instance.id": instance})
        sampler = ParentBased(TraceIdRatioBased(settings.sample))
        # A batch is told if one of its records is: it has no share of its own.
        self._records = TracerProvider(sampler=sampler, resource=about)
        self._batches = TracerProvider(sampler=ALWAYS_ON, resource=about)
        self._processor = BatchSpanProcessor(exporter or _exporter(settings))
        for provider in (self._records, self._batches):
            provider.add_span_processor(self._processor)
        self.records = self._records.get_tracer("streamer")
        self.batches = self._batches.get_tracer("streamer")

    def line(self, topology: str, group: str) -> "LineTraces":
        """Give what one topology's line tells its records' ways to."""
        return LineTraces(self, topology, group)

    def close(self) -> None:
        """Send what is left, for a moment at most."""
        self._processor.force_flush(_FLUSH_MS)
        for provider in (self._records, self._batches):
            provider.shutdown()


def _exporter(settings: TraceOptions) -> "SpanExporter":
    if settings.endpoint is None:
        return OTLPSpanExporter()  # OTEL_EXPORTER_OTLP_… say where
    return OTLPSpanExporter(endpoint=f"{settings.endpoint.rstrip('/')}/v1/traces")


class LineTraces:
    """Begins, carries on and ends the traces of one line's records."""

    def __init__(self, traces: Traces, topology: str, group: str) -> None:
        self._traces = traces
        self._propagator = TraceContextTextMapPropagator()
        self._common = {
            "messaging.system": "kafka",
            "messaging.operation.type": "process",
            "messaging.operation.name": "process",
            "messaging.consumer.group.name": group,
            "streamer.topology": topology,
        }

    def begin(self, wave: Wave) -> None:
        """Begin the spans of a wave's records that are sampled, as of its first poll."""
        began = time_ns() - int((monotonic() - wave.born) * _SECOND)
        for item in wave.items:
            span = self._begun(item.record, began)
            if span.is_recording():
                item.trace = RecordTrace(self._traces, span, self._propagator)

    def _begun(self, record: Record, began: int) -> "Span":
        context: Context | None = self._propagator.extract(record.headers, getter=_HEADERS)
        links = []
        if not self._traces.continues:
            producer = trace.get_current_span(context).get_span_context()
            links = [Link(producer)] if producer.is_valid else []
            context = None
        return self._traces.records.start_span(
            f"process {record.topic}",
            context=context,
            kind=SpanKind.CONSUMER,
            attributes={
                **self._common,
                "messaging.destination.name": record.topic,
                "messaging.destination.partition.id": str(record.partition),
                "messaging.kafka.offset": record.offset,
            },
            links=links,
            start_time=began,
        )

    def sending(self, wave: Wave) -> Wave:
        """Let encoded answers carry their trace on; dead letters keep their headers as they are."""
        for item in wave.items:
            if item.trace is not None and item.output is not None:
                item.output = item.trace.sending(item.output, carry=item.rejection is None)
        return wave

    def settled(self, wave: Wave) -> None:
        """End the spans of a wave that is acknowledged."""
        for item in wave.items:
            if item.trace is not None:
                failed = item.rejection
                item.trace.ended(f"{failed.stage}/{failed.reason}" if failed else None)


class RecordTrace:
    """The spans of one record."""

    __slots__ = ("_propagator", "_sent", "_span", "_traces")

    def __init__(
        self, traces: Traces, span: "Span", propagator: "TraceContextTextMapPropagator"
    ) -> None:
        self._traces = traces
        self._span = span
        self._propagator = propagator
        self._sent: Span | None = None

    @property
    def ids(self) -> Mapping[str, str]:
        """Trace and span as hexadecimal text."""
        context = self._span.get_span_context()
        return {
            "trace_id": trace.format_trace_id(context.trace_id),
            "span_id": trace.format_span_id(context.span_id),
        }

    def ran(  # noqa: PLR0913 - one event
        self,
        traces: "Sequence[RecordTrace]",
        *,
        step: str,
        model: str,
        version: str,
        items: int,
        seconds: float,
    ) -> None:
        """Tell of a batch, linked both ways with the records that had items in it."""
        spans = {id(found._span): found._span for found in traces}  # noqa: SLF001 - the same class
        ended = time_ns()
        batch = self._traces.batches.start_span(
            f"infer {model}",
            context=trace.set_span_in_context(trace.INVALID_SPAN),
            kind=SpanKind.INTERNAL,
            attributes={
                "messaging.batch.message_count": items,
                "streamer.step": step,
                "streamer.model": model,
                "streamer.version": version,
            },
            links=[Link(span.get_span_context()) for span in spans.values()],
            start_time=ended - int(seconds * _SECOND),
        )
        for span in spans.values():
            span.add_link(batch.get_span_context())
        batch.end(ended)

    def sending(self, output: OutRecord, *, carry: bool) -> OutRecord:
        """Begin the answer's span, and put its context into the headers."""
        self._sent = self._traces.records.start_span(
            f"send {output.topic}",
            context=trace.set_span_in_context(self._span),
            kind=SpanKind.PRODUCER,
            attributes={
                "messaging.system": "kafka",
                "messaging.operation.type": "send",
                "messaging.operation.name": "send",
                "messaging.destination.name": output.topic,
            },
        )
        if not carry:
            return output
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, trace.set_span_in_context(self._sent))
        kept = tuple(header for header in output.headers if header[0] not in (_PARENT, _STATE))
        added = tuple((name, value.encode()) for name, value in carrier.items())
        return OutRecord(
            output.topic, output.key, output.value, kept + added, output.timestamp, output.source
        )

    def ended(self, failure: str | None) -> None:
        """End both spans."""
        if self._sent is not None:
            self._sent.end()
        if failure is not None:
            self._span.set_attribute("error.type", failure)
            self._span.set_status(StatusCode.ERROR, failure)
        self._span.end()


if _MISSING is None:

    class _HeadersGetter(Getter[Headers]):
        """Reads a record's headers; of several with one name the last counts, as in Kafka."""

        def get(self, carrier: Headers, key: str) -> list[str] | None:
            for name, value in reversed(carrier):
                if name == key and value is not None:
                    return [value.decode("latin-1")]
            return None

        def keys(self, carrier: Headers) -> list[str]:
            return [name for name, _ in carrier]

    _HEADERS = _HeadersGetter()
