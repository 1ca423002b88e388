"""A cluster that was interrupted, pruned or restarted behind the tasks' back is complete again after the next task."""

import os
import shutil
import signal
import socket
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
import yaml

from kubetasks import providers
from kubetasks.engine import client
from kubetasks.providers.kind.provider import Kind
from tests.support import answers
from tests.support.driver import Tasks, docker
from tests.support.eventually import until
from tests.support.processes import PHASES, begun, creating, ended, until_line


@pytest.mark.promise("`minikube start`", "`minikube stop`, `minikube delete`", "If that takes longer than five seconds")
@pytest.mark.exhaustive
@pytest.mark.long
def test_a_creation_and_a_deletion_that_were_killed_at_any_moment_are_made_good(throwaway: Tasks) -> None:
    for phase in PHASES:  # from the second phase on, a creation starts from what the killed one left
        with creating(throwaway, phase) as process:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        assert throwaway.json("status")["state"] != "running", phase
    assert throwaway.json("status")["state"] == "incomplete"
    assert '"cluster-incomplete"' in throwaway("diagnose", "--json", code=4).stdout
    assert "was interrupted" in throwaway("scale", code=4).stderr
    assert "creating it again" in throwaway("start").stderr
    throwaway("build", "deploy", "expose")
    assert answers.health(throwaway.url())

    node = f"{throwaway.cluster}-control-plane"
    shutil.rmtree(throwaway.settings.state_folder)  # as in another clone
    docker("exec", node, "mv", Kind.mark, "/aside")  # as if another program had created it
    before = docker("ps", "--quiet", f"--filter=name={throwaway.cluster}-")
    refused = throwaway("start", code=4)
    assert refused.stderr.splitlines()[-1] == "  ./inv delete start creates it again"
    assert docker("ps", "--quiet", f"--filter=name={throwaway.cluster}-") == before, "it may be whole: nobody deletes it unasked"
    docker("exec", node, "mv", "/aside", Kind.mark)

    connection = client.connect()
    (container,) = connection.containers(f"io.x-k8s.kind.cluster={throwaway.cluster}")
    with begun(throwaway, "delete") as process:
        until(lambda: not connection.has_file(container, Kind.mark))  # the cluster is no longer complete
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert throwaway.json("status")["state"] != "running", "it does not pass for a whole one"
    throwaway("delete")
    assert throwaway.json("status")["state"] == "missing"


def both_come_up(tasks: Tasks) -> None:
    """Start two runs of `up` at once without a cluster, and check that one creates it and the other waits and uses it."""
    with ExitStack() as stack, ExitStack() as held:
        held.enter_context(providers.lifecycle(tasks.provider())._locked())
        first, second = (stack.enter_context(begun(tasks, "up")) for _ in range(2))
        outputs = [until_line(process, "Another run is creating") for process in (first, second)]
        held.close()  # both are waiting by now
        outputs = [output + ended(process, 200) for output, process in zip(outputs, (first, second), strict=True)]
    assert [first.returncode, second.returncode] == [0, 0], outputs
    assert sum("Creating cluster" in output for output in outputs) == 1


@pytest.mark.exhaustive
@pytest.mark.long
def test_two_runs_at_once_an_api_server_that_restarts_and_a_kubeconfig_that_is_damaged(
    throwaway: Tasks, subtests: pytest.Subtests
) -> None:
    both_come_up(throwaway)
    node = f"{throwaway.cluster}-control-plane"

    with subtests.test("an API server that restarts in the middle of a task does not matter"):
        throwaway.kubectl("patch", "deployment", "simple-server", "--patch", '{"spec": {"minReadySeconds": 5}}')
        with begun(throwaway, "scale", "--replicas=4") as process:
            until(lambda: len(throwaway.pods()) == 4)
            docker("exec", node, "kill", "-KILL", docker("exec", node, "pidof", "kube-apiserver").strip())
            output = ended(process, 120)
        assert process.returncode == 0, output

    whole = throwaway.kubeconfig.read_bytes()
    with subtests.test("a damaged kubeconfig is rewritten"):
        throwaway.kubeconfig.write_bytes(whole[: len(whole) // 2])
        assert len(throwaway.json("status")["pods"]) == 4

    with subtests.test("a kubeconfig of another cluster is named, with the command that rewrites it"):
        another = yaml.safe_load(whole)  # with another certificate authority
        another["clusters"][0]["cluster"]["certificate-authority-data"] = another["users"][0]["user"]["client-certificate-data"]
        throwaway.kubeconfig.write_text(yaml.safe_dump(another, sort_keys=False))
        said = throwaway("start", code=4).stderr
        assert "The kubeconfig does not match the API server" in said
        assert f"rm {throwaway.kubeconfig}; ./inv start creates it again" in said

    with subtests.test("without network and kubeconfig a stopped cluster can still be deleted"):
        throwaway.kubeconfig.unlink()
        throwaway("start", "stop")
        docker("network", "rm", throwaway.cluster)
        throwaway.kubeconfig.write_bytes(b"\0")
        throwaway("delete")
        assert not throwaway.settings.state_folder.exists()
        assert client.connect().containers(f"io.x-k8s.kind.cluster={throwaway.cluster}") == []


@pytest.mark.exhaustive
def test_a_restarted_node_a_taken_port_and_a_pruned_network(throwaway: Tasks, subtests: pytest.Subtests) -> None:
    throwaway("up")
    url, pods = throwaway.url(), throwaway.pods()
    with subtests.test("nobody believes what the API says from before a restart"):
        docker("restart", f"{throwaway.cluster}-control-plane")
        throwaway("deploy", "traffic")
        assert set(answers.spread(url, answers.REQUESTS).requests) == pods

    throwaway("stop")
    with subtests.test("a mapped port that somebody has taken is named"):
        with socket.create_server(("127.0.0.1", urlsplit(url).port or 0)):
            taken = throwaway("start", code=4).stderr
        assert "is taken by another program" in taken
        assert taken.splitlines()[-1].startswith("  End that program")
        assert throwaway("diagnose", "--json", code=4).stdout.count('"cluster-stopped"') == 1

    with subtests.test("a pruned network takes the cluster with it, and that is said"):
        docker("network", "rm", throwaway.cluster)  # as `docker network prune` does
        assert throwaway("start", code=4).stderr.splitlines()[-1] == "  ./inv delete start creates both again"
        throwaway("delete")
