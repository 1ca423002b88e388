"""The stranger: an existing cluster with a registry. In this folder, `app` belongs to a user of one of its namespaces."""

import json
import os
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import pytest
import yaml

from tasks import PROJECT
from tests.support import driver, kind, leftovers, registries
from tests.support.driver import Tasks, docker
from tests.support.fixtures import ON_STRANGER
from tests.support.registries import Registry
from tests.support.run import Run

RBAC = PROJECT.folder / "docs" / "existing-rbac.yaml"
ROLE = "simple-server-tasks"  # its name in that file
# the API server logs each request for an object, so that a test can see which rights were used
AUDIT_LOG = "/var/log/kubernetes/audit.log"
AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
"""
CONFIG = """\
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
  - role: control-plane
    extraMounts: [{{hostPath: {folder}, containerPath: /etc/kubernetes/audit, readOnly: true}}]
    kubeadmConfigPatches:
      - |
        kind: ClusterConfiguration
        apiServer:
          extraArgs:
            - {{name: audit-log-path, value: {log}}}
            - {{name: audit-policy-file, value: /etc/kubernetes/audit/policy.yaml}}
          extraVolumes:
            - {{name: audit, hostPath: /etc/kubernetes/audit, mountPath: /etc/kubernetes/audit, readOnly: true}}
            - {{name: log, hostPath: /var/log/kubernetes, mountPath: /var/log/kubernetes, pathType: DirectoryOrCreate}}
"""


@dataclass(frozen=True)
class Stranger:
    """An existing cluster, without the owner's label, and its registry; `kubeconfig` is its administrator's.

    `name` is the name of the cluster and of its Docker network.
    """

    name: str
    kubeconfig: Path
    registry: Registry

    def kubectl(self, *words: str, stdin: str = "") -> str:
        return driver.kubectl(self.kubeconfig, *words, stdin=stdin)

    def audited(self, user: str) -> list[dict[str, Any]]:
        """Return the audit events of the user's requests that the API server has answered."""
        log = docker("exec", self.node, "cat", AUDIT_LOG)
        events = [json.loads(line) for line in log.splitlines()]
        return [event for event in events if event["user"].get("username") == user]

    @property
    def node(self) -> str:
        return f"{self.name}-control-plane"


@pytest.fixture(scope="session")
def stranger(this_run: Run) -> Stranger:
    """The run's existing cluster; the first test that needs it creates it, and the last one removes it."""
    made = this_run.once("stranger", lambda: _create(this_run))
    return Stranger(made["name"], Path(made["kubeconfig"]), Registry(*made["registry"]))


def _create(this_run: Run) -> dict[str, Any]:
    """Create a kind cluster, on a network without the owner's label, and a registry that its node trusts."""
    name, folder = this_run.unique(), this_run.folder
    kubeconfig, audit = folder / "stranger.kubeconfig", folder / "audit"
    audit.mkdir()
    (audit / "policy.yaml").write_text(AUDIT_POLICY)
    config = folder / "stranger.yaml"
    config.write_text(CONFIG.format(folder=audit, log=AUDIT_LOG))
    docker("network", "create", name)
    with mock.patch.dict(os.environ, {"KIND_EXPERIMENTAL_DOCKER_NETWORK": name}):
        kind.configured(this_run, name, kubeconfig).create(config)
    registry = registries.start(this_run, folder, network=name)
    there = Stranger(name, kubeconfig, registry)
    registry.trusted_by(there.node)
    there.kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=120s")
    return {"name": name, "kubeconfig": str(kubeconfig), "registry": registry}


@dataclass(frozen=True, kw_only=True)
class UserTasks(Tasks):
    """The tasks of a user with the rights of docs/existing-rbac.yaml in `namespace`; `kubectl` is the administrator's."""

    pull_policy: ClassVar[str] = "IfNotPresent"

    person: str
    own_kubeconfig: Path
    registry: str
    stranger: Stranger

    @property
    def environment(self) -> dict[str, str]:
        chosen = {"PROVIDER": "existing", "CONTEXT": "theirs", "KUBECONFIG": str(self.own_kubeconfig)}
        own = {f"INVOKE_CLUSTER_{name}": value for name, value in chosen.items()}
        return {**super().environment, **own, "INVOKE_APP_REGISTRY": self.registry}

    @property
    def kubeconfig(self) -> Path:
        return self.stranger.kubeconfig


@pytest.fixture
def user(stranger: Stranger, this_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserTasks]:
    """The tasks of a user with a new namespace; they ask before they change the cluster."""
    yield from _admitted(stranger, this_run, tmp_path_factory.mktemp("user"))


@pytest.fixture
def app(user: UserTasks) -> Tasks:
    """The same tasks, with --yes, in place of the suite's own `app`."""
    return replace(user, before=("--yes",))


@pytest.fixture
def kubectl(app: Tasks) -> Callable[..., str]:
    """kubectl on this cluster, in place of the one on pytest-kind's cluster."""
    return app.kubectl


@pytest.fixture
def documented_user(stranger: Stranger, this_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserTasks]:
    """The tasks of a user of the namespace in docs/existing-rbac.yaml; there can be only one at a time."""
    yield from _admitted(stranger, this_run, tmp_path_factory.mktemp("user"), PROJECT.application.name)


def _admitted(stranger: Stranger, this_run: Run, home: Path, namespace: str = "") -> Iterator[UserTasks]:
    """Yield the tasks of a user with the documented rights, in `namespace` or, if it is "", in a new one; clean up at the end."""
    rights, nodes = RBAC.read_text(), f"{ROLE}-nodes"
    if not namespace:
        namespace = f"test-{secrets.token_hex(4)}"
        rights = re.sub(rf"(?m)(?<=: ){PROJECT.application.name}$", namespace, rights.replace(nodes, f"{namespace}-nodes"))
        nodes = f"{namespace}-nodes"
    person = f"system:serviceaccount:{namespace}:ann"
    stranger.kubectl("apply", "--filename=-", stdin=rights.replace("USER_NAME", person))
    stranger.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/warn=restricted")
    stranger.kubectl("create", "serviceaccount", "ann", f"--namespace={namespace}")
    config = yaml.safe_load(stranger.kubeconfig.read_text())
    token = stranger.kubectl("create", "token", "ann", f"--namespace={namespace}").strip()
    cluster = {"name": "theirs", "cluster": config["clusters"][0]["cluster"]}
    context = {"name": "theirs", "context": {"cluster": "theirs", "user": "ann"}}
    config = {"clusters": [cluster], "users": [{"name": "ann", "user": {"token": token}}], "contexts": [context]}
    own_kubeconfig = home / "user.kubeconfig"
    own_kubeconfig.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **config}))  # no current context
    registry = f"{stranger.registry.address}/team"
    given: dict[str, Any] = {"person": person, "own_kubeconfig": own_kubeconfig, "registry": registry, "stranger": stranger}
    yield UserTasks(stranger.name, this_run.tasks.port, namespace, **given)
    if this_run.last_use("stranger", this_run.config.stash[ON_STRANGER]):
        leftovers.remove(stranger.registry.name)  # first: it is connected to the network
        leftovers.remove(stranger.name)
        return
    stranger.kubectl("delete", "service", "--all", f"--namespace={namespace}")  # first: deleting the namespace takes seconds
    stranger.kubectl("delete", "namespace", namespace, "--wait=false")
    stranger.kubectl("delete", "clusterrolebinding,clusterrole", nodes, "--ignore-not-found")
