# SPDX-License-Identifier: BSD-3-Clause
"""Loads the native part, and makes sure that it meets the DPDK it was compiled against.

The extension links the system's DPDK. After an upgrade of that the libraries may be gone, or there in another
release: both are said here, with what to type, and not by the dynamic linker's last words or a crash.

What only a failure needs (pyelftools, ctypes, the package's metadata) is imported only then: a good import
pays nothing for it.
"""

import importlib
import os
import re
import sys
import sysconfig
from collections.abc import Iterator
from errno import ELIBACC, ELIBBAD
from pathlib import Path
from types import ModuleType
from typing import Any

from pydpdk_defer.errors import EalError

__all__ = ["check_release", "dpdk_compiled", "dpdk_loaded", "native", "needed_libraries"]

_PACKAGE = Path(__file__).resolve().parent
_PART = "the native part of pydpdk_defer"


def needed_libraries(path: Path) -> tuple[str, ...]:
    """The shared libraries that an ELF file asks for by name (DT_NEEDED); empty when it is none."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.dynamic import DynamicSection
    from elftools.elf.elffile import ELFFile

    try:
        with path.open("rb") as file:
            dynamic = ELFFile(file).get_section_by_name(".dynamic")
            if not isinstance(dynamic, DynamicSection):
                return ()
            tags: Iterator[Any] = dynamic.iter_tags("DT_NEEDED")
            return tuple(str(tag.needed) for tag in tags)
    except (OSError, ELFError, ValueError):
        return ()


def check_release(compiled: str, loaded: str) -> None:
    """Raise `EalError` unless both are of one release (year and month).

    Patch releases of one release have one ABI. Others do not for what vhost calls experimental, even where
    the linker finds the same library name.
    """
    if compiled.split(".")[:2] != loaded.split(".")[:2]:
        raise EalError(
            f"pydpdk_defer was compiled against DPDK {compiled}, but DPDK {loaded} is loaded",
            ELIBBAD,
            _install_command(),
        )


def explain(error: ImportError) -> EalError:
    """What the dynamic linker's refusal of the native part means, and what to type."""
    origin = _extension()
    if origin is None:
        return _not_built()
    cause = str(error).removeprefix(f"{origin}: ")
    eal = next((name for name in needed_libraries(origin) if name.startswith("librte_eal.")), None)
    missing = re.match(r"(lib\S+): cannot open shared object file", cause)
    if eal and missing and missing[1].startswith("librte_"):
        gone = "which" if missing[1] == eal else f"and {missing[1]}"
        text = f"{_PART} was compiled against {eal}{_releases_with(eal)}, {gone} is not here"
        there = ", ".join(_describe(name) for name in _other_releases(missing[1])) or "no release of it"
        return EalError(f"{text}; installed is {there}", ELIBACC, _install_command())
    if missing:
        text = f"a library that DPDK or pydpdk_defer needs is not here: {missing[1]}"
        return EalError(text, ELIBACC, f"install what this calls 'not found': ldd {origin}")
    if eal and re.search(r"\brte_\w+|\bDPDK_\d+|\bEXPERIMENTAL\b", cause):
        text = f"{_PART} was compiled against another DPDK than the installed {_describe(eal)}: {cause}"
        return EalError(text, ELIBBAD, _install_command())
    return EalError(f"{_PART} cannot be loaded from {origin}: {cause}", ELIBACC, _install_command())


def _extension() -> Path | None:
    from importlib.util import find_spec

    spec = find_spec("pydpdk_defer._native")
    return Path(spec.origin) if spec and spec.origin else None


def _not_built() -> EalError:
    """The error for a package without an extension that this Python could load."""
    text = f"{_PART} is not in {_PACKAGE}"
    if _is_source_tree(_PACKAGE.parent):
        hint = f"these are the sources: run {_PACKAGE.parent}/ci/setup.sh, then its .venv/bin/pydpdk-defer"
        return EalError(text, ELIBACC, hint + ", or Python from another folder or with -P")
    others = ", ".join(sorted(file.name for file in _PACKAGE.glob("_native.*.so") if file.is_file()))
    if others:
        text += f" for this Python ({sys.implementation.cache_tag}); there is {others}"
    return EalError(text, ELIBACC, _install_command())


def _is_source_tree(folder: Path) -> bool:
    return (folder / "CMakeLists.txt").is_file() and (folder / "pyproject.toml").is_file()


def _install_command() -> str:
    """What builds the package anew, from the folder or file it came from where that is known."""
    import json
    import shlex
    from importlib import metadata
    from urllib.parse import unquote, urlsplit

    source, clean = "pydpdk_defer", ""
    try:
        direct_url = metadata.distribution("pydpdk_defer").read_text("direct_url.json")
        url = urlsplit(str(json.loads(direct_url or "{}").get("url", "")))
        origin = Path(unquote(url.path))
        if url.scheme == "file" and origin.exists():
            source = shlex.quote(str(origin))
            if any(origin.glob("build/cp3*-linux_*")):
                # Its objects would pass for up to date: a distribution's headers keep their release's date.
                clean = f"rm -rf {source}/build/cp3*-linux_* && "
    except (metadata.PackageNotFoundError, OSError, ValueError):
        pass
    pip = f"{sys.executable} -m pip install --force-reinstall --no-deps --no-cache-dir {source}"
    return f"build it against the installed DPDK: {clean}{pip}"


def _other_releases(library: str) -> list[str]:
    """The file names of other releases of a library, such as `librte_eal.so.25` beside `librte_eal.so.23`."""
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    named = [folder for folder in os.environ.get("LD_LIBRARY_PATH", "").split(":") if folder]
    kinds = (f"lib/{multiarch}", "lib64", "lib")
    standard = [f"{top}/{kind}" for top in ("/usr/local", "/usr") for kind in kinds]
    pattern = re.compile(re.escape(library.split(".so")[0]) + r"\.so\.\d+")
    found = set()
    for folder in map(Path, named + standard):
        if folder.is_dir():
            found |= {file.name for file in folder.glob("librte_*.so.*") if pattern.fullmatch(file.name)}
    return sorted(found)


def _describe(library: str) -> str:
    """A DPDK library with its release: by asking librte_eal itself where that can be, else by its number."""
    import ctypes

    try:
        version = ctypes.CDLL(library).rte_version
    except (OSError, AttributeError):
        return f"{library}{_releases_with(library)}"
    version.restype = ctypes.c_char_p
    return f"{library} ({version().decode(errors='replace')})"


def _releases_with(library: str) -> str:
    """In parentheses the DPDK releases whose libraries have this number: `.so.23` from 22.11 to 23.07."""
    number = re.search(r"\.so\.(\d+)$", library)
    return f" (DPDK {int(number[1]) - 1}.11 to {int(number[1])}.07)" if number else ""


def _is_command() -> bool:
    """Whether this process is the command: its script, or `python -m`, which now looks the package up."""
    program = sys.argv[0] if sys.argv else ""
    return Path(program).name == "pydpdk-defer" or (
        program == "-m" and not {"pydpdk_defer", "-mpydpdk_defer"}.isdisjoint(sys.orig_argv)
    )


def _load() -> ModuleType:
    try:
        module = importlib.import_module("pydpdk_defer._native")
    except ImportError as error:
        raise explain(error) from error
    check_release(module.dpdk_compiled, module.dpdk_loaded())
    return module


try:
    native = _load()
except EalError as failure:
    if _is_command():  # whose own code cannot run: it is in the package that cannot be imported
        raise SystemExit(f"error: {failure}") from failure
    raise


def dpdk_compiled() -> str:
    """The DPDK release that the native part was compiled against, as in "22.11.11"."""
    return str(native.dpdk_compiled)


def dpdk_loaded() -> str:
    """The DPDK release that is loaded into this process."""
    return str(native.dpdk_loaded())
