"""Under --dry each task prints commands for a shell that call only docker, kind, minikube, kubectl and these tasks."""

import subprocess
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kubetasks.errors import ClusterError
from kubetasks.pipeline.run import Run
from kubetasks.project.settings import OURS
from kubetasks.tasks import namespace
from kubetasks.terminal.report import Report
from tasks import PROJECT
from tests.unit.configured import configured
from tests.unit.engine.fakes import FakeEngine
from tests.unit.providers.fakes import IMAGE, World

WITHOUT = ("setup", "doctor", "kubeconfig", "docker-env")  # they print a table, a path, or lines for a shell
LOOKS = {"service", "status", "logs", "diagnose", "traffic"}
CHANGES = {"build", "deploy", "scale", "expose", "up", "dev", "rollback", "undeploy", "unexpose", "rmi", "clean"}
# curl and seq are for the loop that `traffic` prints, rm is for the file of an image that was loaded
SUCCEED = dict.fromkeys(("kind", "minikube", "inv", "curl", "rm", "seq"), "exit 0")
STUBS = SUCCEED | {
    "kubectl": 'case "$*" in *"-f - "*|*"-f -") while read -r _; do :; done; esac',
    "docker": 'case "$*" in "network inspect"*) echo 172.18.0.0/16;; port*) echo 127.0.0.1:5000;; esac',
}


def printed(run: Run, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Return what each task prints on standard output after the line that exports variables."""
    found = {}
    for name in (one for one in namespace(PROJECT).task_names if one not in WITHOUT):
        capsys.readouterr()
        with suppress(ClusterError):  # the tasks cannot stop an existing cluster
            namespace(PROJECT)[name].body(SimpleNamespace(config={OURS: {"project": PROJECT, "runs": (run,)}}))
        variables, _, found[name] = capsys.readouterr().out.partition("\n")
        assert variables.startswith("export ")
    return found


def paste(folder: Path, script: str) -> None:
    """Run the script with only the stubs on PATH, so that every command must be one of them."""
    folder.mkdir()
    for name, text in STUBS.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    bash, environment = ["/bin/bash", "-euo", "pipefail"], {"PATH": str(folder), "PYTHONPATH": str(PROJECT.folder)}
    ended = subprocess.run(bash, input=script, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def there(world: World) -> tuple[object, ...]:
    """Return what the engine has and what has been run."""
    engine = world.engine
    return {*engine.nodes}, {*engine.images}, {*engine.networks}, {*engine.volumes}, {*engine.ran}, len(world.program.called)


@pytest.mark.parametrize(
    ("state", "more"),
    [("missing", "start"), ("incomplete", "start stop delete"), ("stopped", "start delete"), ("running", "stop delete")],
)
def test_on_a_cluster_of_our_own(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], state: str, more: str) -> None:
    if state != "missing":
        world.provider.start()
    if state == "stopped":
        world.provider.stop()
    if state == "incomplete":  # its creation was interrupted
        world.engine.files.clear()
        Path(world.provider.kubeconfig).unlink()
    assert world.provider.phase() == state
    before, provider = there(world), world.make(dry=True)
    run = Run(world.settings(), Report(results=False), dry=True)
    run.__dict__.update(provider=provider, engine=world.engine, host_engine=world.engine)
    said = printed(run, capsys)
    wanted = LOOKS | CHANGES | {*more.split(), *(["tunnel"] if provider.tunnelled else [])}
    assert {name for name, text in said.items() if text} == wanted
    made = "docker network create" if provider.gives_addresses else "docker volume create"
    assert (made in said["start"]) == (state in ("missing", "incomplete")), "what says that it is ours"
    paste(tmp_path / "programs", "".join(said.values()))
    assert there(world) == before


def test_on_a_cluster_of_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run(configured(provider="existing", context="theirs", registry="host:5000"), Report(results=False), dry=True)
    engine: Any = FakeEngine(*IMAGE.names)
    run.__dict__.update(engine=engine, host_engine=engine)
    said = printed(run, capsys)
    assert {name for name, text in said.items() if text} == LOOKS | CHANGES
    paste(tmp_path / "programs", "".join(said.values()))
    assert engine.pushed == []
