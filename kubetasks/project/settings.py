"""The settings, read once from invoke's configuration and validated before anything is changed.

Defaults are strings: invoke casts an INVOKE_* variable to the type of its default, so a bad number would cause a traceback.
"""

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubetasks.errors import SettingError
from kubetasks.project import table
from kubetasks.project.application import DNS_LABEL, LONGEST_NAME, Application, Project
from kubetasks.project.versions import DEFAULT_KUBERNETES, KUBERNETES
from kubetasks.project.words import DOCS, INV

DEFAULTS: dict[str, dict[str, str]] = {
    "cluster": {
        "name": "",
        "provider": "kind",
        "runtime": "containerd",
        "kubernetes": DEFAULT_KUBERNETES,
        "port": "8080",
        "nodes": "1",
        "context": "",
        "kubeconfig": "",
    },
    "app": {"replicas": "3", "namespace": "", "timeout": "120", "grace_period": "2", "registry": ""},
    "setup": {"images": "auto", "engine": "install"},
}

OURS = "_kubetasks"  # the section of invoke's configuration that holds the project and its run
INVOKE_SECTIONS = ("run", "runners", "sudo", "tasks", "timeouts")  # invoke's own
ALIKE = 0.85  # similarity from which a name counts as a misspelt setting
CREATING_PROVIDERS = ("kind", "minikube")  # these create clusters
PROVIDERS = (*CREATING_PROVIDERS, "existing")
OF_ONE_PROVIDER = {
    ("cluster", "nodes"): "kind",
    ("cluster", "runtime"): "minikube",
    ("cluster", "context"): "existing",
    ("cluster", "kubeconfig"): "existing",
    ("app", "registry"): "existing",
}
RUNTIMES = ("containerd", "docker")
IMAGE_SOURCES = ("auto", "pull", "build")
MOST_REPLICAS = 100
MOST_NODES = 10
ENGINE_WAYS = ("install", "refuse")
# as for docker, a registry's host has a dot or a port, or is localhost; the path is in lower case
REGISTRY = re.compile(r"(localhost|(?=[^/]*[.:])[A-Za-z0-9.-]+)(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*")


@dataclass(frozen=True)
class Settings:
    """The settings of a run. Paths are absolute; `timeout` and `grace_period` are in seconds.

    `runtime` is for minikube: the container runtime of its node.

    `context`, `kubeconfig` and `registry` are for the provider `existing`. Its nodes pull the image from `registry`, for example
    registry.example.com/team; with "", they must have it already.
    """

    project: Project
    cluster: str
    provider: str
    runtime: str
    kubernetes: str
    port: int
    nodes: int
    context: str
    kubeconfig: str
    replicas: int
    namespace: str
    timeout: float
    grace_period: float
    registry: str
    images: str
    engine: str
    cache: Path

    @property
    def app(self) -> Application:
        """The application of the project."""
        return self.project.application

    @property
    def command(self) -> str:
        """What the user types in the project's folder before the name of a task that is for this cluster."""
        chosen = {"provider": (self.provider, DEFAULTS["cluster"]["provider"]), "name": (self.cluster, self.app.name)}
        words = [f"{self.project.variable('cluster', name)}={given}" for name, (given, usual) in chosen.items() if given != usual]
        return " ".join([*words, self.project.command])

    @property
    def cluster_labels(self) -> dict[str, str]:
        """The labels of this cluster's network or volume: its owner, and where it was created."""
        recorded = {"cluster": self.cluster, "folder": str(self.project.folder), "command": self.command}
        return {**self.app.owner.labels, **{self.app.owner.key(name): value for name, value in recorded.items()}}

    @property
    def state_folder(self) -> Path:
        """The folder of this cluster's kubeconfig and its provider's files; unique, because a cluster's name has no dot."""
        return self.project.state / (self.cluster if self.provider == "kind" else f"{self.cluster}.{self.provider}")


def whole_number(name: str, value: object, least: int, most: int) -> int:
    """Return `value` as a number from `least` to `most`. Raises SettingError."""
    text = str(value)
    if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise SettingError(f"{name} must be a whole number from {least} to {most}, not {text!r}.")
    return int(text)


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    """Return `value` if it is allowed. Raises SettingError."""
    if value not in allowed:
        raise SettingError(f"{name} must be one of {', '.join(allowed)}, not {value!r}.")
    return value


def dns_label(name: str, value: str, longest: int) -> str:
    """Return `value` if Kubernetes accepts it as a name. Raises SettingError."""
    if len(value) > longest or not DNS_LABEL.fullmatch(value):
        raise SettingError(
            f"{name} must be at most {longest} lower-case letters, digits and dashes, with no dash at either end, not {value!r}."
        )
    return value


def repository_prefix(name: str, value: str) -> str:
    """Return `value` if it is "", or a registry with or without a path. Raises SettingError."""
    if value and not REGISTRY.fullmatch(value):
        raise SettingError(f"{name} must be HOST[:PORT][/PATH], not {value!r}.", "Omit https://")
    return value


def absolute(name: str, value: str) -> str:
    """Return the path with ~ expanded, or "". Raises SettingError if it is relative, or has an unknown home folder."""
    if not value:
        return ""
    try:
        path = Path(value).expanduser()
    except RuntimeError as error:
        raise SettingError(f"{name} names a home folder that is not there: {value!r}.") from error
    if not path.is_absolute():
        raise SettingError(f"{name} must be an absolute path, not {value!r}.", f'{name}="$PWD/{value}" {INV} ...')
    return str(path)


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder of downloads and builds, which all clones share: see the XDG base directory specification."""
    return Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kubetasks"


def _refuse_unknown(project: Project, config: Any, environment: Mapping[str, str]) -> None:
    """Reject unknown settings, because a task with a misspelt one could act on another cluster. Raises SettingError.

    With a prefix, everything that has it belongs to the tasks, and everything else to the project. Without one, sections of
    invoke.yaml that are neither the tasks' nor invoke's are rejected too, except in the user's own ~/.invoke.yaml.
    """
    variables = {project.variable(section, name) for section, names in DEFAULTS.items() for name in names}
    prefixes = tuple(project.variable(section, "") + "_" for section in ([""] if project.prefix else DEFAULTS))
    for name in sorted(environment):
        alike = not project.prefix and name.startswith("INVOKE_") and difflib.get_close_matches(name, variables, 1, ALIKE)
        if (alike or name.startswith(prefixes)) and name not in variables:
            raise _unknown(name, variables)
    start = f"{project.prefix}." if project.prefix else ""
    keys = {f"{start}{section}.{name}" for section, names in DEFAULTS.items() for name in names}
    sections = _sections(project, config)
    for section in sections.keys() if project.prefix else DEFAULTS:
        if section in table.KEYS and project.prefix == table.NAME:
            continue
        if section not in DEFAULTS:
            raise _unknown(f"{start}{section}", {f"{start}{known}" for known in DEFAULTS})
        for name in sections[section].keys():  # noqa: SIM118
            if f"{start}{section}.{name}" not in keys:
                raise _unknown(f"{start}{section}.{name}", keys)
    for section in getattr(config, "_project", None) or {}:  # None: an empty file
        if not project.prefix and section not in {*DEFAULTS, *INVOKE_SECTIONS}:
            raise _unknown(section, set(DEFAULTS))


def _unknown(name: str, known: set[str]) -> SettingError:
    near = difflib.get_close_matches(name, known, 1)
    return SettingError(
        f"There is no setting {name}.", f"Did you mean {near[0]}?" if near else f"{DOCS}/use.md#settings lists them"
    )


def _sections(project: Project, config: Any) -> Any:
    return config[project.prefix] if project.prefix else config


def read(project: Project, config: Any, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings from invoke's merged configuration (keys as in DEFAULTS). Raises SettingError for the first bad one."""
    _refuse_unknown(project, config, environment)
    sections = _sections(project, config)

    def given(section: str, name: str) -> tuple[str, str]:
        """Return the environment variable of a setting, and its value."""
        return project.variable(section, name), str(sections[section][name])

    provider = one_of(*given("cluster", "provider"), PROVIDERS)
    context_variable, context = given("cluster", "context")
    if provider == "existing" and not context:
        raise SettingError("The provider `existing` needs an explicit context.", f"{context_variable}=NAME {INV} ...")
    for (section, name), only in OF_ONE_PROVIDER.items():
        variable, value = given(section, name)
        if provider != only and value != DEFAULTS[section][name]:
            raise SettingError(f"{variable} is for the provider `{only}`, not for `{provider}`.", "Unset it")
    name_variable, cluster = given("cluster", "name")
    kubernetes_variable, kubernetes = given("cluster", "kubernetes")
    namespace_variable, namespace = given("app", "namespace")
    own_name = project.application.name
    return Settings(
        project=project,
        cluster=dns_label(name_variable, cluster or own_name, LONGEST_NAME),
        provider=provider,
        runtime=one_of(*given("cluster", "runtime"), RUNTIMES),
        kubernetes=one_of(kubernetes_variable, kubernetes.removeprefix("v"), tuple(KUBERNETES)),
        port=whole_number(*given("cluster", "port"), 1, 65535),
        nodes=whole_number(*given("cluster", "nodes"), 1, MOST_NODES),
        context=context,
        kubeconfig=absolute(*given("cluster", "kubeconfig")),
        replicas=whole_number(*given("app", "replicas"), 0, MOST_REPLICAS),
        # never by accident in the namespace `default` of an existing cluster
        namespace=dns_label(namespace_variable, namespace or (own_name if provider == "existing" else "default"), 63),
        timeout=whole_number(*given("app", "timeout"), 1, 3600),
        grace_period=whole_number(*given("app", "grace_period"), 0, 3600),
        registry=repository_prefix(*given("app", "registry")),
        images=one_of(*given("setup", "images"), IMAGE_SOURCES),
        engine=one_of(*given("setup", "engine"), ENGINE_WAYS),
        cache=cache_folder(environment),
    )
