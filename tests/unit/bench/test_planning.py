import json

import pytest
import yaml
from support import tiny

from streamer.bench.planning import Planning, plan
from streamer.config import Settings
from streamer.errors import ConfigError


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "topology.yaml"
    content = {
        "name": "planned",
        "source": {"topics": ["in"], "format": "text"},
        "model": str(tiny.text_model(tmp_path)),
        "sink": {"topic": "out"},
    }
    file.write_text(yaml.safe_dump(content))
    return file


def planned(capsys, file, **options):
    assert plan(Planning(file, 10_000, 200, as_json=True, **options), Settings()) == 0
    return json.loads(capsys.readouterr().out)


def test_a_plan_is_made_of_what_is_given(file, capsys):
    told = planned(capsys, file, model_ms=10)
    assert told["replica"]["model_rate"] == 100
    assert told["needed"]["replicas"] == 159  # 10,000 / (0.7 x 0.9 x 100)


def test_a_plan_is_made_of_what_was_measured_elsewhere(file, capsys, tmp_path):
    bench = tmp_path / "bench.json"
    whole = {"at-least-once": {"records_per_second": 80.0}}
    bench.write_text(json.dumps({"raw": {"records_per_second": 100.0}, "whole": whole}))
    told = planned(capsys, file, bench=bench)
    assert told["needed"]["replica_rate"] == pytest.approx(80)


def test_a_plan_is_made_of_what_is_measured_here(file, capsys):
    assert planned(capsys, file)["replica"]["model_rate"] > 0


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        '{"raw": {"records_per_second": 0}, "whole": {}, "line": {"records_per_second": 0}}',
        '{"raw": {"records_per_second": 9}, "whole": [], "line": 1}',
    ],
)
def test_a_file_of_something_else_is_refused(file, tmp_path, content):
    bench = tmp_path / "bench.json"
    bench.write_text(content)
    with pytest.raises(ConfigError, match="is no output of `streamer bench --json`"):
        plan(Planning(file, 10, 10, bench=bench), Settings())


def test_people_get_a_table(file, capsys):
    assert plan(Planning(file, 10_000, 200, model_ms=0.01), Settings()) == 0
    told = capsys.readouterr().out
    assert "replicas" in told
    assert "the interpreter is the limit" in told


def test_a_model_s_time_is_given_once(file, tmp_path):
    with pytest.raises(ConfigError, match="give one of them"):
        plan(Planning(file, 10, 10, model_ms=1, bench=tmp_path / "bench.json"), Settings())
