"""What `init` reads from Dockerfiles and a compose file, and where it says each value comes from."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from kubetasks.errors import ImageError, SettingError
from kubetasks.project import inferred

DEFAULTS = {"name": "my-shop-v2", "port": 8080, "health": "/"}
PORTS = {
    "published": ["8080:80"],
    "of one address": ["127.0.0.1:8080:80/tcp"],
    "a number": [80],
    "the long form": [{"target": 80, "published": 8080}],
    "behind a variable": ["${NOWHERE:-8080}:80"],
    "in a variable of .env": ["8080:${INNER}"],
    "in a variable of the shell, which comes first": ["8080:$OUTER"],
    "after one of UDP": ["53:53/udp", "80-90:80-90"],
}


def first(where: str, names: Sequence[str], likely: Sequence[str]) -> str:
    """Return the only likely name, as `init` does; raise LookupError with the names if there are several."""
    if len(likely) > 1:
        raise LookupError(f"{where} {', '.join(likely)} of {', '.join(names)}")
    return likely[0]


def values(folder: Path) -> dict[str, object]:
    return {key: value for key, (value, _) in inferred.described(folder, first).table.items()}


def write(folder: Path, compose: object, *dockerfiles: str) -> None:
    (folder / "compose.yaml").write_text(json.dumps(compose))
    for name in dockerfiles:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("FROM scratch\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (made := tmp_path / "My_Shop.v2").mkdir()
    (made / "Dockerfile").write_text("FROM scratch\n")
    return made


def test_a_bare_dockerfile_gives_the_defaults_and_says_so(folder: Path) -> None:
    found = inferred.described(folder, first)
    assert found == inferred.Described(
        {"name": ("my-shop-v2", "the folder's name"), "port": (8080, "the default"), "health": ("/", "the default")}
    )
    assert inferred.described(folder.rename(folder.with_name("__")), first).table["name"] == ("app", "the default")


@pytest.mark.parametrize("ports", PORTS.values(), ids=PORTS)
def test_a_compose_file_of_one_service_says_what_is_built_and_where_it_answers(
    folder: Path, monkeypatch: pytest.MonkeyPatch, ports: object
) -> None:
    monkeypatch.setenv("OUTER", "80")
    build = {"context": "./web", "dockerfile": "Prod.Dockerfile", "target": "serve", "args": ["A=b=c", "ONLY_THERE"]}
    write(folder, {"services": {"web": {"build": build, "ports": ports}}}, "web/Prod.Dockerfile")
    stages = "FROM scratch AS serve\nHEALTHCHECK CMD curl http://localhost/alive\nFROM scratch\nEXPOSE 81\n"
    (folder / "web" / "Prod.Dockerfile").write_text(stages)
    (folder / ".env").write_text("# theirs\nINNER='80'\nOUTER=81\n")
    built = {"context": "web", "dockerfile": "web/Prod.Dockerfile", "target": "serve", "args": {"A": "b=c"}}
    assert values(folder) == {"name": "my-shop-v2", **built, "port": 80, "health": "/alive"}
    found = inferred.described(folder, first)
    assert (found.table["port"][1], found.compose, found.note) == ("service web in compose.yaml", "", "")


def test_of_several_services_the_names_are_those_that_kompose_gives(folder: Path) -> None:
    web = {"build": {"context": ".", "args": {"RELEASE": True, "LEVEL": 3, "NONE": None}}, "ports": ["80:80"]}
    web["healthcheck"] = {"test": ["CMD", "curl", "http://localhost:80/alive"]}
    services = {
        "web_front": web | {"image": "acme/web:1.0", "depends_on": ["api"]},
        "api": {"build": "api", "image": "acme/api:1.0", "expose": [9000]},
        "work.er": {"build": {"context": "api", "target": "worker"}},
        "mailer": {"image": "acme/web:1.0"},
        "db": {"image": "postgres:17"},
        "seed": {"build": "nowhere", "profiles": ["seed"]},
    }
    write(folder, {"services": services}, "api/Dockerfile")
    images: dict[str, object] = {"acme/api": {"context": "api"}, "work-er": {"context": "api", "target": "worker"}}
    images["acme/web"] = {"args": {"RELEASE": "true", "LEVEL": "3"}}  # the mailer uses it too
    made = {"name": "web-front", "args": {"RELEASE": "true", "LEVEL": "3"}, "port": 80, "health": "/alive"}
    assert values(folder) == {**made, "images": images}
    found = inferred.described(folder, first)
    why = "kompose creates a Service only for those with ports or expose in compose.yaml."
    assert (found.compose, found.note) == ("compose.yaml", f"Other services cannot reach work.er, mailer, db: {why}")
    assert inferred.described(folder, first, known=True) == inferred.Described({}, "compose.yaml")


def test_what_the_table_leaves_out_is_named_and_no_value_of_a_variable_gets_into_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "secret")
    args = {"TOKEN": "${TOKEN}", "LEVEL": "${LEVEL:-3}", "URL": "https://me:$TOKEN@host/"}
    write(folder, {"services": {"web": {"build": {"context": ".", "args": args}, "command": "serve", "env_file": "x"}}})
    found = inferred.described(folder, first)
    assert found.table["args"][0] == {"LEVEL": "3"}
    assert found.note.splitlines() == [
        "command, env_file of compose.yaml are not in the manifests that are made here: add them to the deployment.",
        "Left out of the table, because the value comes from a variable and may be secret: TOKEN, URL.",
    ]


WEB, ADMIN = {"build": ".", "ports": [80]}, {"build": ".", "ports": [81]}
NEEDS = {"build": ".", "ports": [82], "depends_on": {"web": {}}}


@pytest.mark.parametrize(
    ("services", "own"),
    [
        ({"job": {"build": "."}, "web": WEB}, "web"),
        ({"web": WEB, "front": NEEDS}, "front"),
        ({"db": {"image": "postgres"}, "api": {"build": "."}}, "api"),
        ({"web": WEB, "admin": ADMIN, "job": {"build": "."}}, "compose.yaml builds web, admin of web, admin, job"),
        ({"a": {"build": "."}, "b": {"build": "."}}, "compose.yaml builds a, b of a, b"),
    ],
)
def test_the_application_is_what_publishes_a_port_and_nothing_else_needs_or_a_person_says(
    folder: Path, services: object, own: str
) -> None:
    write(folder, {"services": services})
    try:
        assert values(folder)["name"] == own
    except LookupError as asked:
        assert str(asked) == own  # noqa: PT017


NO_SERVICE = "compose.yaml cannot be read: it does not have the form that compose expects"
BEYOND = "which init does not follow"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "compose.yaml cannot be read"),
        ("text", "compose.yaml cannot be read"),
        ("services: [web]", NO_SERVICE),
        ("services: {web: {build: 3}}", NO_SERVICE),
        ("services: {web: {build: [a]}}", NO_SERVICE),
        ("services: {web: {build: ., ports: 80}}", NO_SERVICE),
        ("services: {web: &web {build: ., x-me: *web}}", NO_SERVICE),
        ("{include: [other.yaml], services: {web: {build: .}}}", f"compose.yaml has include, {BEYOND}"),
        ("services: {web: {extends: {service: base}}}", f"compose.yaml has extends, {BEYOND}"),
        ("services: {web: {build: {dockerfile_inline: FROM x}}}", f"compose.yaml has dockerfile_inline, {BEYOND}"),
        ("services: {web: {build: {additional_contexts: [a=b]}}}", f"compose.yaml has additional_contexts, {BEYOND}"),
        ("services: {web: {build: {secrets: [token]}}}", f"compose.yaml has secrets, {BEYOND}"),
        ("services: {a: {build: ., image: t/a:1, ports: [80]}, b: {build: {target: b}, image: t/a:2}}", "builds t/a in two ways"),
        ("services: {a: {build: ., image: 'localhost:5000/a:1'}}", "builds localhost:5000/a: a name here cannot have"),
        ("services: {web: {build: 'https://host/a.git#main'}}", "There is no https://host/a.git#main/Dockerfile in "),
        ("services: {web: {build: ./, ports: [80]}, worker: {build: ./worker/}}", "There is no worker/Dockerfile in "),
    ],
)
def test_a_compose_file_that_does_not_say_what_is_built_here_is_refused(folder: Path, text: str, words: str) -> None:
    (folder / "compose.yaml").write_text(text)
    with pytest.raises((SettingError, ImageError), match=re.escape(words)):
        inferred.described(folder, first)
    if BEYOND in words:
        assert inferred.described(folder, first, known=True) == inferred.Described({}), "who writes the table may begin"


@pytest.mark.parametrize(
    ("names", "own", "others"),
    [
        ("web/Dockerfile", {"context": "web", "dockerfile": "web/Dockerfile"}, ""),
        ("Dockerfile tools/Dockerfile Dockerfile.dev", {}, "Dockerfile.dev, tools/Dockerfile"),
        ("Api.Dockerfile Api.Dockerfile.dockerignore MyDockerfile", {"dockerfile": "Api.Dockerfile"}, ""),
        ("a/b/Dockerfile .c/Dockerfile node_modules/d/Dockerfile", {"context": "a/b", "dockerfile": "a/b/Dockerfile"}, ""),
        ("api/Dockerfile web/Dockerfile", "There are api/Dockerfile, web/Dockerfile of api/Dockerfile, web/Dockerfile", ""),
    ],
)
def test_without_a_compose_file_a_dockerfile_says_it_and_the_others_are_named(
    tmp_path: Path, names: str, own: dict[str, str] | str, others: str
) -> None:
    for name in names.split():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("FROM scratch\n")
    if isinstance(own, str):
        with pytest.raises(LookupError, match=own):
            inferred.described(tmp_path, first)
        return
    found = inferred.described(tmp_path, first)
    assert {key: value for key, (value, _) in found.table.items() if key not in DEFAULTS} == own
    assert found.note == (f"Not built: {others}. [tool.kubetasks.images.NAME] in the table builds it too." if others else "")


def test_a_compose_file_that_builds_nothing_says_nothing(folder: Path) -> None:
    write(folder, {"services": {"db": {"image": "postgres:17", "ports": ["5432:5432"]}, "cache": {"image": "redis"}}})
    assert values(folder) == DEFAULTS
    assert inferred.described(folder, first, known=True).compose == ""


def test_a_compose_file_may_be_written_with_anchors(folder: Path) -> None:
    text = "x-base: &base {build: .}\nservices: {web: {<<: *base, ports: ['80:80']}, worker: *base, second: {image: 'web:1'}}\n"
    (folder / "compose.yaml").write_text(text)
    assert values(folder)["images"] == {"worker": {}}
