"""What the documents say about the repository's files."""

import re
from pathlib import Path

import pytest

from tasks import PROJECT

PATTERNS = ("*.md", "docs/*.md", "nodeimages/**/*.md", "benchmarks/README.md", "tests/README.md")
DOCUMENTS = [path for pattern in PATTERNS for path in PROJECT.folder.glob(pattern)]
FOLDERS = ".ci ci .github benchmarks docs images k8s kubetasks nodeimages requirements simple_server tests".split()
NAMES = {path.name for folder in FOLDERS for path in (PROJECT.folder / folder).rglob("*")}
PATH = re.compile(r"(?:[\w.-]+/)*[\w.-]+(?:/|\.(?:py|md|ya?ml|toml|ini|mod|sum|txt|png))")
OTHERS = re.compile(r"invoke\.yaml|reports/.*|\.venv/.*|.*MINOR.*")  # the user's own, generated, or a placeholder


def paths(text: str) -> list[str]:
    """Return everything in backticks that looks like a path in the repository."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    quoted = re.findall(r"`([^`\n]+)`", prose)
    return [word for word in quoted if PATH.fullmatch(word) and not OTHERS.fullmatch(word)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT.folder)))
def test_every_path_in_a_document_exists(document: Path) -> None:
    # the glossary omits kubetasks/, a folder's own document omits the folder, and prose may give only a name
    roots = (PROJECT.folder, PROJECT.folder / "kubetasks", document.parent)
    longer = [path for path in paths(document.read_text()) if path.rstrip("/") not in NAMES]
    assert [path for path in longer if not any((root / path).exists() for root in roots)] == []
