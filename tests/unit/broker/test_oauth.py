import pytest
from support.pki import TokenServer

from streamer.broker.connection import client_settings
from streamer.broker.oauth import ClientCredentials, TokenFile, token_provider
from streamer.config.settings import KafkaSettings
from streamer.errors import BrokerError

HIDDEN, WRONG = "s3cret:/&", "another"


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def server():
    made = TokenServer(
        {"daemon": HIDDEN.replace(":", "%3A").replace("/", "%2F").replace("&", "%26")}
    )
    yield made
    made.close()


def settings(**given):
    return KafkaSettings(security_protocol="SASL_SSL", sasl_mechanism="OAUTHBEARER", **given)


def asking(server, secret=HIDDEN, **more):
    return settings(
        oauth_token_url=server.url,
        oauth_client_id="daemon",
        oauth_client_secret=secret,
        **more,
    )


def test_a_token_is_kept_for_most_of_its_life_and_then_asked_for_anew(server):
    clock = Clock()
    provider = ClientCredentials(asking(server, oauth_scope="kafka"), clock)
    first = provider.token()
    clock.now = 0.79 * server.life_s
    assert provider.token() == first
    assert server.given == 1
    clock.now = 0.81 * server.life_s
    provider.token()
    assert server.given == 2
    assert server.scopes == ["kafka", "kafka"]


def test_a_refused_client_is_told_the_reason_and_not_its_secret(server):
    wrong = ClientCredentials(asking(server, WRONG))
    with pytest.raises(BrokerError, match=r"401.*invalid_client, who is that") as raised:
        wrong.token()
    assert WRONG not in str(raised.value)
    assert raised.value.retriable


def test_a_server_that_is_away_is_told_as_such(server):
    provider = ClientCredentials(asking(server))
    server.close()
    with pytest.raises(BrokerError, match=r"no OAuth token from http://127\.0\.0\.1.*refused"):
        provider.token()


def test_an_answer_without_a_token_is_told_as_such(server):
    server.token = lambda _: ""
    with pytest.raises(BrokerError, match="no access_token"):
        ClientCredentials(asking(server)).token()


def test_a_file_is_read_anew_for_every_connection(tmp_path):
    file = tmp_path / "token"
    file.write_text("one\n", encoding="ascii")
    provider = TokenFile(file)
    assert provider.token() == "one"
    file.write_text("two\n", encoding="ascii")
    assert provider.token() == "two"
    file.write_text("", encoding="ascii")
    with pytest.raises(BrokerError, match="the file is empty"):
        provider.token()


def test_all_clients_share_one_provider(server):
    kafka = asking(server)
    provider = client_settings(kafka)["sasl_oauth_token_provider"]
    assert provider is token_provider(asking(server))
    assert "sasl_plain_password" not in client_settings(kafka)
    assert HIDDEN not in repr(kafka)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "needs it, or oauth_token_file"),
        ({"oauth_token_url": "https://idp/token"}, "oauth_client_secret"),
        (
            {
                "oauth_token_url": "http://idp/token",
                "oauth_client_id": "a",
                "oauth_client_secret": "b",
            },
            "https://",
        ),
        ({"oauth_token_file": "/nowhere/token"}, "there is no such file"),
    ],
)
def test_settings_that_lack_something_are_refused(given, told):
    with pytest.raises(ValueError, match=told):
        settings(**given)
