"""The build id: the same for the same source, another for any other."""

import dataclasses
from pathlib import Path

from kubetasks import equivalents, image
from kubetasks.application import APPLICATION, PROJECT
from kubetasks.engine import context_files
from kubetasks.labels import OWNER

FILES = {"Dockerfile": b"FROM x", "simple_server/app.py": b"1"}


def test_it_depends_on_every_files_name_and_content_and_on_the_base() -> None:
    others = [
        image.build_id({**FILES, "simple_server/app.py": b"2"}, "base"),
        image.build_id({**FILES, "simple_server/new.py": b""}, "base"),
        image.build_id({"Dockerfile": b"FROM x", "simple_server/ap.py": b"p.py1"}, "base"),
        image.build_id(FILES, "other"),
    ]
    assert len({image.build_id(FILES, "base"), *others}) == 5


def test_it_does_not_depend_on_the_order_of_the_files() -> None:
    assert image.build_id(FILES, "base") == image.build_id(dict(reversed(FILES.items())), "base")


def test_the_context_holds_the_server_and_nothing_else() -> None:
    names = set(context_files(PROJECT))
    assert {"simple_server/app.py", "requirements/server.txt"} <= names
    assert not [name for name in names if name.startswith(("kubetasks", "tests", ".git", ".venv"))]
    assert not [name for name in names if "__pycache__" in name]


def test_the_image_carries_its_build_id_in_name_and_arguments(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch")
    made = image.current(dataclasses.replace(APPLICATION, source=tmp_path), "base")
    assert made.reference == f"simple-server:{made.build}"
    assert made.arguments == {"BASE": "base", "BUILD_ID": made.build, "MANAGED_BY": OWNER}
    assert f"--tag {made.reference}" in equivalents.build([made.reference], made.arguments)
