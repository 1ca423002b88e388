"""What a failing test carries in its report: what was in the cluster, and how to run it alone."""

import os
import subprocess
from collections.abc import Iterator

from kubetasks import artifacts
from kubetasks.application import APPLICATION, PROJECT
from tests.integration.driver import HEARD, Tasks

SECONDS = 20
LINES = 30
REPORTS = PROJECT / "reports"


def reproduce(node_id: str) -> str:
    """The command that runs one test alone."""
    kept = [f"{name}={os.environ[name]} " for name in HEARD if name in os.environ]
    return f"{''.join(kept)}.venv/bin/tox run -e integration -- '{node_id.split('@')[0]}'  # --keep-cluster leaves it for a look"


def look(tasks: Tasks) -> Iterator[tuple[str, str]]:
    """(title, text) of everything worth seeing, as far as it can be had."""
    yield "containers", _run("docker", "ps", "--all", "--filter", f"label=io.x-k8s.kind.cluster={tasks.cluster}")
    yield "images of the engine", _run("docker", "images", "--no-trunc", "--filter", f"reference={APPLICATION.name}")
    if not tasks.kubeconfig.exists():
        return
    kubectl = [artifacts.kubectl().reference, "--kubeconfig", str(tasks.kubeconfig), "--namespace", tasks.namespace]
    kinds = "nodes,deployments,replicasets,pods,services,endpointslices,resourcequotas"
    yield "objects", _run(*kubectl, "get", kinds, "--output=wide")
    yield "events", _run(*kubectl, "get", "events", "--sort-by=.lastTimestamp")
    ids = "{range .items[*].status.containerStatuses[*]}{.image} {.imageID}{'\\n'}{end}".replace("'", '"')
    yield "images of the pods", _run(*kubectl, "get", "pods", f"--output=jsonpath={ids}")
    for pod in _run(*kubectl, "get", "pods", "--output=name").split():
        for title, previous in (("log", "false"), ("log of the container before", "true")):
            log = _run(*kubectl, "logs", pod, f"--tail={LINES}", f"--previous={previous}")
            if "previous terminated container" not in log:
                yield f"{title}: {pod}", log
    yield "kind's logs", _export(tasks)


def _export(tasks: Tasks) -> str:
    """kind's own logs of the cluster, kept as files; returns where."""
    folder = REPORTS / f"kind-{tasks.cluster}"
    _run(artifacts.kind(tasks.settings).reference, "export", "logs", str(folder), "--name", tasks.cluster)
    return str(folder.relative_to(PROJECT))


def _run(*argv: str) -> str:
    try:
        ended = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"({error})"
    return (ended.stdout + ended.stderr).rstrip() or "(none)"
