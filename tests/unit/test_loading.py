# SPDX-License-Identifier: BSD-3-Clause
"""What importing the package says when the native part and the installed DPDK do not fit.

Each case imports a copy of the package in a process of its own: with other bytes in the extension's needs, with
no extension, or with another release in place of DPDK's.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pydpdk_defer import _loading
from pydpdk_defer.errors import EalError

pytestmark = pytest.mark.rights

EXTENSION = Path(_loading.native.__file__ or "")
IMPORT = ("-c", "import pydpdk_defer")
COMMAND = ("-m", "pydpdk_defer", "--version")
COMPILER = shutil.which("cc") or shutil.which("c++")


def needed(start: str) -> str:
    return next(name for name in _loading.needed_libraries(EXTENSION) if name.startswith(start))


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package without its extension."""
    copy = tmp_path / "pydpdk_defer"
    shutil.copytree(Path(_loading.__file__).parent, copy, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    return copy


def give_extension(package: Path, old: str = "", new: str = "") -> None:
    """Put the extension into a copy of the package, with one string replaced by another of that length."""
    content = EXTENSION.read_bytes()
    assert len(old) == len(new)
    assert not old or old.encode() + b"\0" in content
    replaced = content.replace(old.encode() + b"\0", new.encode() + b"\0") if old else content
    (package / EXTENSION.name).write_bytes(replaced)


def run(package: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONSAFEPATH"}
    return subprocess.run(
        [sys.executable, *arguments],
        env=inherited | {"PYTHONPATH": str(package.parent)} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
    )


def refusal(package: Path, **environment: str) -> str:
    """What an import says; the command must say the same in one line, with exit status 1."""
    imported = run(package, *IMPORT, **environment)
    kind, _, text = imported.stderr.splitlines()[-1].partition(": ")
    assert (imported.returncode, kind) == (1, "pydpdk_defer.errors.EalError")
    command = run(package, *COMMAND, **environment)
    assert (command.returncode, command.stdout, command.stderr) == (1, "", f"error: {text}\n")
    return text


def test_a_copy_with_its_extension_loads(package: Path) -> None:
    give_extension(package)
    done = run(package, "-c", "import pydpdk_defer as p; print(p.__file__, p.dpdk_compiled(), p.dpdk_loaded())")
    assert done.stderr == ""
    assert done.stdout.split() == [f"{package}/__init__.py", _loading.dpdk_compiled(), _loading.dpdk_loaded()]


def test_an_extension_for_another_release_names_both_and_what_to_type(package: Path) -> None:
    eal = needed("librte_eal.so.")
    give_extension(package, eal, eal[:-2] + "19")
    text = refusal(package)
    assert "compiled against librte_eal.so.19 (DPDK 18.11 to 19.07), which is not here" in text
    assert f"installed is {eal} (DPDK {_loading.dpdk_loaded()})" in text
    assert f"{sys.executable} -m pip install --force-reinstall" in text


def test_a_dpdk_library_that_is_gone_is_named(package: Path) -> None:
    vhost = needed("librte_vhost.so.")
    give_extension(package, vhost, vhost.replace("vhost", "vh0st"))
    text = refusal(package)
    assert f"compiled against {needed('librte_eal.so.')} (DPDK " in text
    assert f"and {vhost.replace('vhost', 'vh0st')} is not here; installed is no release of it" in text


def test_another_library_that_is_gone_is_not_blamed_on_dpdk(package: Path) -> None:
    name = needed("libstdc++.so.")
    give_extension(package, name, name[:-1] + "0")
    text = refusal(package)
    assert f"needs is not here: {name[:-1]}0" in text
    assert f"ldd {package / EXTENSION.name}" in text


def test_a_function_that_the_installed_dpdk_lacks_means_another_release(package: Path) -> None:
    name = "rte_vhost_async_channel_register"
    give_extension(package, name, name[:-1] + "R")
    text = refusal(package)
    assert "compiled against another DPDK than the installed librte_eal.so." in text
    assert f"undefined symbol: {name[:-1]}R" in text


def test_no_extension(package: Path, tmp_path: Path) -> None:
    text = refusal(package)
    assert f"the native part of pydpdk_defer is not in {package} (build it" in text
    script = tmp_path / "pydpdk-defer"
    script.write_text("import sys\nfrom pydpdk_defer.cli import main\nsys.exit(main())\n")
    command = run(package, str(script), "devices")
    assert (command.returncode, command.stdout, command.stderr) == (1, "", f"error: {text}\n")


def test_an_extension_for_another_python_is_named(package: Path) -> None:
    give_extension(package)
    (package / EXTENSION.name).rename(package / "_native.cpython-309-none.so")
    tag = re.escape(sys.implementation.cache_tag or "")
    assert re.search(rf"for this Python \({tag}\); there is _native\.cpython-309-none\.so", refusal(package))


def test_the_sources_say_how_to_build_them(package: Path) -> None:
    for name in ("CMakeLists.txt", "pyproject.toml"):
        (package.parent / name).touch()
    assert f"run {package.parent}/ci/setup.sh" in refusal(package)


@pytest.mark.parametrize("content", [b"", b"no library"])
def test_a_broken_extension(package: Path, content: bytes) -> None:
    (package / EXTENSION.name).write_bytes(content)
    assert f"cannot be loaded from {package / EXTENSION.name}: " in refusal(package)


@pytest.mark.skipif(COMPILER is None, reason="no C compiler for the stand-in of DPDK")
def test_another_release_under_the_same_library_name_is_refused(package: Path, tmp_path: Path) -> None:
    give_extension(package)
    (tmp_path / "other.c").write_text('const char *rte_version(void) { return "DPDK 19.11.3"; }\n')
    other = str(tmp_path / "other.so")
    subprocess.run([str(COMPILER), "-shared", "-fPIC", "-o", other, str(tmp_path / "other.c")], check=True)
    text = refusal(package, LD_PRELOAD=other)
    wanted = f"compiled against DPDK {_loading.dpdk_compiled()}, but DPDK 19.11.3 is loaded"
    assert text.startswith(f"pydpdk_defer was {wanted} (build it against the installed DPDK: ")


def test_the_hint_names_the_folder_that_it_was_installed_from(package: Path, tmp_path: Path) -> None:
    sources = tmp_path / "my sources"
    (sources / "build" / "cp311-cp311-linux_x86_64").mkdir(parents=True)
    info = tmp_path / "pydpdk_defer-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pydpdk_defer\nVersion: 0.1.0\n")
    (info / "direct_url.json").write_text(json.dumps({"url": sources.as_uri(), "dir_info": {}}))
    text = refusal(package)
    assert f"rm -rf '{sources}'/build/cp3*-linux_* && {sys.executable} -m pip install " in text
    assert text.endswith(f" '{sources}')")


@pytest.mark.parametrize(
    ("compiled", "loaded"),
    [("22.11.11", "22.11.11"), ("22.11.11", "22.11.9"), ("23.11.0", "23.11.0-rc1"), ("24.11.0-rc4", "24.11.2")],
)
def test_patch_releases_fit(compiled: str, loaded: str) -> None:
    _loading.check_release(compiled, loaded)


@pytest.mark.parametrize(
    ("compiled", "loaded"),
    [("22.11.11", "23.03.0"), ("23.11.0-rc1", "23.07.0"), ("22.11.0", "22.1.10"), ("22.11.11", "unknown")],
)
def test_other_releases_do_not(compiled: str, loaded: str) -> None:
    with pytest.raises(EalError, match=re.escape(f"DPDK {compiled}, but DPDK {loaded} is loaded")) as caught:
        _loading.check_release(compiled, loaded)
    assert "pip install" in caught.value.hint


def test_needs_of_what_is_no_library_are_none(tmp_path: Path) -> None:
    assert _loading.needed_libraries(tmp_path / "nothing") == ()
    assert _loading.needed_libraries(Path(_loading.__file__)) == ()


def test_a_good_import_loads_nothing_that_only_a_failure_needs(package: Path) -> None:
    give_extension(package)
    code = "import sys, pydpdk_defer; print([m for m in sys.modules if m.startswith(('elftools', 'ctypes'))])"
    assert run(package, "-c", code).stdout == "[]\n"
