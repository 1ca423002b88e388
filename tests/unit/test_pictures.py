"""Pictures in docs/: they describe themselves, are legible in light and dark, and load nothing from elsewhere."""

import re
import xml.etree.ElementTree as ElementTree
from itertools import product
from pathlib import Path

import pytest

from tasks import PROJECT

PICTURES = sorted((PROJECT.folder / "docs").rglob("*.svg"))
SVG = "{http://www.w3.org/2000/svg}"
CONTRAST = 4.5  # WCAG 2.2, 1.4.3, for text of any size
GRAPHICS = 3  # 1.4.11
SMALLEST = 12  # pixels

EACH_PICTURE = pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.stem)


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, as WCAG defines it."""
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@EACH_PICTURE
def test_a_picture_says_what_it_shows_and_needs_nothing_from_elsewhere(picture: Path) -> None:
    text = picture.read_text()
    root = ElementTree.fromstring(text)  # noqa: S314  our own
    assert (root.get("role"), root.get("aria-labelledby")) == ("img", "title desc")
    for name in ("title", "desc"):
        assert (root.findtext(f"{SVG}{name}[@id='{name}']") or "").strip(), name
    assert not re.search(r"<(script|image|foreignObject|use)\b|@import|https?://(?!www\.w3\.org/2000/svg)|\burl\((?!#)", text)


@EACH_PICTURE
def test_its_text_is_inside_and_large_enough(picture: Path) -> None:
    root = ElementTree.parse(picture).getroot()  # noqa: S314  our own
    width, height = (float(size) for size in root.get("viewBox", "").split()[2:])
    for element in root.iter(f"{SVG}text"):
        assert 0 <= float(element.get("x", 0)) <= width, element.text
        assert 0 <= float(element.get("y", 0)) <= height, element.text
    assert min(int(size) for size in re.findall(r"font(?:-size)?: (\d+)px", picture.read_text())) >= SMALLEST


@EACH_PICTURE
def test_its_colours_follow_the_scheme_and_can_be_told_apart(picture: Path) -> None:
    text = picture.read_text()
    light, dark = (dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root \{([^}]*)\}", text))
    assert light.keys() == dark.keys()
    for palette in (light, dark):
        for ink, ground in product(("ink", "accent"), ("page", "panel")):
            assert contrast(palette[ink], palette[ground]) >= CONTRAST, (ink, ground)
        assert contrast(palette["line"], palette["page"]) >= GRAPHICS
    paints = re.findall(r'\b(?:fill|stroke|color|style)(?:: |=")([^;"}]+)', re.sub(r":root \{[^}]*\}", "", text))
    assert [paint for paint in paints if not re.fullmatch(r"none|var\(--\w+\)", paint.strip())] == []


@EACH_PICTURE
def test_it_is_on_a_page_that_describes_it(picture: Path) -> None:
    pages = "".join(path.read_text() for path in (PROJECT.folder / "docs").glob("*.md"))
    assert re.search(rf"!\[[^]]+\]\([^)]*{picture.name}\)", pages)
