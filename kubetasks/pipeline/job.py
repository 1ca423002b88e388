"""A job that must have ended before the application runs, such as one that migrates its database."""

from collections.abc import Callable

from kubetasks.kube import jobs, objects
from kubetasks.kube.client import Object
from kubetasks.kube.readiness import Rollout
from kubetasks.pipeline import diagnose, judge, seen
from kubetasks.pipeline.run import Run
from kubetasks.terminal import wait
from kubetasks.terminal.door import At


class JobCheck:
    """Checks how far a job is; what was read last is in `job` and `found`."""

    def __init__(self, run: Run, job: Object) -> None:
        self._run = run
        self.job = job
        self.found = Rollout()

    def __call__(self) -> wait.State:
        if self._run.superseded():
            return judge.SUPERSEDED
        live, self.found = seen.job(self._run, self.job["metadata"]["name"])
        self.job = live or self.job
        return jobs.state(live, self.found.pods, self.found.evidence, self._run.settings.grace_period)


def run_once(run: Run, item: Object, command: Callable[[], str]) -> bool:
    """Run a job, which `command` applies, unless it has ended well as it is now; True if it was run.

    Raises RolloutError, with a diagnosis.
    """
    name, namespace, timeout = item["metadata"]["name"], run.settings.namespace, run.settings.timeout
    before = run.do.unless_dry(lambda _: objects.there(run.kube, "Job", name, namespace))
    if before and jobs.same(before, item, run.app.owner.key("job")):
        return False
    check = JobCheck(run, item)

    def ended(at: At) -> None:
        end = wait.until(run.kube.surviving(check), timeout=timeout, on_change=at)
        diagnose.require_done(
            run,
            end,
            lambda: jobs.problem(check.job, check.found.pods, check.found.evidence),
            lambda detail: jobs.late(check.job, check.found.pods, timeout, detail),
            check.found,
        )

    with run.do.step(f"Running job/{name}") as at:
        # nothing in a job can be changed
        delete = run.kubectl("delete", "job", name, "--ignore-not-found")
        run.do(delete, lambda _: objects.delete(run.kube, "Job", name, namespace, timeout, at))
        run.do(command, lambda _: objects.apply(run.kube, item))
        complete = run.kubectl("wait", "--for=condition=Complete", f"job/{name}", "--timeout=5m")
        run.do(complete, lambda _: ended(at))
    return True
