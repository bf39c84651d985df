# SPDX-License-Identifier: BSD-3-Clause
"""What a process needs in its environment to load the native part that was built with AddressSanitizer.

PYDPDK_DEFER_ASAN names the folder where that lies (see ci/sanitize.sh); without it the environment is left alone.
"""

import os
import shutil
from pathlib import Path

import pydpdk_defer
from pydpdk_defer._loading import needed_libraries

EXIT_STATUS = 99  # of a process in which AddressSanitizer found something


def environment(folder: Path) -> dict[str, str]:
    """For one process: a copy of the package in `folder`, with the sanitized native part in it."""
    built = os.environ.get("PYDPDK_DEFER_ASAN")
    if not built:
        return {}
    (extension,) = Path(built).glob("_native*.so")
    package = folder / "sanitized" / "pydpdk_defer"
    if not package.exists():
        original = Path(pydpdk_defer.__file__).parent
        shutil.copytree(original, package, ignore=shutil.ignore_patterns("_native*.so", "__pycache__"))
        shutil.copy(extension, package)
    (runtime,) = (name for name in needed_libraries(extension) if name.startswith("libasan."))
    return {
        "PYTHONPATH": str(package.parent),
        "PYTHONSAFEPATH": "1",
        "LD_PRELOAD": runtime,  # which has to come before all else, and Python itself knows nothing of it
        "ASAN_OPTIONS": f"detect_leaks=0:halt_on_error=1:exitcode={EXIT_STATUS}",  # Python leaves much at its end
    }
