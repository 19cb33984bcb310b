"""A daemon with no more rights than the documentation says, and with each of them missing."""

import re
import time
from pathlib import Path

import pytest
from support.secured import PASSWORD, Right
from support.secured_flow import Flow
from support.topics import Sent
from support.waiting import eventually

DOCS = Path(__file__).parents[3] / "docs" / "security.md"


@pytest.mark.parametrize("how", ["scram", "plain", "mtls", "oauth"])
def test_a_daemon_with_the_least_rights_answers(broker, topics, models, tmp_path, how):
    delivery = "at-least-once" if how == "plain" else "exactly-once"
    flow = Flow(topics, tmp_path, models, delivery)
    broker.grant(*flow.rights)
    topics.send(flow.source, [Sent(b"good"), Sent(b"\xff")])
    with flow.running(broker.settings(how)) as ended:
        assert [
            got.json["source"]["offset"] for got in topics.read(flow.sink, 1, alive=flow.alive)
        ] == [0]
        assert len(topics.read(flow.letters, 1)) == 1
    assert ended == []


WITHOUT = {
    "the source": (0, None, "--topic {source}"),
    "reading the source": (0, "Describe", "Read.* --topic {source}"),
    "the sink": (1, None, "--topic {sink}"),
    "writing to the sink": (1, "Describe", "Write.* --topic {sink}"),
    "the dead letters": (2, None, "--topic {letters}"),
    "the group": (3, None, "Read.* --group {name}"),
    "the transactional id": (4, None, "Write.* --transactional-id me-{name}-"),
}


@pytest.mark.parametrize("missing", WITHOUT)
def test_without_one_of_the_rights_the_daemon_ends_and_names_it(
    broker, topics, models, tmp_path, missing
):
    flow = Flow(topics, tmp_path, models)
    at, instead, told = WITHOUT[missing]
    lacking = flow.rights[at]
    broker.grant(*(right for right in flow.rights if right is not lacking))
    if instead:
        broker.grant(Right(lacking.kind, lacking.name, instead))
    topics.send(flow.source, [Sent(b"good"), Sent(b"\xff")])
    began = time.monotonic()
    with flow.running(broker.settings("scram")) as ended:
        eventually(lambda: ended, "the daemon ends")
    [error] = ended
    said = str(error)
    assert re.search(rf"kafka-acls\.sh.*{told.format(**vars(flow))}", said), said
    assert PASSWORD not in said
    assert time.monotonic() - began < 20, "soon"


def test_the_documented_commands_are_the_rights_that_were_enough(topics, models, tmp_path):
    flow = Flow(topics, tmp_path, models)
    page = DOCS.read_text(encoding="utf-8")
    named = {
        flow.source: "street.photos",
        flow.sink: "street.predictions",
        flow.letters: "street.deadletters",
        f"me-{flow.name}": "street-",
        flow.name: "street",
    }
    for right in flow.rights:
        command = right.command
        for mine, theirs in named.items():
            command = command.replace(mine, theirs)
        assert command in page, command
