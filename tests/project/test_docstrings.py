"""Docstrings of what users call say what goes in and what comes out, in Google style."""

import inspect
import re
from collections.abc import Callable, Iterator

import pytest

import probes
import steering


def public_functions() -> Iterator[tuple[str, Callable[..., object]]]:
    """Every function that the packages export, and every public method of the classes that they export."""
    for package in (steering, probes):
        for name in package.__all__:
            thing = getattr(package, name)
            if inspect.isfunction(thing):
                yield name, thing
            elif inspect.isclass(thing) and thing.__module__.split(".")[0] == package.__name__:
                for method, found in vars(thing).items():
                    function = found.__func__ if isinstance(found, staticmethod) else found
                    if inspect.isfunction(function) and not method.startswith("_"):
                        yield f"{name}.{method}", function


FUNCTIONS = dict(public_functions())
PROTOCOL_METHODS = {"answers"}  # described once, on the `Method` protocol


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_parameter_and_the_result_are_described(name: str) -> None:
    function = FUNCTIONS[name]
    if name.rpartition(".")[2] in PROTOCOL_METHODS and not name.startswith("Method."):
        return
    text = inspect.getdoc(function) or ""
    parameters = [one for one in inspect.signature(function).parameters if one != "self"]
    described = re.findall(r"^ {4}\**(\w+):", text.partition("Args:")[2].partition("\n\n")[0], re.MULTILINE)
    assert [one for one in parameters if one not in described] == [], "missing under Args"
    returns_nothing = inspect.signature(function).return_annotation in (None, "None")
    is_method = "." in name  # a method's first sentence says what it gives, as Google's style allows
    assert is_method or returns_nothing or re.search("Returns:|Yields:", text), "no Returns"
