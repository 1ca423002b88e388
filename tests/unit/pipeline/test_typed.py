"""What tasks print and change, run one after the other on a cluster in memory: the transcripts in the folder beside this file.

The output follows a line `$ TASK`: the result, progress after a `#`, and an error after its exit code. `% changed:` lists what
was changed in the cluster; any other line with `%` is an entry of DONE. The first line has the world's options. Build ids and
ReplicaSet hashes are numbered, and PINNED is the pinned base image.
"""

import dataclasses
import json
import os
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from invoke.exceptions import Exit

from kubetasks.engine import access
from kubetasks.errors import ClusterError, EngineError, RolloutError, TaskError
from kubetasks.kube.client import ApiError, CredentialsError
from kubetasks.pipeline import app
from kubetasks.project.settings import OURS
from kubetasks.project.versions import PYTHON_IMAGE
from kubetasks.setup import install, inventory, requirements
from kubetasks.tasks import namespace
from tasks import PROJECT
from tests.unit.engine.fakes import FakeEngine
from tests.unit.failing import raising
from tests.unit.pipeline.living import BEGUN, NODE_PORT, World, world

UPDATE = "UPDATE_TRANSCRIPTS"  # if it is set, a transcript that differs is rewritten, and the test still fails
TRANSCRIPTS = Path(__file__).parent / "transcripts"
AWAY = ClusterError("The API server does not answer.", "look")
REFUSED = ApiError("GET /api/v1/nodes", 401, "Unauthorized", "who are you?", "log in")
SINCE = datetime.fromisoformat(BEGUN) + timedelta(days=1)  # when the node was started again
ARGUMENTS = f"ARG BASE={PYTHON_IMAGE}\nFROM ${{BASE}}\narg BUILD_ID\nARG OTHER=1\n"
TAKEN = {"metadata": {}, "spec": {"ports": [{"nodePort": NODE_PORT}], "selector": {"app": "theirs"}}}
METALLB = """\
{apiVersion: v1, kind: Namespace, metadata: {name: metallb-system}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: l2advertisements.metallb.io}
spec: {group: metallb.io, versions: []}
"""


def soon(request: str, *errors: TaskError) -> Callable[[World], None]:
    """Return a change that makes the next requests that start with `request` fail, one for each error."""
    return lambda it: it.kube.meanwhile.extend((request, raising(error)) for error in errors)


def broken(reason: str) -> Callable[[World], None]:
    """Return a change after which pods with the current image do not start, for `reason`."""
    return lambda it: it.kube.broken.update({it.run.image.reference: reason})


def facts(it: World, **more: Any) -> None:
    it.provider.facts = dataclasses.replace(it.provider.facts, **more)


def nobody_agrees(it: World) -> None:
    """Simulate another user from now on, who has not been asked yet and will not agree."""
    it.run._answered.clear()
    it.run.report.agreeing = False  # type: ignore[attr-defined]


def unprobed(it: World) -> None:
    (container,) = it.kube.one("Deployment")["spec"]["template"]["spec"]["containers"]
    del container["readinessProbe"]


def restarted(it: World) -> None:
    """Start the node again; its kubelet renews its lease just before the second time that it is read."""
    facts(it, since={"node": SINCE})
    renewed = {"renewTime": (SINCE + timedelta(seconds=1)).isoformat()}
    lease = it.kube.one("Lease", "node", "kube-node-lease")
    it.kube.meanwhile += [("GET lease", int), ("GET lease", lambda: lease["spec"].update(renewed))]


def set_up(it: World) -> None:
    manifest = Path(requirements.LOAD_BALANCER.find(None, it.run.settings).reference)
    manifest.parent.mkdir(parents=True)
    manifest.write_text(METALLB)


def equipped(it: World, *lacking: str) -> None:
    """Let this machine have everything that is looked for, except the items in `lacking`."""
    it.provider.requirements, it.engine.cautions = (requirements.KIND,), lambda: ["There is less than 3 GB."]  # type: ignore[attr-defined]
    items = [inventory.Item(name, name not in lacking, "1.0") for name in ("engine", "kind")]
    for module, name, found in (
        (inventory, "look", items),
        (inventory, "require_docker", None),
        (install, "install", list(lacking)),
        (requirements, "optional_module", None),
    ):
        it.patch.setattr(module, name, lambda *_, found=found: found)


def selecting(it: World) -> None:
    """Make the service select other pods."""
    it.kube.one("Service")["spec"]["selector"] = {"app.kubernetes.io/name": "other"}
    it.kube._reconcile()


def beside(it: World) -> None:
    """Deploy another application to the same namespace; its pods crash."""
    theirs = world(it.folder / "beside", it.patch)
    theirs.run.__dict__["living"] = it.kube
    theirs.engine.images[theirs.run.image.reference] = ""
    broken("CrashLoopBackOff")(theirs)
    it.kube.broken.update(theirs.kube.broken)
    with suppress(RolloutError):
        app.up(theirs.run)
    it.kube.answers(it.patch)


def shell_of(it: World, node: str, engine: FakeEngine) -> None:
    """Point the shell's docker at `engine`: the node's, or this machine's if `node` is ""."""
    it.patch.setenv(access.NODE_VARIABLE, node)
    it.run.engine = engine  # type: ignore[assignment]


def tunnelled(it: World) -> None:
    tunnel_ends = raising(KeyboardInterrupt())
    it.provider.tunnelled, it.provider.tunnel = True, lambda: it.run.do(["minikube", "tunnel"], lambda _: tunnel_ends())


DONE: dict[str, Callable[[World], Any]] = {
    "the source is edited": lambda it: it.edit("source/Dockerfile", lambda text: f"{text}#\n"),
    "the mailer is edited": lambda it: it.edit("mailer/Containerfile", lambda text: f"{text}#\n"),
    "the new mailer does not start": lambda it: it.kube.broken.update({it.run.images[1].reference: "ErrImageNeverPull"}),
    "the Dockerfile has arguments": lambda it: it.run.app.source.dockerfile.write_text(ARGUMENTS),
    "the mailer cannot be changed once": soon("PATCH deployment/mailer", ApiError("PATCH", 500, "", "etcd has no leader")),
    "all pods start": lambda it: it.kube.broken.clear(),
    "its pods do not start": broken("ErrImageNeverPull"),
    "its pods take long": broken("ContainerCreating"),
    "its pods crash": broken("CrashLoopBackOff"),
    "somebody agrees": lambda it: setattr(it.run.report, "agreeing", True),
    "nobody agrees": nobody_agrees,
    "somebody deletes it": lambda it: it.kube.one("Deployment")["metadata"].update(deletionTimestamp=BEGUN),
    "somebody pauses it": lambda it: it.kube.one("Deployment")["spec"].update(paused=True),
    "somebody removes its probe": unprobed,
    "somebody takes the service": lambda it: it.kube.one("Service")["metadata"].update(labels={}),
    "somebody takes the port meanwhile": lambda it: it.kube.meanwhile.append(
        ("PATCH service", lambda: it.kube._put("Service", "other", "theirs", TAKEN))
    ),
    "the port is free": lambda it: it.kube.objects.pop(("Service", "other", "theirs")),
    "the service selects other pods": selecting,
    "the service is invalid": soon("PATCH service", ApiError("PATCH", 422, "Invalid", "spec.clusterIP: may not be changed")),
    "somebody uses the image": lambda it: it.engine.used.append("theirs"),
    "the configuration is edited": lambda it: it.edit("k8s/parts.yaml", lambda text: text.replace("blue", "red")),
    "the password is edited": lambda it: it.edit("k8s/parts.yaml", lambda text: text.replace("secret}", "another}")),
    "the database does not start": lambda it: it.kube.broken.update({"postgres:17": "ErrImageNeverPull"}),
    "another application crashes beside it": beside,
    "nobody answers": lambda it: setattr(it.kube, "answering", "nobody"),
    "its pods answer": lambda it: setattr(it.kube, "answering", "pods"),
    "its pods answer with another build": lambda it: setattr(it.kube, "answering", "another build"),
    "only a first look is answered": lambda it: setattr(it.kube, "answering", "first"),
    "somebody answers for ever": lambda it: setattr(it.kube, "answering", "for ever"),
    "the API server gets no good answer": lambda it: setattr(it.kube, "silent", 404),
    "its pods answer the API server": lambda it: setattr(it.kube, "silent", 0),
    "the namespace goes": lambda it: it.kube.request("DELETE", "/api/v1/namespaces/default"),
    "the load balancer gives no address": lambda it: it.kube.unbalance(),
    "there is no load balancer": lambda it: facts(it, load_balancer=False),
    "it needs a tunnel": tunnelled,
    "setup is done": set_up,
    "this machine has what is needed": equipped,
    "this machine lacks kind": lambda it: equipped(it, "kind"),
    "this machine lacks an engine": lambda it: equipped(it, "engine"),
    "the engine is away": lambda it: setattr(it.provider, "start", raising(EngineError("It is away.", "Go there"))),
    "a cluster was created here": lambda it: it.run.settings.state_folder.mkdir(parents=True),
    "this shell uses the engine of node demo": lambda it: shell_of(it, "demo", FakeEngine()),
    "this shell uses this machine's engine": lambda it: shell_of(it, "", it.engine),
    "the API server comes up": soon("GET node", AWAY, ApiError("GET /api/v1/nodes", 503, "", "starting")),
    "the API server does not answer": soon("GET", AWAY),
    "the API server refuses": soon("GET", REFUSED),
    "the API server refuses the kubeconfig": soon("GET node", REFUSED, REFUSED),
    "the kubeconfig does not fit": soon("GET node", *[CredentialsError("It does not fit.", "log in")] * 2),
    "a node ends": lambda it: setattr(it.provider, "broken", ClusterError("Node ours has ended.", "docker logs ours")),
    "nothing answers": soon("GET node", AWAY, AWAY),
    "the node comes back": restarted,
    "the network crashes": lambda it: it.kube.one("Node", "node", "")["status"]["conditions"][0].update(status="False"),
}
BESIDE = "Cluster and image: done"


class Typed:
    """Runs the tasks of a transcript."""

    def __init__(self, there: World, capsys: pytest.CaptureFixture[str]) -> None:
        self._there = there
        self._capsys = capsys
        self._names: dict[str, str] = {}

    def __call__(self, transcript: list[str]) -> str:
        """Run the tasks, and return the transcript with what they really print."""
        made: list[str] = []
        for line in transcript:
            if line.startswith("$ "):
                made += [line, *self._typed(*line[2:].split())]
            elif line == "% changed:":
                made += [line, *self._there.kube.done]
                self._there.kube.done.clear()
            elif line.startswith("% "):
                made.append(line)
                DONE[line[2:]](self._there)
                self._there.run.forget("images", "manifests", "cluster", "seen")
        return "".join(f"{self._numbered(line)}\n" for line in made)

    def _typed(self, name: str, *options: str) -> list[str]:
        self._capsys.readouterr()
        pairs = [option.removeprefix("--").partition("=") for option in options]
        c = SimpleNamespace(config={OURS: {"project": PROJECT, "runs": (self._there.run,)}})
        error: list[str] = []
        try:
            namespace(PROJECT)[name].body(c, **{key: value or True for key, _, value in pairs})
        except Exit as told:
            error = [f"{told.code}: {line}" for line in str(told.message or "").splitlines() or [""]]
        out, err = self._capsys.readouterr()
        if out.startswith("{"):
            out = re.sub(r', "seconds": [0-9.]+', "", json.dumps(json.loads(out)))
        progress = re.sub(r" \(\d+\.\d s\)", "", err).splitlines()
        if BESIDE in progress:  # the steps of both run concurrently, so their order varies
            progress[: progress.index(BESIDE)] = sorted(progress[: progress.index(BESIDE)])
        lines = [*out.splitlines(), *(f"# {line}" for line in progress), *error]
        return [" ".join(line.split()) for line in lines]

    def _numbered(self, line: str) -> str:
        def number(found: re.Match[str]) -> str:
            word = "BUILD" if len(found[0]) == 12 else "SET"
            known = sum(one.startswith(word) for one in self._names.values())
            return self._names.setdefault(found[0], f"{word}{known + 1}")

        line = line.replace(str(self._there.folder), "FOLDER").replace(str(PROJECT.folder), "PROJECT")
        line = line.replace(PYTHON_IMAGE, "PINNED")
        return re.sub(r"\b[0-9a-f]{12}\b|(?<=-)[0-9a-f]{5}(?=-\d)", number, line)


@pytest.mark.promise("`eval $(minikube docker-env)`", "`eval $(minikube docker-env -u)`", "`minikube tunnel`")
@pytest.mark.parametrize("name", sorted(path.stem for path in TRANSCRIPTS.iterdir()))
def test_a_transcript_is_what_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    file = TRANSCRIPTS / f"{name}.txt"
    options, text = file.read_text().split("\n", 1)
    printed = Typed(world(tmp_path, monkeypatch, **json.loads(options)), capsys)(text.splitlines())
    if os.environ.get(UPDATE):
        file.write_text(f"{options}\n{printed}")
    assert printed == text
