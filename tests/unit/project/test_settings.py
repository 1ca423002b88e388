"""Settings: valid values are read, others are rejected in one sentence before anything is changed."""

import copy
import dataclasses
import re
from pathlib import Path

import pytest
from invoke.config import Config

from kubetasks import errors, namespace
from kubetasks.errors import SettingError
from kubetasks.project import settings
from kubetasks.project.application import Project
from tasks import PROJECT

DOCUMENTED = Path(__file__).parents[3] / "docs" / "use.md"


def read(section: str = "", name: str = "", value: str = "", provider: str = "") -> settings.Settings:
    """Read the settings with this one set, for `provider` or the provider that the setting is for."""
    provider = provider or settings.OF_ONE_PROVIDER.get((section, name), "kind")
    config = copy.deepcopy(settings.DEFAULTS)
    config["cluster"] |= {"provider": provider, "context": "theirs" if provider == "existing" else ""}
    if section:
        config[section][name] = value
    return settings.read(PROJECT, config, {"XDG_CACHE_HOME": "/cache"})


@pytest.mark.promise("Open the first address")
def test_the_defaults_make_sense() -> None:
    found = read()
    assert (found.cluster, found.provider, found.port, found.replicas) == ("simple-server", "kind", 8080, 3)
    assert found.cache == Path("/cache/kubetasks")


def test_what_a_person_types_names_what_is_not_the_default() -> None:
    assert read().command == "./inv"
    assert read("cluster", "name", "demo").command == "INVOKE_CLUSTER_NAME=demo ./inv"


REGISTRIES = ["", "localhost", "localhost:5000/team", "registry.example.com", "10.0.0.1:5000", "ghcr.io/a/b-c"]


@pytest.mark.parametrize(
    ("section", "name", "value", "meant"),
    [
        *(("cluster", name, value, int(value)) for name, value in (("port", "65535"), ("nodes", "10"))),
        ("cluster", "runtime", "docker", "docker"),
        ("cluster", "kubernetes", "v1.36", "1.36"),
        ("cluster", "kubeconfig", "~/theirs.yaml", "/somebody/theirs.yaml"),
        *(("app", "replicas", value, int(value)) for value in ("0", "100")),
        ("app", "namespace", "a" * 63, "a" * 63),
        *(("app", name, value, int(value)) for name, value in (("timeout", "3600"), ("grace_period", "0"))),
        *(("setup", name, value, value) for name, value in (("images", "pull"), ("engine", "refuse"))),
        *(("app", "registry", value, value) for value in REGISTRIES),
    ],
)
def test_a_value_is_read_as_meant(monkeypatch: pytest.MonkeyPatch, section: str, name: str, value: str, meant: object) -> None:
    monkeypatch.setenv("HOME", "/somebody")
    assert getattr(read(section, name, value), name) == meant


NONSENSE = {
    "app.replicas": ["-1", "many", "1.5", "1\n", "٣", "101", "9" * 5000],
    "app.namespace": ["Big", "x" * 64, "a\0"],
    "app.timeout": ["0", "3601"],
    "app.grace_period": ["-1", "3601"],
    "app.registry": ["https://example.com", "team", "example.com/Team", "example.com/team/", "example.com:port"],
    "cluster.name": ["Not_A_Name", "-x", "x" * 41, "x\n"],
    "cluster.port": ["0", "65536"],
    "cluster.nodes": ["0", "11"],
    "cluster.runtime": ["crio"],
    "cluster.provider": ["docker-swarm"],
    "cluster.kubernetes": ["1.2"],
    "cluster.kubeconfig": ["theirs.yaml", "~nobody-of-that-name/theirs.yaml"],
    "setup.images": ["download"],
    "setup.engine": ["podman"],
}


@pytest.mark.parametrize(("setting", "value"), [(name, value) for name, values in NONSENSE.items() for value in values])
def test_nonsense_is_refused_with_its_name(setting: str, value: str) -> None:
    section, name = setting.split(".")
    with pytest.raises(SettingError, match=f"INVOKE_{section}_{name}".upper()) as refusal:
        read(section, name, value)
    assert refusal.value.code == 2
    assert refusal.value.sentence.endswith(".")


@pytest.mark.parametrize(
    ("section", "name", "value", "only"),
    [
        ("cluster", "nodes", "3", "kind"),
        ("cluster", "runtime", "docker", "minikube"),
        ("cluster", "context", "theirs", "existing"),
        ("cluster", "kubeconfig", "/theirs.yaml", "existing"),
        ("app", "registry", "registry.example.com", "existing"),
    ],
)
def test_what_only_one_provider_heeds_is_refused_with_another(section: str, name: str, value: str, only: str) -> None:
    read(section, name, value, only)
    for other in sorted({*settings.PROVIDERS} - {only}):
        variable = f"INVOKE_{section}_{name}".upper()
        with pytest.raises(SettingError, match=f"{variable} is for the provider `{only}`, not for `{other}`"):
            read(section, name, value, other)


def test_an_existing_cluster_is_used_only_through_an_explicit_context() -> None:
    with pytest.raises(SettingError, match="needs an explicit context"):
        read("cluster", "provider", "existing")


def test_the_namespace_of_an_existing_cluster_is_never_default_by_chance() -> None:
    assert read().namespace == "default"
    assert read(provider="existing").namespace == "simple-server"
    assert read("app", "namespace", "default", "existing").namespace == "default"


@pytest.mark.promise("Settings are environment variables")
def test_every_setting_and_every_exit_code_is_documented_and_no_other() -> None:
    variables = {PROJECT.variable(section, name) for section, names in settings.DEFAULTS.items() for name in names}
    assert set(re.findall(r"INVOKE_[A-Z_]+", DOCUMENTED.read_text())) == variables
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.TaskError)]
    documented = set(re.findall(r"^\| (\d+) \|", DOCUMENTED.read_text(), re.MULTILINE))
    assert documented == {str(kind.code) for kind in kinds}


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("INVOKE_CLUSTER_NAMES", "Did you mean INVOKE_CLUSTER_NAME?"),
        ("INVOKE_CLUSTR_NAME", "Did you mean INVOKE_CLUSTER_NAME?"),
        ("INVOKE_CLUSTERNAME", "Did you mean INVOKE_CLUSTER_NAME?"),
        ("INVOKE_APP_QQQQQQQQ", "docs/use.md#settings lists them"),
    ],
)
def test_a_misspelt_variable_is_refused(variable: str, hint: str) -> None:
    with pytest.raises(SettingError, match=f"There is no setting {variable}") as refusal:
        settings.read(PROJECT, settings.DEFAULTS, {variable: "other"})
    assert refusal.value.hint == hint


def test_other_variables_of_invoke_are_not_ours_to_refuse() -> None:
    others = ("INVOKE_RUN_ECHO", "INVOKE_DEBUG", "INVOKE_RUNTIME_CONFIG", "INVOKEAI_ROOT", "INVOKE_AI_PORT")
    settings.read(PROJECT, settings.DEFAULTS, dict.fromkeys(others, "1"))


HOST = dataclasses.replace(PROJECT, prefix="kubetasks", command="inv")


def read_file(folder: Path, text: str, project: Project = PROJECT, **environment: str) -> settings.Settings:
    """Read the settings of a project whose invoke.yaml contains `text`."""
    (folder / "invoke.yaml").write_text(text)
    config = Config(project_location=folder)
    config.load_project()
    config.load_collection(namespace(project).configuration())
    return settings.read(project, config, environment)


@pytest.mark.parametrize(
    ("project", "text", "name"),
    [
        (PROJECT, "cluster: {nmae: other}", "cluster.nmae"),
        (PROJECT, "clusters: {name: other}", "clusters"),
        (HOST, "kubetasks: {cluster: {nmae: a}}", "kubetasks.cluster.nmae"),
        (HOST, "kubetasks: {clustr: {name: a}}", "kubetasks.clustr"),
    ],
)
def test_a_misspelt_key_of_the_projects_configuration_is_refused(tmp_path: Path, project: Project, text: str, name: str) -> None:
    with pytest.raises(SettingError, match=f"There is no setting {name}"):
        read_file(tmp_path, text, project)


def test_the_projects_configuration_chooses_and_may_be_empty(tmp_path: Path) -> None:
    assert read_file(tmp_path, "cluster: {provider: minikube}").provider == "minikube"
    assert read_file(tmp_path, "# nothing yet\n").provider == "kind"


def test_with_a_prefix_the_settings_leave_a_projects_own_ones_alone(tmp_path: Path) -> None:
    text = "app: {port: 5000}\nkubetasks: {cluster: {nodes: 3}}\n"
    found = read_file(tmp_path, text, HOST, INVOKE_APP_PORT="5000", INVOKE_APP_REPLICAS="9")
    assert (found.nodes, found.replicas) == (3, 3)
    for name in ("INVOKE_KUBETASKS_APP_REPLICA", "INVOKE_KUBETASKS_CLUSTR_NAME", "INVOKE_KUBETASKS_PORT"):
        with pytest.raises(SettingError, match=f"There is no setting {name}"):
            read_file(tmp_path, text, HOST, **{name: "9"})
