"""What is told if something answers that is no API server, or none that fits the kubeconfig."""

import http.server
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from kubernetes.client.exceptions import ApiException

from kubetasks.errors import ClusterError
from kubetasks.kube import client
from kubetasks.kube.client import ApiError, CredentialsError, Kube
from kubetasks.project.labels import TOOL
from kubetasks.terminal import wait

NO_RULES = '{"kind": "Status", "reason": "Forbidden", "message": "nodes is forbidden: User \\"me\\" cannot list resource"}'


class Answer(http.server.BaseHTTPRequestHandler):
    """Answers each request with that status and text; `away` is how many it closes without an answer before.

    `starting` is how many it refuses before, as an API server does that has not read its own rules.
    """

    status, text, away, starting = 200, "", 0, 0

    def do_GET(self) -> None:
        if Answer.away:
            Answer.away -= 1
            return
        status, text = self.status, self.text
        if Answer.starting:
            Answer.starting -= 1
            status, text = 403, NO_RULES
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass


def connect(folder: Path, url: str, *, own: bool = True, **credentials: object) -> Kube:
    cluster, user = {"name": "one", "cluster": {"server": url}}, {"name": "me", "user": credentials}
    context = {"name": "one", "context": {"cluster": "one", "user": "me"}}
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump({"clusters": [cluster], "users": [user], "contexts": [context]}))
    return client.connect(TOOL, str(file), "one", "look", "log in", own=own, kubectl="kubectl")


@pytest.fixture
def kube(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kube]:
    """The API of a server that answers as `Answer` says, which is as before at the end."""
    for name in ("status", "text", "away", "starting"):
        monkeypatch.setattr(Answer, name, getattr(Answer, name))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield connect(tmp_path, f"http://127.0.0.1:{server.server_port}")
        server.shutdown()


STATUS = '{"kind": "Status", "reason": "%s", "message": "%s"}'


@pytest.mark.parametrize(
    ("status", "text", "why"),
    [
        (200, "hello", ""),
        (302, "", ""),
        (404, '"not found"', "it answers 404"),
        (500, "[]", "it answers 500"),
        (403, '{"reason": "Forbidden"}', "it answers 403"),  # the pod's own
        (503, STATUS % ("ServiceUnavailable", "error trying to reach service: connection refused"), "connection refused"),
    ],
)
def test_what_a_pod_answers_through_the_api_server(kube: Kube, status: int, text: str, why: str) -> None:
    Answer.status, Answer.text = status, text
    assert kube.ask_pod("ns", "pod-1", 8000, "/") == why


def test_who_may_not_ask_pods_is_told_of_the_right(kube: Kube) -> None:
    Answer.status, Answer.text = 403, STATUS % ("Forbidden", "cannot get pods/proxy")
    with pytest.raises(ApiError, match="cannot get pods/proxy"):
        kube.ask_pod("ns", "pod-1", 8000, "/")


def test_a_pod_that_never_answers_is_not_an_api_server_that_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "POD_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        kube = connect(tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert kube.ask_pod("ns", "pod-1", 8000, "/") == "no answer within 0.1 s"


@pytest.mark.parametrize(("program", "words"), [("no-such-program", "No such file or directory"), ("false", "returned 1")])
def test_a_program_that_gives_no_credentials_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], program: str, words: str
) -> None:
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": program, "interactiveMode": "Never"}
    with pytest.raises(ClusterError, match=f"The context one gets no credentials: .*{words}") as told:
        connect(tmp_path, "https://127.0.0.1:9", exec=plugin)
    assert told.value.hint == "log in"
    assert capfd.readouterr().err == ""


def test_on_a_terminal_that_program_has_said_why_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", SimpleNamespace(isatty=lambda: True))
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "false", "interactiveMode": "IfAvailable"}
    with pytest.raises(ClusterError, match="The context one gets no credentials: the program that gets them failed"):
        connect(tmp_path, "https://127.0.0.1:9", exec=plugin)


@pytest.mark.parametrize("content", [b"\xff\0", b"{", b"- a\n", b"clusters: 3\n", b""])
def test_what_is_no_kubeconfig_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "kubeconfig"
    file.write_bytes(content)
    with pytest.raises(ClusterError, match="The context one cannot be used: "):
        client.connect(TOOL, str(file), "one", "look", "log in", own=True, kubectl="kubectl")


def test_who_accepts_and_closes_does_not_answer_and_is_waited_for(tmp_path: Path) -> None:
    def close() -> None:
        while True:
            try:
                listener.accept()[0].close()
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:  # as Docker does for a container in which nothing listens yet
        threading.Thread(target=close, daemon=True).start()
        with pytest.raises(ClusterError, match="does not answer") as told:
            connect(tmp_path, f"https://127.0.0.1:{listener.getsockname()[1]}").list("Node")
        listener.shutdown(socket.SHUT_RDWR)
    assert not isinstance(told.value, CredentialsError)
    assert told.value.hint == "look"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate (_ssl.c:1006)", "self-signed"),
        ("[X509: KEY_VALUES_MISMATCH] key values mismatch (_ssl.c:4044)", "key values mismatch."),
        ("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required (_ssl.c:2580)", "certificate required."),
        ("[SSL] PEM lib (_ssl.c:4032)", "PEM lib."),
    ],
)
def test_who_does_not_trust_us_or_is_not_trusted_needs_another_kubeconfig(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, told: str
) -> None:
    def call_api(*_: object, **_options: object) -> None:
        try:
            raise ssl.SSLError(1, words)
        except ssl.SSLError as error:
            raise ApiException(status=0, reason="SSLError") from error

    kube = connect(tmp_path, "https://127.0.0.1:1")
    monkeypatch.setattr(kube._api, "call_api", call_api)
    with pytest.raises(CredentialsError) as raised:
        kube.list("Node")
    assert raised.value.sentence.startswith("The kubeconfig does not fit the API server of cluster one: ")
    assert told in raised.value.sentence
    assert "_ssl" not in raised.value.sentence
    assert raised.value.hint == "log in"


def test_an_api_server_that_has_answered_and_goes_away_is_asked_again(kube: Kube) -> None:
    Answer.text, Answer.away = "{}", 2
    with pytest.raises(ClusterError, match="does not answer"):
        kube.request("GET", "/version")  # it may be the wrong address: that is told at once
    assert Answer.away == 1
    assert kube.again(lambda: kube.request("GET", "/version"), ClusterError) == {}
    Answer.away = 2
    assert kube.request("GET", "/version") == {}
    Answer.away = 2
    kube.patience = 0
    with pytest.raises(ClusterError):
        kube.request("GET", "/version")


def test_only_a_cluster_of_our_own_that_has_just_started_is_asked_again_for_what_it_refuses(kube: Kube, tmp_path: Path) -> None:
    Answer.text, Answer.starting = "{}", 2
    assert kube.request("GET", "/version") == {}
    Answer.starting = 1
    with pytest.raises(ApiError, match="cannot list"):
        connect(tmp_path, kube.server, own=False).request("GET", "/version")
    Answer.status = 403  # for another reason, such as a namespace that is being deleted
    with pytest.raises(ApiError):
        kube.request("GET", "/version")


def test_a_wait_says_that_the_api_server_is_away_and_asks_again_itself(kube: Kube) -> None:
    Answer.text = "{}"
    kube.request("GET", "/version")
    Answer.away = 1
    state = kube.surviving(lambda: wait.Done() if kube.request("GET", "/version") == {} else wait.Pending("other"))
    assert isinstance(state(), wait.Failed)
    assert isinstance(state(), wait.Done)
    Answer.away = 1
    assert kube.request("GET", "/version") == {}, "after the wait, a request asks again itself"


def test_expired_credentials_and_missing_rights_say_what_to_do(kube: Kube) -> None:
    for status, hint in ((401, "log in"), (403, "docs/existing.md lists the rights"), (500, "")):
        Answer.status = status
        with pytest.raises(ApiError) as refused:
            kube.list("Node")
        assert (refused.value.status, refused.value.hint) == (status, hint)


def test_a_page_in_place_of_an_api_is_said(kube: Kube) -> None:
    Answer.text = "<html>Log in</html>"
    with pytest.raises(ClusterError, match="is not the API server of cluster one"):
        kube.list("Node")


def test_a_log_that_may_not_be_read_is_no_empty_one(kube: Kube) -> None:
    Answer.text = "one line"
    assert kube.log("default", "pod", "server", 10) == "one line"
    Answer.status = 400
    assert kube.log("default", "pod", "server", 10) == "", "its container has not started"
    Answer.status, Answer.text = 403, '{"kind": "Status", "reason": "Forbidden", "message": "you may not read it"}'
    with pytest.raises(ApiError) as refused:
        kube.log("default", "pod", "server", 10)
    assert refused.value.sentence.endswith("was refused by the cluster: you may not read it")
