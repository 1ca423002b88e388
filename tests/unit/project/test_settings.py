"""Settings: what makes sense is read, what does not is refused in one sentence before anything is changed."""

import copy
import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as property_settings
from hypothesis import strategies as st
from invoke.config import Config

from kubetasks import errors, namespace
from kubetasks.errors import SettingError
from kubetasks.project import settings
from kubetasks.project.application import Project
from kubetasks.project.versions import PYTHON_IMAGE
from tasks import PROJECT

DOCUMENTED = Path(__file__).parents[3] / "docs" / "settings.md"


def read(section: str = "", name: str = "", value: str = "") -> settings.Settings:
    """Read the settings with that one, of the provider that it is for."""
    return read_with(settings.OF_ONE_PROVIDER.get((section, name), "kind"), section, name, value)


def read_with(provider: str, section: str, name: str, value: str) -> settings.Settings:
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


def test_a_home_folder_is_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somebody")
    assert read("cluster", "kubeconfig", "~/theirs.yaml").kubeconfig == "/somebody/theirs.yaml"


REGISTRIES = "https://registry.example.com team registry.example.com/Team registry.example.com/team/ registry.example.com:port"
NONSENSE = {
    "app.replicas": ["-1", "many", "1.5", "٣", "101"],
    "app.namespace": ["Big"],
    "app.timeout": ["0"],
    "app.registry": REGISTRIES.split(),
    "cluster.name": ["Not_A_Name", "-x", "x" * 41, "x\n"],
    "cluster.port": ["0", "65536"],
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
    read_with(only, section, name, value)
    for other in sorted({*settings.PROVIDERS} - {only}):
        variable = f"INVOKE_{section}_{name}".upper()
        with pytest.raises(SettingError, match=f"{variable} is for the provider `{only}`, not for `{other}`"):
            read_with(other, section, name, value)


def test_an_existing_cluster_is_used_only_through_an_explicit_context() -> None:
    with pytest.raises(SettingError, match="needs an explicit context"):
        read("cluster", "provider", "existing")


def test_the_namespace_of_an_existing_cluster_is_never_default_by_chance() -> None:
    config = copy.deepcopy(settings.DEFAULTS)
    assert settings.read(PROJECT, config, {}).namespace == "default"
    config["cluster"] |= {"provider": "existing", "context": "theirs"}
    assert settings.read(PROJECT, config, {}).namespace == "simple-server"
    config["app"]["namespace"] = "default"
    assert settings.read(PROJECT, config, {}).namespace == "default"


@pytest.mark.parametrize(
    "value", ["", "localhost", "localhost:5000/team", "registry.example.com", "10.0.0.1:5000", "ghcr.io/a/b-c"]
)
def test_a_registry_is_a_host_with_or_without_port_and_path(value: str) -> None:
    assert read("app", "registry", value).registry == value


def test_kubernetes_may_be_written_with_its_v() -> None:
    assert read("cluster", "kubernetes", "v1.36").kubernetes == "1.36"


@pytest.mark.promise("Settings are environment variables")
def test_every_setting_is_documented_and_no_other() -> None:
    variables = {f"INVOKE_{s}_{n}".upper() for s, names in settings.DEFAULTS.items() for n in names}
    assert set(re.findall(r"INVOKE_[A-Z_]+", DOCUMENTED.read_text())) == variables


@pytest.mark.promise("Settings are environment variables")
def test_every_exit_code_is_documented() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.TaskError)]
    documented = set(re.findall(r"^\| (\d+) \|", DOCUMENTED.read_text(), re.MULTILINE))
    assert documented == {str(kind.code) for kind in kinds}


def test_the_pinned_base_image_is_written_the_same_in_the_dockerfile() -> None:
    assert f"ARG BASE={PYTHON_IMAGE}\n" in (DOCUMENTED.parents[1] / "Dockerfile").read_text()


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("INVOKE_CLUSTER_NAMES", "Did you mean INVOKE_CLUSTER_NAME?"),
        ("INVOKE_CLUSTR_NAME", "Did you mean INVOKE_CLUSTER_NAME?"),
        ("INVOKE_CLUSTERNAME", "Did you mean INVOKE_CLUSTER_NAME?"),
        ("INVOKE_APP_QQQQQQQQ", "docs/settings.md lists them"),
    ],
)
def test_a_misspelt_variable_is_refused(variable: str, hint: str) -> None:
    with pytest.raises(SettingError, match=f"There is no setting {variable}") as refusal:
        settings.read(PROJECT, settings.DEFAULTS, {variable: "other"})
    assert refusal.value.hint == hint


def test_other_variables_of_invoke_are_not_ours_to_refuse() -> None:
    settings.read(
        PROJECT,
        settings.DEFAULTS,
        dict.fromkeys(("INVOKE_RUN_ECHO", "INVOKE_DEBUG", "INVOKE_RUNTIME_CONFIG", "INVOKEAI_ROOT", "INVOKE_AI_PORT"), "1"),
    )


HOST = dataclasses.replace(PROJECT, prefix="kubetasks", command="inv")


def read_file(folder: Path, text: str, project: Project = PROJECT, **environment: str) -> settings.Settings:
    """Read the settings of a project whose invoke.yaml has that text."""
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


def test_a_message_names_what_the_projects_person_types() -> None:
    told = "INVOKE_CLUSTER_NAME=NAME ./inv start; INVOKE_RUN_ECHO=1"
    assert HOST.spoken(told) == "INVOKE_KUBETASKS_CLUSTER_NAME=NAME inv start; INVOKE_RUN_ECHO=1"
    assert PROJECT.spoken(told) == told


NAMES = [(section, name) for section, names in settings.DEFAULTS.items() for name in names]
VALUES = st.one_of(
    st.text(max_size=50), st.integers().map(str), st.sampled_from(["1", "kind", "a/b", "~", "/x", "example.com/team"])
)


@property_settings(max_examples=300, deadline=None, database=None)
@given(setting=st.sampled_from(NAMES), value=VALUES)
def test_any_value_is_kept_or_is_refused_in_a_sentence_that_names_the_setting(setting: tuple[str, str], value: str) -> None:
    section, name = setting
    try:
        found = read(section, name, value)
    except SettingError as refused:
        assert PROJECT.variable(section, name) in str(refused) or f"`{value}`" in refused.sentence  # noqa: PT017
        assert refused.sentence.endswith(".")  # noqa: PT017
    else:
        kept, usual = (getattr(one, "cluster" if name == "name" else name) for one in (found, read()))
        read_as = {"kubeconfig": lambda text: str(Path(text).expanduser())}.get(name, type(kept))
        assert kept == (read_as(value) if value else usual)
