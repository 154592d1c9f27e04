"""Imports run down, those inside functions too: the layers that `lint-imports` holds, and no circle anywhere."""

import grimp
import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

PACKAGES = ("steering", "probes", "trimtab")


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """All modules and who imports whom when the code runs; what only type checkers see is left out."""
    return grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)


def test_an_import_inside_a_function_is_an_arrow(graph: grimp.ImportGraph) -> None:
    assert "steering.explore.widget" in graph.find_modules_directly_imported_by("steering.sliders")


def test_no_module_imports_itself_by_way_of_others(graph: grimp.ImportGraph) -> None:
    modules = sorted(graph.modules)
    place = {module: number for number, module in enumerate(modules)}
    arrows = [
        (place[module], place[imported])
        for module in modules
        for imported in graph.find_modules_directly_imported_by(module)
    ]
    rows, columns = zip(*arrows, strict=True)
    matrix = csr_matrix((np.ones(len(arrows)), (rows, columns)), shape=(len(modules), len(modules)))
    _, circle = connected_components(matrix, connection="strong")
    members = [[module for module in modules if circle[place[module]] == number] for number in set(circle)]
    assert [some for some in members if len(some) > 1] == []


def test_nothing_imports_the_command_and_steering_imports_no_probe(graph: grimp.ImportGraph) -> None:
    for lower, upper in (("steering", "probes"), ("steering", "trimtab"), ("probes", "trimtab")):
        assert not graph.chain_exists(lower, upper, as_packages=True)
