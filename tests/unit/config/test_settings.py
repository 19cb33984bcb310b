import os

import pytest

from streamer.config import Settings, load_settings
from streamer.config.sources import places, variable
from streamer.errors import ConfigError


@pytest.fixture(autouse=True)
def _nothing_given(monkeypatch, tmp_path):
    for name in os.environ:
        if name.startswith("STREAMER_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def refusal(config=None) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(config)
    return str(caught.value)


def test_the_environment_goes_before_dotenv_and_both_before_the_file(monkeypatch, tmp_path):
    config = tmp_path / "settings.yaml"
    config.write_text(
        "http: {port: 1, host: file}\nlog: {format: json}\nkafka: {session_timeout: 9s}\n"
    )
    (tmp_path / ".env").write_text("STREAMER_HTTP__PORT=2\nSTREAMER_HTTP__HOST=dotenv\nOTHER=1\n")
    monkeypatch.setenv("STREAMER_HTTP__PORT", "3")
    settings = load_settings(config, log={"level": "DEBUG"})
    assert (settings.http.port, settings.http.host) == (3, "dotenv")
    assert (settings.log.format, settings.log.level) == ("json", "DEBUG")
    assert settings.kafka.session_timeout == 9.0


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "STREAMER_KAFKA__BOOTSTRAP_SERVER",
            "k:9092",
            ": there is no such setting; did you mean 'STREAMER_KAFKA__BOOTSTRAP_SERVERS'?",
        ),
        (
            "STREAMER_KAFAK__BOOTSTRAP_SERVERS",
            "k:9092",
            "did you mean 'STREAMER_KAFKA__BOOTSTRAP_SERVERS'?",
        ),
        (
            "STREAMER_KAFKA_BOOTSTRAP_SERVERS",
            "k:9092",
            "two underscores: STREAMER_KAFKA__BOOTSTRAP_SERVERS",
        ),
        ("STREAMER_HTTP__PORT", "http", "STREAMER_HTTP__PORT: expected a whole number; got 'http'"),
        ("STREAMER_HTTP__PORT", "99999", "STREAMER_HTTP__PORT: expected at most 65535"),
        ("STREAMER_LOG__FORMAT", "jsn", "expected 'console' or 'json'; got 'jsn'"),
        (
            "STREAMER_KAFKA__SESSION_TIMEOUT",
            "10",
            "STREAMER_KAFKA__SESSION_TIMEOUT: write a number with its unit",
        ),
        ("STREAMER_KAFKA__SASL_PLAIN_USERNAME_FILE", "x", "only secrets are read from files"),
        (
            "STREAMER_KAFKA__SASL_PLAIN_PASSWORD_FILE",
            "/none",
            "STREAMER_KAFKA__SASL_PLAIN_PASSWORD_FILE: /none: No such file or directory",
        ),
        (
            "STREAMER_KAFKA__SECURITY_PROTOCOL",
            "SASL_SSL",
            "STREAMER_KAFKA__SASL_MECHANISM: is needed with SASL_SSL",
        ),
        (
            "STREAMER_KAFKA__SSL_CAFILE",
            "/none.pem",
            "STREAMER_KAFKA__SSL_CAFILE: /none.pem: there is no such file",
        ),
    ],
)
def test_a_wrong_variable_is_refused_by_its_name(monkeypatch, name, value, said):
    monkeypatch.setenv(name, value)
    assert said in refusal()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STREAMER_TEST_BROKERS", "k:9092"),
        ("STREAMER_TEST_X__Y", "1"),
        ("STREAMER_PORT", "tcp://10.0.0.1:80"),
        ("STREAMER_HTTP_PORT", "tcp://10.0.0.1:80"),
        ("STREAMER_SERVICE_HOST", "10.0.0.1"),
        ("STREAMER_HTTP__PORT", ""),
        ("SOMEBODY__ELSE", "1"),
    ],
)
def test_variables_of_others_and_empty_ones_are_passed_by(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert load_settings().http.port == 8080


def test_a_mistake_in_dotenv_is_named_as_such(tmp_path):
    (tmp_path / ".env").write_text("STREAMER_LOG__LEVEL=LOUD\n")
    assert refusal().startswith(".env: STREAMER_LOG__LEVEL: expected 'DEBUG', 'INFO'")


def test_a_mistake_in_the_file_is_named_by_its_line(tmp_path):
    config = tmp_path / "settings.yaml"
    config.write_text("http:\n  prot: 1\nkafk: {}\nline:\n  drain_timeout: 1.5\n")
    told = refusal(config)
    assert f"{config}:2: http.prot: unknown key; did you mean 'port'?" in told
    assert f"{config}:3: kafk: unknown key; did you mean 'kafka'?" in told
    assert f"{config}:5: line.drain_timeout: write a number with its unit" in told


def test_a_secret_comes_from_a_file_and_is_never_shown(monkeypatch, tmp_path):
    (tmp_path / "password").write_text("hunter2\n")
    monkeypatch.setenv("STREAMER_KAFKA__SASL_PLAIN_PASSWORD_FILE", str(tmp_path / "password"))
    settings = load_settings()
    assert settings.kafka.sasl_plain_password is not None
    assert settings.kafka.sasl_plain_password.get_secret_value() == "hunter2"
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in settings.model_dump_json()
    monkeypatch.setenv("STREAMER_KAFKA__SASL_MECHANISM", "PLAIN")
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert "hunter2" not in f"{caught.value} {caught.value.__cause__!r} {caught.value.__cause__}"


def test_a_secret_comes_from_a_file_named_in_yaml(tmp_path):
    (tmp_path / "password").write_text("hunter2\n")
    config = tmp_path / "settings.yaml"
    config.write_text(f"kafka: {{sasl_plain_password_file: {tmp_path / 'password'}}}\n")
    secret = load_settings(config).kafka.sasl_plain_password
    assert secret is not None
    assert secret.get_secret_value() == "hunter2"


def test_a_secret_given_twice_is_refused(monkeypatch, tmp_path):
    (tmp_path / "password").write_text("a")
    monkeypatch.setenv("STREAMER_KAFKA__SASL_PLAIN_PASSWORD_FILE", str(tmp_path / "password"))
    monkeypatch.setenv("STREAMER_KAFKA__SASL_PLAIN_PASSWORD", "b")
    assert "not both" in refusal()


def test_every_setting_can_be_given_as_a_variable(monkeypatch):
    defaults = Settings()
    for location in places(Settings):
        value = defaults
        for part in location:
            value = getattr(value, str(part))
        if isinstance(value, bool | int | str) and not str(variable(location)).endswith("PROTOCOL"):
            monkeypatch.setenv(variable(location), str(value))
    assert load_settings().model_dump() == defaults.model_dump()
