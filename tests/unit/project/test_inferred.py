"""What `init` reads from a Dockerfile and a compose file, and where it says that each value comes from."""

from pathlib import Path

import pytest

from kubetasks.errors import ImageError, SettingError
from kubetasks.project import inferred

COMPOSE = """\
services:
  web:
    build: {build}
    ports: {ports}
    healthcheck: {{test: {check}}}
  database:
    image: postgres:17
"""


def values(folder: Path) -> dict[str, object]:
    return {key: one.value for key, one in inferred.table(folder).items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (made := tmp_path / "My_Shop.v2").mkdir()
    (made / "Dockerfile").write_text("FROM scratch\n")
    return made


def test_a_bare_dockerfile_gives_the_defaults_and_says_so(folder: Path) -> None:
    found = inferred.table(folder)
    assert values(folder) == {"name": "my-shop-v2", "port": 8080, "health": "/"}
    assert [one.source.partition(":")[0] for one in found.values()] == ["the folder's name", "the default", "the default"]


@pytest.mark.parametrize(
    ("check", "path"),
    [
        ("CMD curl --fail http://localhost:3000/alive || exit 1", "/alive"),
        ("--interval=5s \\\n  CMD wget -qO- 'http://127.0.0.1:3000/alive?full=1'", "/alive"),
        ('CMD ["python3", "-c", "urlopen(\'http://localhost:3000/alive\')"]', "/alive"),
        ("CMD curl http://localhost:3000", "/"),
        ("NONE", "/"),
    ],
)
def test_port_and_path_are_those_of_the_stage_that_becomes_the_image(folder: Path, check: str, path: str) -> None:
    text = "FROM node AS build\nEXPOSE 9229\nHEALTHCHECK CMD curl http://localhost/build\n"
    text += f"FROM node\nEXPOSE 3000/tcp 3001\nHEALTHCHECK {check}\n"
    (folder / "Dockerfile").write_text(text)
    assert (values(folder)["port"], values(folder)["health"]) == (3000, path)


@pytest.mark.parametrize(
    "ports", ['["8080:80"]', '["127.0.0.1:8080:80/tcp"]', "[80]", "80", "[{target: 80, published: 8080}]", '["${PORT:-8080}:80"]']
)
def test_a_compose_file_says_what_the_dockerfile_does_not(folder: Path, ports: str) -> None:
    (folder / "docker").mkdir()
    (folder / "docker" / "Web.Dockerfile").write_text("FROM scratch\n")
    build = "{context: ., dockerfile: docker/Web.Dockerfile}"
    check = '[CMD, curl, "http://localhost:80/alive"]'
    (folder / "compose.yaml").write_text(COMPOSE.format(build=build, ports=ports, check=check))
    found = inferred.table(folder)
    assert values(folder) == {"name": "my-shop-v2", "dockerfile": "docker/Web.Dockerfile", "port": 80, "health": "/alive"}
    assert found["port"].source == "service web in compose.yaml"


def test_a_context_of_its_own_has_its_dockerfile(folder: Path) -> None:
    (folder / "server").mkdir()
    (folder / "Dockerfile").rename(folder / "server" / "Dockerfile")
    (folder / "compose.yaml").write_text(COMPOSE.format(build="./server", ports="[]", check="null"))
    assert values(folder) == {
        "name": "my-shop-v2",
        "context": "./server",
        "dockerfile": "server/Dockerfile",
        "port": 8080,
        "health": "/",
    }


def test_of_several_images_none_is_chosen(folder: Path) -> None:
    (folder / "compose.yaml").write_text("services: {web: {build: .}, worker: {build: worker}}\n")
    with pytest.raises(SettingError, match=r"builds web, worker: an application has one image"):
        inferred.table(folder)


def test_without_a_dockerfile_there_is_nothing_to_begin_with(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=f"There is no Dockerfile in {tmp_path}"):
        inferred.table(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("services: [web]\n", r"compose\.yaml cannot be read"),
        ("{", r"compose\.yaml cannot be read"),
        ("text\n", r"compose\.yaml cannot be read"),
        *(
            (f"services: {{web: {web}}}", r"compose\.yaml cannot be read: it has something else than compose expects")
            for web in ("{build: 3}", "{build: [a]}", "{build: {context: 3, dockerfile: 4}}", "{build: ., healthcheck: x}")
        ),
    ],
)
def test_a_compose_file_that_is_none_is_told(folder: Path, text: str, words: str) -> None:
    (folder / "compose.yaml").write_text(text)
    with pytest.raises(SettingError, match=words):
        inferred.table(folder)


def test_what_a_compose_file_says_besides_is_named(folder: Path) -> None:
    web = "{build: ., environment: {A: b}, depends_on: [redis], ports: ['80:80']}"
    (folder / "compose.yaml").write_text(f"services: {{web: {web}, worker: {{build: .}}, redis: {{image: redis}}}}\n")
    assert inferred.left_out(folder) == ["service worker", "service redis", "environment", "depends_on"]
    assert inferred.table(folder)["port"].source == "service web in compose.yaml"


@pytest.mark.parametrize(("key", "value"), [("target", "prod"), ("args", "[A=b]")])
def test_an_image_that_the_tasks_would_not_build_is_refused(folder: Path, key: str, value: str) -> None:
    (folder / "compose.yaml").write_text(f"services: {{web: {{build: {{context: ., {key}: {value}}}}}}}\n")
    with pytest.raises(SettingError, match=f"builds with {key}, which the tasks do not pass on"):
        inferred.table(folder)


@pytest.mark.parametrize("line", ["EXPOSE 53/udp", "EXPOSE $PORT", "EXPOSE 0"])
def test_a_port_that_is_none_is_not_taken(folder: Path, line: str) -> None:
    (folder / "Dockerfile").write_text(f"FROM scratch\n{line}\n")
    assert values(folder)["port"] == 8080


def test_what_a_stage_is_made_from_counts_too(folder: Path) -> None:
    (folder / "Dockerfile").write_text("FROM node AS base\nEXPOSE 3000\nFROM base AS other\nEXPOSE 1\nFROM base\n")
    assert values(folder)["port"] == 3000


def test_an_address_of_ipv6_has_a_path_too(folder: Path) -> None:
    (folder / "Dockerfile").write_text("FROM scratch\nHEALTHCHECK CMD curl http://[::1]:8000/alive\n")
    assert values(folder)["health"] == "/alive"
