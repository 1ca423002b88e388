"""A cluster of others: created without the tasks, with a registry, for a user who may use one namespace."""

import base64
import contextlib
import json
import os
import pty
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import pytest
import yaml
from pytest_kind import KindCluster

from kubetasks import artifacts, engine
from kubetasks.application import APPLICATION, PROJECT
from kubetasks.equivalents import NETWORK_VARIABLE
from kubetasks.kube.client import Kube
from tests.integration import answers, locks, registries
from tests.integration.answers import REQUESTS
from tests.integration.driver import SECONDS, Ended, Tasks
from tests.integration.eventually import eventually
from tests.integration.programs import paste
from tests.integration.registries import Registry
from tests.integration.run import Run

# what holds on each provider is tested here with the `app` below
from tests.integration.test_deployment import (  # noqa: F401
    test_a_changed_source_rolls_out_and_the_old_replica_set_goes_to_zero,
    test_a_second_deploy_changes_nothing_and_restarts_no_pod,
    test_as_json_a_task_tells_its_outcome_and_the_seconds_of_its_stages,
    test_it_comes_up_and_serves_the_image_that_was_built,
    test_pods_that_serve_another_build_than_the_one_that_was_built_are_named,
    test_restricted_pod_security_admits_its_pods_without_a_warning,
)
from tests.integration.test_exposure import (  # noqa: F401
    test_it_answers_in_each_way_that_the_provider_has_until_unexpose,
    test_unexpose_ends_it_and_a_second_expose_keeps_the_address,
)
from tests.integration.test_no_request_lost import (  # noqa: F401
    test_while_a_new_build_rolls_out,
    test_while_scaling_to_one_and_back,
)
from tests.integration.test_removal import (  # noqa: F401
    test_what_cannot_be_deleted_is_named_with_what_keeps_it,
    test_what_does_not_carry_our_label_is_left_alone,
)
from tests.integration.test_scaling import (  # noqa: F401
    test_from_three_to_one_and_back,
    test_scaled_to_nothing_nobody_answers_and_status_says_so,
    test_the_documented_autoscaler_is_accepted_and_deploy_leaves_its_replicas_alone,
    test_three_pods_answer_and_their_counts_add_up,
)

RBAC = PROJECT / "docs" / "existing-rbac.yaml"
NAMESPACE = APPLICATION.name  # the default on a cluster of others
USER = "ann"
CREATED = 201
API_PATH = re.compile(
    r"/api(s/[^/]+)?/[^/]+(/namespaces/[^/]+(?=/))?/(?P<resource>[a-z]+)(/(?P<name>[^/]+)(/(?P<subresource>[a-z]+))?)?"
)
HOSTS = """\
server = "http://{inside}"
"""


@dataclass(frozen=True)
class Stranger:
    """A cluster that carries no label of ours; `kubeconfig` is that of its administrator."""

    cluster: KindCluster
    kubeconfig: Path
    registry: Registry
    network: str

    def kubectl(self, *words: str, stdin: str = "") -> str:
        argv = [artifacts.kubectl().reference, "--kubeconfig", str(self.kubeconfig), *words]
        ended = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=120)
        assert ended.returncode == 0, f"kubectl {words}: {ended.stderr}"
        return ended.stdout

    def get(self, *words: str) -> Any:
        return json.loads(self.kubectl("get", "--namespace", NAMESPACE, "--output=json", *words))


@pytest.fixture(scope="module")
def stranger(this_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stranger]:
    """A kind cluster on a network without our label, and a registry that its node knows."""
    folder = tmp_path_factory.mktemp("stranger")
    name = f"{this_run.throwaway().cluster}-theirs"
    kubeconfig = folder / "kubeconfig"
    with contextlib.chdir(folder):  # where pytest-kind creates a folder for downloads
        cluster = KindCluster(
            name,
            kubeconfig=kubeconfig,
            image=artifacts.node_image(engine.connect(), this_run.tasks.settings).reference,
            kind_path=Path(artifacts.kind(this_run.tasks.settings).reference),
            kubectl_path=Path(artifacts.kubectl().reference),
        )
    with contextlib.ExitStack() as made:
        with locks.engine().read_lock(), pytest.MonkeyPatch.context() as environment:
            subprocess.run(["docker", "network", "create", name], check=True, capture_output=True)
            made.callback(subprocess.run, ["docker", "network", "rm", name], check=True, capture_output=True)
            environment.setenv(NETWORK_VARIABLE, name)
            made.callback(cluster.delete)
            cluster.create()
            registry = made.enter_context(registries.serve(this_run, folder, network=name))
            _trust(f"{name}-control-plane", registry)
        there = Stranger(cluster, kubeconfig, registry, name)
        there.kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=120s")
        yield there
        with locks.engine().read_lock():
            made.close()


def _trust(node: str, registry: Registry) -> None:
    """Let the node pull without TLS, under the name that this machine has for the registry."""
    folder = f"/etc/containerd/certs.d/{registry.address}"
    script = f"mkdir -p {folder} && cat > {folder}/hosts.toml"
    hosts = HOSTS.format(inside=registry.inside)
    subprocess.run(["docker", "exec", "-i", node, "sh", "-ec", script], input=hosts, text=True, check=True)


@pytest.fixture
def user(stranger: Stranger, this_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tasks]:
    """The tasks of a user who has the rights of docs/existing-rbac.yaml."""
    for name, value in _admitted(stranger, tmp_path, NAMESPACE).items():
        monkeypatch.setenv(name, value)
    yield Tasks(this_run.cluster_name, this_run.port, NAMESPACE)
    stranger.kubectl("delete", "--filename=-", "--ignore-not-found", stdin=RBAC.read_text())


@dataclass(frozen=True)
class AgreeingTasks(Tasks):
    """The tasks of a user who agrees to each change of the cluster of others; `kubectl` is its administrator's."""

    pull_policy: ClassVar[str] = "IfNotPresent"

    user: Mapping[str, str] = field(default_factory=dict)
    administrator: Path = Path()

    def __call__(self, *words: str, code: int | None = 0) -> Ended:
        return super().__call__("--yes", *words, code=code)

    def typed(self, *words: str, code: int | None = 0, folder: Path = PROJECT, **environment: str) -> Ended:
        return super().typed("--yes", *words, code=code, folder=folder, **environment)

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, **self.user}

    @property
    def kubeconfig(self) -> Path:
        return self.administrator


@pytest.fixture
def app(stranger: Stranger, this_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tasks]:
    """The tasks of such a user in a fresh namespace, in place of the suite's own `app`."""
    namespace = f"test-{secrets.token_hex(4)}"
    user = _admitted(stranger, tmp_path_factory.mktemp("user"), namespace)
    stranger.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/warn=restricted")
    yield AgreeingTasks(stranger.network, this_run.port, namespace, user, stranger.kubeconfig)
    stranger.kubectl("delete", "service", "--all", f"--namespace={namespace}")
    stranger.kubectl("delete", "namespace", namespace, "--wait=false")


def _admitted(stranger: Stranger, folder: Path, namespace: str) -> dict[str, str]:
    """Give USER the rights of docs/existing-rbac.yaml in that namespace; return what makes the tasks the user's."""
    rights = re.sub(rf"(?m)(?<=: ){NAMESPACE}$", namespace, RBAC.read_text()).replace("USER_NAME", USER)
    stranger.kubectl("apply", "--filename=-", stdin=rights)
    kubeconfig = folder / "ann.kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(_kubeconfig_of(stranger, folder)))
    return {
        "INVOKE_CLUSTER_PROVIDER": "existing",
        "INVOKE_CLUSTER_CONTEXT": "anns",
        "INVOKE_CLUSTER_KUBECONFIG": str(kubeconfig),
        "INVOKE_APP_REGISTRY": f"{stranger.registry.address}/team",
    }


def _kubeconfig_of(stranger: Stranger, folder: Path) -> dict[str, Any]:
    """A kubeconfig for USER, whose certificate the cluster has signed; it has no current context."""
    key, request = folder / "key.pem", folder / "request.pem"
    words = ["req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={USER}", "-keyout", str(key), "-out", str(request)]
    subprocess.run(["openssl", *words], check=True, capture_output=True)
    name = f"{USER}-{os.urandom(3).hex()}"
    spec = {
        "request": base64.b64encode(request.read_bytes()).decode(),
        "signerName": "kubernetes.io/kube-apiserver-client",
        "usages": ["client auth"],
    }
    item = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": name}, "spec": spec}
    stranger.kubectl("create", "--filename=-", stdin=json.dumps(item))
    stranger.kubectl("certificate", "approve", name)
    stranger.kubectl("wait", f"csr/{name}", "--for=jsonpath={.status.certificate}", "--timeout=30s")
    certificate = stranger.kubectl("get", "csr", name, "--output=jsonpath={.status.certificate}")
    cluster = yaml.safe_load(stranger.kubeconfig.read_text())["clusters"][0]["cluster"]
    data = {"client-certificate-data": certificate, "client-key-data": base64.b64encode(key.read_bytes()).decode()}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "theirs", "cluster": cluster}],
        "users": [{"name": USER, "user": data}],
        "contexts": [{"name": "anns", "context": {"cluster": "theirs", "user": USER}}],
    }


@pytest.mark.usefixtures("alone")
def test_a_user_of_one_namespace_goes_the_whole_path_through_a_registry(stranger: Stranger, user: Tasks) -> None:
    made = user.typed("--yes", "build", "deploy", "expose", "scale")
    assert made.stderr.count("Context anns (https://127.0.0.1:") == 3, "each task that uses the cluster names it"
    container = stranger.get("deployment", APPLICATION.name)["spec"]["template"]["spec"]["containers"][0]
    build = user.json("traffic")["pods"][0]["build"]
    assert container["image"].startswith(f"{stranger.registry.address}/team/{APPLICATION.name}:{build}@sha256:")
    assert container["imagePullPolicy"] == "IfNotPresent"
    url = user.typed("service").stdout.strip()
    pods = {pod["metadata"]["name"] for pod in stranger.get("pods")["items"]}
    answered = answers.spread(url, REQUESTS)
    assert (set(answered.requests), answered.failed, len(pods)) == (pods, 0, 3)

    assert user.json("diagnose")["code"] == "healthy"

    again = user.typed("--yes", "build", "deploy", "expose", "scale")
    for words in ("is already built", "is deployed", "Already exposed", "Already scaled to 3"):
        assert words in again.stderr, "a second time changes nothing"
    assert "Pushing" not in again.stderr
    assert user.typed("logs", "--tail=1").stdout.count("[simple-server-") == 3

    gone = user.typed("clean", "--yes")
    assert gone.stderr.splitlines()[-1] == "Clean."
    left = stranger.get("deployments,replicasets,services,poddisruptionbudgets,pods")["items"]
    assert left == []
    assert answers.silent(url)
    assert engine.connect().image_tags(APPLICATION.name) == [], "the name for the registry too"


def test_up_brings_three_pods_to_an_empty_namespace_and_a_second_one_changes_nothing(app: Tasks) -> None:
    url = app("up").stdout.strip()
    pods = app.pods()
    answered = answers.spread(url, REQUESTS)
    assert (set(answered.requests), answered.failed, len(pods)) == (pods, 0, 3)
    again = app("up")
    assert again.stdout.strip() == url
    assert "is deployed" in again.stderr
    assert app.pods() == pods


def test_the_role_has_the_rights_that_the_tasks_and_the_pasted_commands_use(stranger: Stranger, user: Tasks) -> None:
    rules = [rule for document in yaml.safe_load_all(RBAC.read_text()) for rule in document.get("rules", [])]
    granted = {(verb, resource) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}
    used: set[tuple[str, str]] = set()
    send = Kube._send

    def recorded(kube: Kube, method: str, target: str, query: Any = None, *rest: Any, **options: Any) -> Any:
        response = send(kube, method, target, query, *rest, **options)
        used.update(rights(method, target, query or {}, response.status))
        return response

    with mock.patch.object(Kube, "_send", recorded):
        user("build", "deploy", "expose", "scale", "--replicas=2", "--yes")
        user("status")
        user("logs")
        stranger.kubectl("set", "image", "--namespace", NAMESPACE, f"deployment/{APPLICATION.name}", "*=broken:1")
        user("scale", "--replicas=3", "--yes", code=6)
        user("rollback", "--yes")
        user("unexpose", "undeploy", "--yes")
    assert used - granted == set()
    unused = {right for right in granted - used if right[0] != "watch"}  # watches open only if there is something to wait for
    assert unused == {("list", kind) for kind in ("deployments", "poddisruptionbudgets", "services")}, "kubectl waits with them"


def rights(method: str, target: str, query: dict[str, str], status: int) -> set[tuple[str, str]]:
    """What the API server asks for before it serves the request: (verb, resource) as in the rules of a role."""
    parts = API_PATH.fullmatch(target)
    if parts is None:  # not of an object
        return set()
    resource = "/".join(filter(None, (parts["resource"], parts["subresource"])))
    if method == "GET":
        return {("watch" if "watch" in query else "get" if parts["name"] else "list", resource)}
    verbs = {"patch", "create"} if (method, status) == ("PATCH", CREATED) else {method.lower()}
    return {(verb, resource) for verb in verbs}


def test_the_mirrored_commands_do_the_same_when_they_are_pasted(stranger: Stranger, user: Tasks) -> None:
    paste(user.typed("--dry", "build", "deploy", "expose", "scale", "--replicas=2").stdout)
    deployment = stranger.get("deployment", APPLICATION.name)
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert (deployment["status"]["readyReplicas"], container["imagePullPolicy"]) == (2, "IfNotPresent")
    user.typed("unexpose", "undeploy", "--yes")


def test_nothing_is_changed_before_a_person_agrees(stranger: Stranger, user: Tasks) -> None:
    user.typed("build")
    unasked = user.typed("deploy", code=2)
    assert unasked.stderr.splitlines()[-1] == "  ./inv --yes ..."
    assert "Change namespace simple-server of context anns" in unasked.stderr
    assert answered(user, "n\n", "deploy").code == 1
    assert stranger.get("deployments")["items"] == []
    agreed = answered(user, "y\n", "deploy", "scale", "--replicas=1")
    assert (agreed.code, agreed.stderr.count("[y/N]")) == (0, 1), "asked once for all tasks of a run"
    user.typed("undeploy", "--yes")


def answered(user: Tasks, text: str, *words: str) -> Ended:
    """Run tasks while somebody types on their terminal."""
    ours, theirs = pty.openpty()
    os.write(ours, text.encode())
    argv = [sys.executable, "-m", "kubetasks", *words]
    try:
        ended = subprocess.run(
            argv, cwd=PROJECT, env=os.environ | user.environment, stdin=theirs, capture_output=True, text=True, timeout=SECONDS
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize(
    ("right", "task", "named"),
    [("deployments/scale", "scale", 'cannot get resource "deployments/scale"'), ("services", "expose", "services")],
)
def test_a_missing_right_is_named(stranger: Stranger, user: Tasks, right: str, task: str, named: str) -> None:
    user.typed("build", "deploy", "--yes")
    role = stranger.get("role", "simple-server-tasks")
    role["rules"] = [rule for rule in role["rules"] if rule["resources"] != [right]]
    stranger.kubectl("replace", "--filename=-", stdin=json.dumps(role))
    refuses(stranger, "get", right, NAMESPACE)
    refused = user.typed(task, "--yes", code=4)
    assert named in refused.stderr
    assert f'User "{USER}"' in refused.stderr
    assert "docs/existing.md" in refused.stderr


def test_a_cluster_without_a_load_balancer_answers_at_a_node_port_or_says_that_it_cannot(
    stranger: Stranger, user: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    exposed = user.typed("build", "deploy", "expose", "--yes")
    assert "(node port)" in exposed.stderr
    user.typed("unexpose", "--yes")
    stranger.kubectl("delete", "clusterrolebinding", "simple-server-tasks-nodes")
    refuses(stranger, "list", "nodes")
    monkeypatch.setenv("INVOKE_APP_TIMEOUT", "3")
    refused = user.typed("expose", "--yes", code=7)
    assert "no load balancer" in refused.stderr
    assert "docs/existing.md" in refused.stderr


@eventually(30)
def refuses(stranger: Stranger, verb: str, resource: str, namespace: str = "") -> None:
    """The API server has noticed that the right is gone."""
    kind, _, subresource = resource.partition("/")
    attributes = {"verb": verb, "resource": kind, "subresource": subresource, "namespace": namespace}
    group = "apps" if kind == "deployments" else ""
    spec = {"user": USER, "resourceAttributes": attributes | {"group": group}}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    said = stranger.kubectl("create", "--filename=-", "--output=json", stdin=json.dumps(review))
    assert not json.loads(said)["status"]["allowed"]


def test_a_context_that_is_not_there_and_credentials_that_have_expired(
    user: Tasks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INVOKE_CLUSTER_CONTEXT", "nobodys")
    refused = user.typed("status", code=4)
    assert "The context nobodys cannot be used" in refused.stderr
    assert "kubectl config get-contexts" in refused.stderr
    monkeypatch.setenv("INVOKE_CLUSTER_CONTEXT", "anns")
    expired = yaml.safe_load((tmp_path / "ann.kubeconfig").read_text())
    expired["users"][0]["user"] = {"token": "expired"}
    (tmp_path / "ann.kubeconfig").write_text(yaml.safe_dump(expired))
    assert "Its credentials may have expired" in user.typed("status", code=4).stderr


def test_a_registry_with_a_password_takes_the_engines_own_and_nobody_reads_it(
    this_run: Run, stranger: Stranger, user: Tasks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.typed("build")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with registries.serve(this_run, tmp_path, registries.WITH_PASSWORD, network=stranger.network) as registry:
        _trust(f"{stranger.network}-control-plane", registry)
        monkeypatch.setenv("INVOKE_APP_REGISTRY", registry.address)
        refused = user.typed("deploy", "--yes", code=5)
        assert f"docker login {registry.address}" in refused.stderr
        secret = base64.b64encode(f"{registries.USER}:{registries.PASSWORD}".encode()).decode()
        (tmp_path / "config.json").write_text(json.dumps({"auths": {registry.address: {"auth": secret}}}))
        monkeypatch.setenv("INVOKE_APP_TIMEOUT", "20")
        pushed = user.typed("--echo", "deploy", "--yes", code=6)  # the nodes have no password
        assert "cannot be pulled" in pushed.stderr
        assert f"Pushing {registry.address}/{APPLICATION.name}" in pushed.stderr
        for printed in (pushed.stdout, pushed.stderr, refused.stderr):
            assert registries.PASSWORD not in printed
            assert secret not in printed
        words = [f"--docker-server={registry.address}", f"--docker-username={registries.USER}"]
        login = [*words, f"--docker-password={registries.PASSWORD}", f"--namespace={NAMESPACE}"]
        stranger.kubectl("create", "secret", "docker-registry", "pull", *login)
        pull_secrets = '{"imagePullSecrets": [{"name": "pull"}]}'
        stranger.kubectl("patch", "serviceaccount", "default", "--patch", pull_secrets, f"--namespace={NAMESPACE}")
        user.typed("undeploy", "deploy", "--yes")
    user.typed("undeploy", "--yes")


def test_a_registry_whose_certificate_nobody_knows_is_named(
    this_run: Run, stranger: Stranger, user: Tasks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.typed("build")
    with registries.serve(this_run, tmp_path, registries.WITH_CERTIFICATE, network=stranger.network) as registry:
        monkeypatch.setenv("INVOKE_APP_REGISTRY", registry.inside)
        refused = user.typed("deploy", "--yes", code=5)
        assert "x509" in refused.stderr
        assert f"/etc/docker/certs.d/{registry.inside}/ca.crt" in refused.stderr
        assert [name for name in engine.connect().image_tags(APPLICATION.name) if registry.inside in name] == []
    assert stranger.get("deployments")["items"] == [], "nothing was changed"


def test_without_a_registry_the_rollout_names_the_image_that_the_nodes_lack(user: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INVOKE_APP_REGISTRY")
    user.typed("build")
    refused = user.typed("deploy", "--yes", code=6)
    assert "the owner of the nodes must have loaded simple-server:" in refused.stderr
    assert "image-never-pull" in refused.stderr
    user.typed("undeploy", "--yes")
