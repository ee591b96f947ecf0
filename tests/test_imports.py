"""What importing costs, what is public, and what no module may do."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import statestore

PACKAGE = Path(statestore.__file__).parent
MODULES = sorted(
    path.relative_to(PACKAGE.parent).with_suffix("").as_posix().replace("/", ".")
    for path in PACKAGE.rglob("*.py")
)
PUBLIC = sorted({name.removesuffix(".__init__") for name in MODULES})
SOURCES = sorted(PACKAGE.rglob("*.py"))


def run(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


# --- what is loaded -------------------------------------------------------------------


def test_saving_and_loading_json_loads_nothing_that_it_does_not_need(tmp_path):
    code = """
import sys
import attrs
from statestore import Manager, Store

@attrs.frozen
class Note:
    id: str

for _ in range(2):
    with Store(sys.argv[1]) as store:
        notes = store.register(Manager("notes", Note))
        report = store.load_all()
        assert not report.failures
        notes.create()
        store.save_all()
assert report.items == 1
print(*sys.modules)
"""
    loaded = set(run(code, str(tmp_path / "state")))

    heavy = {"yaml", "gzip", "sqlite3", "click", "rich", "asyncio", "tomli_w", "importlib.metadata"}
    assert "statestore.drivers.directory" in loaded
    assert loaded & heavy == set()


def test_importing_the_package_alone_loads_no_other(tmp_path):
    loaded = set(run("import sys, statestore; statestore.Conflict; print(*sys.modules)"))

    assert "statestore.errors" in loaded
    assert loaded & {"attrs", "attr", "cattrs", "orjson", "yaml"} == set()


# --- what is public -------------------------------------------------------------------


def test_every_module_can_be_the_first_that_is_imported():
    # One process for each would take a minute: in one process, each begins without the others.
    code = """
import importlib, sys
for name in sys.argv[1:]:
    for loaded in [one for one in sys.modules if one.partition(".")[0] == "statestore"]:
        del sys.modules[loaded]
    importlib.import_module(name)
    print(name)
"""
    names = [name for name in PUBLIC if not name.endswith("__main__")]

    assert run(code, *names) == names


def in_reading_order(name):
    """Constants, then classes, then functions: as the linter has it."""
    return not name.isupper(), not name[0].isupper(), name


@pytest.mark.parametrize("name", [name for name in PUBLIC if not name.endswith("__main__")])
def test_every_public_name_exists_and_is_listed_once(name):
    module = importlib.import_module(name)
    listed = getattr(module, "__all__", [])

    assert [one for one in listed if not hasattr(module, one)] == []
    assert len(set(listed)) == len(listed)
    assert list(listed) == sorted(listed, key=in_reading_order)


def test_package_offers_the_front_door_and_every_error():
    from statestore import Manager, Store, errors
    from statestore.managers.manager import Manager as RealManager
    from statestore.store import Store as RealStore

    assert Store is RealStore
    assert Manager is RealManager
    public = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type)
        and issubclass(value, errors.StateStoreError)
        and not name.startswith("_")
    }
    assert public <= set(statestore.__all__)


def test_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="Nonsense"):
        statestore.Nonsense  # noqa: B018 # reading it is the test


def test_modules_are_found_by_the_import_system():
    found = {one.name for one in pkgutil.walk_packages(statestore.__path__, "statestore.")}

    assert {name for name in PUBLIC if name != "statestore"} <= found


# --- what no module may do ------------------------------------------------------------


def tree(path):
    return ast.parse(path.read_text())


def imported(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def called(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_runs_no_stored_code_and_prints_nothing(path):
    roots = {name.partition(".")[0] for name in imported(path)}
    calls = set(called(path))

    assert roots & {"pickle", "shelve", "marshal", "dill", "cloudpickle"} == set()
    unsafe = {"eval", "exec", "compile", "__import__", "yaml.load", "yaml.unsafe_load"}
    unsafe |= {"yaml.full_load", "os.system"}
    assert calls & unsafe == set()
    if path.relative_to(PACKAGE).parts[0] not in ("cli", "__main__.py"):
        assert calls & {"print", "sys.exit", "sys.stdout.write", "sys.stderr.write"} == set()
