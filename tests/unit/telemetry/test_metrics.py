from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from streamer.records import TopicPartition
from streamer.telemetry import Metrics


def shown(metrics: Metrics) -> dict[tuple, float]:
    text = generate_latest(metrics.registry).decode()
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_event_shows_in_its_family():
    metrics = Metrics()
    metrics.consumed("street", 5)
    metrics.predictions("street", "detect", "signs", "3", 4)
    metrics.deadletters("street", "decode", "no-image")
    metrics.dropped("street", 1)
    metrics.skipped("street", "photos", 7)
    metrics.records_done("street", [0.02, 0.03])
    metrics.batch_ran(
        "street",
        "detect",
        model="signs",
        version="3",
        items=4,
        seconds=0.02,
        waste=0.1,
        reason="full",
    )
    metrics.queued("street", "detect", 0.001)
    metrics.stage_ran("street", "decode", 0.001)
    metrics.in_flight("street", 5, 1000)
    metrics.paused("street", 2)
    metrics.committed("street")
    metrics.transaction("street", "aborted")
    metrics.rebalanced("street")
    metrics.sessions("signs", [("cpu", "CPUExecutionProvider")] * 2)
    metrics.device_fallback("signs", "cuda:0")
    seen = shown(metrics)
    street = ("topology", "street")
    assert seen["streamer_records_consumed_total", street] == 5
    assert (
        seen[
            "streamer_predictions_total",
            ("model", "signs"),
            ("step", "detect"),
            street,
            ("version", "3"),
        ]
        == 4
    )
    assert (
        seen["streamer_deadletters_total", ("reason", "no-image"), ("stage", "decode"), street] == 1
    )
    assert seen["streamer_records_dropped_total", street] == 1
    assert seen["streamer_records_lost_total", ("topic", "photos"), street] == 7
    assert seen["streamer_record_duration_seconds_count", street] == 2
    assert seen["streamer_batch_items_sum", ("reason", "full"), ("step", "detect"), street] == 4
    assert seen["streamer_batch_padding_ratio_count", ("step", "detect"), street] == 1
    assert seen["streamer_queue_duration_seconds_count", ("stage", "detect"), street] == 1
    assert seen["streamer_stage_duration_seconds_count", ("stage", "decode"), street] == 1
    assert seen["streamer_in_flight_records", street] == 5
    assert seen["streamer_in_flight_bytes", street] == 1000
    assert seen["streamer_paused_partitions", street] == 2
    assert seen["streamer_commits_total", street] == 1
    assert seen["streamer_transactions_total", ("outcome", "aborted"), street] == 1
    assert seen["streamer_rebalances_total", street] == 1
    session = (("device", "cpu"), ("model", "signs"), ("provider", "CPUExecutionProvider"))
    assert seen["streamer_session_info", *session] == 2
    assert seen["streamer_device_fallbacks_total", ("model", "signs"), ("wanted", "cuda:0")] == 1


def test_lag_of_partitions_that_went_is_shown_no_more():
    metrics = Metrics()
    first, second = TopicPartition("photos", 0), TopicPartition("photos", 1)
    metrics.lag("street", {first: 3, second: 4}, {first: 1.5, second: 0.5})
    metrics.lag("shop", {first: 9})
    metrics.lag("street", {second: 5}, {second: 0.25})
    lags = {key: value for key, value in shown(metrics).items() if "_lag_" in key[0]}
    at = (("partition", "1"), ("topic", "photos"), ("topology", "street"))
    assert lags == {
        ("streamer_consumer_lag_records", *at): 5,
        ("streamer_consumer_lag_seconds", *at): 0.25,
        (
            "streamer_consumer_lag_records",
            ("partition", "0"),
            ("topic", "photos"),
            ("topology", "shop"),
        ): 9,
    }


def test_a_model_shows_the_version_that_serves_and_counts_swaps():
    metrics = Metrics()
    for version in ("1", "1", "2"):
        metrics.model("signs", version, "object-detection")
    seen = shown(metrics)
    versions = {dict(key[1:])["version"] for key in seen if key[0] == "streamer_model_info"}
    assert versions == {"2"}
    assert seen["streamer_model_swaps_total", ("model", "signs")] == 1


def test_series_of_a_version_go_two_swaps_later():
    metrics = Metrics()

    def answered(version: str) -> None:
        metrics.model("signs", version, "object-detection")
        metrics.predictions("street", "detect", "signs", version, 1)

    for version in ("1", "2"):
        answered(version)
    told = [dict(key[1:])["version"] for key in shown(metrics) if "predictions" in key[0]]
    assert told == ["1", "2"]
    answered("3")
    told = [dict(key[1:])["version"] for key in shown(metrics) if "predictions" in key[0]]
    assert told == ["2", "3"]
    answered("2")  # rolled back: it serves again, and its series go on
    told = [dict(key[1:])["version"] for key in shown(metrics) if "predictions" in key[0]]
    assert sorted(told) == ["2", "3"]


def test_what_a_topology_may_count_is_there_from_the_start():
    metrics = Metrics()
    metrics.topology("street", "exactly-once", "street-group", ["photos"])
    metrics.line("street", 2**20, lambda: 4.5)
    metrics.model("signs", "1", "object-detection")
    metrics.swap_failed("signs")
    seen = shown(metrics)
    street = ("topology", "street")
    named = (("delivery", "exactly-once"), ("group", "street-group"), street)
    assert seen["streamer_topology_info", *named] == 1
    for name in ("records_consumed", "records_dropped", "commits", "rebalances"):
        assert seen[f"streamer_{name}_total", street] == 0
    assert seen["streamer_records_lost_total", ("topic", "photos"), street] == 0
    assert seen["streamer_transactions_total", ("outcome", "aborted"), street] == 0
    assert seen["streamer_assigned_partitions", street] == 0
    assert seen["streamer_in_flight_limit_bytes", street] == 2**20
    assert seen["streamer_stalled_seconds", street] == 4.5
    assert seen["streamer_model_swaps_total", ("model", "signs")] == 0
    assert seen["streamer_model_swap_failures_total", ("model", "signs")] == 1


def test_partitions_that_are_read_are_counted():
    metrics = Metrics()
    metrics.lag("street", {TopicPartition("photos", 0): 3, TopicPartition("photos", 1): 0})
    assert shown(metrics)["streamer_assigned_partitions", ("topology", "street")] == 2


def test_the_list_of_families_is_what_the_registry_has():
    metrics = Metrics()
    listed = {family.name.removesuffix("_total") for family in metrics.families.made}
    told = {family.name for family in metrics.registry.collect()}
    assert listed == {name for name in told if name.startswith("streamer_")}


def test_counters_are_one_series_each():
    metrics = Metrics()
    metrics.consumed("street", 1)
    assert not [key for key in shown(metrics) if key[0].endswith("_created")]


def test_two_sets_of_metrics_know_nothing_of_each_other():
    one, other = Metrics(), Metrics(CollectorRegistry())
    one.consumed("street", 1)
    assert ("streamer_records_consumed_total", ("topology", "street")) not in shown(other)


def test_every_family_has_a_text_and_base_units():
    metrics = Metrics()
    families = [
        family for family in metrics.registry.collect() if family.name.startswith("streamer_")
    ]
    assert len(families) >= 20
    for family in families:
        assert family.documentation
        assert not family.name.endswith(("_ms", "_kb", "_percent"))


def test_nodes_of_a_graph_are_told_by_what_computes_them():
    metrics = Metrics()
    metrics.session_nodes("signs", {"CUDAExecutionProvider": 120, "CPUExecutionProvider": 3})
    metrics.session_nodes("intents", {})
    nodes = {key: value for key, value in shown(metrics).items() if key[0].endswith("_nodes")}
    assert nodes == {
        ("streamer_session_nodes", ("model", "signs"), ("provider", "CUDAExecutionProvider")): 120,
        ("streamer_session_nodes", ("model", "signs"), ("provider", "CPUExecutionProvider")): 3,
    }


def test_where_sessions_ran_before_a_swap_is_shown_no_more():
    metrics = Metrics()
    gpu, cpu = ("cuda:0", "CUDAExecutionProvider"), ("cpu", "CPUExecutionProvider")
    metrics.sessions("signs", [gpu, cpu])
    metrics.session_nodes("signs", {gpu[1]: 120, cpu[1]: 3})
    metrics.sessions("signs", [cpu, cpu])
    metrics.session_nodes("signs", {cpu[1]: 123})
    labels = (("device", "cpu"), ("model", "signs"), ("provider", cpu[1]))
    seen = {key: value for key, value in shown(metrics).items() if "_session_" in key[0]}
    assert seen == {
        ("streamer_session_info", *labels): 2,
        ("streamer_session_nodes", *labels[1:]): 123,
    }
