"""What `init` reads from a Dockerfile and a compose file, and where it says that each value comes from."""

import json
import re
from pathlib import Path

import pytest

from kubetasks.errors import SettingError
from kubetasks.project import inferred

DEFAULTS = {"name": "my-shop-v2", "port": 8080, "health": "/"}


def values(folder: Path) -> dict[str, object]:
    return {key: one.value for key, one in inferred.table(folder).items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (made := tmp_path / "My_Shop.v2").mkdir()
    (made / "Dockerfile").write_text("FROM scratch\n")
    return made


def test_a_bare_dockerfile_gives_the_defaults_and_says_so(folder: Path) -> None:
    found = inferred.table(folder)
    assert values(folder) == DEFAULTS
    assert [one.source.partition(":")[0] for one in found.values()] == ["the folder's name", "the default", "the default"]
    nameless = inferred.table(folder.rename(folder.with_name("__")))["name"]
    assert nameless == inferred.Inferred("app", "the default: the folder's name has no letter")


@pytest.mark.parametrize(
    "ports", [["8080:80"], ["127.0.0.1:8080:80/tcp"], [80], 80, [{"target": 80, "published": 8080}], ["${PORT:-8080}:80"]]
)
def test_a_compose_file_says_what_the_dockerfile_does_not(folder: Path, ports: object) -> None:
    (folder / "docker").mkdir()
    (folder / "Dockerfile").rename(folder / "docker" / "Web.Dockerfile")
    build = {"context": ".", "dockerfile": "docker/Web.Dockerfile"}
    web = {"build": build, "ports": ports, "healthcheck": {"test": ["CMD", "curl", "http://localhost:80/alive"]}}
    (folder / "compose.yaml").write_text(json.dumps({"services": {"web": web, "database": {"image": "postgres:17"}}}))
    assert values(folder) == {"name": "my-shop-v2", "dockerfile": "docker/Web.Dockerfile", "port": 80, "health": "/alive"}
    assert inferred.table(folder)["port"].source == "service web in compose.yaml"


def test_a_context_of_its_own_has_its_dockerfile(folder: Path) -> None:
    (folder / "server").mkdir()
    (folder / "Dockerfile").rename(folder / "server" / "Dockerfile")
    (folder / "compose.yaml").write_text("services: {web: {build: ./server}}\n")
    assert values(folder) == DEFAULTS | {"context": "./server", "dockerfile": "server/Dockerfile"}


NO_SERVICE = "compose.yaml cannot be read: it has something else than compose expects"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "compose.yaml cannot be read"),
        ("text", "compose.yaml cannot be read"),
        ("services: [web]", NO_SERVICE),
        ("services: {web: {build: 3}}", NO_SERVICE),
        ("services: {web: {build: [a]}}", NO_SERVICE),
        ("services: {web: {build: {context: 3, dockerfile: 4}}}", NO_SERVICE),
        ("services: {web: {build: ., healthcheck: x}}", NO_SERVICE),
        ("services: {web: {build: .}, worker: {build: worker}}", "builds web, worker: an application has one image"),
        ("services: {web: {build: {context: ., target: prod}}}", "builds with target, which the tasks do not pass on"),
        ("services: {web: {build: {context: ., args: [A=b]}}}", "builds with args, which the tasks do not pass on"),
    ],
)
def test_a_compose_file_that_is_none_or_does_not_say_which_image_is_refused(folder: Path, text: str, words: str) -> None:
    (folder / "compose.yaml").write_text(text)
    with pytest.raises(SettingError, match=re.escape(words)):
        inferred.table(folder)


def test_what_a_compose_file_says_besides_is_named(folder: Path) -> None:
    web = "{build: ., environment: {A: b}, depends_on: [redis], ports: ['80:80']}"
    (folder / "compose.yaml").write_text(f"services: {{web: {web}, worker: {{build: .}}, redis: {{image: redis}}}}\n")
    assert inferred.left_out(folder) == ["service worker", "service redis", "environment", "depends_on"]
    assert inferred.table(folder)["port"].source == "service web in compose.yaml"
