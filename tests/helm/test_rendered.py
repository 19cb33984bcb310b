"""What Helm makes of the chart; skipped where the tools are not installed (`make helm-test`)."""

from functools import cache

import pytest
import yaml
from support import chart
from support.chart import of_kind

SMALL, LARGE = (chart.CHART / "examples" / f"{name}.yaml" for name in ("small", "large"))
SCHEMAS = chart.TOOLS / "schemas"


@cache
def objects(example, *values):
    return chart.rendered(example, values=values)


def pod_specs(found):
    for one in found:
        if one["kind"] in ("Deployment", "StatefulSet"):
            yield one["spec"]["template"]["spec"]
        elif one["kind"] == "Pod":
            yield one["spec"]


@pytest.mark.parametrize("example", chart.EXAMPLES, ids=lambda path: path.stem)
def test_lint_finds_nothing(example):
    done = chart.run(chart.tool("helm"), "lint", "--strict", str(chart.CHART), f"-f={example}")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("example", chart.EXAMPLES, ids=lambda path: path.stem)
def test_every_object_is_one_that_kubernetes_takes(example):
    checker = chart.tool("kubeconform")
    if not SCHEMAS.is_dir():
        pytest.skip("platform: no Kubernetes schemas here (make helm-tools)")
    done = chart.run(
        *(checker, "-strict", "-summary"),
        *("-schema-location", f"{SCHEMAS}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"),
        given=chart.templated(example).stdout,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Skipped: 0" in done.stdout, done.stdout


def test_all_kinds_come_up_in_the_large_example():
    kinds = {found["kind"] for found in objects(LARGE)}
    assert kinds == {
        *("ConfigMap", "Deployment", "NetworkPolicy", "Pod", "PodDisruptionBudget", "PodMonitor"),
        *("PrometheusRule", "ScaledObject", "Service", "ServiceAccount", "StatefulSet"),
        "TriggerAuthentication",
    }


@pytest.mark.parametrize("example", chart.EXAMPLES, ids=lambda path: path.stem)
def test_every_container_is_as_strict_as_restricted_pods_must_be(example):
    specs = list(pod_specs(objects(example)))
    assert specs
    for spec in specs:
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]


def test_the_grace_period_is_the_time_to_drain_and_five_seconds():
    found = objects(SMALL, "daemon.drainTimeoutSeconds=100", "daemon.startupTimeoutSeconds=60")
    [spec] = [made for made in pod_specs(found) if "terminationGracePeriodSeconds" in made]
    assert spec["terminationGracePeriodSeconds"] == 105
    container = spec["containers"][0]
    environment = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert environment["STREAMER_LINE__DRAIN_TIMEOUT"] == "100s"
    startup = container["startupProbe"]
    assert startup["failureThreshold"] * startup["periodSeconds"] == 60


def test_whoever_scales_says_how_many_nobody_else():
    found = objects(LARGE)
    [scaled] = of_kind(found, "ScaledObject")
    [deployment] = daemons(found)
    assert "replicas" not in deployment["spec"]
    assert scaled["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert (scaled["spec"]["minReplicaCount"], scaled["spec"]["maxReplicaCount"]) == (0, 8)
    [trigger] = scaled["spec"]["triggers"]
    assert trigger["metadata"]["consumerGroup"] == "street"
    assert trigger["metadata"]["allowIdleConsumers"] == "false"
    assert (trigger["metadata"]["sasl"], trigger["metadata"]["tls"]) == ("scram_sha512", "enable")
    assert all(isinstance(value, str) for value in trigger["metadata"].values())
    [proof] = of_kind(found, "TriggerAuthentication")
    assert proof["metadata"]["name"] == trigger["authenticationRef"]["name"]
    [stateful] = of_kind(found, "StatefulSet")
    assert stateful["spec"]["replicas"] == 4


def test_oauth_is_the_daemons_and_kedas(tmp_path):
    values = tmp_path / "oauth.yaml"
    given = {
        "kafka": {
            "saslMechanism": "OAUTHBEARER",
            "oauth": {"tokenUrl": "https://idp.example.com:8443/token", "scope": "kafka"},
        }
    }
    values.write_text(yaml.safe_dump(given), encoding="utf-8")
    found = chart.rendered(LARGE, values)
    [deployment] = daemons(found)
    environment = {
        entry["name"]: entry
        for entry in deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    }
    assert environment["STREAMER_KAFKA__OAUTH_CLIENT_ID"]["valueFrom"]["secretKeyRef"]["name"]
    file = environment["STREAMER_KAFKA__OAUTH_CLIENT_SECRET_FILE"]["value"]
    assert file == "/etc/streamer/kafka-auth/password"
    assert "STREAMER_KAFKA__SASL_PLAIN_USERNAME" not in environment
    [proof] = of_kind(found, "TriggerAuthentication")
    told = {entry["parameter"]: entry for entry in proof["spec"]["configMapTargetRef"]}
    [kept] = [m for m in of_kind(found, "ConfigMap") if m["metadata"]["name"].endswith("-keda")]
    url = kept["data"][told["oauthTokenEndpointUri"]["key"]]
    assert url == environment["STREAMER_KAFKA__OAUTH_TOKEN_URL"]["value"]
    [policy] = of_kind(found, "NetworkPolicy")
    ports = [port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]]
    assert 8443 in ports


def test_only_a_stateful_sets_pods_are_static_members():
    for one in objects(LARGE):
        if one["kind"] not in ("Deployment", "StatefulSet"):
            continue
        environment = one["spec"]["template"]["spec"]["containers"][0]["env"]
        named = "STREAMER_KAFKA__GROUP_INSTANCE_ID" in {entry["name"] for entry in environment}
        assert named == (one["kind"] == "StatefulSet")


def test_a_gpu_is_asked_for_and_waited_for():
    [deployment] = daemons(objects(LARGE))
    spec = deployment["spec"]["template"]["spec"]
    assert spec["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert spec["runtimeClassName"] == "nvidia"
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    tests = [one for one in of_kind(objects(LARGE), "Pod") if "street" in one["metadata"]["name"]]
    assert "nvidia.com/gpu" not in tests[0]["spec"]["containers"][0]["resources"]["limits"]


def test_helm_test_leaves_the_gpus_to_the_daemons_and_checks_their_topology_without():
    [pod] = [one for one in of_kind(objects(LARGE), "Pod") if "street" in one["metadata"]["name"]]
    file = pod["spec"]["containers"][0]["args"][-1].rpartition("/")[2]
    maps = of_kind(objects(LARGE), "ConfigMap")
    [kept] = [one for one in maps if one["metadata"]["name"].endswith("-street")]
    checked, served = (yaml.safe_load(kept["data"][name]) for name in (file, "street.yaml"))
    assert {model.pop("device") for model in served["models"].values()} == {"cuda:0"}
    assert checked == served


def test_a_sidecar_with_a_gpu_goes_where_gpus_are():
    found = objects(
        LARGE,
        'retraining.intents.daemon={"gpu":{"count":1,"runtimeClassName":"nvidia"},'
        '"nodeSelector":{"gpu":"yes"},"extraContainers":[{"name":"beside","image":"b"}]}',
    )
    [sidecar] = [s for s in pod_specs(found) if s["containers"][0]["name"] == "retrain"]
    assert sidecar["runtimeClassName"] == "nvidia"
    assert sidecar["nodeSelector"] == {"gpu": "yes"}
    assert [one["name"] for one in sidecar["containers"]] == ["retrain", "beside"]


def test_selectors_find_the_pods_and_nothing_of_the_tests():
    found = objects(LARGE)
    pods = [
        one["spec"]["template"]["metadata"]["labels"]
        for one in found
        if "serviceName" in str(one.get("spec", {})) or one["kind"] == "Deployment"
    ]
    for service in of_kind(found, "Service"):
        selector = service["spec"]["selector"]
        assert sum(selector.items() <= labels.items() for labels in pods) == 1
        for test in of_kind(found, "Pod"):
            assert not selector.items() <= test["metadata"]["labels"].items()


def test_the_network_policy_lets_out_to_the_brokers_ports_only():
    [policy] = of_kind(objects(LARGE), "NetworkPolicy")
    dns, kafka, traces, ready = policy["spec"]["egress"]
    assert traces["ports"] == [{"port": 4318, "protocol": "TCP"}]
    assert [port["port"] for port in dns["ports"]] == [53, 53]
    assert kafka["ports"] == [{"port": 9093, "protocol": "TCP"}]
    assert kafka["to"] == [{"ipBlock": {"cidr": "10.20.0.0/16"}}]
    assert ready["ports"] == [{"port": 8080, "protocol": "TCP"}]


def test_rules_are_the_files_with_what_the_values_say():
    [made] = of_kind(objects(LARGE), "PrometheusRule")
    by_name = {
        rule["alert"]: rule
        for group in made["spec"]["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    plain = {alert["alert"]: alert for alert in chart.alerts()}
    assert set(plain) - set(by_name) == {"StreamerRebalanceStorm"}
    changed = by_name["StreamerLagTooOld"]
    assert changed["expr"] == plain["StreamerLagTooOld"]["expr"].replace("> 120", "> 60")
    assert changed["labels"]["severity"] == "critical"
    address = "https://wiki.example.com/streamer/runbooks/StreamerLagTooOld.md"
    assert changed["annotations"]["runbook_url"] == address
    assert changed["annotations"]["summary"] == plain["StreamerLagTooOld"]["annotations"]["summary"]
    assert by_name["StreamerNoProgress"]["expr"] == plain["StreamerNoProgress"]["expr"]


def test_a_sidecar_runs_once_beside_its_topology_and_may_write_versions():
    found = objects(LARGE)
    [sidecar] = [
        one for one in of_kind(found, "Deployment") if "retrain" in one["metadata"]["name"]
    ]
    assert sidecar["spec"]["replicas"] == 1
    assert sidecar["spec"]["strategy"] == {"type": "Recreate"}
    [container] = sidecar["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["retrain", "/etc/streamer/topology/retrain.yaml"]
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert mounts["models"]["readOnly"] is False
    maps = of_kind(found, "ConfigMap")
    [files] = [m for m in maps if m["metadata"]["name"].endswith("-retrain-intents")]
    assert set(files["data"]) == {"retrain.yaml", "intents.yaml"}
    written = yaml.safe_load(files["data"]["retrain.yaml"])
    assert (written["topology"], written["model"]) == ("intents.yaml", "registry:intents")
    for one in (*of_kind(found, "StatefulSet"), *daemons(found)):
        [daemon] = one["spec"]["template"]["spec"]["containers"]
        mounts = {mount["name"]: mount for mount in daemon["volumeMounts"]}
        assert mounts["models"]["readOnly"] is True


def daemons(found):
    """The Deployments of topologies."""
    others = ("retrain", "live-page")
    made = of_kind(found, "Deployment")
    return [one for one in made if not any(name in one["metadata"]["name"] for name in others)]


def test_dashboards_arrive_as_they_are():
    maps = of_kind(objects(LARGE), "ConfigMap")
    made = [one for one in maps if "dashboard" in one["metadata"]["name"]]
    assert len(made) == len(chart.DASHBOARDS)
    for one, file in zip(
        sorted(made, key=lambda m: m["metadata"]["name"]), chart.DASHBOARDS, strict=True
    ):
        assert one["data"][f"streamer-{file.name}"] == file.read_text(encoding="utf-8")
        assert one["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_a_changed_topology_starts_the_pods_anew():
    def checksum(found):
        [deployment] = daemons(found)
        return deployment["spec"]["template"]["metadata"]["annotations"]["checksum/topology"]

    before = checksum(objects(SMALL))
    change = 'topologies.intents.topology.sink.topic="elsewhere"'
    assert checksum(objects(SMALL, change)) != before
    assert checksum(objects(SMALL, "daemon.replicas=3")) == before


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ('kafka.bootstrapServers=""', "kafka.bootstrapServers: needed"),
        ("topologies=null", "topologies: at least one is needed"),
        ('kafka.securityProtocol="SASL_SSL"', "kafka.saslMechanism: needed with SASL_SSL"),
        ('kafka.saslMechanism="PLAIN"', "PLAINTEXT proves no identity"),
        ('kafka.securityProtocol="SASL_SSL";kafka.saslMechanism="PLAIN"', "auth.existingSecret"),
        ('kafka.securityProtocol="SSL";kafka.saslMechanism="PLAIN"', "proves no identity"),
        (
            'kafka.securityProtocol="SASL_SSL";kafka.saslMechanism="OAUTHBEARER"',
            "kafka.oauth: tokenUrl or tokenFile",
        ),
        (
            'retraining.x={"topology":"nope","file":{"model":"registry:m","labels":{}}}',
            "there is no topology 'nope'",
        ),
        ("traces.enabled=true", "traces.endpoint: needed"),
        ('models.image="a:1"', "existingClaim or image"),
        ("daemon.autoscaling.enabled=true", "autoscaling.partitions: needed"),
        (
            (
                'kafka.securityProtocol="SASL_SSL";kafka.saslMechanism="OAUTHBEARER";'
                'kafka.oauth.tokenFile="/t";daemon.autoscaling={"enabled":true,"partitions":3}'
            ),
            "KEDA cannot ask for the lag with kafka.oauth.tokenFile",
        ),
        (
            'daemon.autoscaling={"enabled":true,"partitions":3,"maxReplicas":4}',
            "more than 3 partitions can't be shared out",
        ),
        ('daemon={"kind":"StatefulSet","autoscaling":{"enabled":true,"partitions":3}}', "static"),
        ('monitoring={"podMonitor":{"enabled":true},"serviceMonitor":{"enabled":true}}', "twice"),
        ('monitoring.rules={"enabled":true,"overrides":{"Nope":{}}}', "overrides.Nope"),
        ("daemon.replikas=3", "replikas"),
    ],
)
def test_a_contradiction_is_refused_and_named(value, told):
    done = chart.templated(SMALL, values=value.split(";"))
    assert done.returncode != 0
    assert told in done.stderr


def test_further_objects_may_be_templates():
    found = objects(
        SMALL, 'extraObjects=[{"kind":"ConfigMap","metadata":{"name":"{{ .Release.Name }}-x"}}]'
    )
    assert "live-x" in {one["metadata"]["name"] for one in found}


def test_a_rotated_secret_shows_in_the_running_pod():
    for spec in pod_specs(objects(LARGE)):
        for container in spec["containers"]:
            mounts = [m for m in container.get("volumeMounts", []) if m["name"].startswith("kafka")]
            assert not any("subPath" in mount for mount in mounts)


def test_the_live_page_asks_every_daemon_and_sidecar_of_the_release():
    found = [one for one in objects(LARGE) if one["metadata"]["name"].endswith("-live-page")]
    deployment, service = of_kind(found, "Deployment")[0], of_kind(found, "Service")[0]
    spec = deployment["spec"]["template"]["spec"]
    asked = [one for one in spec["containers"][0]["args"] if one.startswith("dns+http://")]
    daemons = {
        one["metadata"]["name"]
        for one in of_kind(objects(LARGE), "Service")
        if one["spec"].get("clusterIP") == "None"
    }
    assert {one.removeprefix("dns+http://").partition(":")[0] for one in asked} == daemons
    ports = {port["name"]: port["containerPort"] for port in spec["containers"][0]["ports"]}
    assert service["spec"]["ports"][0]["port"] == ports["page"]
    assert (
        service["spec"]["selector"].items()
        <= deployment["spec"]["template"]["metadata"]["labels"].items()
    )
    variables = {one["name"]: one.get("value") for one in spec["containers"][0]["env"]}
    mounts = {one["name"]: one["mountPath"] for one in spec["containers"][0]["volumeMounts"]}
    assert variables["STREAMER_DASHBOARD__REPLAY_TOKEN_FILE"].startswith(mounts["live-page"])


def test_the_live_page_goes_where_the_values_say():
    found = objects(SMALL, 'livePage={"enabled":true,"nodeSelector":{"zone":"a"}}')
    [spec] = [s for s in pod_specs(found) if s["containers"][0]["name"] == "live-page"]
    assert spec["nodeSelector"] == {"zone": "a"}


def test_without_a_secret_the_page_replays_nothing():
    found = objects(SMALL, "livePage.enabled=true")
    [spec] = [s for s in pod_specs(found) if s["containers"][0]["name"] == "live-page"]
    names = [one["name"] for one in spec["containers"][0]["env"]]
    assert "STREAMER_DASHBOARD__REPLAY_TOKEN_FILE" not in names


def test_the_network_lets_the_page_ask_and_be_asked():
    [policy] = of_kind(
        objects(SMALL, "livePage.enabled=true", "tests.enabled=false"), "NetworkPolicy"
    )
    ports = [rule["ports"][0]["port"] for rule in policy["spec"]["ingress"]]
    assert ports == [8080, 8090]
    inward = [r for r in policy["spec"]["egress"] if r["ports"][0]["port"] == 8080]
    assert inward[0]["to"][0]["podSelector"]


def test_a_daemon_tells_others_its_pods_address():
    [spec] = [s for s in pod_specs(objects(SMALL)) if "terminationGracePeriodSeconds" in s]
    variables = {one["name"]: one for one in spec["containers"][0]["env"]}
    assert variables["STREAMER_HTTP__ADVERTISED_URL"]["value"] == "http://$(POD_IP):8080"
    assert variables["POD_IP"]["valueFrom"]["fieldRef"]["fieldPath"] == "status.podIP"
