"""The public interface: what is exported, and that importing it costs nothing until it is used."""

import ast
import doctest
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

import blynkscope

ROOT = Path(__file__).parent.parent

EXPORTED = """
    COMMANDS STATUSES Analyser BlynkscopeError CaptureError CaptureSource Command Dialect EnvironmentProblem Era
    FilterError FindingRecord Frame FrameRecord Framer LogRecord NotationError Observed Record Status StreamRecord
    SummaryRecord WriteRecord __version__ build find lookup open_capture parse spelled_out
""".split()  # noqa: SIM905  (one name a line would be thirty lines)


def test_the_list_is_kept():
    """A name that leaves this list breaks somebody's program."""
    assert sorted(blynkscope.__all__) == sorted(EXPORTED)
    assert set(EXPORTED) <= set(dir(blynkscope))


@pytest.mark.parametrize("name", EXPORTED)
def test_every_name_is_there(name):
    assert getattr(blynkscope, name) is not None


def test_star_import():
    names = {}
    exec("from blynkscope import *", names)
    assert set(EXPORTED) <= set(names)


def test_other_names_are_not():
    with pytest.raises(AttributeError, match=r"module 'blynkscope' has no attribute 'Analyzer'"):
        blynkscope.Analyzer  # noqa: B018


def test_type_checkers_see_the_same():
    """The imports for type checkers and the table for the interpreter are two lists of one thing."""
    tree = ast.parse(Path(blynkscope.__file__).read_text(encoding="utf-8"))
    branch = next(node for node in tree.body if isinstance(node, ast.If))
    imports = {node.module: {alias.name for alias in node.names} for node in branch.body}
    assert imports == {home: set(names) for home, names in blynkscope._HOMES.items()}


def test_the_import_is_lazy():
    code = "import sys; before = set(sys.modules); import blynkscope; print(*sorted(set(sys.modules) - before))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert run.stdout.split() == ["blynkscope"]


def test_the_examples_run(monkeypatch):
    monkeypatch.chdir(ROOT)
    tried = doctest.testmod(blynkscope)
    assert tried.attempted > 5
    assert tried.failed == 0


def test_one_version():
    assert importlib.metadata.version("blynkscope") == blynkscope.__version__


def test_types_are_published():
    assert (Path(blynkscope.__file__).parent / "py.typed").is_file()


def test_every_package_says_what_it_is():
    for path in (ROOT / "blynkscope").rglob("*.py"):
        said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        assert said, path
        assert len(said) > 10, path
