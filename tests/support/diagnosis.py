"""Diagnosis: what a failed test's report shows besides the package's diagnosis, and the command that runs the test alone."""

import os
import subprocess
from collections.abc import Iterator

from kubetasks.setup import requirements
from tasks import PROJECT
from tests.support.driver import HEARD, Tasks

SECONDS = 20
REPORTS = PROJECT.folder / "reports"
KINDS = "nodes,deployments,replicasets,pods,services,endpointslices,resourcequotas"
IDS = '{range .items[*].status.containerStatuses[*]}{.image} {.imageID}{"\\n"}{end}'
LOGS = ("logs", f"--selector={PROJECT.application.selector}", "--prefix", "--tail=30", "--ignore-errors")
QUESTIONS = {
    "objects": ("get", KINDS, "--output=wide"),
    "events": ("get", "events", "--sort-by=.lastTimestamp"),
    "images of the pods": ("get", "pods", f"--output=jsonpath={IDS}"),
    "logs": LOGS,
    "logs of the containers before": (*LOGS, "--previous"),
}
EXPORTS = {  # how each provider saves its logs of a cluster
    "kind": ("export", "logs", "{path}", "--name={name}"),
    "minikube": ("logs", "--file={path}", "--profile={name}"),
}


def reproduce(node_id: str) -> str:
    """Return the command that runs one test alone, whatever its tier."""
    kept = [f"{name}={os.environ[name]} " for name in HEARD if name in os.environ]
    return f"{''.join(kept)}.venv/bin/tox run -e integration -- --exhaustive '{node_id}'"


def look(tasks: Tasks) -> Iterator[tuple[str, str]]:
    """Yield (title, text) for each part of the cluster's state."""
    yield "containers", _run("docker", "ps", "--all", "--filter", f"name=^{tasks.cluster}")
    yield "images of the engine", _run("docker", "images", "--no-trunc", "--filter", f"reference={PROJECT.application.name}")
    if not tasks.kubeconfig.exists():
        return
    where = ("--kubeconfig", str(tasks.kubeconfig), "--namespace", tasks.namespace, "--request-timeout=5s")
    for title, words in QUESTIONS.items():
        yield title, _run(requirements.kubectl().reference, *where, *words)
    if export := EXPORTS.get(tasks.settings.provider):
        path, provider = REPORTS / f"{tasks.settings.provider}-{tasks.cluster}", tasks.provider()
        _run(provider.program, *(word.format(path=path, name=tasks.cluster) for word in export), **provider.environment)
        yield f"{tasks.settings.provider}'s logs", str(path.relative_to(PROJECT.folder))


def _run(*argv: str, **environment: str) -> str:
    """Return what a program prints, "(none)" if nothing, or why it did not run or end."""
    try:
        ended = subprocess.run(argv, env=os.environ | environment, capture_output=True, text=True, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"({error})"
    return (ended.stdout + ended.stderr).rstrip() or "(none)"
