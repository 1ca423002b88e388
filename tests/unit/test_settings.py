"""Settings: what makes sense is read, what does not is refused in one sentence before anything is changed."""

import copy
import re
from pathlib import Path

import pytest

from kubetasks import settings
from kubetasks.errors import SettingError

DOCUMENTED = Path(__file__).parents[2] / "docs" / "settings.md"


def read(section: str = "", name: str = "", value: str = "") -> settings.Settings:
    config = copy.deepcopy(settings.DEFAULTS)
    if section:
        config[section][name] = value
    return settings.read(config, {"XDG_CACHE_HOME": "/cache"})


def test_the_defaults_make_sense() -> None:
    found = read()
    assert (found.cluster, found.provider, found.port, found.replicas) == ("simple-server", "kind", 8080, 3)
    assert found.cache == Path("/cache/simple-server-tasks")


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("app", "replicas", "-1"),
        ("app", "replicas", "many"),
        ("app", "replicas", "1.5"),
        ("app", "replicas", "٣"),
        ("app", "replicas", "101"),
        ("app", "namespace", "Big"),
        ("app", "timeout", "0"),
        ("cluster", "name", "Not_A_Name"),
        ("cluster", "name", "-x"),
        ("cluster", "name", "x" * 41),
        ("cluster", "name", "x\n"),
        ("cluster", "name", ""),
        ("cluster", "port", "0"),
        ("cluster", "port", "65536"),
        ("cluster", "provider", "docker-swarm"),
        ("cluster", "kubernetes", "1.2"),
        ("setup", "images", "download"),
        ("setup", "engine", "podman"),
    ],
)
def test_nonsense_is_refused_with_its_name(section: str, name: str, value: str) -> None:
    with pytest.raises(SettingError, match=f"INVOKE_{section}_{name}".upper()) as refusal:
        read(section, name, value)
    assert refusal.value.code == 2


def test_an_existing_cluster_is_used_only_through_an_explicit_context() -> None:
    with pytest.raises(SettingError, match="needs the context"):
        read("cluster", "provider", "existing")


def test_kubernetes_may_be_written_with_its_v() -> None:
    assert read("cluster", "kubernetes", "v1.36").kubernetes == "1.36"


def test_every_setting_is_documented_and_no_other() -> None:
    variables = {f"INVOKE_{s}_{n}".upper() for s, names in settings.DEFAULTS.items() for n in names}
    assert set(re.findall(r"INVOKE_[A-Z_]+", DOCUMENTED.read_text())) == variables
