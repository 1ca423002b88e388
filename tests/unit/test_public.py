"""The public interface: a change here is a change for its users."""

import inspect
import re

import pytest

import kubetasks
from kubetasks import errors, pytest_plugin
from tasks import PROJECT

PAGES = "".join((PROJECT.folder / "docs" / f"{name}.md").read_text() for name in ("application", "pytest"))
ERRORS = "Task Setting Engine Cluster Image Rollout Expose Ownership Setup Leftover Program File".split()
CODES = {f"{name}Error": code for code, name in enumerate(ERRORS, start=1)}
MEMBERS = {  # docs/pytest.md names them; others may change
    "App": "cluster deploy kubectl namespace pods project rollout scale url urls",
    "Cluster": "api context delete kubeconfig kubectl load_image name start",
    "Namespace": "apply cluster delete events exec get kubectl logs namespace port_forward wait",
    "Project": "of",
    "Requests": "answered at_least failed pods",
    "Traffic": "load",
    "namespace": "",
}
ARGUMENTS = {
    "Project.of": "name folder port health pod_key node_key context dockerfile target args images manifests kind owner prefix"
    " command",
    "Project.read": "folder",
    "namespace": "project more",
}


def test_the_names_and_their_members() -> None:
    assert set(kubetasks.__all__) == {*MEMBERS, *CODES}
    for name, expected in MEMBERS.items():
        public = getattr(kubetasks, name)
        assert inspect.getdoc(public), name
        if inspect.isclass(public):
            assert {*dir(public), *getattr(public, "__dataclass_fields__", {})} >= set(expected.split()), name
            assert [member for member in expected.split() if not re.search(rf"\b{member}\b", PAGES)] == []


def test_the_errors_and_their_exit_codes() -> None:
    kinds = dict(inspect.getmembers(errors, lambda one: inspect.isclass(one) and issubclass(one, errors.TaskError)))
    assert {name: kind.code for name, kind in kinds.items()} == CODES
    assert {name: getattr(kubetasks, name) for name in CODES} == kinds


@pytest.mark.parametrize("name", ARGUMENTS)
def test_the_arguments(name: str) -> None:
    owner, _, method = name.partition(".")
    call = getattr(getattr(kubetasks, owner), method) if method else getattr(kubetasks, owner)
    assert list(inspect.signature(call).parameters) == ARGUMENTS[name].split()
    for argument in ARGUMENTS[name].split() if method else ():
        assert argument == "folder" or f"| `{argument}` |" in PAGES


def test_the_template_has_each_fixture_and_each_option() -> None:
    fixtures = {name for name in vars(pytest_plugin) if name.startswith("k8s_")}
    assert set(re.findall(r"k8s_\w+", PAGES)) == fixtures
    options = {f"--kubetasks-{name}" for name in (*pytest_plugin.OPTIONS, "scope", "keep")}
    assert set(re.findall(r"--kubetasks-\w+", PAGES)) == options
