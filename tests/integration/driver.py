"""The tasks as a person types them, on one cluster and in one namespace."""

import copy
import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from invoke.program import Program

from kubetasks import artifacts, engine, settings
from kubetasks.application import APPLICATION, PROJECT
from kubetasks.providers.kind.provider import Kind
from kubetasks.report import Report
from kubetasks.settings import Settings
from tasks import ns

SECONDS = 300


@dataclass(frozen=True)
class Ended:
    """What a command printed, and its exit code."""

    code: int
    stdout: str
    stderr: str


class _Interrupted(BaseException):
    """Ctrl-C, past invoke: it would make an exit code of it, and the suite would go on."""


class _Program(Program):
    def execute(self) -> None:
        try:
            super().execute()
        except KeyboardInterrupt as error:
            raise _Interrupted from error


@dataclass(frozen=True)
class Tasks:
    """`tasks("deploy")` does what `inv deploy` does, in this process; `tasks.typed("deploy")` is the real command line.

    The exit code must be the one that is expected.
    """

    cluster: str
    port: int
    namespace: str = "default"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "INVOKE_CLUSTER_NAME": self.cluster,
            "INVOKE_CLUSTER_PORT": str(self.port),
            "INVOKE_APP_NAMESPACE": self.namespace,
        }

    @property
    def settings(self) -> Settings:
        config = copy.deepcopy(settings.DEFAULTS)
        config["cluster"] |= {"name": self.cluster, "port": str(self.port)}
        config["cluster"]["kubernetes"] = os.environ.get("INVOKE_CLUSTER_KUBERNETES", config["cluster"]["kubernetes"])
        config["setup"]["images"] = os.environ.get("INVOKE_SETUP_IMAGES", config["setup"]["images"])
        config["app"]["namespace"] = self.namespace
        return settings.read(config)

    @property
    def kubeconfig(self) -> Path:
        return self.settings.state_folder / "kubeconfig"

    def existing_environment(self) -> dict[str, str]:
        """What makes the tasks take this cluster for one of others."""
        return {
            "INVOKE_CLUSTER_PROVIDER": "existing",
            "INVOKE_CLUSTER_CONTEXT": f"kind-{self.cluster}",
            "INVOKE_CLUSTER_KUBECONFIG": str(self.kubeconfig),
        }

    def existing(self) -> Settings:
        """The settings for the same."""
        context, kubeconfig = f"kind-{self.cluster}", str(self.kubeconfig)
        return dataclasses.replace(self.settings, provider="existing", context=context, kubeconfig=kubeconfig)

    def provider(self) -> Kind:
        """The provider that makes, and the one that finally removes, this cluster."""
        return Kind(self.settings, APPLICATION, Report(), engine.connect)

    def __call__(self, *words: str, code: int = 0) -> Ended:
        out, err = io.StringIO(), io.StringIO()
        ended, handlers = (
            0,
            {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)},
        )  # a task sets its own
        with mock.patch.dict(os.environ, self.environment), redirect_stdout(out), redirect_stderr(err):
            try:
                _Program(namespace=ns).run(["inv", *words])
            except SystemExit as error:
                ended = int(error.code or 0)
            except _Interrupted:
                raise KeyboardInterrupt from None
            finally:
                for number, handler in handlers.items():
                    signal.signal(number, handler)
        return _expect(words, Ended(ended, out.getvalue(), err.getvalue()), code)

    def typed(self, *words: str, code: int = 0, folder: Path = PROJECT, **environment: str) -> Ended:
        """The command line of the project in `folder`."""
        argv = [sys.executable, "-m", "kubetasks", *words]
        return _expect(words, run(argv, folder, self.environment | environment), code)

    def json(self, *words: str) -> dict[str, Any]:
        """The document of a task called with --json."""
        document: dict[str, Any] = json.loads(self(*words, "--json").stdout)
        return document

    def kubectl(self, *words: str, stdin: str = "") -> str:
        """What kubectl prints in this namespace; it must succeed."""
        where = ["--kubeconfig", str(self.kubeconfig), "--namespace", self.namespace]
        ended = run([artifacts.kubectl().reference, *where, *words], PROJECT, {}, stdin)
        assert ended.code == 0, f"kubectl {words}: {ended.stderr}"
        return ended.stdout

    def get(self, *words: str) -> dict[str, Any]:
        """One object, or a list of them under `items`."""
        document: dict[str, Any] = json.loads(self.kubectl("get", *words, "--output=json"))
        return document


def run(argv: list[str], folder: Path, environment: dict[str, str], stdin: str = "") -> Ended:
    """A program to its end. Interrupted, it is told to end too, and waited for: it takes back what is half made."""
    with subprocess.Popen(
        argv,
        cwd=folder,
        env=os.environ | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            out, err = process.communicate(stdin, timeout=SECONDS)
        except BaseException:
            process.terminate()
            raise
    return Ended(process.returncode, out, err)


def _expect(words: tuple[str, ...], ended: Ended, code: int) -> Ended:
    assert ended.code == code, f"inv {' '.join(words)} ended with {ended.code}, not {code}:\n{ended.stdout}{ended.stderr}"
    return ended
