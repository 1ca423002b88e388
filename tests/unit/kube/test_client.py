"""Requests to an API server, and the errors if it is unreachable, refuses them, or is not an API server."""

import json
import socket
import ssl
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import ProtocolError

from kubetasks.errors import ClusterError
from kubetasks.kube import client
from kubetasks.kube.client import ApiError, CredentialsError, Kube, UnservedError
from kubetasks.project.labels import TOOL
from kubetasks.terminal import wait
from tests.unit.failing import raising

STATUS = '{"kind": "Status", "reason": "%s", "message": "%s"}'
OK = 200, "{}"
NO_RULES = 403, STATUS % ("Forbidden", 'User \\"me\\" cannot list resource')
AWAY = 0, "Connection aborted."


def connect(folder: Path, url: str, *, own: bool = True, **credentials: object) -> Kube:
    cluster, user = {"name": "one", "cluster": {"server": url}}, {"name": "me", "user": credentials}
    context = {"name": "one", "context": {"cluster": "one", "user": "me"}}
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump({"clusters": [cluster], "users": [user], "contexts": [context]}))
    return client.connect(TOOL, str(file), "one", "look", "log in", own=own, kubectl="kubectl")


def answering(folder: Path, *answers: tuple[int, str], own: bool = True) -> Kube:
    """Return a client whose requests get these answers, in order; status 0 is a broken connection."""
    coming = iter(answers)

    def call_api(*_request: object, **_more: object) -> SimpleNamespace:
        status, text = next(coming)
        if not status:
            raise ProtocolError(text)
        return SimpleNamespace(status=status, read=text.encode)

    kube = connect(folder, "https://127.0.0.1:1", own=own)
    kube._api.call_api = call_api
    return kube


@pytest.mark.parametrize(
    ("status", "text"),
    [(200, "hello"), (302, ""), (404, '"not found"'), (500, "[]"), (403, '{"reason": "Forbidden"}')],  # the last is the pod's own
)
def test_what_a_pod_answers_through_the_api_server(tmp_path: Path, status: int, text: str) -> None:
    assert answering(tmp_path, (status, text)).ask("Pod", "ns", "pod-1", 8000, "/") == (status, text)


def test_a_pod_that_the_api_server_cannot_ask_has_no_status(tmp_path: Path) -> None:
    told = STATUS % ("ServiceUnavailable", "error trying to reach service: connection refused")
    assert answering(tmp_path, (503, told)).ask("Pod", "ns", "pod-1", 8000, "/") == (0, "connection refused")


def test_who_may_not_ask_pods_is_told_of_the_right(tmp_path: Path) -> None:
    kube = answering(tmp_path, (403, STATUS % ("Forbidden", "cannot get pods/proxy")))
    with pytest.raises(ApiError, match="cannot get pods/proxy"):
        kube.ask("Pod", "ns", "pod-1", 8000, "/")


def test_a_pod_that_never_answers_is_not_an_api_server_that_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "POD_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        kube = connect(tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert kube.ask("Pod", "ns", "pod-1", 8000, "/") == (0, "no answer within 0.1 s")


@pytest.mark.parametrize("content", [b"\xff\0", b"{", b"- a\n", b"clusters: 3\n", b""])
def test_what_is_no_kubeconfig_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "kubeconfig"
    file.write_bytes(content)
    with pytest.raises(ClusterError, match="The context one cannot be used"):
        client.connect(TOOL, str(file), "one", "look", "log in", own=True, kubectl="kubectl")


def test_who_accepts_and_closes_does_not_answer_and_is_waited_for(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # like Docker, while nothing listens in the container
        threading.Thread(target=lambda: listener.accept()[0].close(), daemon=True).start()
        with pytest.raises(ClusterError, match="does not answer") as told:
            connect(tmp_path, f"https://127.0.0.1:{listener.getsockname()[1]}").list("Node")
    assert not isinstance(told.value, CredentialsError)
    assert told.value.hint == "look"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (
            "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate (_ssl.c:1006)",
            "certificate verify failed: self-signed certificate",
        ),
        ("[X509: KEY_VALUES_MISMATCH] key values mismatch (_ssl.c:4044)", "key values mismatch"),
        ("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] alert certificate required (_ssl.c:2580)", "alert certificate required"),
        ("[SSL] PEM lib (_ssl.c:4032)", "PEM lib"),
    ],
)
def test_who_does_not_trust_us_or_is_not_trusted_needs_another_kubeconfig(tmp_path: Path, words: str, why: str) -> None:
    kube, error = connect(tmp_path, "https://127.0.0.1:1"), ApiException(status=0, reason="SSLError")
    error.__cause__ = ssl.SSLError(1, words)
    kube._api.call_api = raising(error)
    with pytest.raises(CredentialsError) as told:
        kube.list("Node")
    assert told.value.sentence == f"The kubeconfig does not match the API server of cluster one: {why}."
    assert told.value.hint == "log in"


def test_an_api_server_that_has_answered_and_goes_away_is_asked_again(tmp_path: Path) -> None:
    kube = answering(tmp_path, AWAY, OK, AWAY, AWAY, OK, AWAY)
    with pytest.raises(ClusterError, match="does not answer"):
        kube.request("GET", "/version")  # no answer yet: the address may be wrong, so fail at once
    assert [kube.request("GET", "/version") for _ in range(2)] == [{}, {}]
    kube.patience = 0
    with pytest.raises(ClusterError):
        kube.request("GET", "/version")


def test_only_a_cluster_of_our_own_that_has_just_started_is_asked_again_for_what_it_refuses(tmp_path: Path) -> None:
    deleting = 403, STATUS % ("Forbidden", "the namespace is being deleted")
    kube = answering(tmp_path, NO_RULES, NO_RULES, OK, deleting)
    assert kube.request("GET", "/version") == {}
    with pytest.raises(ApiError, match="is being deleted"):
        kube.request("GET", "/version")
    with pytest.raises(ApiError, match="cannot list"):
        answering(tmp_path, NO_RULES, own=False).request("GET", "/version")


def test_a_wait_says_that_the_api_server_is_away_and_asks_again_itself(tmp_path: Path) -> None:
    kube = answering(tmp_path, OK, AWAY, OK, AWAY, OK)
    kube.request("GET", "/version")
    state = kube.surviving(lambda: wait.Done() if kube.request("GET", "/version") == {} else wait.Pending("other"))
    assert isinstance(state(), wait.Failed)
    assert isinstance(state(), wait.Done)
    assert kube.request("GET", "/version") == {}, "after the wait, a request asks again itself"


@pytest.mark.parametrize(("status", "hint"), [(401, "log in"), (403, "docs/clusters.md#rights lists the rights"), (500, "")])
def test_expired_credentials_and_missing_rights_say_what_to_do(tmp_path: Path, status: int, hint: str) -> None:
    with pytest.raises(ApiError) as refused:
        answering(tmp_path, (status, "")).list("Node")
    assert (refused.value.status, refused.value.hint) == (status, hint)


def test_a_page_in_place_of_an_api_is_said(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="is not the API server of cluster one"):
        answering(tmp_path, (200, "<html>Log in</html>")).list("Node")


def test_a_log_that_may_not_be_read_is_no_empty_one(tmp_path: Path) -> None:
    not_started, refused = (400, ""), (403, STATUS % ("Forbidden", "you may not read it"))
    kube = answering(tmp_path, (200, "one line"), not_started, refused)
    assert kube.log("default", "pod", "server", 10) == "one line"
    assert kube.log("default", "pod", "server", 10) == ""
    with pytest.raises(ApiError, match="was refused by the cluster: you may not read it"):
        kube.log("default", "pod", "server", 10)


def test_what_is_served_is_known_although_a_server_behind_it_is_away_or_says_too_little(tmp_path: Path) -> None:
    def served(name: str, **more: object) -> dict[str, object]:
        kind = {"responseKind": {"kind": name}, "scope": "Namespaced", "verbs": ["list", "delete"]}
        return {"resource": f"{name.lower()}s", **kind, **more}

    parent: dict[str, object] = {"resource": "parents", "responseKind": None, "scope": "", "verbs": None, "subresources": []}
    versions = [
        {"version": "v2", "resources": [served("Widget"), parent]},
        {"version": "v1", "resources": [served("Widget"), served("Gadget", scope="Cluster"), served("Reading", verbs=["list"])]},
    ]
    groups = [
        {"metadata": {"name": "example.com"}, "versions": versions},
        {"metadata": {"name": "metrics.k8s.io"}, "versions": [{"version": "v1", "freshness": "Stale"}]},
    ]
    known, gone = [(200, '{"items": []}'), (200, json.dumps({"items": groups}))], (404, "404 page not found")
    listed = {"items": [{"metadata": {"name": "a"}}]}
    kube = answering(tmp_path, *known, *known, (200, json.dumps(listed)), gone)
    gadget = {"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": "b", "namespace": "mine"}}
    assert kube.in_namespace(gadget, "mine")["metadata"] == {"name": "b", "labels": {f"{kube.owner.name}/namespace": "mine"}}
    assert list(kube.owned("mine")) == [{"apiVersion": "example.com/v2", "kind": "Widget", "metadata": {"name": "a"}}]


def test_a_kind_that_is_not_served_is_named_with_what_lists_those_that_are(tmp_path: Path) -> None:
    nothing = (200, '{"items": []}')
    with pytest.raises(UnservedError, match=r"serves no Gadget of example\.com/v1") as told:
        answering(tmp_path, nothing, nothing).resource({"apiVersion": "example.com/v1", "kind": "Gadget"})
    assert "api-resources" in told.value.hint
