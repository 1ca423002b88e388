"""What `init` writes, and what it leaves unchanged."""

import io
import shlex
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from kubetasks.errors import SettingError
from kubetasks.project.application import Project
from kubetasks.project.versions import KUBERNETES
from kubetasks.tasks import origin
from kubetasks.tasks.init import WORKFLOW, init
from tasks import PROJECT

Begin = Callable[[Mapping[str, str]], Path]
FILES = {"Dockerfile": "FROM scratch\nEXPOSE 80\n"}


@pytest.fixture
def begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Begin:
    """Run `kubetasks --yes init` in a folder with these files, and a Dockerfile if they need one; return the folder."""

    def typed(files: Mapping[str, str], dry: bool = False, application: str = "") -> Path:
        own = {} if any(name.endswith("/Dockerfile") for name in files) and "compose.yaml" not in files else FILES
        for name, text in {**own, **files}.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        monkeypatch.chdir(tmp_path)
        run: Any = SimpleNamespace(config=SimpleNamespace(run=SimpleNamespace(dry=dry, get=lambda name: name == "yes")))
        init.body(run, application=application)
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
    with pytest.raises(SettingError, match="cannot take a table beside what it has") as told:
        begin({file: text})
    assert "port" in told.value.hint, "what to add by hand"
    assert (written(tmp_path), (tmp_path / file).read_text()) == ([file], text)


def test_what_is_there_stays_and_is_part_of_the_image_if_it_was(begin: Begin) -> None:
    folder = begin({"tasks.py": "# Celery's\n", "tests/test_shop.py": ""})
    assert (folder / "tasks.py").read_text() == "# Celery's\n"
    ignored = (folder / ".dockerignore").read_text().splitlines()
    assert not {"tasks.py", "tests"} & set(ignored)
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


def test_manifests_that_up_would_refuse_are_refused(begin: Begin) -> None:
    (begin({}) / "invoke.yaml").unlink()
    with pytest.raises(SettingError, match="declares port 80, and the application's is 81"):
        begin({"Dockerfile": "FROM scratch\nEXPOSE 81\n"})


def test_under_dry_nothing_is_written(begin: Any, capsys: pytest.CaptureFixture[str]) -> None:
    folder = begin({}, dry=True)
    assert written(folder) == []
    assert "  k8s/deployment.yaml\n" in capsys.readouterr().err


COMPOSE = """\
services:
  web: {build: {context: ., args: {MODE: a "b"}}, ports: ["80:80"]}
  acme.worker: {build: worker, image: "acme/worker:1"}
  cache: {image: redis}
"""
BUILT = {"compose.yaml": COMPOSE, "worker/Dockerfile": "FROM scratch\n"}
KOMPOSE = """\
#!/bin/sh
echo "$@" > called
for name in {made}; do
    containers="[{{name: $name}}, {{name: worker, image: acme/worker:1}}]"
    spec="{{template: {{spec: {{containers: $containers}}}}}}"
    echo "{{kind: Deployment, apiVersion: apps/v1, metadata: {{name: $name}}, spec: $spec}}" > "$5$name-deployment.yaml"
done
{ends}
"""


def kompose(folder: Path, monkeypatch: pytest.MonkeyPatch, made: str = "web cache", ends: str = "") -> None:
    """Put a program on PATH that writes these deployments as kompose does; if `made` is empty, have no kompose on PATH."""
    (folder / "bin").mkdir()
    if made:
        (folder / "bin" / "kompose").write_text(KOMPOSE.format(made=made, ends=ends))
        (folder / "bin" / "kompose").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:/usr/bin:/bin")


@pytest.mark.parametrize("file", ["pyproject.toml", "invoke.yaml"])
def test_of_several_services_kompose_makes_the_manifests_and_the_table_has_each_image(
    begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    kompose(tmp_path, monkeypatch)
    folder = begin({**BUILT, file: ""})
    called = (folder / "called").read_text().split()
    assert (called[:4], called[5:]) == (["convert", "--file", "compose.yaml", "--out"], ["--with-kompose-annotation=false"])
    made = {f"{name}.yaml" for name in ("cache-deployment", "web-deployment", "web-service")}
    assert {one.name for one in (folder / "k8s").iterdir()} == made
    service = yaml.safe_load((folder / "k8s" / "web-service.yaml").read_text())
    assert service["spec"]["ports"] == [{"name": "http", "port": 80, "targetPort": 80}], "kompose made none, and names no port"
    app = Project.read(folder).application
    assert [(one.name, one.context, dict(one.args)) for one in app.sources] == [
        ("web", folder, {"MODE": 'a "b"'}),
        ("acme/worker", folder / "worker", {}),
    ]
    if file == "pyproject.toml":
        assert '[tool.kubetasks.images."acme/worker"]\ncontext = "worker"\n' in (folder / file).read_text()


def test_without_kompose_the_line_to_type_is_told_until_its_manifests_are_there(
    begin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kompose(tmp_path, monkeypatch, made="")
    folder = begin(BUILT)
    told = capsys.readouterr().err
    assert "kompose, which makes the manifests of compose.yaml, is not on PATH." in told
    assert "Next: kompose convert --file compose.yaml --out k8s/; kubetasks setup up traffic; pytest" in told
    assert not (folder / "k8s").exists()
    begin({})
    assert "Next: kompose convert --file compose.yaml --out k8s/" in capsys.readouterr().err, "a second time too"
    shutil.rmtree(folder / "bin")
    kompose(tmp_path, monkeypatch)
    begin({})
    assert (folder / "k8s" / "web-deployment.yaml").exists()
    begin({})
    assert "Everything is there already." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("made", "ends", "words"),
    [
        ("cache", "", "kompose makes no deployment of web in compose.yaml."),
        (
            "web",
            r"printf 'one\n\033[31mFATA\033[0m no file .env' >&2; exit 1",
            "kompose cannot convert compose.yaml: no file .env.",
        ),
    ],
)
def test_what_kompose_does_not_make_is_told_before_anything_is_written(
    begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: str, ends: str, words: str
) -> None:
    kompose(tmp_path, monkeypatch, made, ends)
    with pytest.raises(SettingError, match=words):
        begin(BUILT)
    assert set(written(tmp_path)) == {"bin/kompose", "called", "compose.yaml"}


@pytest.mark.parametrize(
    ("asked", "typed", "own"), [("web/Dockerfile", "", "web"), ("", "no\nweb/Dockerfile\n", "web"), ("no", "", "")]
)
def test_of_several_dockerfiles_the_option_says_which_one_is_the_application_or_a_person(
    begin: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    asked: str,
    typed: str,
    own: str,
) -> None:
    terminal = io.StringIO(typed)
    monkeypatch.setattr(terminal, "isatty", lambda: bool(typed))
    monkeypatch.setattr("sys.stdin", terminal)
    files = dict.fromkeys(("api/Dockerfile", "web/Dockerfile"), "FROM scratch\n")
    if own:
        app = Project.read(begin(files, application=asked)).application
        assert app.source.context == tmp_path / own
        assert not (tmp_path / ".dockerignore").exists(), "which no build would read"
        assert "Not built: api/Dockerfile. [tool.kubetasks.images.NAME]" in capsys.readouterr().err
        return
    for option, words in {asked: "and no no.", "": "and nothing says which one is the application."}.items():
        with pytest.raises(SettingError, match=f"There are api/Dockerfile, web/Dockerfile, {words}") as told:
            begin(files, application=option)
        assert told.value.hint == "kubetasks init --application=api/Dockerfile"
    assert written(tmp_path) == []


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


@pytest.mark.parametrize("package", ["kubetasks==1.2", "kubetasks @ git+https://git.example/o/r@c0ffee", origin.UNKNOWN])
def test_its_workflow_installs_the_package_from_where_it_came_or_a_sentence_says_what_to_fill_in(
    begin: Begin, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], package: str
) -> None:
    monkeypatch.setattr(origin, "requirement", lambda: package)
    steps = yaml.safe_load((begin({}) / WORKFLOW).read_text())["jobs"]["test"]["steps"]
    (line,) = [step["run"] for step in steps if step.get("run", "").startswith("pip ")]
    assert shlex.split(line) == ["pip", "install", package, "pytest", "pytest-xdist"]
    asked = f"Nothing here says where GitHub can get kubetasks: replace URL and COMMIT in {WORKFLOW}."
    assert (asked in capsys.readouterr().err.splitlines()) == (package == origin.UNKNOWN)
