"""deploy/image/install over packages of the test's own: what an upgrade of an installation leaves."""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from deploy.stack.web import DEPLOY

BACKEND = """
import pathlib, zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "image_search-1-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder) / name, "w") as wheel:
        wheel.writestr("image_search/__init__.py", pathlib.Path("image_search/__init__.py").read_text())
        says = "Metadata-Version: 2.1\\nName: image-search\\nVersion: 1\\n"
        wheel.writestr("image_search-1.dist-info/METADATA", says)
        wheel.writestr("image_search-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        wheel.writestr("image_search-1.dist-info/RECORD", "")
    return name
"""


def _runtime(folder: Path, package: str) -> None:
    """A wheel of that name whose module, like the real ones, is `onnxruntime`."""
    name = package.replace("-", "_")
    with zipfile.ZipFile(folder / f"{name}-1-py3-none-any.whl", "w") as wheel:
        info = f"{name}-1.dist-info"
        files = {
            "onnxruntime/__init__.py": f"package = {package!r}\n",
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: 1\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        for path, text in files.items():
            wheel.writestr(path, text)
        wheel.writestr(f"{info}/RECORD", "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD")))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout in little, with the real script."""
    root = tmp_path / "checkout"
    shutil.copytree(DEPLOY / "image", root / "deploy" / "image")
    for folder in ("image_search", "web", "conf", "wheels"):
        (root / folder).mkdir()
    for name in ("README.md", "LICENSE"):
        (root / name).write_text("")
    (root / "image_search" / "__init__.py").write_text("release = 1\n")
    (root / "conf" / "backend.py").write_text(BACKEND)
    (root / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["conf"]\n'
        '[project]\nname = "image-search"\nversion = "1"\n'
    )
    (root / "requirements.txt").write_text("onnxruntime==1\n")
    (root / "requirements-gpu.txt").write_text("onnxruntime-gpu==1\n")
    for package in ("onnxruntime", "onnxruntime-gpu"):
        _runtime(root / "wheels", package)
    return root


@pytest.mark.parametrize(("kind", "package"), [("cpu", "onnxruntime"), ("gpu", "onnxruntime-gpu")])
def test_an_upgrade_in_place_leaves_an_installation_that_runs(
    checkout: Path, tmp_path: Path, kind: str, package: str
) -> None:
    target = tmp_path / "installed"
    env = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(checkout / "wheels"), "PIP_CONFIG_FILE": os.devnull}
    env.pop("PYTHONPATH", None)
    for release in (1, 2):
        (checkout / "image_search" / "__init__.py").write_text(f"release = {release}\n")
        command = [checkout / "deploy" / "image" / "install", target, kind]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        script = "import image_search, onnxruntime; print(onnxruntime.package, image_search.release)"
        said = subprocess.run(
            [target / "bin" / "python", "-c", script],
            env=env,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert said.stdout.split() == [package, str(release)], said.stderr
