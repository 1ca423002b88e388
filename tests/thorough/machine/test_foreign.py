"""No task changes what another owner has in the engine and in a kubeconfig, even under names that the tasks use."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml

from kubetasks.errors import ClusterError, OwnershipError
from kubetasks.project.labels import OWNER_LABEL, TOOL
from tests.support.driver import Tasks
from tests.support.run import any_port
from tests.thorough.machine import test_machine
from tests.thorough.machine.test_machine import THEIRS, OtherEngine

NAME, BUILT = "foreign", f"simple-server:{'f' * 12}"
CODES = (0, ClusterError.code, OwnershipError.code)
CHANGING = (("start",), ("stop",), ("unexpose",), ("undeploy",), ("rmi",), ("delete",), ("clean",), ("clean", "--all"))

pytestmark = test_machine.pytestmark

Things = dict[str, dict[str, str]]  # labels by name
KIND = {"io.x-k8s.kind.cluster": NAME}
MINIKUBE = {"name.minikube.sigs.k8s.io": NAME, "created_by.minikube.sigs.k8s.io": "true"}
REFUSED = "a kind cluster of our name"
CASES: dict[str, tuple[Things, Things, Things, list[str]]] = {  # containers, networks, images, kubeconfig entries
    REFUSED: ({f"{NAME}-control-plane": KIND}, {"kind": {}}, {"simple-server:v1": {}}, [NAME]),
    "a minikube cluster of our name": ({NAME: MINIKUBE}, {NAME: {**MINIKUBE, OWNER_LABEL: "minikube"}}, {}, [NAME]),
    "containers and images like ours": (
        {f"{NAME}-registry": {}, "simple-server": {}},
        {},
        {"simple-server:0123456789ab": {}},
        [],
    ),
}


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[OtherEngine]:
    """The test's own engine, which the tasks use."""
    with test_machine.started() as engine:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{engine.socket}")
        monkeypatch.setenv("XDG_CACHE_HOME", str(home.parent / "cache"))
        yield engine


def world(client: docker.DockerClient, home: Path) -> dict[str, set[Any]]:
    """Return everything in the engine, with its state, and the files in the home folder."""
    return {
        "containers": {(one.id, one.name, one.status) for one in client.containers.list(all=True)},
        "volumes": {one.name for one in client.volumes.list()},
        "networks": {(one.id, one.name) for one in client.networks.list()},
        "images": {(one.id, *one.tags) for one in client.images.list(all=True)},
        "home": {(path, path.read_bytes()) for path in home.rglob("*") if path.is_file()},
    }


def clear(client: docker.DockerClient) -> None:
    for container in client.containers.list(all=True):
        container.remove(force=True)
    client.networks.prune()
    for volume in client.volumes.list():
        volume.remove(force=True)
    for found in client.images.list(all=True):
        client.images.remove(str(found.id), force=True)


@pytest.mark.parametrize("case", CASES)
def test_what_others_have_stays_as_it_is_and_what_is_ours_goes(other: OtherEngine, home: Path, case: str) -> None:
    codes = holds(other, home, *CASES[case])
    if case == REFUSED:
        assert set(codes.values()) == {OwnershipError.code}
    else:  # `start` fails because nothing that it runs is installed
        assert codes == {task: ClusterError.code if task == ("start",) else 0 for task in CHANGING}


def holds(
    other: OtherEngine, home: Path, containers: Things, networks: Things, images: Things, known: list[str]
) -> dict[Any, int]:
    """Create another owner's objects and some with the tasks' label; check that only the latter go. Return the exit codes."""
    tasks = Tasks(NAME, any_port())
    with other.client() as client:
        clear(client)
        other.add_image(THEIRS)
        for name, found in images.items():
            other.add_image(name, found)
        for name, found in networks.items():
            client.networks.create(name, labels=found)
            client.volumes.create(name, labels=found)
        for name, found in containers.items():
            client.containers.create(THEIRS, ["none"], name=name, labels=found)
        theirs: dict[str, Any] = {
            "clusters": [{"name": name, "cluster": {"server": "https://192.0.2.1:6443"}} for name in known],
            "users": [{"name": name, "user": {"token": "theirs"}} for name in known],
            "contexts": [{"name": f"kind-{name}", "context": {"cluster": name, "user": name}} for name in known],
        }
        (home / ".kube" / "config").write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **theirs}))
        before = world(client, home)
        other.add_image(BUILT, TOOL.labels)
        if NAME not in networks:
            client.networks.create(NAME, labels={**TOOL.labels, TOOL.key("cluster"): NAME})
        codes: dict[tuple[str, ...], int] = {}
        for task in CHANGING:
            code = codes[task] = tasks(*task, code=None).code
            assert code in CODES, task
            now = world(client, home)
            assert {part: before[part] - now[part] for part in before} == {part: set() for part in before}, task
            if code == 0 and task == ("rmi",):
                assert BUILT not in other.images()
            if code == 0 and task == ("delete",) and NAME not in networks:
                assert now["networks"] == before["networks"]
        return codes
