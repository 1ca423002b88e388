"""The installed package, and folders with applications of others, for the tests of this folder."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from kubetasks.testing.cluster import Cluster
from tests.support import installed, leftovers, public
from tests.support.installed import Theirs
from tests.support.run import Run, any_port

Begin = Callable[..., Theirs]


@pytest.fixture(scope="session")
def programs(this_run: Run) -> Path:
    """The folder of its programs."""
    return installed.install(this_run)


@pytest.fixture(scope="session")
def on(k8s_cluster: Cluster, this_run: Run) -> dict[str, str]:
    """The run's cluster, as one that somebody else has."""
    return installed.of_others(k8s_cluster, this_run)


@pytest.fixture
def begin(this_run: Run, tmp_path: Path, programs: Path) -> Iterator[Begin]:
    """Make a folder with the files of an application, or with a copy of those of a folder, under a name that no other run has.

    `called` is how the files name it.
    """
    names = []

    def made(files: Mapping[str, str] | Path, called: str = "") -> Theirs:
        if isinstance(files, Path):
            files = {str(path.relative_to(files)): path.read_text() for path in files.rglob("*") if path.is_file()}
        names.append(name := this_run.unique())
        for file, text in files.items():
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(re.sub(rf'((?:name|image)(?:: | = )"?|of\("){called}\b', rf"\g<1>{name}", text) if called else text)
        public.use(this_run.tasks.settings, tmp_path / name)
        given = {"PORT": str(any_port()), "KUBERNETES": this_run.tasks.settings.kubernetes}
        variables = {f"INVOKE_KUBETASKS_CLUSTER_{key}": value for key, value in given.items()}
        return Theirs(name, tmp_path / name, programs, variables)

    yield made
    for name in names:
        leftovers.remove(name)


def namespaces(cluster: Cluster, owner: Theirs | None = None) -> list[str]:
    """The cluster's namespaces, or those that the owner's tests have made."""
    selector = f"app.kubernetes.io/managed-by=kubetasks-{owner.name}" if owner else ""
    return cluster.kubectl("get", "namespaces", "--output=name", f"--selector={selector}").split()
