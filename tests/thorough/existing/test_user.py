"""The tasks on an existing cluster, run by a user with rights in one namespace."""

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from kubetasks.engine import client
from tasks import PROJECT
from tests.support import answers, registries
from tests.support.answers import REQUESTS
from tests.support.eventually import eventually
from tests.support.processes import paste
from tests.support.run import Run
from tests.thorough.existing.conftest import RBAC, ROLE, Stranger, UserTasks

CREATED = 201


def test_a_user_of_one_namespace_goes_the_whole_path_through_a_registry(
    stranger: Stranger, documented_user: UserTasks, tmp_path: Path
) -> None:
    user = documented_user.renamed(tmp_path)
    made = user.typed("--yes", "build", "deploy", "expose", "scale")
    assert made.stderr.count("Context theirs (https://127.0.0.1:") == 1, "the tasks of an invocation name the cluster once"
    container = user.get("deployment", user.app)["spec"]["template"]["spec"]["containers"][0]
    build = user.json("traffic")["pods"][0]["build"]
    assert container["image"].startswith(f"{stranger.registry.address}/team/{user.app}:{build}@sha256:")
    assert container["imagePullPolicy"] == "IfNotPresent"
    (url,) = user.addresses().values()
    assert user.typed("service").stdout == f"{url}\n"
    pods = user.pods()
    answered = answers.spread(url, REQUESTS)
    assert (set(answered.requests), answered.failed, len(pods)) == (pods, 0, 3)

    assert user.json("diagnose")["code"] == "healthy"

    again = user.typed("--yes", "build", "deploy", "expose", "scale")
    for words in ("is already built", "is deployed", "Already exposed", "Already scaled to 3"):
        assert words in again.stderr, "a second time changes nothing"
    assert user.typed("logs", "--tail=1").stdout.count(f"[{user.app}-") == 3

    gone = user.typed("clean", "--yes")
    assert gone.stderr.splitlines()[-1] == "Clean."
    assert user.get("deployments,replicasets,services,poddisruptionbudgets,pods")["items"] == []
    assert answers.silent(url)
    assert client.connect().image_tags(user.app) == [], "the name for the registry too"


def test_the_role_has_the_rights_that_the_tasks_and_the_pasted_commands_use(stranger: Stranger, user: UserTasks) -> None:
    rules = [rule for document in yaml.safe_load_all(RBAC.read_text()) for rule in document.get("rules", [])]
    granted = {(verb, resource) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}
    user("build", "deploy", "expose", "scale", "--replicas=2", "--yes")
    user("status")
    user("logs")
    user.kubectl("set", "image", f"deployment/{PROJECT.application.name}", "*=broken:1")
    user("scale", "--replicas=3", "--yes", code=6)
    user("rollback", "--yes")
    user("unexpose", "undeploy", "--yes")
    used = rights(stranger, user.person)
    assert used - granted == set()
    kinds = ("deployments", "poddisruptionbudgets", "services")
    assert granted - used == {(verb, kind) for verb in ("list", "watch") for kind in kinds}, "kubectl waits with them"


def rights(stranger: Stranger, person: str) -> set[tuple[str, str]]:
    """Return the rights that the user's requests needed: (verb, resource), as in the rules of a role."""
    used = set()
    for event in stranger.audited(person):
        if "objectRef" in event:
            resource = "/".join(filter(None, (event["objectRef"]["resource"], event["objectRef"].get("subresource"))))
            used.add((event["verb"], resource))
            if (event["verb"], event["responseStatus"]["code"]) == ("patch", CREATED):  # server-side apply of a new object
                used.add(("create", resource))
    return used


@pytest.mark.exhaustive
def test_the_mirrored_commands_do_the_same_when_they_are_pasted(user: UserTasks) -> None:
    paste(user.typed("--dry", "build", "deploy", "expose", "scale", "--replicas=2").stdout)
    deployment = user.get("deployment", PROJECT.application.name)
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert (deployment["status"]["readyReplicas"], container["imagePullPolicy"]) == (2, "IfNotPresent")


def test_nothing_is_changed_before_a_person_agrees(user: UserTasks) -> None:
    user.typed("build")
    unasked = user.typed("deploy", code=2)
    assert unasked.stderr.splitlines()[-1] == "  ./inv --yes ..."
    assert f"Change namespace {user.namespace} of context theirs" in unasked.stderr
    assert user.get("deployments")["items"] == []


@pytest.mark.parametrize(
    ("right", "task", "named"),
    [("deployments/scale", "scale", 'cannot patch resource "deployments/scale"'), ("services", "expose", "services")],
)
def test_a_missing_right_is_named(user: UserTasks, right: str, task: str, named: str) -> None:
    user.typed("build", "deploy", "--yes")
    role = user.get("role", ROLE)
    role["rules"] = [rule for rule in role["rules"] if rule["resources"] != [right]]
    user.kubectl("replace", "--filename=-", stdin=json.dumps(role))
    refuses(user, "patch", right, user.namespace)
    refused = user.typed(task, "--yes", code=4)
    assert named in refused.stderr
    assert f'User "{user.person}"' in refused.stderr
    assert "docs/clusters.md" in refused.stderr


def test_a_cluster_without_a_load_balancer_answers_at_a_node_port_or_says_that_it_cannot(user: UserTasks) -> None:
    exposed = user.typed("build", "deploy", "expose", "--yes")
    assert "(node port)" in exposed.stderr
    user.typed("unexpose", "--yes")
    user.kubectl("delete", "clusterrolebinding", f"{user.namespace}-nodes")
    refuses(user, "list", "nodes")
    refused = user.typed("expose", "--yes", code=7, INVOKE_APP_TIMEOUT="3")
    assert "no load balancer" in refused.stderr
    assert "docs/clusters.md" in refused.stderr


@eventually(30)
def refuses(user: UserTasks, verb: str, resource: str, namespace: str = "") -> None:
    """Wait until the API server no longer grants the user this right."""
    kind, _, subresource = resource.partition("/")
    attributes = {"verb": verb, "resource": kind, "subresource": subresource, "namespace": namespace}
    group = "apps" if kind == "deployments" else ""
    spec = {"user": user.person, "resourceAttributes": attributes | {"group": group}}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    said = user.kubectl("create", "--filename=-", "--output=json", stdin=json.dumps(review))
    assert not json.loads(said)["status"]["allowed"]


def test_a_context_that_is_not_there_and_credentials_that_have_expired(user: UserTasks) -> None:
    refused = user.typed("status", code=4, INVOKE_CLUSTER_CONTEXT="nobodys")
    assert "The context nobodys cannot be used" in refused.stderr
    assert "kubectl config get-contexts" in refused.stderr
    expired = yaml.safe_load(user.own_kubeconfig.read_text())
    expired["users"][0]["user"] = {"token": "expired"}
    user.own_kubeconfig.write_text(yaml.safe_dump(expired))
    assert "Its credentials may have expired" in user.typed("status", code=4).stderr


@pytest.mark.exhaustive
def test_a_registry_with_a_password_takes_the_engines_own_and_nobody_reads_it(
    this_run: Run, stranger: Stranger, user: UserTasks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.typed("build")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with registries.serve(this_run, tmp_path, registries.WITH_PASSWORD, network=stranger.name) as registry:
        registry.trusted_by(stranger.node)
        user = replace(user, registry=registry.address)
        refused = user.typed("deploy", "--yes", code=5)
        assert f"docker login {registry.address}" in refused.stderr
        secret = base64.b64encode(f"{registries.USER}:{registries.PASSWORD}".encode()).decode()
        (tmp_path / "config.json").write_text(json.dumps({"auths": {registry.address: {"auth": secret}}}))
        pushed = user.typed("--echo", "deploy", "--yes", code=6, INVOKE_APP_TIMEOUT="20")  # the nodes have no password
        assert "cannot be pulled" in pushed.stderr
        assert f"Pushing {registry.address}/{PROJECT.application.name}" in pushed.stderr
        for printed in (pushed.stdout, pushed.stderr):
            assert registries.PASSWORD not in printed
            assert secret not in printed
        words = [f"--docker-server={registry.address}", f"--docker-username={registries.USER}"]
        user.kubectl("create", "secret", "docker-registry", "pull", *words, f"--docker-password={registries.PASSWORD}")
        user.kubectl("patch", "serviceaccount", "default", "--patch", '{"imagePullSecrets": [{"name": "pull"}]}')
        user.typed("undeploy", "deploy", "--yes")
