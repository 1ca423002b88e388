"""External exposure: the service can be reached from this machine, at the addresses that the tasks print."""

import json
import re
from pathlib import Path

import pytest
import yaml

from kubetasks.errors import ExposeError, SettingError
from tests.support import answers, source
from tests.support.driver import Tasks
from tests.support.marks import default_provider, every_provider

pytestmark = every_provider


@default_provider
@pytest.mark.usefixtures("mapped_port")
def test_the_mapped_port_belongs_to_one_service_and_the_next_one_is_told(app: Tasks) -> None:
    app("build", "deploy")
    app.kubectl("create", "service", "nodeport", "theirs", "--tcp=80", "--node-port=30080")
    said = app("expose").stderr
    taken = re.search(rf"Port (\d+) of 127.0.0.1 belongs to service theirs in namespace {app.namespace}", said)
    assert taken
    ((way, url),) = app.addresses().items()
    assert {way: url} == app.printed()
    assert way == "load balancer"
    assert app("service").stdout == f"{url}\n"
    assert answers.pod(url) in app.pods()
    assert answers.silent(f"http://127.0.0.1:{taken[1]}/"), "their service has no pod"


def diagnosed(app: Tasks) -> str:
    """Return the code of the service's problem that `diagnose` reports."""
    return str(json.loads(app("diagnose", "--json", code=ExposeError.code).stdout)["code"])


@default_provider
def test_a_service_that_selects_no_pod_is_told_at_once_and_a_mended_one_answers(app: Tasks, tmp_path: Path) -> None:
    project = source.changed(tmp_path)
    manifest = project / "k8s" / "service.yaml"
    plain = manifest.read_text()
    app.typed("build", "deploy", folder=project)
    wrong = yaml.safe_load(plain)
    wrong["spec"]["selector"]["app.kubernetes.io/name"] = "simple-sever"
    manifest.write_text(yaml.safe_dump(wrong))
    told = app.typed("expose", folder=project, code=SettingError.code).stderr
    assert "its pods lack app.kubernetes.io/name=simple-sever" in told
    app("expose")
    app.kubectl("patch", "service", "simple-server", "--patch", json.dumps({"spec": {"selector": wrong["spec"]["selector"]}}))
    assert diagnosed(app) == "service-mismatch"
    wrong["spec"] = yaml.safe_load(plain)["spec"]
    wrong["spec"]["ports"][0]["port"] = 0
    manifest.write_text(yaml.safe_dump(wrong))
    assert f"{manifest}: " in app.typed("expose", folder=project, code=SettingError.code).stderr
    wrong = yaml.safe_load(plain)
    wrong["spec"]["ports"][0]["targetPort"] = 81
    manifest.write_text(yaml.safe_dump(wrong))
    app("unexpose")
    told = app.typed("expose", folder=project, code=ExposeError.code, INVOKE_APP_TIMEOUT="15").stderr
    silent = "is ready, but GET /healthz at its port 81 gives no good answer: connection refused"
    assert silent in told
    assert silent in app("traffic", code=ExposeError.code).stderr
    assert diagnosed(app) == "no-answer"
    manifest.write_text(plain)
    app.typed("expose", folder=project)
    assert answers.pod(app.url()) in app.pods()
