"""A broker that asks who comes in, and lets each do what it has rights for."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    KafkaAdminClient,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
    UserScramCredentialUpsertion,
)
from pydantic import SecretStr

from streamer.config.settings import KafkaSettings
from streamer.embedded import EmbeddedKafka
from support.pki import Authority, TokenServer

USER, PASSWORD, SECRET = "daemon", "pa55-of-the-daemon", "secret-of-the-daemon"
LOCK = "password-of-a-key"
_LOGIN = "org.apache.kafka.common.security"


@dataclass(frozen=True)
class Right:
    """Something the daemon may do; names that end in `*` are prefixes."""

    kind: str
    name: str
    operation: str

    @property
    def command(self) -> str:
        """The options of kafka-acls.sh that give it."""
        prefixed = " --resource-pattern-type prefixed" if self.name.endswith("*") else ""
        kind = self.kind.lower().replace("_", "-")
        return f"--operation {self.operation} --{kind} {self.name.rstrip('*')}{prefixed}"


class Secured:
    """The broker, its authority, and an authorisation server."""

    def __init__(self, kafka: EmbeddedKafka, folder: Path, authority: Authority) -> None:
        self.kafka = kafka
        self.folder = folder
        self.authority = authority
        self.cafile = authority.write(folder / "ca.crt")
        self.certificate, self.key = authority.issue(folder, USER)
        self.tokens: TokenServer
        self.admin: KafkaAdminClient

    def settings(self, how: str, **changed: object) -> KafkaSettings:
        """Give the settings that let the daemon in by `scram`, `plain`, `mtls` or `oauth`."""
        given: dict[str, object] = {
            "scram": {
                "bootstrap_servers": self.kafka.address("SCRAM"),
                "security_protocol": "SASL_SSL",
                "sasl_mechanism": "SCRAM-SHA-512",
                "sasl_plain_username": USER,
                "sasl_plain_password": PASSWORD,
            },
            "plain": {
                "bootstrap_servers": self.kafka.address("SCRAM"),
                "security_protocol": "SASL_SSL",
                "sasl_mechanism": "PLAIN",
                "sasl_plain_username": USER,
                "sasl_plain_password": PASSWORD,
            },
            "mtls": {
                "bootstrap_servers": self.kafka.address("MTLS"),
                "security_protocol": "SSL",
                "ssl_certfile": self.certificate,
                "ssl_keyfile": self.key,
            },
            "oauth": {
                "bootstrap_servers": self.kafka.address("OAUTH"),
                "security_protocol": "SASL_SSL",
                "sasl_mechanism": "OAUTHBEARER",
                "oauth_token_url": self.tokens.url,
                "oauth_client_id": USER,
                "oauth_client_secret": SECRET,
            },
        }[how]
        times = {"session_timeout": "3s", "heartbeat_interval": "1s"}
        return KafkaSettings(**{"ssl_cafile": self.cafile, **times, **given, **changed})

    def environment(self, how: str, folder: Path) -> dict[str, str]:
        """Give the same settings as variables, with the secrets in files."""
        settings, given = self.settings(how), {}
        for name in settings.model_fields_set:
            value, variable = getattr(settings, name), f"STREAMER_KAFKA__{name.upper()}"
            if isinstance(value, SecretStr):
                (folder / name).write_text(value.get_secret_value(), encoding="ascii")
                value, variable = folder / name, f"{variable}_FILE"
            given[variable] = f"{value}s" if isinstance(value, float) else str(value)
        return given

    def grant(self, *rights: Right, user: str = USER) -> None:
        """Give the daemon rights, or another user."""
        made = self.admin.create_acls([_acl(right, user) for right in rights])
        assert not made["failed"], made

    def restart(self) -> None:
        """Stop the broker and start it again: every connection is made anew."""
        self.admin.close()
        self.kafka.stop()
        self.kafka.start()
        self.admin = KafkaAdminClient(bootstrap_servers=self.kafka.bootstrap_servers)

    def revoke_all(self, user: str = USER) -> None:
        """Take all of them away."""
        anything = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
        theirs = ACLFilter(f"User:{user}", "*", ACLOperation.ANY, ACLPermissionType.ANY, anything)
        self.admin.delete_acls([theirs])


@contextmanager
def secured(folder: Path) -> Iterator[Secured]:
    """Start it; who comes by the plain listener is the administrator."""
    authority = Authority()
    tokens = TokenServer({USER: SECRET})
    certificate, key = authority.issue(folder, "broker", ["127.0.0.1", "localhost"])
    together = folder / "broker.pem"
    together.write_bytes(key.read_bytes() + certificate.read_bytes() + authority.pem)
    trusted = authority.write(folder / "trusted.pem")
    kafka = EmbeddedKafka(
        port=0,
        data_dir=folder / "kafka",
        properties=_properties(together, trusted, tokens.url),
        listeners={"SCRAM": "SASL_SSL", "MTLS": "SSL", "OAUTH": "SASL_SSL"},
    )
    allowed = f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={tokens.url}/jwks"
    try:
        with patch.dict(os.environ, {"JAVA_TOOL_OPTIONS": allowed}), kafka:
            made = Secured(kafka, folder, authority)
            made.tokens = tokens
            made.admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
            user = UserScramCredentialUpsertion(USER, "SCRAM-SHA-512", PASSWORD)
            made.admin.alter_user_scram_credentials([user])
            yield made
            made.admin.close()
    finally:
        tokens.close()


def _properties(keys: Path, trusted: Path, issuer: str) -> dict[str, str]:
    oauth, scram, mtls = (f"listener.name.{name}" for name in ("oauth", "scram", "mtls"))
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(keys),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(trusted),
        f"{mtls}.ssl.client.auth": "required",
        f"{mtls}.ssl.principal.mapping.rules": "RULE:^.*CN=([^,]+).*$/$1/,DEFAULT",
        f"{scram}.sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN",
        f"{scram}.scram-sha-512.sasl.jaas.config": f"{_LOGIN}.scram.ScramLoginModule required;",
        f"{scram}.plain.sasl.jaas.config": f"{_LOGIN}.plain.PlainLoginModule required "
        f'user_{USER}="{PASSWORD}";',
        f"{oauth}.sasl.enabled.mechanisms": "OAUTHBEARER",
        f"{oauth}.oauthbearer.sasl.jaas.config": f"{_LOGIN}.oauthbearer.OAuthBearerLoginModule "
        "required;",
        f"{oauth}.oauthbearer.sasl.server.callback.handler.class": f"{_LOGIN}.oauthbearer."
        "OAuthBearerValidatorCallbackHandler",
        f"{oauth}.oauthbearer.sasl.oauthbearer.jwks.endpoint.url": f"{issuer}/jwks",
        f"{oauth}.oauthbearer.sasl.oauthbearer.expected.audience": "kafka",
        f"{oauth}.oauthbearer.sasl.oauthbearer.expected.issuer": issuer,
        # Proofs are asked for anew before a token's life is over.
        f"{oauth}.oauthbearer.connections.max.reauth.ms": "3600000",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }


def _acl(right: Right, user: str) -> ACL:
    pattern = (
        ACLResourcePatternType.PREFIXED
        if right.name.endswith("*")
        else ACLResourcePatternType.LITERAL
    )
    return ACL(
        f"User:{user}",
        "*",
        ACLOperation[right.operation.upper()],
        ACLPermissionType.ALLOW,
        ResourcePattern(ResourceType[right.kind], right.name.rstrip("*"), pattern),
    )
