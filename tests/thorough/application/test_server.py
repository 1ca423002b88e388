"""The server in its container."""

import io
import json
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.support.driver import Tasks, docker


def built(tasks: Tasks) -> str:
    """Build the source and return the image reference: the tutorial's name may already refer to another test's build."""
    return str(tasks.json("build")["image"])


def test_it_ends_cleanly_as_process_1_of_its_container(clusterless: Tasks, tmp_path: Path) -> None:
    tasks = clusterless.renamed(tmp_path)
    name, image = tasks.cluster, built(tasks)
    docker("run", "--detach", "--read-only", "--network=none", "--name", name, image)
    with subprocess.Popen(["docker", "logs", "--follow", name], stdout=subprocess.PIPE, text=True) as logs:
        assert logs.stdout
        assert "serving" in logs.stdout.readline()
        logs.terminate()
    docker("stop", name)
    assert docker("inspect", "--format={{.State.ExitCode}}", name) == "0\n", "137 would be the engine's SIGKILL"
    in_use = tasks("clean", code=10)
    assert re.fullmatch(rf"  docker rm --force .*\b{name}\b.*", in_use.stderr.splitlines()[-1])


@pytest.fixture
def files(clusterless: Tasks) -> list[tarfile.TarInfo]:
    """Everything in the image's file system."""
    docker("create", "--name", clusterless.cluster, built(clusterless))
    exported = subprocess.run(["docker", "export", clusterless.cluster], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(exported)) as archive:
        return archive.getmembers()


def test_its_image_holds_an_interpreter_and_what_it_needs_and_nothing_to_break_in_with(files: list[tarfile.TarInfo]) -> None:
    programs = {Path(file.name).name for file in files if file.isfile() and file.mode & 0o111 and "/bin/" in f"/{file.name}"}
    assert [name for name in programs if name.startswith("python3")]
    assert not programs & {"sh", "bash", "dash", "busybox", "apt", "apt-get", "dpkg", "pip", "pip3", "perl", "su", "mount"}
    assert not [file.name for file in files if file.mode & 0o6000], "no program that gives its user more rights"
    ours = {file.name.removeprefix("app/simple_server/") for file in files if file.name.startswith("app/simple_server/")}
    assert {"__main__.py", "page/page.html", "page/page.css", "page/page.js"} <= ours
    assert not [name for name in ours if "__pycache__" in name], "nothing that differs from build to build"


def test_its_image_says_what_it_is_and_is_small(clusterless: Tasks) -> None:
    (image,) = json.loads(docker("image", "inspect", built(clusterless)))
    config = image["Config"]
    build = next(word.removeprefix("BUILD_ID=") for word in config["Env"] if word.startswith("BUILD_ID="))
    assert f"simple-server:{build}" in image["RepoTags"]
    assert config["User"] == "65532:65532"
    assert config["Labels"]["org.opencontainers.image.title"] == "simple-server"
    assert image["Size"] < 80_000_000
