"""A node that runs the pods bound to it in containers, as much of a kubelet as the chart needs.

Docker or podman runs the containers in the machine's own network: each pod has a loopback address
of its own, and the names of headless services lead there. Startup and readiness probes, volumes,
the security context, memory limits and the grace period are the pod's own.
"""

import contextlib
import itertools
import os
import re
import shlex
import shutil
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from support.controlplane import Cluster

# Options and programs around the runtime, for machines whose control groups it does not know.
RUNTIME = shlex.split(os.environ.get("STREAMER_TEST_RUNTIME", "")) or [
    next((name for name in ("docker", "podman") if shutil.which(name)), "docker")
]
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


@dataclass(frozen=True)
class Kind:
    """What a node tells about itself; it always has room."""

    name: str = "node"
    labels: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Mapping[str, str]] = ()

    def written(self) -> dict[str, Any]:
        """As the API server keeps it."""
        room = {"cpu": "64", "memory": "256Gi", "pods": "110", "ephemeral-storage": "1Ti"}
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "yes"}
        labels = {"kubernetes.io/hostname": self.name, **self.labels}
        told = {"capacity": {**room, **self.extra}, "allocatable": {**room, **self.extra}}
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": self.name, "labels": labels},
            "spec": {"taints": [dict(taint) for taint in self.taints]},
            "status": {**told, "conditions": [ready]},
        }


class Node:
    """Takes pods and tells how they are, in a thread of its own; `runs` False: only takes them."""

    def __init__(
        self, cluster: Cluster, folder: Path, kind: Kind | None = None, *, runs: bool = True
    ) -> None:
        kind = kind or Kind()
        self.name = kind.name
        self._cluster = cluster
        self._folder = folder / f"node-{kind.name}"
        self._folder.mkdir()
        self._runs = runs
        self._error: Exception | None = None
        self._pods: dict[str, RunningPod] = {}
        self._addresses = itertools.count(2)
        self._hosts = self._folder / "hosts"
        self._hosts.write_text("127.0.0.1 localhost\n", encoding="utf-8")
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"node {self.name}")
        written = kind.written()
        cluster.ask("/api/v1/nodes", written, "POST")
        cluster.patch(f"/api/v1/nodes/{self.name}/status", {"status": written["status"]})
        cluster.ask(_LEASES, {"metadata": {"name": self.name}, "spec": self._lease()}, "POST")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(60)
        for pod in self._pods.values():
            pod.kill()
        self._cluster.kubectl("delete", "node", self.name)
        if self._error is not None:
            raise self._error

    def log(self, part: str) -> str:
        """What the containers of pods with this in their name have written."""
        found = sorted(self._folder.glob(f"*{part}*/*.log"))
        return "".join(file.read_text(encoding="utf-8", errors="replace") for file in found)

    def _work(self) -> None:
        try:
            while not self._end.wait(0.3):
                self._cluster.patch(f"{_LEASES}/{self.name}", {"spec": self._lease()})
                if self._runs:
                    self._look()
        except Exception as error:  # noqa: BLE001 - raised where the node is left
            self._error = error

    def _look(self) -> None:
        bound = self._cluster.items(f"/api/v1/pods?fieldSelector=spec.nodeName%3D{self.name}")
        self._name_services()
        for pod in bound:
            uid = pod["metadata"]["uid"]
            if uid not in self._pods:
                address = f"127.0.0.{next(self._addresses)}"
                self._pods[uid] = RunningPod(self._cluster, pod, self._folder, address, self._hosts)
            self._pods[uid].tend(pod)
        for uid in self._pods.keys() - {pod["metadata"]["uid"] for pod in bound}:
            self._pods.pop(uid).kill()

    def _name_services(self) -> None:
        """Write /etc/hosts of all containers: what cluster DNS says of headless services."""
        lines = ["127.0.0.1 localhost"]
        for service in self._cluster.items("/api/v1/services"):
            selector = (service["spec"].get("selector") or {}).items()
            lines += [
                f"{pod.address} {service['metadata']['name']}"
                for pod in self._pods.values()
                if selector and selector <= pod.labels.items()
            ]
        text = "\n".join(lines) + "\n"
        if text != self._hosts.read_text(encoding="utf-8"):
            self._hosts.write_text(text, encoding="utf-8")

    def _lease(self) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {"holderIdentity": self.name, "leaseDurationSeconds": 40, "renewTime": now}


class RunningPod:
    """The containers of one pod."""

    def __init__(
        self, cluster: Cluster, pod: dict[str, Any], folder: Path, address: str, hosts: Path
    ) -> None:
        self.address = address
        self.labels: dict[str, str] = pod["metadata"].get("labels", {})
        self._cluster = cluster
        self._pod = pod
        self._hosts = hosts
        self._space = pod["metadata"]["namespace"]
        self._path = f"/api/v1/namespaces/{self._space}/pods/{pod['metadata']['name']}"
        self._folder = folder / f"{pod['metadata']['name']}-{pod['metadata']['uid'][:6]}"
        self._folder.mkdir()
        self._volumes = {one["name"]: self._volume(one) for one in pod["spec"].get("volumes", [])}
        self._started: set[str] = set()
        self._told: Any = None
        self._stop: list[subprocess.Popen[bytes]] = []
        self._running = {one["name"]: self._run(one) for one in pod["spec"]["containers"]}

    def tend(self, pod: dict[str, Any]) -> None:
        """Probe, tell how the containers are, and end them when that is asked for."""
        self._pod = pod
        if "deletionTimestamp" in pod["metadata"] and not self._stop:
            # As a kubelet does: SIGTERM, and SIGKILL after the grace period.
            grace = pod["metadata"]["deletionGracePeriodSeconds"]
            self._stop = [
                _spawned("stop", f"--time={grace}", self._container(name))
                for name, process in self._running.items()
                if process.poll() is None
            ]
        status = self._status()
        if status != self._told:
            self._cluster.patch(f"{self._path}/status", {"status": status})
            self._told = status
        ended = all(process.poll() is not None for process in self._running.values())
        if "deletionTimestamp" in pod["metadata"] and ended:
            options = {"gracePeriodSeconds": 0, "preconditions": {"uid": pod["metadata"]["uid"]}}
            self._cluster.ask(self._path, options, "DELETE")

    def kill(self) -> None:
        """End what still runs."""
        for name, process in self._running.items():
            if process.poll() is None:
                _spawned("kill", self._container(name)).wait(60)
                process.wait(60)
        for process in self._stop:
            process.wait(60)

    def _status(self) -> dict[str, Any]:
        found = [self._container_status(one) for one in self._pod["spec"]["containers"]]
        codes = [process.poll() for process in self._running.values()]
        ready = all(one["ready"] for one in found)
        phase = "Running"
        if None not in codes:
            phase = "Failed" if any(codes) else "Succeeded"
        truth = "True" if ready else "False"
        return {
            "phase": phase,
            "podIP": self.address,
            "podIPs": [{"ip": self.address}],
            "conditions": [
                {"type": kind, "status": truth} for kind in ("Ready", "ContainersReady")
            ],
            "containerStatuses": found,
        }

    def _container_status(self, container: dict[str, Any]) -> dict[str, Any]:
        name = container["name"]
        code = self._running[name].poll()
        if name not in self._started and self._well(container.get("startupProbe")):
            self._started.add(name)
        started = code is None and name in self._started
        state: dict[str, Any] = {"running": {}}
        if code is not None:
            state = {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed"}}
        return {
            "name": name,
            "image": container["image"],
            "imageID": container["image"],
            "restartCount": 0,
            "started": started,
            "ready": started and self._well(container.get("readinessProbe")),
            "state": state,
        }

    def _well(self, probe: dict[str, Any] | None) -> bool:
        if probe is None:
            return True
        ports = {
            port["name"]: port["containerPort"]
            for container in self._pod["spec"]["containers"]
            for port in container.get("ports", [])
        }
        asked = probe["httpGet"]
        url = f"http://{self.address}:{ports[asked['port']]}{asked['path']}"
        try:
            with urllib.request.urlopen(url, timeout=probe["timeoutSeconds"]) as answer:
                return 200 <= answer.status < 400
        except urllib.error.HTTPError as error:
            error.close()
            return False
        except OSError:
            return False

    def _container(self, name: str) -> str:
        return f"{self._folder.name}-{name}"

    def _run(self, container: dict[str, Any]) -> "subprocess.Popen[bytes]":
        name = container["name"]
        whole, own = self._pod["spec"]["securityContext"], container["securityContext"]
        options = [
            f"--name={self._container(name)}",
            *("--rm", "--network=host", "--no-healthcheck", "--pull=never"),
            f"--user={whole['runAsUser']}:{whole['runAsGroup']}",
            f"--group-add={whole['fsGroup']}",
            f"--volume={self._hosts}:/etc/hosts:ro",
            f"--memory={_bytes(container['resources']['limits']['memory'])}",
            *(f"--env={key}={value}" for key, value in self._variables(container).items()),
            *(f"--cap-drop={one}" for one in own["capabilities"]["drop"]),
        ]
        options += ["--read-only"] if own["readOnlyRootFilesystem"] else []
        options += [] if own["allowPrivilegeEscalation"] else ["--security-opt=no-new-privileges"]
        for mount in container.get("volumeMounts", []):
            access = "ro" if mount.get("readOnly") else "rw"
            place = self._volumes[mount["name"]]
            options.append(f"--volume={place}:{mount['mountPath']}:{access}")
        entry, *command = container.get("command", [""])
        options += [f"--entrypoint={entry}"] if entry else []
        arguments = [*command, *container.get("args", [])]
        return _spawned(
            *("run", *options, container["image"], *arguments), log=self._folder / f"{name}.log"
        )

    def _variables(self, container: dict[str, Any]) -> dict[str, str]:
        known: dict[str, str] = {}
        for one in container.get("env", []):
            value = one.get("value", "")
            source = one.get("valueFrom", {})
            if "fieldRef" in source:
                fields = {
                    "metadata.name": self._pod["metadata"]["name"],
                    "status.podIP": self.address,
                }
                value = fields[source["fieldRef"]["fieldPath"]]
            # $(NAME) of a variable before this one, as Kubernetes has it.
            known[one["name"]] = re.sub(
                r"\$\((\w+)\)", lambda found: known.get(found[1], found[0]), value
            )
        return known

    def _volume(self, volume: dict[str, Any]) -> Path:
        made = self._folder / volume["name"]
        if "configMap" in volume:
            name = volume["configMap"]["name"]
            kept = self._cluster.ask(f"/api/v1/namespaces/{self._space}/configmaps/{name}")
            made.mkdir()
            for key, text in kept["data"].items():
                (made / key).write_text(text, encoding="utf-8")
        elif "persistentVolumeClaim" in volume:
            claim = volume["persistentVolumeClaim"]["claimName"]
            spaces = f"/api/v1/namespaces/{self._space}/persistentvolumeclaims/{claim}"
            bound = self._cluster.ask(spaces)["spec"]["volumeName"]
            spec = self._cluster.ask(f"/api/v1/persistentvolumes/{bound}")["spec"]
            return Path(spec["hostPath"]["path"])
        elif "emptyDir" in volume:
            made.mkdir()
            made.chmod(0o777)  # instead of the pod's fsGroup, which needs root
        else:
            raise AssertionError(f"a volume that a test's node has none of: {volume}")
        return made


def _spawned(*arguments: str, log: Path | None = None) -> "subprocess.Popen[bytes]":
    with log.open("wb") if log else contextlib.nullcontext(subprocess.DEVNULL) as out:
        return subprocess.Popen(  # noqa: S603 - the runtime, called by tests
            [*RUNTIME, *arguments], stdout=out, stderr=subprocess.STDOUT
        )


def _bytes(quantity: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(Ki|Mi|Gi)", quantity).groups()
    return int(number) * 1024 ** (("Ki", "Mi", "Gi").index(unit) + 1)
