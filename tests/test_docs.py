"""What the documents name exists."""

import importlib
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
DOTTED = re.compile(r"`(galdiff(?:\.\w+)+)")
NO_MODULES = {"galdiff.plugins"}  # an entry-point group
TO_WRITE = {"conf/baryons/star_formation/threshold.yaml"}  # files that a reader is told to write
FILE = re.compile(r"`((?:galdiff|conf|experiments|tests|benchmarks)/[\w/]+\.(?:py|yaml))`")


def exists(dotted: str) -> bool:
    """Whether a module, or something in one, has this name."""
    parts = dotted.split(".")
    for n in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:n]))
        except ModuleNotFoundError:
            continue
        for name in parts[n:]:
            if not hasattr(found, name):
                return False
            found = getattr(found, name)
        return True
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_names_and_files_in_the_documents_exist(page):
    text = page.read_text()
    assert [name for name in sorted(set(DOTTED.findall(text)) - NO_MODULES) if not exists(name)] == []
    assert [path for path in sorted(set(FILE.findall(text)) - TO_WRITE) if not (ROOT / path).is_file()] == []


def test_a_name_that_is_gone_is_found():
    assert exists("galdiff.records.HaloHistory")
    assert not exists("galdiff.records.Gone")
    assert not exists("galdiff.gone")


def test_every_page_is_in_the_navigation():
    nav = (ROOT / "mkdocs.yml").read_text()
    assert [p.name for p in PAGES[1:] if str(p.relative_to(ROOT / "docs")) not in nav] == []
