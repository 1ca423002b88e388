"""The table that describes an application, and the errors that name what is wrong in it."""

from pathlib import Path

import pytest

from kubetasks.errors import SettingError
from kubetasks.project import table
from kubetasks.project.application import Project, Source


def write(folder: Path, file: str, text: str) -> Path:
    (folder / file).write_text(text)
    return folder


def test_a_table_of_pyproject_is_the_project(tmp_path: Path) -> None:
    (tmp_path / "deploy").mkdir()
    write(tmp_path, "pyproject.toml", '[tool.kubetasks]\nname = "shop"\nport = 80\nmanifests = "deploy"\ncontext = ".."\n')
    made = Project.read(tmp_path).application
    assert (made.name, made.port, made.manifests, made.source.context) == ("shop", 80, tmp_path / "deploy", tmp_path.parent)
    assert made.source.dockerfile == tmp_path / "Dockerfile"


def test_the_same_keys_in_invoke_yaml_lie_beside_the_settings(tmp_path: Path) -> None:
    write(tmp_path, "invoke.yaml", "kubetasks:\n  name: shop\n  manifests: false\n  cluster: {nodes: 3}\n")
    (tmp_path / "k8s").mkdir()
    made = Project.read(tmp_path / "invoke.yaml").application
    assert (made.name, made.port, made.manifests) == ("shop", 8080, None)


def test_other_images_have_tables_of_their_own(tmp_path: Path) -> None:
    more = '[tool.kubetasks.images."org/mailer"]\ncontext = "mailer"\ntarget = "slim"\nargs = {MODE = "fast"}\n'
    write(tmp_path, "pyproject.toml", f"{NAMED}target = 'run'\n{more}[tool.kubetasks.images.job]\ndockerfile = 'job/File'\n")
    assert Project.read(tmp_path).application.sources == (
        Source("a", tmp_path, tmp_path / "Dockerfile", "run"),
        Source("org/mailer", tmp_path / "mailer", tmp_path / "mailer/Dockerfile", "slim", {"MODE": "fast"}),
        Source("job", tmp_path, tmp_path / "job/File"),
    )


NAMED = "[tool.kubetasks]\nname = 'a'\n"


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("pyproject.toml", "[tool.kubetasks]\nport = 80\n", "has no name of the application"),
        ("pyproject.toml", f"{NAMED}prot = 80\n", "pyproject.toml: prot is not a key of the table"),
        ("pyproject.toml", f"{NAMED}port = '80'\n", "pyproject.toml: port must be a number, not '80'"),
        ("pyproject.toml", f"{NAMED}port = true\n", "pyproject.toml: port must be a number, not True"),
        ("pyproject.toml", f"{NAMED}port = 0\n", "The port of a must be a number from 1 to 65535, not 0"),
        ("pyproject.toml", f"{NAMED}port = 65536\n", "The port of a must be a number from 1 to 65535, not 65536"),
        ("pyproject.toml", f"{NAMED}health = 'alive'\n", "The health path of a must begin with a slash"),
        ("pyproject.toml", f"{NAMED}health = '/is it'\n", "The health path of a must .* have no space"),
        ("pyproject.toml", f"{NAMED}owner = '-'\n", "The owner of a must be a label's value"),
        ("pyproject.toml", f"{NAMED}manifests = true\n", "manifests must be text, not True"),
        ("pyproject.toml", f"{NAMED}args = {{A = 1}}\n", "pyproject.toml: args.A must be text, not 1"),
        ("pyproject.toml", f"{NAMED}images = ['a']\n", "pyproject.toml: images must be a table"),
        ("pyproject.toml", f"{NAMED}[tool.kubetasks.images]\nb = 'x'\n", "pyproject.toml: images.b must be a table, not 'x'"),
        ("pyproject.toml", f"{NAMED}[tool.kubetasks.images.b]\nport = 1\n", "images.b.port is not a key of the table"),
        ("pyproject.toml", f"{NAMED}[tool.kubetasks.images.b]\nargs = {{A = true}}\n", "images.b.args.A must be text, not True"),
        ("pyproject.toml", f"{NAMED}[tool.kubetasks.images.a]\n", "`images` must not have a, the application's own image"),
        ("pyproject.toml", f"{NAMED}[tool.kubetasks.images.'b:v1']\n", "An image's name is in lower case .*, not 'b:v1'"),
        ("pyproject.toml", "[tool.kubetasks\n", "cannot be read"),
        ("pyproject.toml", "tool = 1\n", "cannot be read"),
        ("pyproject.toml", "[tool.kubetasks.cluster]\nnodes = 3\n", "settings of the tasks are in invoke.yaml"),
        ("invoke.yaml", "kubetasks: {name: [a]}\n", r"invoke.yaml: name must be text, not \['a'\]"),
        ("invoke.yaml", "kubetasks: {name: Shop}\n", "must be at most 40 lower-case letters"),
        ("invoke.yaml", f"kubetasks: {{name: {'a' * 41}}}\n", "must be at most 40 lower-case letters"),
        ("invoke.yaml", 'kubetasks: {name: a, context: "\\0"}\n', "The context and the Dockerfile of a must be paths"),
        ("invoke.yaml", 'kubetasks: {name: a, kind: "\\0"}\n', "`kind` of a must be a path"),
        ("invoke.yaml", "kubetasks: shop\n", "cannot be read"),
    ],
)
def test_what_is_wrong_in_a_table_is_named(tmp_path: Path, file: str, text: str, words: str) -> None:
    with pytest.raises(SettingError, match=words):
        Project.read(write(tmp_path, file, text))


def test_two_tables_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "pyproject.toml", "[tool.kubetasks]\nname = 'a'\n")
    write(tmp_path, "invoke.yaml", "kubetasks: {name: a}\n")
    with pytest.raises(SettingError, match=r"Both pyproject\.toml and invoke\.yaml"):
        Project.read(tmp_path)


@pytest.mark.parametrize("text", ["", "app: {colour: blue}\n", "kubetasks: {cluster: {nodes: 3}}\n"])
def test_without_a_table_the_next_command_is_told(tmp_path: Path, text: str) -> None:
    assert table.read(write(tmp_path, "invoke.yaml", text)) == {}
    with pytest.raises(SettingError, match=r"There is no \[tool\.kubetasks\]") as told:
        Project.read(tmp_path)
    assert told.value.hint == "kubetasks init writes a table"
