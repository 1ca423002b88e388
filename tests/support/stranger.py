"""A stranger: a cluster of others, created without the tasks, with a registry, and users who may use one namespace of it."""

import base64
import contextlib
import json
import re
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from pytest_kind import KindCluster

from kubetasks.engine import client
from kubetasks.setup import requirements
from tasks import PROJECT
from tests.support import leftovers, registries
from tests.support.driver import Ended, Tasks
from tests.support.fixtures import ON_STRANGER
from tests.support.registries import Registry
from tests.support.run import Run

RBAC = PROJECT.folder / "docs" / "existing-rbac.yaml"
ROLE = "simple-server-tasks"  # its name there
# the API server writes down each request for an object, so that a test can see which rights were used
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
HOSTS = """\
server = "http://{inside}"
"""


@dataclass(frozen=True)
class Stranger:
    """A cluster that carries no label of ours, and its registry; `kubeconfig` is that of its administrator.

    `name` is that of the cluster and of its Docker network.
    """

    name: str
    kubeconfig: Path
    registry: Registry

    def kubectl(self, *words: str, stdin: str = "") -> str:
        argv = [requirements.kubectl().reference, "--kubeconfig", str(self.kubeconfig), *words]
        ended = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=120)
        assert ended.returncode == 0, f"kubectl {words}: {ended.stderr}"
        return ended.stdout

    def trust(self, registry: Registry) -> None:
        """Let the node pull without TLS, under the name that this machine has for the registry."""
        folder = f"/etc/containerd/certs.d/{registry.address}"
        script = f"mkdir -p {folder} && cat > {folder}/hosts.toml"
        hosts = HOSTS.format(inside=registry.inside)
        subprocess.run(["docker", "exec", "-i", self.node, "sh", "-ec", script], input=hosts, text=True, check=True)

    def audited(self, user: str) -> list[dict[str, Any]]:
        """The requests of a user that the API server has answered."""
        log = subprocess.check_output(["docker", "exec", self.node, "cat", AUDIT_LOG], text=True)
        events = [json.loads(line) for line in log.splitlines()]
        return [event for event in events if event["user"].get("username") == user]

    @property
    def node(self) -> str:
        return f"{self.name}-control-plane"


@pytest.fixture(scope="session")
def stranger(this_run: Run) -> Stranger:
    """The run's cluster of others, which the first test that needs it creates and the last one removes."""
    made = this_run.once("stranger", lambda: _create(this_run, Path(this_run.folder)))
    return Stranger(made["name"], Path(made["kubeconfig"]), Registry(*made["registry"]))


def _create(this_run: Run, folder: Path) -> dict[str, Any]:
    """Create a kind cluster on a network without our label, and a registry that its node knows."""
    name = f"{this_run.throwaway().cluster}-theirs"
    kubeconfig, audit = folder / "stranger.kubeconfig", folder / "audit"
    audit.mkdir()
    (audit / "policy.yaml").write_text(AUDIT_POLICY)
    config = folder / "stranger.yaml"
    config.write_text(CONFIG.format(folder=audit, log=AUDIT_LOG))
    settings = this_run.tasks.settings
    subprocess.run(["docker", "network", "create", name], check=True, capture_output=True)
    with pytest.MonkeyPatch.context() as environment, contextlib.chdir(folder):  # pytest-kind creates a folder for downloads
        environment.setenv("KIND_EXPERIMENTAL_DOCKER_NETWORK", name)
        KindCluster(
            name,
            kubeconfig=kubeconfig,
            image=requirements.KIND_NODE_IMAGE.find(client.connect(), settings).reference,
            kind_path=Path(requirements.KIND.find(None, settings).reference),
            kubectl_path=Path(requirements.kubectl().reference),
        ).create(config_file=config)
    registry = registries.start(this_run, folder, network=name)
    there = Stranger(name, kubeconfig, registry)
    there.trust(registry)
    there.kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=120s")
    return {
        "name": name,
        "kubeconfig": str(kubeconfig),
        "registry": [registry.address, registry.inside, registry.name, registry.image],
    }


@dataclass(frozen=True)
class UserTasks(Tasks):
    """The tasks of a user with the rights of docs/existing-rbac.yaml in `namespace`; `kubectl` is the administrator's."""

    pull_policy: ClassVar[str] = "IfNotPresent"

    person: str = ""
    folder: Path = Path()
    registry: str = ""
    stranger: Stranger = field(kw_only=True)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **super().environment,
            "INVOKE_CLUSTER_PROVIDER": "existing",
            "INVOKE_CLUSTER_CONTEXT": "theirs",
            "INVOKE_CLUSTER_KUBECONFIG": str(self.own_kubeconfig),
            "INVOKE_APP_REGISTRY": self.registry,
        }

    @property
    def own_kubeconfig(self) -> Path:
        return self.folder / "user.kubeconfig"

    @property
    def kubeconfig(self) -> Path:
        return self.stranger.kubeconfig


@dataclass(frozen=True)
class AgreeingTasks(UserTasks):
    """The tasks of a user who agrees to each change of the cluster of others."""

    def __call__(self, *words: str, code: int | None = 0) -> Ended:
        return super().__call__("--yes", *words, code=code)

    def typed(self, *words: str, code: int | None = 0, folder: Path = PROJECT.folder, **environment: str) -> Ended:
        return super().typed("--yes", *words, code=code, folder=folder, **environment)


@pytest.fixture
def user(stranger: Stranger, this_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserTasks]:
    """The tasks of a user of a fresh namespace, who is asked before the cluster is changed."""
    yield from _admitted(UserTasks, stranger, this_run, tmp_path_factory.mktemp("user"))


@pytest.fixture
def app(stranger: Stranger, this_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tasks]:
    """The tasks of such a user who agrees to everything, in place of the suite's own `app`."""
    yield from _admitted(AgreeingTasks, stranger, this_run, tmp_path_factory.mktemp("user"))


@pytest.fixture
def documented_user(stranger: Stranger, this_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserTasks]:
    """A user of the namespace that docs/existing-rbac.yaml names; there can be one at a time."""
    yield from _admitted(UserTasks, stranger, this_run, tmp_path_factory.mktemp("user"), PROJECT.application.name)


def _admitted(kind: type[UserTasks], stranger: Stranger, this_run: Run, folder: Path, namespace: str = "") -> Iterator[Any]:
    """A user of that kind with the documented rights, in a namespace of that user's own unless one is given."""
    rights, own = RBAC.read_text(), f"test-{secrets.token_hex(4)}"
    person = f"ann-{own}"
    if not namespace:
        namespace = own
        rights = re.sub(
            rf"(?m)(?<=: ){PROJECT.application.name}$", namespace, rights.replace(f"{ROLE}-nodes", f"{namespace}-nodes")
        )
    stranger.kubectl("apply", "--filename=-", stdin=rights.replace("USER_NAME", person))
    stranger.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/warn=restricted")
    registry = f"{stranger.registry.address}/team"
    user = kind(stranger.name, this_run.port, namespace, person, folder, registry, stranger=stranger)
    user.own_kubeconfig.write_text(yaml.safe_dump(_kubeconfig(stranger, person, folder)))
    yield user
    if this_run.last_use("stranger", this_run.config.stash[ON_STRANGER]):
        leftovers.remove(stranger.registry.name)  # first: it is on the network
        leftovers.remove(stranger.name)
        return
    stranger.kubectl("delete", "service", "--all", f"--namespace={namespace}")  # first: the namespace takes seconds
    stranger.kubectl("delete", "namespace", namespace, "--wait=false")
    nodes = f"{ROLE if namespace == PROJECT.application.name else namespace}-nodes"
    stranger.kubectl("delete", "clusterrolebinding,clusterrole", nodes, "--ignore-not-found")


def _kubeconfig(stranger: Stranger, person: str, folder: Path) -> dict[str, Any]:
    """A kubeconfig for a user, whose certificate the cluster has signed; it has no current context."""
    key, request = folder / "key.pem", folder / "request.pem"
    words = ["req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={person}", "-keyout", str(key), "-out", str(request)]
    subprocess.run(["openssl", *words], check=True, capture_output=True)
    spec = {
        "request": base64.b64encode(request.read_bytes()).decode(),
        "signerName": "kubernetes.io/kube-apiserver-client",
        "usages": ["client auth"],
    }
    item = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": person},
        "spec": spec,
    }
    stranger.kubectl("create", "--filename=-", stdin=json.dumps(item))
    stranger.kubectl("certificate", "approve", person)
    stranger.kubectl("wait", f"csr/{person}", "--for=jsonpath={.status.certificate}", "--timeout=30s")
    certificate = stranger.kubectl("get", "csr", person, "--output=jsonpath={.status.certificate}")
    cluster = yaml.safe_load(stranger.kubeconfig.read_text())["clusters"][0]["cluster"]
    data = {"client-certificate-data": certificate, "client-key-data": base64.b64encode(key.read_bytes()).decode()}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "theirs", "cluster": cluster}],
        "users": [{"name": person, "user": data}],
        "contexts": [{"name": "theirs", "context": {"cluster": "theirs", "user": person}}],
    }
