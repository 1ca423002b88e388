"""Files written by users: whatever one contains, it is read, or rejected in one sentence that names it."""

import copy
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubetasks.__main__ import Configuration
from kubetasks.engine import content
from kubetasks.errors import ImageError, SettingError
from kubetasks.kube import manifests
from kubetasks.pipeline import desired
from kubetasks.project import files, inferred, table
from tasks import PROJECT

COMPOSE = {"services": {"web": {"build": {"context": "."}, "ports": ["80:80"], "healthcheck": {"test": ["CMD", "curl"]}}}}
K8S = {kind: yaml.safe_load((PROJECT.folder / "k8s" / f"{kind}.yaml").read_text()) for kind in ("deployment", "service")}
POD = K8S["deployment"]["spec"]["template"]
JOB = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"}, "spec": {"template": POD}}
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.dates(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=2),
    max_leaves=4,
)


def described(folder: Path) -> None:
    inferred.described(folder, lambda *given: given[-1][0])


def configuration(folder: Path) -> None:
    Configuration(project_location=folder).load_project()


def applied(folder: Path) -> None:
    app = dataclasses.replace(PROJECT.application, manifests=folder)
    desired.check(app, manifests.of_application(app), exposed=True)


READERS: dict[str, tuple[Callable[[Path], object], str, Any]] = {
    "dockerfile": (described, "Dockerfile", None),
    "dockerignore": (content.context_entries, ".dockerignore", None),
    "compose": (described, "compose.yaml", COMPOSE),
    "table in invoke.yaml": (table.read, "invoke.yaml", {"kubetasks": {"name": "shop", "port": 80}}),
    "table in pyproject.toml": (table.read, "pyproject.toml", None),
    "invoke.yaml": (configuration, "invoke.yaml", {"cluster": {"nodes": 2}}),
    "invoke.json": (configuration, "invoke.json", None),
    "deployment": (applied, "deployment.yaml", K8S["deployment"]),
    "service": (applied, "service.yaml", K8S["service"]),
    "job": (applied, "job.yaml", JOB),
}


def places(item: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each list or dict in a document with each of its indexes or keys."""
    for key, value in item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list) else ():
        yield item, key
        yield from places(value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that has everything each reader needs."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    for kind, item in K8S.items():
        (tmp_path / f"{kind}.yaml").write_text(yaml.safe_dump(item))
    return tmp_path


def read_or_refused(reader: str, folder: Path, text: bytes) -> None:
    read, name, _ = READERS[reader]
    (folder / name).write_bytes(text)
    try:
        read(folder)
    except (SettingError, ImageError) as refused:
        assert refused.sentence.endswith(".")  # noqa: PT017
        assert str(folder) in refused.sentence or name in refused.sentence  # noqa: PT017


@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=60, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_bytes_are_read_or_refused_in_a_sentence(reader: str, folder: Path, data: st.DataObject) -> None:
    _, _, valid = READERS[reader]
    text = yaml.safe_dump(valid).encode() if valid else b"[tool.kubetasks]\nname = 'a'\n"
    begin, end = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    junk = data.draw(st.binary(max_size=20) | st.text("{}[]&*!|>-:#'\"\n\t %@`0x~<,=", max_size=8).map(str.encode))
    read_or_refused(reader, folder, data.draw(st.sampled_from([junk, text[:begin] + junk + text[end:]])))


@pytest.mark.parametrize("reader", [name for name, (_, _, valid) in READERS.items() if valid])
@settings(max_examples=200, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_other_value_is_read_or_refused_in_a_sentence(reader: str, folder: Path, data: st.DataObject) -> None:
    item = copy.deepcopy(READERS[reader][2])
    holder, key = data.draw(st.sampled_from(list(places(item))))
    holder[key] = data.draw(JUNK)
    read_or_refused(reader, folder, yaml.safe_dump(item).encode())


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.yaml", b"a: 1\nb: [\n", "line 3"),
        ("a.yaml", b"a: 1\nb: \xfc\n", "line 2 is not UTF-8"),
        ("a.yaml", b"day: 2026-13-01\n", "a value is invalid (month must be in 1..12"),
        ("a.yaml", b"a: 1\n---\nb: 2\n", "it has 2 documents instead of one"),
        ("a.yaml", b"[" * 5000, "it is nested too deeply"),
        ("a.yaml", b'!!int ""', "a value is invalid"),
        ("a.toml", b"a = 1\nb = \n", "line 2"),
        ("a.toml", b"a = 1\n\xfc = 2\n", "line 2 is not UTF-8"),
        ("a.json", b'{"a": 1,\n "b"}', "line 2"),
        ("a.json", b"[" * 5000, "cannot be read"),
    ],
)
def test_file_and_line_are_told(tmp_path: Path, name: str, text: bytes, words: str) -> None:
    (file := tmp_path / name).write_bytes(text)
    read = files.yaml if file.suffix == ".yaml" else files.data
    with pytest.raises(SettingError) as refused:
        read(file)
    assert refused.value.sentence.startswith(f"{file} cannot be read: ")
    assert words in refused.value.sentence


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="Is a directory"):
        files.text(tmp_path)


def test_a_dockerignore_of_another_encoding_is_followed_and_a_line_that_is_no_pattern_is_named(tmp_path: Path) -> None:
    (tmp_path / "caf\udce9").touch()
    (tmp_path / "kept").touch()
    (tmp_path / ".dockerignore").write_bytes(b"caf\xe9\r\n")
    assert content.context_entries(tmp_path) == [".dockerignore", "kept"]
    (tmp_path / ".dockerignore").write_text("# all\n\nkept\n[.--a]\n")
    with pytest.raises(SettingError, match=r"\.dockerignore cannot be read: a line is not a pattern"):
        content.context_entries(tmp_path)
