"""Settings of the process: environment, `.env`, then a YAML file; secrets also from files."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

from streamer.config.files import explained, read_yaml
from streamer.config.section import Section
from streamer.config.units import Duration, Size
from streamer.errors import ConfigError


class KafkaSettings(Section):
    """How the brokers are reached."""

    bootstrap_servers: str = "127.0.0.1:9092"
    """`HOST:PORT`, several with commas between them."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """As the brokers' listener has it."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = None
    """With SASL: how the daemon proves who it is."""
    sasl_plain_username: str | None = None
    """User of PLAIN and SCRAM."""
    sasl_plain_password: SecretStr | None = None
    """Password of PLAIN and SCRAM."""
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
    def _sasl_is_whole(self) -> Self:
        if self.security_protocol.startswith("SASL") and self.sasl_mechanism is None:
            message = "sasl_mechanism is needed with security_protocol " + self.security_protocol
            raise ValueError(message)
        return self


class HttpSettings(Section):
    """The daemon's own HTTP endpoints."""

    host: str = "0.0.0.0"  # noqa: S104 - probes and scrapes come from other hosts
    """Address listened on."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """Port listened on; 0 for any free one."""
    enabled: bool = True
    """Whether there are endpoints at all."""


class LogSettings(Section):
    """What is logged, and how."""

    format: Literal["console", "json"] = "console"
    """For people or for machines."""
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Least severity that is logged."""


class ModelSettings(Section):
    """Where models are."""

    dir: Path = Path("models")
    """Folder in which relative model uris and `registry:` names are looked up."""


class LineSettings(Section):
    """The process's own limits."""

    memory: Size = 512 * 2**20
    """Bytes of records, encoded and decoded, in the line of a topology at once."""
    decode_threads: Annotated[int, Field(gt=0)] | Literal["auto"] = "auto"
    """Threads that decode and tokenise."""
    drain_timeout: Duration = 25.0
    """How long a first SIGTERM waits for what is in flight."""
    stall_timeout: Duration = 60.0
    """Liveness fails when records are in the line and none has left it for this long."""
    revoke_timeout: Duration = 5.0
    """How long a rebalance waits for records of the partitions that are taken away."""


class Settings(BaseSettings):
    """Everything that says where and how, not what flows."""

    model_config = SettingsConfigDict(
        env_prefix="STREAMER_",
        env_nested_delimiter="__",
        env_file=".env",
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
    )

    instance: str = Field(default_factory=socket.gethostname)
    """Name of this replica; part of its transactional ids."""
    kafka: KafkaSettings = KafkaSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
    models: ModelSettings = ModelSettings()
    line: LineSettings = LineSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the base's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: arguments, environment, `.env`, then the YAML file."""
        yaml_file = settings_cls.model_config.get("yaml_file")
        sources = (init_settings, env_settings, dotenv_settings)
        if yaml_file is None:
            return sources
        return (*sources, YamlConfigSettingsSource(settings_cls))


def load_settings(config: Path | None = None, **overrides: Any) -> Settings:
    """Read the settings.

    Args:
        config: YAML file with lowest precedence.
        overrides: sections with highest precedence (from the command line).

    Raises:
        ConfigError: a setting is unknown or wrong; the message names it.
    """
    lines: Mapping[tuple[str | int, ...], int] = {}
    if config is not None:
        _, lines = read_yaml(config)

    class WithFile(Settings):
        model_config = SettingsConfigDict(
            yaml_file=config, extra="forbid" if config else "ignore", env_file=".env"
        )

    secrets = secrets_from_files(os.environ)
    for name, value in secrets.items():
        section, key = name
        overrides[section] = {key: value, **dict(overrides.get(section) or {})}
    try:
        return WithFile(**overrides)
    except ValidationError as error:
        source = f"{config} and environment" if config else "environment (STREAMER_…)"
        raise ConfigError(explained(error, Settings, source, lines)) from error


def secrets_from_files(environment: Mapping[str, str]) -> dict[tuple[str, str], str]:
    """Find `STREAMER_SECTION__KEY_FILE` variables and read the files they name.

    Raises:
        ConfigError: such a file cannot be read.
    """
    found = {}
    for section_name, section in Settings.model_fields.items():
        if not isinstance(section.annotation, type) or not issubclass(section.annotation, Section):
            continue
        for key, field in section.annotation.model_fields.items():
            if "SecretStr" not in str(field.annotation):
                continue
            variable = f"STREAMER_{section_name}__{key}_FILE".upper()
            if variable in environment:
                try:
                    text = Path(environment[variable]).read_text(encoding="utf-8")
                except OSError as error:
                    message = f"{variable}: {environment[variable]}: {error.strerror}"
                    raise ConfigError(message) from error
                found[section_name, key] = text.strip()
    return found
