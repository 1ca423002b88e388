"""The settings: read once from invoke's configuration, checked before anything is changed, never read elsewhere.

Defaults are strings: invoke casts an INVOKE_* variable by the type of its default and answers a bad one with a traceback.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kubetasks.errors import SettingError
from kubetasks.versions import DEFAULT_KUBERNETES, KUBERNETES

PROJECT = Path(__file__).resolve().parent.parent

APP = "simple-server"
OWNER_LABEL = "app.kubernetes.io/managed-by"
OWNER = "simple-server-tasks"  # in the cluster and in the engine: what carries it is ours
CLUSTER_LABEL = "simple-server-tasks/cluster"

DEFAULTS: dict[str, dict[str, str]] = {
    "cluster": {
        "name": "simple-server",
        "provider": "kind",
        "kubernetes": DEFAULT_KUBERNETES,
        "port": "8080",
        "context": "",
        "kubeconfig": "",
    },
    "app": {"replicas": "3", "namespace": "default", "timeout": "120"},
    "setup": {"images": "auto", "engine": "install"},
}

PROVIDERS = ("kind", "existing")
IMAGE_SOURCES = ("auto", "pull", "build")
MOST_REPLICAS = 100
ENGINE_WAYS = ("install", "refuse")
DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


@dataclass(frozen=True)
class Settings:
    """What was asked for. Paths are absolute; `timeout` is seconds; `context` and `kubeconfig` serve provider `existing`.

    `job_summary` is the file that GitHub Actions shows on a job's page.
    """

    cluster: str
    provider: str
    kubernetes: str
    port: int
    context: str
    kubeconfig: str
    replicas: int
    namespace: str
    timeout: float
    images: str
    engine: str
    cache: Path
    state: Path
    job_summary: Path | None

    def for_kubernetes(self, minor: str) -> "Settings":
        """The same with another Kubernetes minor."""
        return replace(self, kubernetes=minor)

    @property
    def state_folder(self) -> Path:
        """The folder of this cluster's own files: kubeconfig, kind's configuration."""
        return self.state / self.cluster


def whole_number(name: str, value: object, least: int, most: int) -> int:
    """`value` as a number from `least` to `most`. Raises SettingError."""
    text = str(value)
    if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise SettingError(f"{name} must be a whole number from {least} to {most}, not {text!r}.")
    return int(text)


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    """`value` where it is allowed. Raises SettingError."""
    if value not in allowed:
        raise SettingError(f"{name} must be one of {', '.join(allowed)}, not {value!r}.")
    return value


def dns_label(name: str, value: str, longest: int) -> str:
    """`value` where Kubernetes takes it as a name. Raises SettingError."""
    if len(value) > longest or not DNS_LABEL.fullmatch(value):
        raise SettingError(
            f"{name} must be at most {longest} small letters, digits and dashes, with no dash at either end, not {value!r}."
        )
    return value


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Where downloads and builds are kept for every clone, after the XDG base directory specification."""
    return Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "simple-server-tasks"


def read(config: Any, environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from invoke's merged configuration (keys as in DEFAULTS). Raises SettingError on the first that makes no sense."""
    cluster, app, setup = config["cluster"], config["app"], config["setup"]
    provider = one_of("INVOKE_CLUSTER_PROVIDER", str(cluster["provider"]), PROVIDERS)
    if provider == "existing" and not cluster["context"]:
        raise SettingError("The provider `existing` needs the context that it may use.", "INVOKE_CLUSTER_CONTEXT=NAME ./inv ...")
    kubernetes = str(cluster["kubernetes"]).removeprefix("v")
    return Settings(
        # a node's name is the cluster's plus "-control-plane", and has 63 characters at most
        cluster=dns_label("INVOKE_CLUSTER_NAME", str(cluster["name"]), 40),
        provider=provider,
        kubernetes=one_of("INVOKE_CLUSTER_KUBERNETES", kubernetes, tuple(KUBERNETES)),
        port=whole_number("INVOKE_CLUSTER_PORT", cluster["port"], 1, 65535),
        context=str(cluster["context"]),
        kubeconfig=str(cluster["kubeconfig"]),
        replicas=whole_number("INVOKE_APP_REPLICAS", app["replicas"], 0, MOST_REPLICAS),
        namespace=dns_label("INVOKE_APP_NAMESPACE", str(app["namespace"]), 63),
        timeout=whole_number("INVOKE_APP_TIMEOUT", app["timeout"], 1, 3600),
        images=one_of("INVOKE_SETUP_IMAGES", str(setup["images"]), IMAGE_SOURCES),
        engine=one_of("INVOKE_SETUP_ENGINE", str(setup["engine"]), ENGINE_WAYS),
        cache=cache_folder(environment),
        state=PROJECT / ".state",
        job_summary=Path(environment["GITHUB_STEP_SUMMARY"]) if environment.get("GITHUB_STEP_SUMMARY") else None,
    )
