"""Imports every module of an environment that `--slim` promises to leave: prints those that cannot be imported.

    ENVIRONMENT/bin/python tests/slim.py

Test packages are left out, and so is what needs a display or starts to work when it is imported: each module of
Django's `gis` starts compilers to look for a library that is not there.
"""

import contextlib
import importlib
import io
import os
import pathlib
import sys
import sysconfig
import warnings

LEFT_OUT = {"__main__", "conftest", "tests", "test", "_pyinstaller", "antigravity", "gis"}


def modules(site):
    """The dotted names of all modules below site-packages."""
    for path in sorted(site.rglob("*")):
        if path.suffix not in (".py", ".so"):
            continue
        parts = list(path.relative_to(site).parts)
        parts[-1] = parts[-1].split(".")[0]
        if parts[-1] == "__init__":
            parts.pop()
        if parts and all(part.isidentifier() and part not in LEFT_OUT for part in parts):
            yield ".".join(parts)


def main():
    warnings.simplefilter("ignore")
    sys.argv = ["tool"]
    site = pathlib.Path(sysconfig.get_path("purelib"))
    failed, seen = [], 0
    for name in dict.fromkeys(modules(site)):
        seen += 1
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                importlib.import_module(name)
        except BaseException as error:  # noqa: BLE001, some call sys.exit
            failed.append(f"{name}: {type(error).__name__}")
    print(seen)
    print(*failed, sep="\n", flush=True)
    # Threads that some module started are not waited for.
    os._exit(0)


main()
