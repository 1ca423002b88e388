"""A rollout that cannot succeed: reported on one screen with its code, while the old revision serves, and rolled back."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from kubetasks.errors import ClusterError, RolloutError
from kubetasks.kube.diagnosis import LINES
from kubetasks.project import settings
from tests.support import source
from tests.support.driver import Ended, Tasks
from tests.support.faults import FAULTS

PLANTED = "kept-to-itself-7f3a"
QUOTA = """\
apiVersion: v1
kind: ResourceQuota
metadata: {name: full}
spec: {hard: {pods: "1"}}
"""
TOKEN = """\
apiVersion: v1
kind: Config
clusters: [{{name: theirs, cluster: {{server: "https://127.0.0.1:9"}}}}]
contexts: [{{name: theirs, context: {{cluster: theirs, user: theirs}}}}]
users: [{{name: theirs, user: {{token: {token}}}}}]
"""
NO_GRACE = ("image-pull", "volume-mount", "quota")  # their grace periods would be 20 and 10 s


def change(app: Tasks, **container: Any) -> None:
    """Change the deployment's container behind the tasks' back. Its volume mounts refer to ConfigMaps that do not exist."""
    volumes = [{"name": one["name"], "configMap": {"name": one["name"]}} for one in container.get("volumeMounts", [])]
    template = {"spec": {"containers": [{"name": "simple-server", **container}], "volumes": volumes}}
    app.kubectl("patch", "deployment", "simple-server", "--patch", json.dumps({"spec": {"template": template}}))


def screen(ended: Ended) -> list[str]:
    """Return the lines of the diagnosis with which a task ended."""
    lines = ended.stderr.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("  code "))
    return lines[start - 1 :]


@pytest.mark.promise("For `status`, `diagnose`", "A rollout that cannot succeed")
@pytest.mark.parametrize("code", FAULTS)
def test_it_is_named_what_served_goes_on_and_rollback_takes_it_back(app: Tasks, code: str) -> None:
    container, words = FAULTS[code]
    app("build", "deploy")
    pods = app.pods()
    if code == "quota":
        app.kubectl("create", "--filename=-", stdin=QUOTA)
    change(app, **container)

    grace = "0" if code in NO_GRACE else settings.DEFAULTS["app"]["grace_period"]
    said = screen(app.typed("scale", "--replicas=1", code=6, INVOKE_APP_GRACE_PERIOD=grace))
    assert said[1].split() == ["code", code]
    assert len(said) <= LINES
    assert words in "\n".join(said)
    assert said[-1].startswith("  next ")
    assert any(line.split() == "serving 1 pod of an earlier revision".split() for line in said)
    (details,) = [line.split()[1] for line in said if line.startswith("  details ")]
    assert words in Path(details).read_text()

    told = json.loads(app("diagnose", "--json", code=6).stdout)
    assert told["code"] == code
    assert "rollout undo deployment/simple-server --to-revision=1" in app("--echo", "rollback").stdout
    assert app.pods() >= pods, "the pod that served was not restarted"
    assert app.json("diagnose")["code"] == "healthy"


def test_after_a_rollback_deploy_removes_what_only_the_earlier_revision_had(app: Tasks, tmp_path: Path) -> None:
    def variables() -> set[str]:
        (container,) = app.get("deployment", "simple-server")["spec"]["template"]["spec"]["containers"]
        return {one["name"] for one in container["env"]}

    project = source.changed(tmp_path)
    manifest = project / "k8s" / "deployment.yaml"
    manifest.write_text(
        manifest.read_text().replace("          env:\n", "          env:\n            - {name: EARLIER, value: a}\n")
    )
    app.typed("build", "deploy", folder=project)
    app("build", "deploy")
    now = variables()
    app("rollback")
    assert variables() == now | {"EARLIER"}
    app("deploy")
    assert variables() == now


def test_no_secret_no_variable_no_token_and_no_password_of_a_proxy_is_shown(
    app: Tasks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app("build", "deploy")
    app.kubectl("create", "secret", "generic", "planted", f"--from-literal=word={PLANTED}")
    reference = {"secretKeyRef": {"name": "planted", "key": "word"}}
    variables = [{"name": "SECRET", "valueFrom": reference}, {"name": "PLAIN", "value": PLANTED}]
    change(app, env=variables, args=["--no-such-option"])
    said = app("scale", "--replicas=1", code=6)
    (details,) = [line.split()[1] for line in screen(said) if line.startswith("  details ")]
    told = app("diagnose", "--json", code=6)
    assert "crash-loop" in told.stdout
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://user:{PLANTED}@127.0.0.1:9")
    crashing = app.typed("--echo", "build", "deploy", code=RolloutError.code)  # they leave another field manager's patch in place
    behind = [crashing, app.typed("doctor"), app.typed("status")]
    theirs = tmp_path / "kubeconfig"
    theirs.write_text(TOKEN.format(token=PLANTED))
    monkeypatch.setenv("INVOKE_CLUSTER_PROVIDER", "existing")
    monkeypatch.setenv("INVOKE_CLUSTER_CONTEXT", "theirs")
    monkeypatch.setenv("INVOKE_CLUSTER_KUBECONFIG", str(theirs))
    refused = app.typed("--echo", "status", code=ClusterError.code)
    for text in (said, told, *behind, refused):
        assert PLANTED not in text.stdout + text.stderr
    assert PLANTED not in Path(details).read_text()
    read = 0
    for log in Path(details).parent.glob("*.log"):
        with suppress(FileNotFoundError):  # another test may have removed its own log
            assert PLANTED not in log.read_text(errors="replace"), log.name
            read += 1
    assert read > 0, "the file with the details is one of them"
