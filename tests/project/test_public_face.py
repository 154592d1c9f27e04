"""What users import: `steering` and `probes` alone, in every text and notebook, and each name is there."""

import ast
import re
import subprocess
import sys

import nbformat
import pytest

import probes
import steering
from tests.helpers.paths import ROOT

TEXTS = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/*.md"),
    *ROOT.glob("vectors/*/README.md"),
]
NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))
PUBLIC = {"steering": steering, "probes": probes}


def snippets() -> dict[str, str]:
    """The Python code that users read, by where it stands."""
    found = {}
    for text in TEXTS:
        blocks = re.findall(r"^```python\n(.*?)^```", text.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
        found |= {f"{text.relative_to(ROOT)}:{number}": block for number, block in enumerate(blocks)}
    for path in NOTEBOOKS:
        cells = nbformat.read(path, as_version=4).cells
        found |= {f"{path.name}:{number}": cell.source for number, cell in enumerate(cells) if cell.cell_type == "code"}
    return found


SNIPPETS = snippets()


@pytest.mark.parametrize("where", SNIPPETS)
def test_a_snippet_is_python_and_imports_public_names(where: str) -> None:
    for node in ast.walk(ast.parse(SNIPPETS[where].replace("…", "..."))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in PUBLIC:
            assert node.module in PUBLIC, f"{node.module} is below the package"
            assert {alias.name for alias in node.names} <= {*PUBLIC[node.module].__all__}
        if isinstance(node, ast.Import):
            assert not [alias.name for alias in node.names if alias.name.startswith(("steering.", "probes."))]


@pytest.mark.parametrize("package", PUBLIC)
def test_every_public_name_is_there(package: str) -> None:
    for name in PUBLIC[package].__all__:
        assert getattr(PUBLIC[package], name).__doc__, name


@pytest.mark.parametrize("package", PUBLIC)
def test_every_public_name_stands_in_the_python_reference(package: str) -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\.\. (?:auto\w+|py:data):: \S*?(\w+)$", page, re.MULTILINE)
    assert {*PUBLIC[package].__all__} <= {*documented}
    assert len(documented) == len({*documented})


@pytest.mark.parametrize("package", PUBLIC)
def test_importing_a_package_imports_no_torch(package: str) -> None:
    code = f"import sys, {package}; assert 'torch' not in sys.modules; assert '{package}' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize("package", PUBLIC)
def test_no_public_name_is_also_a_module_which_an_import_would_put_in_its_place(package: str) -> None:
    modules = {path.stem for path in (ROOT / package).iterdir()}
    assert not modules & {*PUBLIC[package].__all__}
