"""The line as a whole, on a Kafka in memory."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
from support import tiny
from support.waiting import eventually

from streamer.testing import TopologyTest

TOPOLOGY = """
name: moods
source: {topics: [messages], format: text}
wave: {max_records: 1}
models: {mood: {uri: models/mood}}
steps: {mood: {model: mood, task: text-classification}}
sink: {topic: moods}
"""
WAIT_S = 30.0


def test_no_more_waves_are_begun_than_keep_every_stage_at_work(tmp_path):
    tiny.text_model(tmp_path / "models")
    file = tmp_path / "moods.yaml"
    file.write_text(TOPOLOGY, encoding="utf-8")
    asked, go = Event(), Event()

    def waiting(feeds):
        asked.set()
        go.wait(WAIT_S)
        return {"logits": np.zeros((len(feeds["input_ids"]), 2), np.float32)}

    with TopologyTest(file, sessions={"mood": waiting}) as test:
        for number in range(12):
            test.send("messages", f"text {number}")
        answers = ThreadPoolExecutor(1).submit(test.predictions)
        line = test._line
        assert asked.wait(WAIT_S)
        eventually(lambda: line._begun >= 3, "a wave is decoded, and one waits")
        polls = line._source.moved_at
        eventually(lambda: line._source.moved_at > polls + 0.1, "the line could have taken more")
        assert line._begun == 3
        go.set()
        assert len(answers.result(WAIT_S)) == 12
