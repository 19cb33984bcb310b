"""A Kubernetes for the tests of this folder, and namespaces in it."""

import os
from uuid import uuid4

import pytest
from support.controlplane import control_plane
from support.waiting import eventually


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    if not os.environ.get("STREAMER_TEST_CLUSTER"):
        pytest.skip("platform: no Kubernetes API server was built (make cluster-test)")
    with control_plane(tmp_path_factory.mktemp("cluster")) as made:
        # What the large example names and a platform has.
        priority = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": 1000}
        runtime = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "handler": "nvidia"}
        made.apply(
            {**priority, "metadata": {"name": "business-critical"}},
            {**runtime, "metadata": {"name": "nvidia"}},
        )
        yield made


@pytest.fixture
def models(tmp_path):
    """What the claim `models` leads to; whoever is in a pod may write there."""
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def space(cluster, models):
    """A namespace that takes no pods but strict ones, with a claim `models`."""
    name = f"test-{uuid4().hex[:8]}"
    enforced = {f"pod-security.kubernetes.io/{how}": "restricted" for how in ("enforce", "warn")}
    namespace = {"apiVersion": "v1", "kind": "Namespace"}
    cluster.apply({**namespace, "metadata": {"name": name, "labels": enforced}})
    account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
    eventually(lambda: cluster.ask(account), "the namespace has its service account")
    shared = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    volume = {"capacity": {"storage": "1Gi"}, "hostPath": {"path": str(models)}, **shared}
    wanted = {"resources": {"requests": {"storage": "1Gi"}}, "volumeName": name, **shared}
    core = {"apiVersion": "v1"}
    cluster.apply(
        {**core, "kind": "PersistentVolume", "metadata": {"name": name}, "spec": volume},
        {
            **core,
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "models", "namespace": name},
            "spec": wanted,
        },
    )
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")
