"""The server in its container."""

import io
import json
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import images, source
from tests.support.driver import Tasks


def built(tasks: Tasks) -> str:
    """The name of the image of the current source; the tutorial's name may be that of another test's build by now."""
    return images.built_image(tasks("build").stderr)


def test_it_ends_cleanly_as_process_1_of_its_container(throwaway: Tasks, tmp_path: Path) -> None:
    project = source.changed(tmp_path)
    source.edit_uniquely(project)  # else another test that builds the same just now gives its name to another image
    name, image = throwaway.cluster, images.built_image(throwaway.typed("build", folder=project).stderr)
    command = ["docker", "run", "--detach", "--read-only", "--network=none", "--name", name, image]
    subprocess.run(command, check=True, capture_output=True)
    try:
        with subprocess.Popen(["docker", "logs", "--follow", name], stdout=subprocess.PIPE, text=True) as logs:
            assert logs.stdout
            assert "serving" in logs.stdout.readline()
            logs.terminate()
        subprocess.run(["docker", "stop", name], check=True, capture_output=True)
        code = subprocess.check_output(["docker", "inspect", "--format={{.State.ExitCode}}", name], text=True)
        assert code == "0\n", "137 would be the engine's SIGKILL"
        in_use = throwaway("clean", code=10)
        assert re.fullmatch(rf"  docker rm --force .*\b{name}\b.*", in_use.stderr.splitlines()[-1])
    finally:
        subprocess.run(["docker", "rm", "--force", name], check=True, capture_output=True)


@pytest.fixture
def files(throwaway: Tasks) -> Iterator[list[tarfile.TarInfo]]:
    """All that is in the image's file system."""
    name, image = throwaway.cluster, built(throwaway)
    subprocess.run(["docker", "create", "--name", name, image], check=True, capture_output=True)
    try:
        exported = subprocess.run(["docker", "export", name], check=True, capture_output=True).stdout
        with tarfile.open(fileobj=io.BytesIO(exported)) as archive:
            yield archive.getmembers()
    finally:
        subprocess.run(["docker", "rm", name], check=True, capture_output=True)


def test_its_image_holds_an_interpreter_and_what_it_needs_and_nothing_to_break_in_with(files: list[tarfile.TarInfo]) -> None:
    programs = {Path(file.name).name for file in files if file.isfile() and file.mode & 0o111 and "/bin/" in f"/{file.name}"}
    assert [name for name in programs if name.startswith("python3")]
    assert not programs & {"sh", "bash", "dash", "busybox", "apt", "apt-get", "dpkg", "pip", "pip3", "perl", "su", "mount"}
    assert not [file.name for file in files if file.mode & 0o6000], "no program that gives its user more rights"
    ours = {file.name.removeprefix("app/simple_server/") for file in files if file.name.startswith("app/simple_server/")}
    assert {"__main__.py", "page/page.html", "page/page.css", "page/page.js"} <= ours
    assert not [name for name in ours if "__pycache__" in name], "nothing that differs from build to build"


def test_its_image_says_what_it_is_and_is_small(throwaway: Tasks) -> None:
    (image,) = json.loads(subprocess.check_output(["docker", "image", "inspect", built(throwaway)]))
    config = image["Config"]
    build = next(word.removeprefix("BUILD_ID=") for word in config["Env"] if word.startswith("BUILD_ID="))
    assert f"simple-server:{build}" in image["RepoTags"]
    assert config["User"] == "65532:65532"
    assert config["Labels"]["org.opencontainers.image.title"] == "simple-server"
    assert image["Size"] < 80_000_000
