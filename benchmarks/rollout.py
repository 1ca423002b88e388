"""Record the pods during the rollout of a new version, and draw docs/pictures/rollout.svg.

    ./inv setup test && .tox/integration/bin/python benchmarks/rollout.py        about a minute

The benchmark has its own cluster, which it deletes at the end, together with every image of the application.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import figures

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))
figures.require_the_tests()

from kubetasks.kube.client import Object  # noqa: E402
from kubetasks.kube.states import pod_ready  # noqa: E402
from tests.support import source  # noqa: E402

PICTURE = PROJECT / "docs" / "pictures" / "rollout.svg"
STYLE_OF = PROJECT / "docs" / "pictures" / "service.svg"  # one style for all pictures
NAME = "benchmark"
REPLICAS = 3
END_SECONDS = 6.0  # after the task ends, until the old pods are gone
WIDTH, HEIGHT = 760, 330
LEFT, RIGHT, TOP, BOTTOM = 60, 740, 56, 280

Sample = tuple[float, int, int, int]  # seconds; ready pods of the old version, of the new one; terminating pods


def inv(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "kubetasks", *words], cwd=folder, stdout=subprocess.DEVNULL)


def look(kubectl: str) -> Counter[tuple[str, str]]:
    """Count the pods by replica set and state: starting, ready or ending."""
    pods = json.loads(subprocess.check_output([kubectl, "get", "pods", "--output=json"]))["items"]
    return Counter((pod["metadata"]["labels"]["pod-template-hash"], state(pod)) for pod in pods)


def state(pod: Object) -> str:
    if "deletionTimestamp" in pod["metadata"]:
        return "ending"
    return "ready" if pod_ready(pod) else "starting"


def measure(folder: Path) -> list[Sample]:
    """Roll out a changed source, and look at the pods continuously, from its build until the old ones are gone."""
    kubectl = str(Path(sys.executable).parent / "kubectl")
    (old, _state), *_ = look(kubectl)
    source.edit(folder, f"# {time.time()}")
    samples: list[Sample] = []
    begun, ended = time.monotonic(), 0.0
    with inv(folder, "build", "deploy") as task:
        while not ended or time.monotonic() - ended < END_SECONDS:
            pods = look(kubectl)
            new = sum(number for (name, is_now), number in pods.items() if is_now == "ready" and name != old)
            ending = sum(number for (_name, is_now), number in pods.items() if is_now == "ending")
            samples.append((time.monotonic() - begun, pods[old, "ready"], new, ending))
            if task.poll() is not None and not ended:
                ended = time.monotonic()
        if task.returncode:
            sys.exit(f"build deploy ended with {task.returncode}")
    return samples


def draw(samples: list[Sample]) -> str:
    """Return the picture: the ready pods of both versions, stacked, and behind them the terminating ones."""
    last = samples[-1][0]
    most = max(old + new for _seconds, old, new, _ending in samples)

    def x(seconds: float) -> float:
        return round(LEFT + (RIGHT - LEFT) * seconds / last, 1)

    def y(pods: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * pods / (most + 1), 1)

    def steps(values: list[int]) -> str:
        changes = [
            f"H{x(sample[0])}V{y(value)}"
            for sample, value, before in zip(samples[1:], values[1:], values, strict=False)
            if value != before
        ]
        return "".join([f"M{x(samples[0][0])} {y(values[0])}", *changes, f"H{RIGHT}"])

    old = [sample[1] for sample in samples]
    both = [sample[1] + sample[2] for sample in samples]
    ending = [sample[3] for sample in samples]
    style = STYLE_OF.read_text().partition("<style>")[2].partition("</style>")[0]
    least = min(both)
    describes = (
        f"The plot covers {last:.0f} seconds. At first three pods of the old version are ready, then up to {most}, old and "
        f"new, and at the end three of the new version. At no moment were fewer than {least} ready."
    )
    marks = [
        f'<text class="small" x="{LEFT - 18}" y="{y(pods) + 4}">{pods}</text><path class="grid" d="M{LEFT} {y(pods)}H{RIGHT}"/>'
        for pods in range(most + 1)
    ]
    marks += [f'<text class="small mid" x="{x(second)}" y="{BOTTOM + 20}">{second} s</text>' for second in range(int(last) + 1)]
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    return f"""<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title desc">
<title id="title">The rollout of a new version</title>
<desc id="desc">{describes}</desc>
<style>{style}
.grid {{ stroke: var(--line); stroke-opacity: 0.3; }}
.all {{ fill: none; stroke: var(--accent); stroke-width: 2.5; }}
.old {{ fill: none; stroke: var(--ink); stroke-width: 2; stroke-dasharray: 2 3; }}
.ending {{ fill: none; stroke: var(--line); stroke-width: 1.5; stroke-dasharray: 8 4; }}
</style>
<rect class="page" width="{WIDTH}" height="{HEIGHT}" rx="8"/>
<text class="name" x="{LEFT}" y="28">Pods, from the start of inv build deploy</text>
{"".join(marks)}
<path class="ending" d="{steps(ending)}"/>
<path class="old" d="{steps(old)}"/>
<path class="all" d="{steps(both)}"/>
<path class="all" d="M{LEFT} 314h28"/><text class="small" x="{LEFT + 36}" y="318">ready, old and new</text>
<path class="old" d="M{LEFT + 230} 314h28"/><text class="small" x="{LEFT + 266}" y="318">ready, of the old version</text>
<path class="ending" d="M{LEFT + 460} 314h28"/><text class="small" x="{LEFT + 496}" y="318">ending</text>
</svg>
"""


def main() -> None:
    os.environ |= {"INVOKE_CLUSTER_NAME": NAME, "INVOKE_APP_REPLICAS": str(REPLICAS)}
    with tempfile.TemporaryDirectory() as home:
        folder = source.changed(Path(home) / "copy")
        try:
            if inv(folder, "up").wait():
                sys.exit("up failed")
            command = [sys.executable, "-m", "kubetasks", "kubeconfig"]
            os.environ["KUBECONFIG"] = subprocess.check_output(command, cwd=folder, text=True).strip()
            PICTURE.write_text(draw(measure(folder)))
        finally:
            inv(folder, "clean", "--all").wait()


if __name__ == "__main__":
    main()
