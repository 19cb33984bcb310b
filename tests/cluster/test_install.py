"""The chart on a real Kubernetes API server, with its controllers and scheduler; no kubelets.

`make cluster-test` builds it. Namespaces enforce the `restricted` pod security standard.
"""

import pytest
import yaml
from support import chart
from support.node import Kind, Node
from support.waiting import eventually

pytestmark = pytest.mark.timeout(600)
SMALL, LARGE = (chart.CHART / "examples" / f"{name}.yaml" for name in ("small", "large"))
GPU = "nvidia.com/gpu"


@pytest.mark.parametrize("example", chart.EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_taken_whole_and_its_pods_are_strict_enough(example, cluster, space):
    tried = cluster.install(space, example, "--dry-run=server")
    assert "violate" not in tried
    assert cluster.pods(space) == []
    assert "violate" not in cluster.install(space, example)
    manifest = cluster.helm("get", "manifest", "live", f"-n={space}")
    there = cluster.kubectl("get", f"-n={space}", "-f", "-", "-o", "name", given=manifest)
    objects = [one for one in yaml.safe_load_all(manifest) if one]
    assert len(there.splitlines()) == len(objects)
    # The pods of `helm test` too, in every field.
    strict = ("apply", "--dry-run=server", "--validate=strict", f"--namespace={space}", "-f", "-")
    assert "violate" not in cluster.kubectl(*strict, given=chart.templated(example).stdout)
    wanted = {
        one["metadata"]["name"]: one["spec"].get("replicas", 1)
        for one in objects
        if one["kind"] in ("Deployment", "StatefulSet")
    }

    def made():
        names = [pod["metadata"]["name"] for pod in cluster.pods(space)]
        return {name: sum(pod.startswith(f"{name}-") for pod in names) for name in wanted} == wanted

    eventually(made, "the controllers have made every workload's pods")
    told = cluster.complaints(space)
    assert not [message for message in told if "forbidden" in message or "violates" in message]


def test_the_namespace_would_refuse_a_pod_that_is_not_strict(cluster, space):
    loose = 'daemon.extraContainers=[{"name":"loose","image":"registry.example.com/loose:1"}]'
    assert "would violate PodSecurity" in cluster.install(space, SMALL, f"--set-json={loose}")
    eventually(
        lambda: any("violates PodSecurity" in told for told in cluster.complaints(space)),
        "the pod is refused",
    )
    assert cluster.pods(space) == []


def test_models_from_an_image_fit_strict_namespaces(cluster, space):
    models = 'models={"image":"registry.example.com/models:1","existingClaim":""}'
    assert "violate" not in cluster.install(space, SMALL, f"--set-json={models}")
    eventually(lambda: cluster.pods(space), "the pod is made")


def test_an_upgrade_and_a_rollback_are_taken(cluster, space):
    cluster.install(space, LARGE)
    changed = ("--set=topologies.intents.daemon.replicas=2", "--set=livePage.enabled=false")
    cluster.helm("upgrade", "live", str(chart.CHART), f"-f={LARGE}", f"-n={space}", *changed)
    found = f"/apis/apps/v1/namespaces/{space}"
    stateful = f"{found}/statefulsets/live-streamer-intents"
    page = f"{found}/deployments/live-streamer-live-page"
    assert cluster.ask(stateful)["spec"]["replicas"] == 2
    assert cluster.ask(page) is None
    cluster.helm("rollback", "live", "1", f"-n={space}")
    assert cluster.ask(stateful)["spec"]["replicas"] == 4
    assert cluster.ask(page) is not None


def test_the_scheduler_gives_a_gpu_to_one_pod_and_keeps_others_off_its_node(
    cluster, space, tmp_path
):
    taint = {"key": GPU, "value": "present", "effect": "NoSchedule"}
    with_gpu = Kind("gpu", {f"{GPU}.present": "true"}, {GPU: "1"}, [taint])
    with (
        Node(cluster, tmp_path, Kind("plain"), runs=False),
        Node(cluster, tmp_path, with_gpu, runs=False),
    ):
        cluster.install(space, LARGE)

        def places(component):
            return [pod["spec"].get("nodeName") for pod in cluster.pods(space, component)]

        eventually(lambda: places("street") == ["gpu"], "the pod has its GPU")
        eventually(lambda: places("intents") == ["plain"] * 4, "the others are elsewhere")
        eventually(lambda: places("retrain-intents") == ["plain"], "the sidecar, too")
        # What KEDA does when there is lag.
        scaled = "deployment/live-streamer-street"
        cluster.kubectl("scale", scaled, "--replicas=2", f"-n={space}")
        eventually(
            lambda: any(f"Insufficient {GPU}" in told for told in cluster.complaints(space)),
            "the second pod waits for a GPU",
        )
        assert sorted(places("street"), key=str) == [None, "gpu"]
