"""Who may import whom (DESIGN, section 2), read from the sources themselves."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import image_search

ROOT = Path(image_search.__file__).parent
MAX_LINES = 450

PURE = (
    "types",
    "errors",
    "names",
    "interfaces",
    "imaging",
    "filters",
    "ranking",
    "judging",
    "thresholds",
    "fingerprint",
    "evaluation",
    "records",
    "urls",
    "http_headers",
    "settings",
    "config",
)
ADAPTERS = ("embedding", "vectors", "storage", "datasets", "metadata", "fetching")
WORDS = tuple(
    f"metadata.{name}"
    for name in "words entry table markup lines jsonl csv_file pickled sidecar xmp embedded listed mvso".split()  # noqa: SIM905
)
FREE_OF_ADAPTERS = ("storage.keys", *WORDS)
"""Pure modules that live beside adapters: keys of objects, words for pictures."""
PURE_PARTS = ("vectors.milvus_filter", "vectors.words", "vectors.bm25", "vectors.sampling")
"""Pure parts of adapters, which nobody else imports."""

SDK_HOMES = {
    "pymilvus": ("vectors.milvus_",),
    "milvus_lite": ("vectors.lite_engine",),
    "onnxruntime": ("embedding.network", "embedding.int8", "embedding.sentences"),
    "tokenizers": ("embedding.sentences",),
    "matplotlib": ("notebook.plots",),
    "sklearn": ("notebook.texts",),
    "ipywidgets": ("notebook.widgets",),
    "onnx": ("embedding.int8",),
    "towhee": ("embedding.pipeline",),
    "h5py": ("datasets.hdf5",),
    "minio": ("storage.minio_store",),
    "flask": ("api.",),
    "flask_cors": ("api.",),
    "flask_openapi3": ("api.",),
    "flask_openapi3_swagger": ("api.document",),
    "limits": ("api.limits",),
    "prometheus_client": ("api.metrics",),
    "itsdangerous": ("api.tokens", "api.tickets"),
    "pydantic": ("api.",),
    "pydantic_core": ("api.",),
    "werkzeug": ("api.",),
    "gunicorn": ("api.",),
    "click": ("cli.",),
    "rich": ("cli.",),
    "configparser": ("config",),
    "huggingface_hub": ("embedding.hub",),
    "httpx": ("client.http",),
    "httpx2": ("embedding.hub",),
    "imagehash": ("fingerprint",),
    "idna": ("urls",),
    "pyarrow": ("metadata.parquet",),
    "numkong": ("tiny.compare",),
    "reportlab": ("tiny.pdf",),
}


@dataclass(frozen=True)
class Import:
    """One name that a module imports, as `image_search.x` or `numpy`; `function` = where, "" at the top."""

    name: str
    function: str
    line: int


def _module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(tree: ast.AST, function: str = "") -> Iterator[Import]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, function, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            assert node.module is not None
            # `from a import b` may name a module a.b as well as a thing in a: both are looked at.
            yield from (Import(f"{node.module}.{alias.name}", function, node.lineno) for alias in node.names)
        else:
            inner = node.name if isinstance(node, ast.FunctionDef) and not function else function
            yield from _imports(node, inner)


SOURCES = {_module_name(path): path for path in sorted(ROOT.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in SOURCES.items()}
IMPORTS = {name: list(_imports(tree)) for name, tree in TREES.items()}


def _own(module: str) -> set[str]:
    """Modules of ours that a module imports, without `image_search.`."""
    found = set()
    for imported in IMPORTS[module]:
        if imported.name.split(".")[0] == "image_search":
            parts = imported.name.split(".")[1:]
            while parts and ".".join(parts) not in SOURCES:
                parts.pop()
            found.add(".".join(parts))
    return found


def _foreign(module: str) -> set[str]:
    """Top-level packages of others that a module imports."""
    tops = {imported.name.split(".")[0] for imported in IMPORTS[module]}
    return tops - set(sys.stdlib_module_names) - {"image_search"}


def _within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def _modules(package: str) -> list[str]:
    return [name for name in SOURCES if _within(name, (package,))]


def test_every_module_is_seen() -> None:
    assert {
        "types",
        "wiring",
        "services.searching.service",
        "api.routes.search",
        "cli.group",
        "vectors.milvus_store",
    } <= set(SOURCES)
    assert "storage.keys" in _own("services.ingesting.run"), "the reader of imports finds what is known to be there"
    assert "onnxruntime" in _foreign("embedding.network")


def test_every_package_travels_in_the_wheel() -> None:
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text(encoding="utf-8"))
    listed = set(project["tool"]["setuptools"]["packages"])
    there = {".".join(("image_search", *path.parent.relative_to(ROOT).parts)) for path in ROOT.rglob("__init__.py")}
    assert listed - there == {"image_search.web", "image_search.conf"}
    assert there <= listed


@pytest.mark.parametrize("module", [name for name in PURE if name in SOURCES])
def test_pure_modules_import_only_each_other_numpy_and_pillow(module: str) -> None:
    allowed = {"numpy", "PIL"} | {"fingerprint": {"imagehash"}, "urls": {"idna"}}.get(module, set())
    assert _foreign(module) <= allowed
    assert _own(module) <= set(PURE)


def test_types_and_errors_stand_at_the_bottom() -> None:
    for module in ("types", "errors"):
        assert not _own(module)
        assert not _foreign(module)


@pytest.mark.parametrize("module", (*FREE_OF_ADAPTERS, *PURE_PARTS))
def test_pure_neighbours_of_adapters_are_pure(module: str) -> None:
    assert _foreign(module) <= ({"PIL"} if module == "metadata.embedded" else set())
    assert _own(module) <= {*PURE, *WORDS}


@pytest.mark.parametrize("module", _modules("services"))
def test_services_know_protocols_only(module: str) -> None:
    assert not _foreign(module) & {"flask", "click", "rich", "pymilvus", "h5py", "minio", "towhee", "onnxruntime"}
    own = _own(module)
    assert not _within_any(own, ("config", "wiring", "adapters", "api", "cli"))
    assert {m for m in own if _within(m, ADAPTERS)} <= set(FREE_OF_ADAPTERS)


NEIGHBOURS = {"exchanging": {"ingesting", "library"}, "library": {"searching"}}
"""What a capability may know of others; beside it, only what all of them share."""


def _capability(module: str) -> str:
    """`searching` of `services.searching.query`; "" of what all of them share, and of modules elsewhere."""
    parts = module.split(".")
    return parts[1] if parts[0] == "services" and len(parts) > 2 else ""


@pytest.mark.parametrize("module", _modules("services"))
def test_capabilities_stand_beside_each_other(module: str) -> None:
    home = _capability(module)
    assert {_capability(own) for own in _own(module)} <= {"", home} | NEIGHBOURS.get(home, set())


def _within_any(modules: set[str], packages: tuple[str, ...]) -> set[str]:
    return {m for m in modules if _within(m, packages)}


@pytest.mark.parametrize("module", [name for package in ADAPTERS for name in _modules(package)])
def test_adapters_never_import_each_other(module: str) -> None:
    home = module.split(".")[0]
    others = tuple(package for package in ADAPTERS if package != home)
    own = _own(module)
    assert not _within_any(own, others)
    assert not _within_any(own, ("services", "wiring", "adapters", "config", "api", "cli"))


def test_fetching_stands_on_the_standard_library() -> None:
    assert _own("fetching") == {"errors", "http_headers", "urls"}
    assert _own("urls") == {"errors"}
    assert not _foreign("fetching")


def test_implementations_of_one_protocol_do_not_know_each_other() -> None:
    assert not {m for m in _own("vectors.memory_store") if m.startswith(("vectors.milvus_", "vectors.lite_"))}
    for name in _modules("vectors"):
        assert name == "vectors.memory_store" or "vectors.memory_store" not in _own(name)
    assert "storage.local_store" not in _own("storage.minio_store")
    assert "storage.minio_store" not in _own("storage.local_store")


CONCRETE = (
    "vectors",
    "storage.local_store",
    "storage.minio_store",
    "datasets",
    "embedding.pipeline",
    "embedding.network",
    "embedding.provider",
    "embedding.projection",
    "embedding.sentences",
    "fetching",
)


def test_only_the_adapters_factories_name_concrete_classes() -> None:
    for module in SOURCES:
        if module == "adapters" or module.split(".")[0] in ADAPTERS:
            continue
        assert not _within_any(_own(module), CONCRETE), module


def test_adapters_are_imported_inside_their_factories() -> None:
    at_the_top = {i.name for i in IMPORTS["adapters"] if not i.function}
    assert not {name for name in at_the_top if _within(name.removeprefix("image_search."), CONCRETE)}


def test_only_serve_reaches_into_the_api() -> None:
    for module in _modules("cli"):
        for imported in IMPORTS[module]:
            if _within(imported.name, ("image_search.api",)):
                assert imported.function == "serve", f"{module}, line {imported.line}"
    for module in SOURCES:
        if module not in ("__main__", "") and module.split(".")[0] != "cli":
            assert not _within_any(_own(module), ("cli",)), module


def test_the_client_knows_nothing_of_the_service() -> None:
    for module in _modules("client"):
        assert {m for m in _own(module) if not _within(m, ("client",))} <= {"types"}, module
        assert _foreign(module) <= {"httpx", "PIL"}, module
    for module in SOURCES:
        if not _within(module, ("client", "notebook")):
            assert not _within_any(_own(module), ("client",)), module


def test_the_tiny_images_tools_stand_alone() -> None:
    for module in _modules("tiny"):
        assert {m for m in _own(module) if not _within(m, ("tiny",))} <= {"errors", "imaging", "types"}, module
        assert _foreign(module) <= {"numpy", "PIL", "numkong", "reportlab"}, module
    for module in SOURCES:
        if not _within(module, ("tiny", "cli")):
            assert not _within_any(_own(module), ("tiny",)), module


def test_nobody_below_wiring_imports_it() -> None:
    users = {module for module in SOURCES if {"wiring", "adapters"} & _own(module)}
    assert {module.split(".")[0] for module in users} <= {"api", "cli", "notebook", "wiring"}


def test_nobody_needs_a_notebook() -> None:
    for module in SOURCES:
        if not _within(module, ("notebook",)):
            assert not _within_any(_own(module), ("notebook",)), module


def test_only_the_ways_in_and_wiring_know_the_settings() -> None:
    users = {module for module in SOURCES if "config" in _own(module)}
    assert {module.split(".")[0] for module in users} <= {"adapters", "api", "cli", "notebook", "wiring"}


@pytest.mark.parametrize("sdk", SDK_HOMES)
def test_each_sdk_has_one_importer(sdk: str) -> None:
    homes = SDK_HOMES[sdk]
    importers = {module for module in SOURCES if any(i.name.split(".")[0] == sdk for i in IMPORTS[module])}
    strangers = {m for m in importers if not any(f"{m}.".startswith(h) or m.startswith(h) for h in homes)}
    assert not strangers


def test_every_foreign_package_has_a_home() -> None:
    """A package that comes in is entered above, or here where it is no SDK of one adapter."""
    known = {*SDK_HOMES, "numpy", "PIL", "psutil", "grpc", "urllib3"}
    assert {foreign for module in SOURCES for foreign in _foreign(module)} <= known


def _reads_environment(tree: ast.AST) -> list[int]:
    """Lines that look a variable of the environment up (copying all of it for a child process does not)."""
    lines = []
    for node in ast.walk(tree):
        # Of `os` only: Flask's request.environ is another thing.
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.getenv", "os.environb"):
            lines.append(node.lineno)
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            lines += [node.lineno for alias in node.names if alias.name in ("environ", "getenv")]
    return lines


def test_only_config_reads_the_environment() -> None:
    readers = {module for module, tree in TREES.items() if _reads_environment(tree)}
    # lite_engine hands the environment on to the engine's process; pipeline sets one variable of Towhee's, and
    # milvus_connection one of gRPC's; server sets one of prometheus_client's.
    known = {"config", "vectors.lite_engine", "vectors.milvus_connection", "embedding.pipeline", "api.server"}
    assert readers <= known
    assert "config" in readers


@pytest.mark.parametrize("module", SOURCES)
def test_no_module_grows_out_of_a_reader_s_head(module: str) -> None:
    lines = len(SOURCES[module].read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES, f"{lines} lines: look for the second job inside"


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        (
            "image_search.cli",
            ("onnxruntime", "towhee", "pymilvus", "milvus_lite", "h5py", "minio", "flask", "pyarrow", "numkong"),
        ),
        ("image_search.client", ("numpy", "onnxruntime", "towhee", "pymilvus", "h5py", "minio", "flask", "pydantic")),
        ("image_search.adapters", ("onnxruntime", "towhee", "pymilvus", "milvus_lite", "h5py", "minio")),
        ("image_search.wiring", ("onnxruntime", "towhee", "pymilvus", "milvus_lite", "h5py", "minio")),
    ],
)
def test_importing_it_loads_no_model_and_no_database(module: str, absent: tuple[str, ...]) -> None:
    code = f"import {module}, sys; print([m for m in {absent!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
