"""A namespace of a cluster, and what a test does with the objects in it, with methods named like kubectl's commands."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from kubetasks.errors import ProgramError, RolloutError, TaskError
from kubetasks.kube import kubectl, problems, readiness, states
from kubetasks.kube.client import Object
from kubetasks.terminal.report import Report
from kubetasks.testing.cluster import KUBECTL_SECONDS, Cluster

SECONDS = 120.0
POD_SECONDS = 60.0
LOOK_SECONDS = 5.0  # between two checks whether the awaited object has failed, and until it must exist
BARE = ("delete", "create")  # kubectl waits for these without `condition=`
GIVEN = ("jsonpath=", "condition=")
NO_OBJECT = "(NotFound)"
NOT_YET = ("timed out waiting", "condition not met for")  # kubectl's messages; the second one for a timeout of 0
PODS = ("pod/", "pods/", "po/")


@dataclass(frozen=True)
class Namespace:
    """A namespace. `what` is KIND/NAME as in kubectl. Failures raise ProgramError, with kubectl's messages, except in `wait`."""

    cluster: Cluster
    namespace: str

    def kubectl(self, *words: str, stdin: str = "", timeout: float = KUBECTL_SECONDS) -> str:
        """Run kubectl in this namespace and return its output. It also fails if it exceeds `timeout` seconds."""
        return self.cluster.kubectl(*words, namespace=self.namespace, stdin=stdin, timeout=timeout)

    def apply(self, what: Path | str | Object | Sequence[Object]) -> None:
        """Apply the objects of a file or folder, or the given ones, even if another field manager owns their fields."""
        words = ("apply", "--server-side", "--force-conflicts", "--filename")
        if isinstance(what, Path | str):
            self.kubectl(*words, str(what))
            return
        items = [what] if isinstance(what, dict) else list(what)
        self.kubectl(*words, "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))

    def delete(self, what: str, timeout: float = SECONDS) -> None:
        """Delete an object, if it exists, and wait until it is gone."""
        self.kubectl("delete", what, "--ignore-not-found", timeout=timeout)

    def get(self, kind: str, name: str = "") -> Object:
        """Return an object; without a name, all objects of the kind, under `items`."""
        found: Object = json.loads(self.kubectl("get", kind, *([name] if name else []), "--output=json"))
        return found

    def wait(self, what: str, condition: str, timeout: float = SECONDS) -> None:
        """Wait for a condition, such as Available, or for "delete", or for "jsonpath={.status.phase}=Bound".

        Raises RolloutError, with the diagnosis, if it is not met within `timeout` seconds or can no longer be met, or if there is
        no such object for LOOK_SECONDS.
        """
        with Report().step(f"Waiting for {condition} of {what}"):
            why, items = self._waited(what, condition, timeout)
            if why:
                sentence, screen = f"{what}: {why}", ""
                with suppress(TaskError):  # without a diagnosis, report the sentence alone
                    screen = f"{sentence}\n{self.cluster.diagnosis(self.namespace, items)}"
                raise RolloutError(sentence, screen=screen)

    def _waited(self, what: str, condition: str, timeout: float) -> tuple[str, list[Object]]:
        """Return why the condition is not met, "" if it is, and the objects that `what` names."""
        bare = condition in BARE
        asked = condition if bare or condition.startswith(GIVEN) else f"condition={condition}"
        until = time.monotonic() + timeout
        while True:
            left = max(0.0, until - time.monotonic())
            try:
                self.kubectl("wait", what, f"--for={asked}", f"--timeout={min(left, LOOK_SECONDS):.1f}s", timeout=SECONDS)
                return "", []
            except ProgramError as error:
                (why, *_) = error.output.strip().splitlines()[-1:] or ["kubectl ended"]
            if NO_OBJECT in why and left:  # its controller may be about to create it again
                with suppress(ProgramError):
                    self.kubectl("wait", what, "--for=create", f"--timeout={min(left, LOOK_SECONDS):.1f}s", timeout=SECONDS)
                    continue
            if not any(words in why for words in NOT_YET):
                return why, []
            items = [] if bare else self._named(what)
            failed = next(filter(None, map(readiness.failure, items)), "")
            if failed and left:  # check once more: the failure may be the awaited condition
                until = 0.0
            elif failed:
                return f"it has failed: {failed}", items
            elif left <= LOOK_SECONDS:
                found = [f"{kind}={one.get('status')}" for item in items for kind, one in states.conditions(item).items()]
                return f"{condition} was not met within {timeout:g} s{'; it has ' if found else ''}{', '.join(found)}", items

    def _named(self, what: str) -> list[Object]:
        """Return the objects that `what` names, [] if there are none."""
        try:
            found = self.get(what)
        except ProgramError:
            return []
        items: list[Object] = found.get("items", [found])
        return items

    def logs(self, what: str) -> str:
        """Return the logs of a pod, or of all pods of an object."""
        several = [] if what.startswith(PODS) or "/" not in what else ["--all-pods"]
        return self.kubectl("logs", what, "--all-containers", "--tail=-1", *several)

    def events(self) -> list[Object]:
        """Return the events, newest last."""
        return sorted(self.get("events")["items"], key=problems.event_time)

    def exec(self, what: str, *command: str, timeout: float = SECONDS) -> str:
        """Run a command in a pod, or in one of an object's pods, and return its output."""
        return self.kubectl("exec", what, "--", *command, timeout=timeout)

    @contextmanager
    def port_forward(self, what: str, port: int, timeout: float = POD_SECONDS) -> Iterator[str]:
        """Forward a local port to `port` of a pod, or of one of an object's pods, in the block; yield the local HOST:PORT.

        The pod must run within `timeout` seconds. Raises RolloutError if a pod given by name does not, or does not exist.
        """
        if what.startswith(PODS) or "/" not in what:  # for any other object, kubectl waits
            self.wait(what if "/" in what else f"pod/{what}", "jsonpath={.status.phase}=Running", timeout)
        words = ("port-forward", what, f":{port}", f"--pod-running-timeout={timeout:.1f}s")
        argv, environment = self.cluster.command_line(*words, namespace=self.namespace)
        with kubectl.forward(argv, environment, timeout + LOOK_SECONDS) as address:
            yield address
