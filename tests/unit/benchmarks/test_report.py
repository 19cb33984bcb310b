"""Results as Markdown tables."""

import json

from benchmarks.report import main, report
from benchmarks.results import Results


def told(file, name, scale=1.0):
    results = Results(file, rounds=2, scale=scale)
    for number, rate in enumerate((90.0, 110.0)):
        turn = {"rate": rate, "cpu_ms": 8.0, "load": 0.1 * (number + 1)}
        results.add(name, "streamer", number, turn)
    figures = results.of(name)
    figures.notes["records"] = 1500
    figures.failed["theirs"] = ["round 1: 3 of 9 answers came"]
    figures.ask("streamer ÷ raw", [0.8, 0.95, 0.99], ">= 0.9")
    results.write()
    return results.content()


def test_a_report_has_runs_systems_and_what_is_asked(tmp_path):
    lines = report(told(tmp_path / "a.json", "text")).splitlines()
    assert "| text | streamer | 2 | 100 | 8.000 |  |  |" in lines
    assert "| text | streamer ÷ raw | >= 0.9 | 0.95 | 0.8 to 0.99 | 3 | holds |" in lines
    assert "- text, theirs failed: round 1: 3 of 9 answers came" in lines
    [run] = [line for line in lines if line.startswith("| text | 1,500 | 2 |")]
    assert run.endswith("| 0.1 to 0.2 |")


def test_latencies_have_a_table_of_their_own(tmp_path):
    results = Results(tmp_path / "a.json", rounds=1, scale=1.0)
    results.add("latency", "streamer", 0, {"p50_ms": 20.0, "p99_ms": 45.5, "load": 0.1})
    lines = report(results.content()).splitlines()
    assert "| latency | streamer | 1 | 20.0 | 45.5 |  |" in lines
    assert not any("records/s" in line for line in lines)


def test_a_run_of_few_records_says_so(tmp_path):
    assert "1,500 (too few for rates)" in report(told(tmp_path / "a.json", "text", scale=0.1))


def test_one_report_is_made_of_several_runs(tmp_path, capsys):
    for name, scale in (("text", 0.5), ("images", 1.0)):
        told(tmp_path / f"{name}.json", name, scale)
    main([str(tmp_path / "text.json"), str(tmp_path / "images.json")])
    shown = capsys.readouterr().out
    assert "| text | streamer | 2 |" in shown
    assert "| images | streamer | 2 |" in shown
    assert shown.count("ONNX Runtime") == 1  # one machine, told once


def test_a_report_does_not_need_a_turn_of_every_benchmark(tmp_path):
    results = Results(tmp_path / "a.json", rounds=1, scale=1.0)
    results.of("text").failed["theirs"] = ["round 1: it ended before it was ready"]
    results.write()
    shown = report(json.loads((tmp_path / "a.json").read_text()))
    assert "- text, theirs failed: round 1: it ended before it was ready" in shown
