"""A namespace of a cluster, and what a test does with objects in it, in kubectl's words."""

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
LOOK_SECONDS = 5.0  # how often it is asked whether what is waited for has failed
BARE = ("delete", "create")  # what kubectl waits for without `condition=`
GIVEN = ("jsonpath=", "condition=")
NOT_YET = ("timed out waiting", "condition not met for")  # kubectl's words; the second if it was given no time
PODS = ("pod/", "pods/", "po/")


@dataclass(frozen=True)
class Namespace:
    """`what` is KIND/NAME, as kubectl takes it. What fails raises ProgramError, with kubectl's words, but for `wait`."""

    cluster: Cluster
    namespace: str

    def kubectl(self, *words: str, stdin: str = "", timeout: float = KUBECTL_SECONDS) -> str:
        """Run kubectl in this namespace, and return its output; it fails also after `timeout` seconds."""
        return self.cluster.kubectl(*words, namespace=self.namespace, stdin=stdin, timeout=timeout)

    def apply(self, what: Path | str | Object | Sequence[Object]) -> None:
        """Apply the objects of a file or of a folder, or these, whoever set their fields before."""
        words = ("apply", "--server-side", "--force-conflicts", "--filename")
        if isinstance(what, Path | str):
            self.kubectl(*words, str(what))
            return
        items = [what] if isinstance(what, dict) else list(what)
        self.kubectl(*words, "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))

    def delete(self, what: str, timeout: float = SECONDS) -> None:
        """Delete an object, if it is there, and wait until it is gone."""
        self.kubectl("delete", what, "--ignore-not-found", timeout=timeout)

    def get(self, kind: str, name: str = "") -> Object:
        """An object; without a name those of the kind, under `items`."""
        found: Object = json.loads(self.kubectl("get", kind, *([name] if name else []), "--output=json"))
        return found

    def wait(self, what: str, condition: str, timeout: float = SECONDS) -> None:
        """Wait for a condition, such as Available, or "delete", or "jsonpath={.status.phase}=Bound".

        Raises RolloutError, with the diagnosis, if it has not come after `timeout` seconds, or cannot come any more.
        """
        with Report().step(f"Waiting for {condition} of {what}"):
            why, there = self._waited(what, condition, timeout)
            if why:
                sentence, screen = f"{what}: {why}", ""
                with suppress(TaskError):  # the cluster may refuse to tell more: the sentence is known
                    screen = f"{sentence}\n{self.cluster.diagnosis(self.namespace, there)}"
                raise RolloutError(sentence, screen=screen)

    def _waited(self, what: str, condition: str, timeout: float) -> tuple[str, list[Object]]:
        """Why it has not come, "" if it has; and the objects of that name."""
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
            if not any(words in why for words in NOT_YET):
                return why, []
            there = [] if bare else self._named(what)
            failed = next(filter(None, map(readiness.failure, there)), "")
            if failed and left:  # that may be what is waited for, and have come meanwhile
                until = 0.0
            elif failed:
                return f"it has failed: {failed}", there
            elif left <= LOOK_SECONDS:
                found = [f"{kind}={one.get('status')}" for item in there for kind, one in states.conditions(item).items()]
                return f"{condition} has not come within {timeout:g} s{'; it has ' if found else ''}{', '.join(found)}", there

    def _named(self, what: str) -> list[Object]:
        """The objects of that name, none if there are none."""
        try:
            found = self.get(what)
        except ProgramError:
            return []
        items: list[Object] = found.get("items", [found])
        return items

    def logs(self, what: str) -> str:
        """The logs of a pod, or of an object's pods."""
        several = [] if what.startswith(PODS) or "/" not in what else ["--all-pods"]
        return self.kubectl("logs", what, "--all-containers", "--tail=-1", *several)

    def events(self) -> list[Object]:
        """The events, the newest last."""
        return sorted(self.get("events")["items"], key=problems.event_time)

    def exec(self, what: str, *command: str, timeout: float = SECONDS) -> str:
        """Run a command in a pod, or in one of an object's pods, and return its output."""
        return self.kubectl("exec", what, "--", *command, timeout=timeout)

    @contextmanager
    def port_forward(self, what: str, port: int, timeout: float = POD_SECONDS) -> Iterator[str]:
        """In the block, what listens at that port of an object's pod answers at the HOST:PORT that it gives.

        A pod must run within `timeout` seconds. Raises RolloutError if one that is named does not, or is not there.
        """
        if what.startswith(PODS) or "/" not in what:  # kubectl waits for any other object's
            self.wait(what if "/" in what else f"pod/{what}", "jsonpath={.status.phase}=Running", timeout)
        words = ("port-forward", what, f":{port}", f"--pod-running-timeout={timeout:.1f}s")
        argv, environment = self.cluster.command_line(*words, namespace=self.namespace)
        with kubectl.forward(argv, environment, timeout + LOOK_SECONDS) as address:
            yield address
