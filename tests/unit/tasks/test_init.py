"""What `init` writes, and what it leaves as it is."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from kubetasks.errors import SettingError
from kubetasks.project.application import Project
from kubetasks.project.versions import KUBERNETES
from kubetasks.tasks.init import init
from tasks import PROJECT

Begin = Callable[[Mapping[str, str]], Path]


@pytest.fixture
def begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Begin:
    """Type `kubetasks --yes init` in a folder with a Dockerfile and these files; return the folder."""

    def typed(files: Mapping[str, str], dry: bool = False) -> Path:
        for name, text in {"Dockerfile": "FROM scratch\nEXPOSE 80\n", **files}.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        monkeypatch.chdir(tmp_path)
        run: Any = SimpleNamespace(config=SimpleNamespace(run=SimpleNamespace(dry=dry, get=lambda name: name == "yes")))
        init.body(run)
        return tmp_path

    return typed


def written(folder: Path) -> list[str]:
    return sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file() and one.name != "Dockerfile")


def test_what_it_writes_is_a_project(begin: Begin) -> None:
    folder = begin({})
    names = ".dockerignore .github/workflows/cluster.yml invoke.yaml k8s/deployment.yaml k8s/service.yaml tasks.py"
    assert written(folder) == [*names.split(), "tests/test_cluster.py"]
    app = Project.read(folder).application
    assert (app.port, app.manifests) == (80, folder / "k8s")
    assert len((folder / "tasks.py").read_text().splitlines()) == 2
    assert {"invoke.yaml", "tasks.py", "k8s", "tests", ".github"} < set((folder / ".dockerignore").read_text().splitlines())


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("pyproject.toml", "[project]\nname = 'a'"),
        ("pyproject.toml", "[tool.other]\nkey = 1\n"),
        ("invoke.yaml", "app: {colour: blue}"),
    ],
)
def test_what_others_have_in_a_file_stays_and_it_gets_the_table_at_its_end(begin: Begin, file: str, text: str) -> None:
    folder = begin({file: text})
    assert (folder / file).read_text().startswith(text)
    assert {"pyproject.toml", "invoke.yaml"} & set(written(folder)) == {file}
    assert Project.read(folder).application.port == 80


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("invoke.yaml", "kubetasks:\n  cluster: {nodes: 3}\n"),
        ("invoke.yaml", "{}\n"),
        ("invoke.yaml", "app: {}\n...\n"),
        ("invoke.yml", "app: {}\n"),
        ("pyproject.toml", "[tool.kubetasks]\n"),
        ("pyproject.toml", "[tool]\nkubetasks = {}\n"),
    ],
)
def test_a_file_that_cannot_get_the_table_is_left_alone(begin: Begin, tmp_path: Path, file: str, text: str) -> None:
    with pytest.raises(SettingError, match="cannot get a table beside what it has") as told:
        begin({file: text})
    assert "port" in told.value.hint, "what to add by hand"
    assert (written(tmp_path), (tmp_path / file).read_text()) == ([file], text)


def test_what_is_there_stays_and_is_part_of_the_image_if_it_was(begin: Begin) -> None:
    folder = begin({"tasks.py": "# Celery's\n", "tests/test_shop.py": "", "Dockerfile": "FROM scratch\nCOPY k8s /\n"})
    assert (folder / "tasks.py").read_text() == "# Celery's\n"
    ignored = (folder / ".dockerignore").read_text().splitlines()
    assert not {"tasks.py", "tests", "k8s"} & set(ignored)
    assert (folder / "tests" / "test_cluster.py").exists()


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("k8s/config.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}\n", "has no deployment/"),
        ("tests", "", "tests is a file"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_written(
    begin: Begin, tmp_path: Path, file: str, text: str, words: str
) -> None:
    with pytest.raises(SettingError, match=words):
        begin({file: text})
    assert written(tmp_path) == [file]


def test_under_dry_nothing_is_written(begin: Any, capsys: pytest.CaptureFixture[str]) -> None:
    folder = begin({}, dry=True)
    assert written(folder) == []
    assert "  k8s/deployment.yaml\n" in capsys.readouterr().err


def test_what_a_compose_file_has_besides_is_named(begin: Begin, capsys: pytest.CaptureFixture[str]) -> None:
    begin({"compose.yaml": "services: {web: {build: .}}\n"})
    assert "compose file:" not in capsys.readouterr().err
    begin({"compose.yaml": "services: {web: {build: .}, cache: {image: redis}}\n", "invoke.yaml": ""})
    assert "Not taken over from the compose file: service cache. Add what you need to k8s/." in capsys.readouterr().err


def test_who_has_said_that_manifests_are_made_gets_none(begin: Begin) -> None:
    folder = begin({"invoke.yaml": "kubetasks: {name: shop, manifests: false}\n"})
    assert not (folder / "k8s").exists()


def test_its_workflow_has_each_kubernetes_and_the_actions_of_our_own(begin: Begin) -> None:
    text = (begin({}) / ".github" / "workflows" / "cluster.yml").read_text()
    assert yaml.safe_load(text)["jobs"]["test"]["strategy"]["matrix"]["kubernetes"] == list(KUBERNETES)
    ours = (PROJECT.folder / ".github" / "workflows" / "cluster.yml").read_text()
    actions = [line.strip() for line in text.splitlines() if "uses:" in line]
    assert len(actions) == 2
    assert [line for line in actions if line not in ours] == []
