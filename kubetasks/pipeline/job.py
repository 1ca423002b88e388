"""A job that must have ended before the application runs, such as one that migrates its database."""

from kubetasks.kube import jobs, objects
from kubetasks.kube.client import Object
from kubetasks.kube.readiness import Rollout
from kubetasks.pipeline import diagnose, judge, seen
from kubetasks.pipeline.run import Run
from kubetasks.terminal import wait


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


def run_once(run: Run, item: Object) -> bool:
    """Run a job unless it has ended well as it is now; True if it was run. Raises RolloutError, with a diagnosis."""
    name, namespace, timeout = item["metadata"]["name"], run.settings.namespace, run.settings.timeout
    before = objects.there(run.kube, "Job", name, namespace)
    if before and jobs.same(before, item, run.app.owner.key("job")):
        return False
    check = JobCheck(run, item)
    with run.report.step(f"Running job/{name}") as step:
        if before:  # nothing in a job can be changed
            objects.delete(run.kube, "Job", name, namespace, timeout, step.at)
        objects.apply(run.kube, item)
        end = wait.until(run.kube.surviving(check), timeout=timeout, on_change=step.at)
        diagnose.require_done(
            run,
            end,
            lambda: jobs.problem(check.job, check.found.pods, check.found.evidence),
            lambda detail: jobs.late(check.job, check.found.pods, timeout, detail),
            check.found,
        )
        return True
