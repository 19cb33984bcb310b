"""A Kubernetes without nodes: etcd, API server, controllers and scheduler as child processes."""

import json
import os
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from streamer.embedded.ports import free_ports
from support import chart
from support.waiting import eventually

_TOKEN = "admin-of-a-test"  # noqa: S105 - of an API server that lives for one test
_HOST = "127.0.0.1"


class Cluster:
    """What speaks to the API server: plain requests, kubectl and helm."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        # The server signs its certificate itself, on this machine, for this test.
        self._trust = ssl._create_unverified_context()  # noqa: S323 - see above
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump(_kubeconfig(url)), encoding="utf-8")
        self._environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOME": str(folder)}

    def ask(
        self, path: str, given: Any = None, method: str = "GET", kind: str = "application/json"
    ) -> Any:
        """Send a request and give the parsed answer; what is not there is None."""
        request = urllib.request.Request(  # noqa: S310 - https, see the constructor
            self._url + path,
            data=None if given is None else json.dumps(given).encode(),
            headers={"Authorization": f"Bearer {_TOKEN}", "Content-Type": kind},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=30, context=self._trust) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 404:
                    return None
                raise AssertionError(f"{method} {path}: {error.read().decode()}") from error

    def patch(self, path: str, given: Any) -> Any:
        """Change parts of an object."""
        return self.ask(path, given, "PATCH", "application/strategic-merge-patch+json")

    def items(self, path: str) -> list[dict[str, Any]]:
        """List objects."""
        return self.ask(path)["items"]

    def apply(self, *objects: dict[str, Any]) -> None:
        """Make objects, or change them."""
        self.kubectl("apply", "--server-side", "-f", "-", given=yaml.safe_dump_all(objects))

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        """Run kubectl; give what it says."""
        return self._run(chart.tool("kubectl"), *arguments, given=given)

    def helm(self, *arguments: str) -> str:
        """Run helm; give all that it says, warnings of the API server included."""
        return self._run(chart.tool("helm"), *arguments)

    def install(self, space: str, *arguments: object) -> str:
        """Install the chart as release `live`; `--set…` or a values file is an argument each."""
        given = (f"--values={one}" if isinstance(one, Path) else str(one) for one in arguments)
        return self.helm("install", "live", str(chart.CHART), f"--namespace={space}", *given)

    def pods(self, space: str, component: str = "") -> list[dict[str, Any]]:
        """List a namespace's pods, of one component or all."""
        query = f"?labelSelector=app.kubernetes.io/component%3D{component}" if component else ""
        return self.items(f"/api/v1/namespaces/{space}/pods{query}")

    def complaints(self, space: str) -> set[str]:
        """Give what controllers and the scheduler could not do."""
        events = self.items(f"/api/v1/namespaces/{space}/events")
        return {event["message"] for event in events if event["type"] == "Warning"}

    def _run(self, *command: str, given: str | None = None) -> str:
        done = subprocess.run(  # noqa: S603 - tools of this project, called by tests
            command,
            input=given,
            capture_output=True,
            text=True,
            check=False,
            env=self._environment,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr


@contextmanager
def control_plane(folder: Path) -> Iterator[Cluster]:
    """Start a Kubernetes that answers, with the CRDs that the chart's objects are of."""
    etcd, peers, server, controllers, scheduler = free_ports(5)
    url = f"https://{_HOST}:{server}"
    cluster = Cluster(url, folder)
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    (folder / "sa.key").write_bytes(key)
    (folder / "tokens.csv").write_text(f'{_TOKEN},admin,1,"system:masters"\n', encoding="utf-8")
    config, own = f"--kubeconfig={cluster.kubeconfig}", "--leader-elect=false"
    commands = {
        "etcd": [
            f"--data-dir={folder / 'etcd'}",
            f"--listen-client-urls=http://{_HOST}:{etcd}",
            f"--advertise-client-urls=http://{_HOST}:{etcd}",
            f"--listen-peer-urls=http://{_HOST}:{peers}",
            f"--initial-advertise-peer-urls=http://{_HOST}:{peers}",
            f"--initial-cluster=default=http://{_HOST}:{peers}",
            "--unsafe-no-fsync",
        ],
        "kube-apiserver": [
            f"--etcd-servers=http://{_HOST}:{etcd}",
            f"--cert-dir={folder / 'certificates'}",
            *(f"--bind-address={_HOST}", f"--advertise-address={_HOST}", f"--secure-port={server}"),
            "--endpoint-reconciler-type=none",
            "--service-cluster-ip-range=10.96.0.0/16",
            *(f"--token-auth-file={folder / 'tokens.csv'}", "--authorization-mode=RBAC"),
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={folder / 'sa.key'}",
            f"--service-account-signing-key-file={folder / 'sa.key'}",
        ],
        "kube-controller-manager": [
            *(config, own, f"--bind-address={_HOST}", f"--secure-port={controllers}"),
            f"--cert-dir={folder / 'certificates'}",
            f"--service-account-private-key-file={folder / 'sa.key'}",
        ],
        "kube-scheduler": [config, own, f"--bind-address={_HOST}", f"--secure-port={scheduler}"],
    }
    running: list[subprocess.Popen[bytes]] = []
    try:
        for name, arguments in commands.items():
            running.append(_started(folder, name, arguments))
            if name == "kube-apiserver":
                eventually(lambda: _well(cluster, running), "the API server answers", every=0.2)
        cluster.kubectl("apply", "--server-side", "-f", str(chart.TOOLS / "crds"))
        cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        # Pods are refused before their namespace has its service account.
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        eventually(lambda: cluster.ask(account), "controllers are at work", every=0.2)
        yield cluster
    finally:
        for process in reversed(running):
            process.kill()
            process.wait(20)


def _started(folder: Path, name: str, arguments: list[str]) -> subprocess.Popen[bytes]:
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(  # noqa: S603 - as above
            [chart.tool(name), *arguments], stdout=log, stderr=subprocess.STDOUT, cwd=folder
        )


def _well(cluster: Cluster, running: list[subprocess.Popen[bytes]]) -> bool:
    ended = [process.args for process in running if process.poll() is not None]
    assert not ended, f"ended at its start: {ended}"
    try:
        return cluster.ask("/api/v1/namespaces/default") is not None
    except (OSError, AssertionError):
        return False


def _kubeconfig(url: str) -> dict[str, Any]:
    server = {"server": url, "insecure-skip-tls-verify": True}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": server}],
        "users": [{"name": "admin", "user": {"token": _TOKEN}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        "current-context": "test",
    }
