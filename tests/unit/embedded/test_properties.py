from pathlib import Path

from streamer.embedded.properties import NodeSettings, rendered, server_properties


def node(controllers: dict[int, int], **extra: str) -> dict[str, str]:
    settings = NodeSettings(1, 9092, controllers, Path("/records"), extra)
    return server_properties(settings)


def test_one_node_is_broker_and_controller_and_keeps_one_copy():
    properties = node({1: 9093})
    assert properties["process.roles"] == "broker,controller"
    assert properties["listeners"] == "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093"
    assert properties["controller.quorum.voters"] == "1@127.0.0.1:9093"
    assert properties["log.dirs"] == "/records"
    copies = [value for key, value in properties.items() if key.endswith("replication.factor")]
    assert copies == ["1"] * 4
    assert properties["min.insync.replicas"] == "1"


def test_three_nodes_know_each_other_and_do_without_any_one_of_them():
    properties = node({1: 9093, 2: 9193, 3: 9293})
    voters = "1@127.0.0.1:9093,2@127.0.0.1:9193,3@127.0.0.1:9293"
    assert properties["controller.quorum.voters"] == voters
    copies = [value for key, value in properties.items() if key.endswith("replication.factor")]
    assert copies == ["3"] * 4
    assert properties["min.insync.replicas"] == "2"
    assert properties["transaction.state.log.min.isr"] == "2"


def test_what_the_caller_sets_wins():
    properties = node({1: 9093}, **{"num.io.threads": "9", "auto.create.topics.enable": "true"})
    assert properties["num.io.threads"] == "9"
    assert properties["auto.create.topics.enable"] == "true"


def test_values_are_written_as_java_reads_them():
    text = rendered({"plain": "a=b c", "windows": "C:\\logs", "two": "a\nb", "indented": "  x"})
    assert text == "plain=a=b c\nwindows=C:\\\\logs\ntwo=a\\nb\nindented=\\ \\ x\n"


def test_letters_beyond_ascii_are_written_by_their_code_units():
    assert rendered({"log.dirs": "/é/𝄞"}) == "log.dirs=/\\u00e9/\\ud834\\udd1e\n"


def test_further_listeners_stand_beside_the_plain_one():
    listeners = {"SAFE": ("SASL_SSL", 9094)}
    settings = NodeSettings(1, 9092, {1: 9093}, Path("/records"), {}, listeners)
    properties = server_properties(settings)
    clients = "PLAINTEXT://127.0.0.1:9092,SAFE://127.0.0.1:9094"
    assert properties["listeners"] == f"{clients},CONTROLLER://127.0.0.1:9093"
    assert properties["advertised.listeners"] == clients
    protocols = "PLAINTEXT:PLAINTEXT,SAFE:SASL_SSL,CONTROLLER:PLAINTEXT"
    assert properties["listener.security.protocol.map"] == protocols
    assert properties["inter.broker.listener.name"] == "PLAINTEXT"
