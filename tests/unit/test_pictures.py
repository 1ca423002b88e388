"""Pictures in docs/: they say what they show, read in light and dark, and need nothing from elsewhere."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from tasks import PROJECT

PICTURES = sorted((PROJECT.folder / "docs").rglob("*.svg"))
SVG = "{http://www.w3.org/2000/svg}"
TEXTS, GROUNDS = ("ink", "accent"), ("page", "panel")
CONTRAST = 4.5  # WCAG 2.2, 1.4.3, for text of any size
GRAPHICS = 3  # 1.4.11
SMALLEST = 12  # pixels


def faults(text: str) -> Iterator[str]:
    """What is wrong with a picture."""
    root = ElementTree.fromstring(text)  # noqa: S314  our own
    if root.get("role") != "img" or root.get("aria-labelledby") != "title desc":
        yield "it has no role=img, or no label"
    for name in ("title", "desc"):
        element = root.find(f"{SVG}{name}")
        if element is None or element.get("id") != name or not (element.text or "").strip():
            yield f"it has no {name}"
    if re.search(r"<(script|image|foreignObject|use)\b|@import|https?://(?!www\.w3\.org/2000/svg)|\burl\((?!#)", text):
        yield "it needs something from elsewhere"
    if len(colours(text)) != 2:
        yield "it has not one palette for light and one for dark"
        return
    light, dark = colours(text)
    for scheme, palette in (("light", light), ("dark", light | dark)):
        for ink, ground in product(TEXTS, GROUNDS):
            if contrast(palette[ink], palette[ground]) < CONTRAST:
                yield f"{scheme}: {ink} on {ground} has too little contrast"
        if contrast(palette["line"], palette["page"]) < GRAPHICS:
            yield f"{scheme}: lines have too little contrast"
    if light.keys() != dark.keys():
        yield "light and dark have other colours"
    paints = re.findall(r'\b(?:fill|stroke|color|style)(?:: |=")([^;"}]+)', re.sub(r":root \{[^}]*\}", "", text))
    if not all(re.fullmatch(r"none|var\(--\w+\)", paint.strip()) for paint in paints):
        yield "a colour does not follow the scheme"
    if min(int(size) for size in re.findall(r"font(?:-size)?: (\d+)px", text)) < SMALLEST:
        yield "its text is too small"
    width, height = (float(size) for size in root.get("viewBox", "").split()[2:])
    for element in root.iter(f"{SVG}text"):
        if not (0 <= float(element.get("x", 0)) <= width and 0 <= float(element.get("y", 0)) <= height):
            yield f"outside: {element.text}"


def colours(text: str) -> list[dict[str, str]]:
    """The variables of the two schemes."""
    return [dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root \{([^}]*)\}", text)]


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, as WCAG defines it."""
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.stem)
def test_a_picture_can_be_read_by_everybody(picture: Path) -> None:
    assert list(faults(picture.read_text())) == []


@pytest.mark.parametrize(
    ("right", "wrong", "fault"),
    [
        ('role="img"', "", "it has no role=img, or no label"),
        ('<title id="title">', '<title id="other">', "it has no title"),
        ("--ink: #1f2328", "--ink: #c0c0c0", "light: ink on page has too little contrast"),
        ("fill: var(--ink)", "fill: #000000", "a colour does not follow the scheme"),
        (".box { fill: var(--panel)", ".box { fill: #ffffff", "a colour does not follow the scheme"),
        ('<rect class="page"', '<rect fill="black" class="page"', "a colour does not follow the scheme"),
        ("--line: #57606a", "--line: #fefefe", "light: lines have too little contrast"),
        (
            "prefers-color-scheme: dark",
            "prefers-color-scheme: dark) and (:root {}",
            "it has not one palette for light and one for dark",
        ),
        (".small { font-size: 12px", ".small { font-size: 9px", "its text is too small"),
        ("</svg>", '<image href="x.png"/></svg>', "it needs something from elsewhere"),
        ("</svg>", '<text x="999" y="1">far</text></svg>', "outside: far"),
    ],
)
def test_what_is_wrong_with_a_picture_is_named(right: str, wrong: str, fault: str) -> None:
    text = (PROJECT.folder / "docs" / "pictures" / "service.svg").read_text()
    assert right in text
    assert fault in list(faults(text.replace(right, wrong)))


def test_each_picture_is_on_a_page_that_describes_it() -> None:
    pages = "".join(path.read_text() for path in (PROJECT.folder / "docs").glob("*.md"))
    for picture in PICTURES:
        assert re.search(rf"!\[[^]]+\]\([^)]*{picture.name}\)", pages), picture.name
