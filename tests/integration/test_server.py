"""The server in its container."""

import subprocess

from tests.integration.driver import Tasks


def test_it_ends_cleanly_as_process_1_of_its_container(throwaway: Tasks) -> None:
    throwaway("build")
    name = throwaway.cluster
    command = ["docker", "run", "--detach", "--read-only", "--network=none", "--name", name, "simple-server:v1"]
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
        assert in_use.stderr.splitlines()[-1] == f"  docker rm --force {name}"
    finally:
        subprocess.run(["docker", "rm", "--force", name], check=True, capture_output=True)
