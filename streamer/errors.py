"""What can go wrong, by who has to act."""


class StreamerError(Exception):
    """Root of the errors that streamer raises on purpose; its text is meant for people."""


class ConfigError(StreamerError):
    """The operator must change a setting, a topology or a model file; nothing was consumed."""


class ModelError(StreamerError):
    """A model cannot be loaded, or does not fit what its manifest says of it."""


class BrokenModelError(StreamerError):
    """So many records fail in a model's steps that it is the model, not the records."""


class BrokerError(StreamerError):
    """Kafka refused or did not answer.

    Attributes:
        retriable: whether the same call may succeed later without anybody acting.
    """

    def __init__(self, message: str, *, retriable: bool) -> None:
        super().__init__(message)
        self.retriable = retriable


class DownloadError(StreamerError):
    """A file could not be fetched, or is not the file that was asked for."""


class RecordError(StreamerError):
    """One record cannot be answered; it becomes a dead letter and the others go on.

    Attributes:
        reason: fixed slug, used as the metric label and in the dead letter's headers.
    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class DecodeError(RecordError):
    """A record's value is not what the source's format says."""


class EncodeError(RecordError):
    """An answer cannot be written in the sink's format."""
