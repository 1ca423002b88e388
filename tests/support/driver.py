"""The tasks as a user types them, on one cluster and in one namespace."""

import dataclasses
import io
import ipaddress
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE
from typing import Any, ClassVar, Self
from unittest import mock

from kubetasks.__main__ import Tasks as Program
from kubetasks.project.settings import Settings
from kubetasks.providers.base import Provider
from kubetasks.setup import requirements
from kubetasks.terminal.interruption import EXIT_CODE as INTERRUPTED
from kubetasks.testing.cluster import Cluster
from kubetasks.testing.ledger import Ledger
from tasks import PROJECT, ns
from tests.support import signals, source

# the user's settings that the tests respect; they choose the others
HEARD = ("INVOKE_CLUSTER_PROVIDER", "INVOKE_CLUSTER_KUBERNETES", "INVOKE_SETUP_IMAGES")
SECONDS = 300
EMPTY = "\0" * 10240  # an empty tar archive, which docker can import
NODE_PORT = 30080  # the one that a kind cluster maps to this machine; its first service gets it


@dataclass(frozen=True)
class Ended:
    """What a command printed, and its exit code."""

    code: int
    stdout: str
    stderr: str

    def expected(self, words: Sequence[str], code: int | None) -> Self:
        """Fail the test if the exit code is not `code`; None allows any. Return the object itself."""
        assert code in (None, self.code), f"{' '.join(words)} ended with {self.code}, not {code}:\n{self.stdout}{self.stderr}"
        return self


@dataclass(frozen=True)
class Tasks:
    """`tasks("deploy")` does what `inv deploy` does, in this process; `tasks.typed("deploy")` runs the real command line.

    In a copy of the project, both run the command line. Both fail the test if the exit code is not `code`, see `Ended`.
    """

    pull_policy: ClassVar[str] = "Never"  # of the pods: the tasks have delivered the image to the nodes

    cluster: str
    port: int
    namespace: str = "default"
    app: str = PROJECT.application.name
    folder: Path = PROJECT.folder
    before: tuple[str, ...] = ()  # what this user always types before the tasks

    def renamed(self, folder: Path) -> Self:
        """Copy the project, rename its application, and return the copy's tasks, which remove no image of another test."""
        name = f"{self.cluster}-t{secrets.token_hex(2)}"
        return dataclasses.replace(self, app=name, folder=source.renamed(folder, name))

    def __call__(self, *words: str, code: int | None = 0) -> Ended:
        if self.folder != PROJECT.folder:
            return self.typed(*words, code=code)
        words = (*self.before, *words)
        out, err = io.StringIO(), io.StringIO()
        with mock.patch.dict(os.environ, self.environment), redirect_stdout(out), redirect_stderr(err):
            ended = _invoke(words)
        return Ended(ended, out.getvalue(), err.getvalue()).expected(["inv", *words], code)

    def typed(self, *words: str, code: int | None = 0, folder: Path | None = None, **environment: str) -> Ended:
        """Run the command line, in another copy of the project if `folder` is given."""
        argv = [sys.executable, "-m", "kubetasks", *self.before, *words]
        return run(argv, folder or self.folder, self.environment | environment, code=code)

    def json(self, *words: str) -> dict[str, Any]:
        """Return the document that a task prints with --json."""
        return dict(json.loads(self(*words, "--json").stdout))

    def kubectl(self, *words: str, stdin: str = "") -> str:
        """Return what kubectl prints in this namespace; fail the test if kubectl fails."""
        return kubectl(self.kubeconfig, f"--namespace={self.namespace}", *words, stdin=stdin)

    def get(self, *words: str) -> dict[str, Any]:
        """Return an object, or a list of objects under `items`."""
        return dict(json.loads(self.kubectl("get", *words, "--output=json")))

    def nodes(self) -> list[str]:
        """Return the names of the nodes, which are also the names of their containers."""
        return [node["metadata"]["name"] for node in self.get("nodes")["items"]]

    def node_images(self) -> dict[str, str]:
        """Return the digests of all images on the only node, by name."""
        (node,) = self.nodes()
        listing = docker("exec", node, "ctr", "--namespace=k8s.io", "images", "ls")
        rows = [line.split() for line in listing.splitlines()[1:]]
        return {name: digest for name, _type, digest, *_ in (row for row in rows if len(row) > 2)}  # no digest during its removal

    def pods(self) -> set[str]:
        """Return the names of the pods in this namespace, including terminating ones."""
        return {pod["metadata"]["name"] for pod in self.get("pods")["items"]}

    def url(self) -> str:
        """Return the URL of the exposed service."""
        return self("service").stdout.strip()

    def printed(self) -> dict[str, str]:
        """Return the URLs that `status` lists, by the way each is reached, such as "node port"."""
        return {one["way"]: one["url"] for one in self.json("status")["addresses"]}

    def addresses(self) -> dict[str, str]:
        """Return the URLs where the exposed service must answer, by way, from the engine and the cluster, not from the tasks."""
        service, node = self.get("service", self.app), self.get("nodes")["items"][0]
        ((ours, behind),) = [(one["port"], one["nodePort"]) for one in service["spec"]["ports"]]
        if self.settings.provider != "kind":
            (host,) = [one["address"] for one in node["status"]["addresses"] if one["type"] == "InternalIP"]
            return {"node port": f"http://{host}:{behind}/"}
        given = [one["ip"] for one in service["status"]["loadBalancer"].get("ingress", [])]
        assert len(given) == 1, "the load balancer gives an address"
        (binding,) = json.loads(docker("inspect", node["metadata"]["name"]))[0]["NetworkSettings"]["Ports"][f"{NODE_PORT}/tcp"]
        (network,) = json.loads(docker("network", "inspect", self.cluster))[0]["IPAM"]["Config"]
        assert ipaddress.ip_address(given[0]) in ipaddress.ip_network(network["Subnet"]), "it can be reached from here"
        first = {"mapped port": f"http://{binding['HostIp']}:{binding['HostPort']}/"} if behind == NODE_PORT else {}
        return first | {"load balancer": f"http://{given[0]}:{ours}/"}

    @property
    def environment(self) -> dict[str, str]:
        chosen = {"CLUSTER_NAME": self.cluster, "CLUSTER_PORT": str(self.port), "APP_NAMESPACE": self.namespace}
        return {f"INVOKE_{name}": value for name, value in chosen.items()}

    @property
    def settings(self) -> Settings:
        """The settings that result from this environment."""
        return self.as_cluster().settings

    @property
    def kubeconfig(self) -> Path:
        return Path(self.provider().kubeconfig)

    def as_cluster(self, ledger: Ledger | None = None) -> Cluster:
        """Return this cluster as an object of the package's fixtures."""
        app = dataclasses.replace(PROJECT.application, source=dataclasses.replace(PROJECT.application.source, name=self.app))
        project = dataclasses.replace(PROJECT, folder=self.folder, application=app)
        return Cluster(project, {}, ledger, os.environ | self.environment)

    def provider(self) -> Provider:
        """Return the provider of this cluster."""
        return self.as_cluster().run().provider


def docker(*words: str, stdin: str | None = None) -> str:
    """Return what docker prints. Raises CalledProcessError. A terminal's Ctrl-C does not reach it: it may clean up after one."""
    return subprocess.run(["docker", *words], input=stdin, stdout=PIPE, check=True, text=True, process_group=0).stdout


def _invoke(words: tuple[str, ...]) -> int:
    """Run tasks in this process; return the exit code. Raises KeyboardInterrupt after Ctrl-C, to end the suite."""
    code = 0
    try:
        Program(name="inv", binary="./inv", binary_names=["inv"], namespace=ns).run(["inv", *words])
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        signals.restore()
    if code == INTERRUPTED or signals.received():
        raise KeyboardInterrupt
    return code


def kubectl(kubeconfig: Path, *words: str, stdin: str = "") -> str:
    """Return what kubectl prints; fail the test if kubectl fails."""
    return run([requirements.kubectl().reference, f"--kubeconfig={kubeconfig}", *words], stdin=stdin).stdout


def run(
    argv: list[str], folder: Path = PROJECT.folder, environment: Mapping[str, str] = {}, *, stdin: str = "", code: int | None = 0
) -> Ended:
    """Run a program. If the suite is interrupted, or after SECONDS, end it with SIGTERM, so that it can still clean up."""
    with subprocess.Popen(
        argv, cwd=folder, env=os.environ | environment, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True
    ) as process:
        try:
            out, err = process.communicate(stdin, timeout=SECONDS)
        except BaseException:
            process.terminate()
            raise
    return Ended(process.returncode, out, err).expected(argv, code)
