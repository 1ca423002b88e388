"""`kubetasks init` in folders that know nothing of it: what it writes passes its own test."""

import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from kubetasks.testing.cluster import Cluster
from tests.support import cluster, leftovers, public
from tests.support.installed import SECONDS, Theirs
from tests.support.processes import ended, started
from tests.support.run import Run

WSGI = {
    "app.py": """\
import signal, sys
from wsgiref.simple_server import make_server

def app(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"wsgi"]

signal.signal(signal.SIGTERM, lambda *_: sys.exit())
make_server("", 5000, app).serve_forever()
""",
    "Dockerfile": 'FROM python:3.14-slim\nCOPY app.py /\nEXPOSE 5000\nCMD ["python3", "/app.py"]\n',
    "pyproject.toml": "[project]\nname = 'theirs'\n",
}
ASGI = {
    "app.py": """\
async def app(scope, receive, send):
    if scope["type"] == "http":
        status = 200 if scope["path"] == "/alive" else 404
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"asgi"})
""",
    "Dockerfile": """\
FROM python:3.14-slim
RUN python3 -m venv /env && /env/bin/pip install --no-cache-dir uvicorn==0.35.0
COPY app.py /
CMD ["/env/bin/uvicorn", "app:app", "--app-dir=/", "--host=0.0.0.0"]
""",
    "compose.yaml": """\
services:
  web:
    build: .
    ports: ["127.0.0.1:80:8000"]
    healthcheck:
      test: [CMD, curl, --fail, "http://localhost:8000/alive"]
""",
}
GO = {
    "main.go": """\
package main

import (
	"fmt"
	"net/http"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "go") })
	panic(http.ListenAndServe(":8081", nil))
}
""",
    "go.mod": "module theirs\n\ngo 1.26\n",
    "Dockerfile": """\
FROM golang:1.26 AS build
WORKDIR /source
COPY . .
RUN CGO_ENABLED=0 go build -o /server .

FROM scratch
COPY --from=build /server /server
EXPOSE 8081/tcp
ENTRYPOINT ["/server"]
""",
}
NODE = {
    "server.js": """\
const http = require("http");
http.createServer((request, response) => response.end("node")).listen(3000);
process.on("SIGTERM", () => process.exit());
""",
    "docker/Dockerfile": """\
FROM node:22-slim
COPY server.js /
EXPOSE 3000
HEALTHCHECK --interval=5s CMD ["node", "-e", "fetch('http://localhost:3000/').catch(() => process.exit(1))"]
CMD ["node", "/server.js"]
""",
    "compose.yaml": "services: {web: {build: {context: ., dockerfile: docker/Dockerfile}}}\n",
}


@pytest.fixture
def begin(this_run: Run, tmp_path: Path, installed: Path, request: pytest.FixtureRequest) -> Callable[[dict[str, str]], Theirs]:
    """Make a folder with these files, under a name that no other run has."""

    def made(files: dict[str, str]) -> Theirs:
        name = f"{this_run.prefix}{secrets.token_hex(2)}"
        folder = tmp_path / name
        for file, text in files.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(text)
        public.use(this_run, folder)
        request.addfinalizer(lambda: leftovers.remove(name))
        return Theirs(name, folder, installed, cluster.any_port())

    return made


@pytest.mark.parametrize(
    ("files", "told", "written"),
    [
        (WSGI, ["port 5000 EXPOSE in Dockerfile", "health / the default"], "pyproject.toml"),
        (ASGI, ["port 8000 service web in compose.yaml", "health /alive service web in compose.yaml"], "invoke.yaml"),
        (NODE, ["port 3000 EXPOSE in docker/Dockerfile", "health / HEALTHCHECK in docker/Dockerfile"], "invoke.yaml"),
    ],
    ids=["wsgi", "asgi", "node"],
)
def test_what_it_writes_passes_its_own_test(
    begin: Callable[[dict[str, str]], Theirs],
    k8s_cluster: Cluster,
    this_run: Run,
    files: dict[str, str],
    told: list[str],
    written: str,
) -> None:
    theirs = begin(files)
    before = {file: (theirs.folder / file).read_text() for file in files}
    words = " ".join(theirs.typed("init", "--yes").split())
    assert f"name {theirs.name} the folder's name" in words
    assert [one for one in told if one not in words] == []
    now = {file: (theirs.folder / file).read_text() for file in files}
    assert [file for file in files if not now[file].startswith(before[file])] == [], "nothing is overwritten"
    assert f'name = "{theirs.name}"' in now[written] if written in files else (theirs.folder / written).is_file()

    registry = this_run.tasks.provider().cluster().registry
    assert registry
    where = [f"--kubetasks-context={k8s_cluster.context}", f"--kubetasks-registry={registry.outside}"]
    with started(
        theirs.pytest("-q", *where), theirs.environment | {"KUBECONFIG": str(k8s_cluster.kubeconfig)}, theirs.folder
    ) as run:
        assert "2 passed" in ended(run, SECONDS)
    assert "Everything is there already." in theirs.typed("init", "--yes")
    assert theirs.left() == ""


def test_from_a_go_program_to_a_cluster_of_its_own_and_back_to_nothing(begin: Callable[[dict[str, str]], Theirs]) -> None:
    theirs = begin(GO)
    theirs.typed("init", "--yes")
    for name in ("tasks.py", "k8s/deployment.yaml", "k8s/service.yaml"):
        (theirs.folder / name).unlink()
    (theirs.folder / "k8s").rmdir()
    assert "Rolling out" in theirs.typed("up"), "the table is enough"
    assert "60 of 60 requests were answered" in theirs.typed("traffic")
    assert (theirs.folder / ".state" / ".gitignore").read_text() == "*\n"
    assert theirs.typed("clean", "--all").splitlines()[-1] == "Clean."
    assert not (theirs.folder / ".state").exists()
    assert theirs.left() == "", "nor is a stage of the build"


def test_without_a_dockerfile_or_a_table_the_next_command_is_told(begin: Callable[[dict[str, str]], Theirs]) -> None:
    theirs = begin({"README": ""})
    assert "There is no Dockerfile in" in theirs.typed("init", "--yes", code=5)
    assert "kubetasks init describes one, from its Dockerfile" in theirs.typed("up", code=2)
    assert "init  Begin with the Dockerfile of this folder." in theirs.typed("--list")
    assert [one.name for one in theirs.folder.iterdir()] == ["README"]
    (theirs.folder / "Dockerfile").write_text("FROM scratch\n")
    assert "there is no terminal to ask on" in theirs.typed("init", code=2)
    assert sorted(one.name for one in theirs.folder.iterdir()) == ["Dockerfile", "README"], "nothing was written"
