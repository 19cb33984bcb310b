"""Settings of the process: environment, `.env`, then a YAML file; secrets also from files."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from streamer.config.explain import explained
from streamer.config.section import Location, Section, misfits
from streamer.config.sources import GivenSource, given_to, places, variable
from streamer.config.topology import TopicName
from streamer.config.units import Duration, Share, Size
from streamer.errors import ConfigError


class KafkaSettings(Section):
    """How the brokers are reached."""

    bootstrap_servers: str = "127.0.0.1:9092"
    """`HOST:PORT`, several with commas between them."""
    client: Literal["kafka-python", "librdkafka"] = "kafka-python"
    """What reads and writes records; librdkafka costs less, and needs the extra `librdkafka`."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """As the brokers' listener has it."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = None
    """With SASL: how the daemon proves who it is."""
    sasl_plain_username: str | None = None
    """User of PLAIN and SCRAM."""
    sasl_plain_password: SecretStr | None = None
    """Password of PLAIN and SCRAM."""
    oauth_token_url: str | None = None
    """OAUTHBEARER: where tokens are asked for, by the client-credentials grant."""
    oauth_client_id: str | None = None
    """Who asks there."""
    oauth_client_secret: SecretStr | None = None
    """The secret of who asks."""
    oauth_scope: str | None = None
    """What the token is asked for, if the server wants to know."""
    oauth_cafile: Path | None = None
    """PEM file of the authority that signed that server's certificate; else the system's."""
    oauth_token_file: Path | None = None
    """OAUTHBEARER: file with a token that somebody else renews, instead of asking for one."""
    ssl_cafile: Path | None = None
    """PEM file of the authority that signed the brokers' certificates."""
    ssl_certfile: Path | None = None
    """PEM file with the daemon's own certificate (mTLS)."""
    ssl_keyfile: Path | None = None
    """PEM file with the key of that certificate."""
    ssl_password: SecretStr | None = None
    """Password of the key."""
    ssl_check_hostname: bool = True
    """Whether the brokers' certificates must name their hosts."""
    group_instance_id: str | None = None
    """Static membership: a name that survives restarts, one for each replica."""
    session_timeout: Duration = 10.0
    """After this long without a heartbeat a member's partitions go to others."""
    heartbeat_interval: Duration = 3.0
    """Time between heartbeats."""
    max_poll_interval: Duration = 60.0
    """After this long without a poll the member leaves the group by itself."""
    transaction_timeout: Duration = 15.0
    """After this long the broker aborts a transaction nobody ended."""
    request_timeout: Duration = 15.0
    """How long one request may take."""
    delivery_timeout: Duration = 120.0
    """How long the producer tries to deliver one record."""
    create_topics: bool = True
    """Whether missing output and dead-letter topics are created."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        found = list(self._misfits())
        if found:
            raise misfits("kafka", found)
        return self

    def _misfits(self) -> Iterator[tuple[Location, str]]:
        """Find settings that lack, or contradict, another one."""
        if self.security_protocol.startswith("SASL"):
            if self.sasl_mechanism is None:
                yield ("sasl_mechanism",), f"is needed with {self.security_protocol}"
            elif self.sasl_mechanism == "OAUTHBEARER":
                yield from self._token_misfits()
            else:
                for name in ("sasl_plain_username", "sasl_plain_password"):
                    if getattr(self, name) is None:
                        yield (name,), f"is needed with {self.sasl_mechanism}"
        elif self.sasl_mechanism is not None:
            told = "proves no identity; with sasl_mechanism write SASL_SSL or SASL_PLAINTEXT"
            yield ("security_protocol",), f"{self.security_protocol} {told}"
        for name in (
            "ssl_cafile",
            "ssl_certfile",
            "ssl_keyfile",
            "oauth_cafile",
            "oauth_token_file",
        ):
            path = getattr(self, name)
            if path is not None and not path.is_file():
                yield (name,), f"{path}: there is no such file"
        if self.heartbeat_interval >= self.session_timeout:
            yield ("heartbeat_interval",), "must be below session_timeout, best a third of it"

    def _token_misfits(self) -> Iterator[tuple[Location, str]]:
        if (self.oauth_token_url is None) == (self.oauth_token_file is None):
            yield ("oauth_token_url",), "OAUTHBEARER needs it, or oauth_token_file, not both"
        if self.oauth_token_url is not None:
            for name in ("oauth_client_id", "oauth_client_secret"):
                if getattr(self, name) is None:
                    yield (name,), "is needed with oauth_token_url"
            url = urlsplit(self.oauth_token_url)
            here = url.hostname in ("127.0.0.1", "::1", "localhost")
            if url.scheme != "https" and not (url.scheme == "http" and here):
                yield ("oauth_token_url",), "must begin with https://, since a secret goes there"


class HttpSettings(Section):
    """The daemon's own HTTP endpoints."""

    host: str = "0.0.0.0"  # noqa: S104 - probes and scrapes come from other hosts
    """Address listened on."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """Port listened on; 0 for any free one."""
    enabled: bool = True
    """Whether there are endpoints at all."""
    advertised_url: str | None = None
    """Where others reach them, told on the events topic for the live page; if left out,
    http://HOST:PORT with this host's name, or the address listened on."""

    @field_validator("advertised_url")
    @classmethod
    def _is_address(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return url


class DashboardSettings(Section):
    """The live page and `streamer top`."""

    host: str = "127.0.0.1"
    """Address listened on: the page shows records, so nobody else by default."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8090
    """Port listened on; 0 for any free one."""
    interval: Annotated[Duration, Field(ge=0.2)] = 2.0
    """Time between two looks at the daemons."""
    discover: bool = True
    """Whether daemons are also found by what they tell on the events topic."""
    replay_token: SecretStr | None = None
    """Whoever shows it may replay dead letters from the page; if left out, nobody may."""


class LogSettings(Section):
    """What is logged, and how."""

    format: Literal["console", "json"] = "console"
    """For people or for machines."""
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Least severity that is logged."""


class TraceSettings(Section):
    """OpenTelemetry traces of records (needs the extra `otel`)."""

    enabled: bool = False
    """Whether there are any."""
    endpoint: str | None = None
    """Where they go, by OTLP over HTTP: `http://collector:4318`; else as `OTEL_EXPORTER_OTLP_…`."""
    service: str = "streamer"
    """The service's name in them."""
    sample: Share = 0.01
    """Share of the records without a `traceparent` that are traced; with one, its flag decides."""
    parent: Literal["continue", "link"] = "continue"
    """Whether a record goes on with the producer's trace, or begins one that is linked to it."""


class RegistrySettings(Section):
    """The schema registry, for the formats avro, protobuf and json-schema."""

    url: str | None = None
    """Where it speaks Confluent's REST interface, as in https://registry:8081 (Apicurio:
    …/apis/ccompat/v7)."""
    username: str | None = None
    """Who asks, if it wants to know."""
    password: SecretStr | None = None
    """The password of who asks."""
    cafile: Path | None = None
    """PEM file of the authority that signed its certificate; else the system's."""
    register_schemas: bool = True
    """Whether the schema of what is written is registered (under TOPIC-value); else it must be
    there already."""

    def revealed(self) -> dict[str, Any]:
        """Give the section with its password readable: for a process of our own alone."""
        secret = {} if self.password is None else {"password": self.password.get_secret_value()}
        return {**self.model_dump(mode="json", exclude={"password"}), **secret}


class ModelSettings(Section):
    """Where models are."""

    dir: Path = Path("models")
    """Folder in which relative model uris are looked up."""
    registry: str | None = None
    """Folder or URL (`s3://…`, `gs://…`) of the versions that `registry:` names, as NAME/VERSION/,
    or `mlflow:` and MLflow's URL; the folder of `dir` if left out."""
    cache: Path | None = None
    """Folder where versions of a registry behind a URL are kept; in the user's cache if left
    out."""
    swap: Literal["beside", "replace"] = "beside"
    """How another version is put into service: loaded beside the one that serves, or in its place
    where memory does not hold both; the line waits meanwhile."""


class DeploymentSettings(Section):
    """Where it is written which version of a `registry:` model serves."""

    topic: TopicName = "streamer.deployments"
    """Compacted topic: the one truth about what serves; each environment has its own."""
    events_topic: TopicName = "streamer.events"
    """Topic of what daemons serve, and of who promoted what."""
    heartbeat: Duration = 5.0
    """How often a daemon tells what it serves; one that is silent three times as long is gone."""
    decide: bool = True
    """Whether this process may be the one of the fleet that decides about rollouts; it writes to
    both topics then."""


class LineSettings(Section):
    """The process's own limits."""

    memory: Size = 2**30
    """Bytes of records, encoded and decoded, in the line of a topology at once."""
    decode_threads: Annotated[int, Field(gt=0)] | Literal["auto"] = "auto"
    """Threads that decode and tokenise. `auto`: as many as there are cores; from four cores on,
    while a backlog waits, as few of them as keep the models busy."""
    drain_timeout: Duration = 25.0
    """How long a first SIGTERM waits for what is in flight."""
    stall_timeout: Duration = 60.0
    """Liveness fails when records are in the line and none has left it for this long."""
    revoke_timeout: Duration = 5.0
    """How long a rebalance waits for records of the partitions that are taken away."""


class Settings(BaseSettings):
    """Everything that says where and how, not what flows."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )

    config_file: ClassVar[Path | None] = None
    """YAML file that the settings are read from."""

    instance: str = Field(default_factory=socket.gethostname)
    """Name of this replica, part of its transactional ids; the host's name if left out."""
    kafka: KafkaSettings = KafkaSettings()
    http: HttpSettings = HttpSettings()
    dashboard: DashboardSettings = DashboardSettings()
    log: LogSettings = LogSettings()
    traces: TraceSettings = TraceSettings()
    schema_registry: RegistrySettings = RegistrySettings()
    models: ModelSettings = ModelSettings()
    line: LineSettings = LineSettings()
    deployments: DeploymentSettings = DeploymentSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - sources of our own read these
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: arguments, environment, `.env`, then the YAML file."""
        given = given_to(settings_cls, cls.config_file)
        return (init_settings, *(GivenSource(settings_cls, source) for source in given))


def load_settings(config: Path | None = None, **overrides: Any) -> Settings:
    """Read the settings.

    Args:
        config: YAML file; environment and `.env` go before it.
        overrides: sections, or parts of them, that go before everything (from the command line).

    Raises:
        ConfigError: a setting is unknown or wrong; the message names it and where it was given.
    """

    class WithFile(Settings):
        config_file: ClassVar[Path | None] = config

    try:
        return WithFile(**overrides)
    except ValidationError as error:
        origins = {location: variable(location) for location in places(Settings)}
        for source in reversed(given_to(Settings, config)):
            origins |= source.origins
        raise ConfigError(explained(error, Settings, "settings", {}, origins)) from error
