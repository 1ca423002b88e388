"""The example applications, as their READMEs say, with the package from its wheel."""

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from kubetasks.testing.cluster import Cluster
from tasks import PROJECT
from tests.support import answers, cluster, leftovers, public
from tests.support.installed import SECONDS, Theirs
from tests.support.processes import ended, started
from tests.support.run import Run

EXAMPLES = PROJECT.folder / "examples"


@pytest.fixture
def example(this_run: Run, tmp_path: Path, installed: Path, request: pytest.FixtureRequest) -> Iterator[Theirs]:
    """A copy of the example, under a name that no other run has."""
    given: str = request.param
    name, folder = f"{this_run.prefix}{secrets.token_hex(2)}", tmp_path / given
    shutil.copytree(EXAMPLES / given, folder)
    for file in (folder / "pyproject.toml", folder / "invoke.yaml", *(folder.glob("k8s/*.yaml"))):
        if file.exists():
            old = f"name: {given}" if file.suffix == ".yaml" else f'name = "{given}"'
            text = file.read_text().replace(old, old.replace(given, name))
            file.write_text(text.replace(f"image: {given}", f"image: {name}").replace(f"/name: {given}", f"/name: {name}"))
    public.use(this_run, folder)
    yield Theirs(name, folder, installed, cluster.any_port())
    leftovers.remove(name)


@pytest.mark.parametrize("example", ["visits"], indirect=True)
@pytest.mark.usefixtures("throwaway")  # for the place
def test_an_application_with_a_database_and_a_job(example: Theirs) -> None:
    url = example.typed("up").splitlines()[0]
    assert "60 of 60 requests" in example.typed("traffic")
    assert '"count": ' in (answers.text(url) or "")
    again = example.typed("up")
    assert "Running job/migrate" not in again, "it has run, and nothing has changed"
    assert "is deployed" in again

    main = example.folder / "main.go"
    main.write_text(main.read_text().replace("CREATE TABLE", "CREATE TABEL"))
    job = example.folder / "k8s" / "migrate.yaml"
    job.write_text(job.read_text().replace("backoffLimit: 3", "backoffLimit: 0"))
    told = example.typed("up", code=6)
    assert "Job migrate failed: Job has reached the specified backoff limit." in told
    assert 'syntax error at or near "TABEL"' in told, "the last lines of its log"
    assert '"count": ' in (answers.text(url) or ""), "what was there before still serves"
    main.write_text(main.read_text().replace("CREATE TABEL", "CREATE TABLE"))

    password = example.folder / "k8s" / "database.env"
    password.write_text(password.read_text().replace("visits", "others"))
    assert "Rolling out" in example.typed("build", "deploy"), "another configuration replaces the pods"
    example.typed("clean")
    listed = ["get", "all,secrets,configmaps", f"--selector=app.kubernetes.io/managed-by=kubetasks-{example.name}"]
    kubeconfig = example.typed("kubeconfig").strip()
    with started([str(example.programs / "kubectl"), f"--kubeconfig={kubeconfig}", *listed], {}, example.folder) as run:
        assert ended(run, SECONDS).strip() == "No resources found in default namespace."
    example.typed("clean", "--all")
    assert example.left() == ""


@pytest.mark.parametrize(("example", "passed"), [("clock", 2), ("visits", 2)], indirect=["example"])
def test_its_own_tests_pass(example: Theirs, passed: int, k8s_cluster: Cluster, this_run: Run) -> None:
    registry = this_run.tasks.provider().cluster().registry
    assert registry
    where = [f"--kubetasks-context={k8s_cluster.context}", f"--kubetasks-registry={registry.outside}"]
    if (example.folder / "k8s" / "database.yaml").exists():
        where = []  # nobody has loaded the database's image there
    with started(
        example.pytest("-q", *where), example.environment | {"KUBECONFIG": str(k8s_cluster.kubeconfig)}, example.folder
    ) as run:
        assert f"{passed} passed" in ended(run, SECONDS)
    assert example.left() == ""


@pytest.mark.parametrize("name", ["clock", "visits"])
def test_it_is_described_in_five_lines(name: str) -> None:
    lines = (EXAMPLES / name / "README.md").read_text().splitlines()
    assert len([line for line in lines if line]) == 5
    table = yaml.safe_load((EXAMPLES / name / "invoke.yaml").read_text()) if name == "visits" else {}
    assert set(table.get("kubetasks", {})) <= {"name", "port", "health"}
