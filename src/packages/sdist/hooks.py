"""Calls one hook of a build backend (PEP 517, PEP 660) and writes its answer down.

Run as `python hooks.py REQUEST ANSWER`, both JSON files. Kept to what Python 3.6 understands.
"""
import importlib
import json
import os
import sys


def load(request):
    sys.path[:0] = request["backend_path"]
    name, _, attributes = request["backend"].partition(":")
    backend = importlib.import_module(name)
    if request["backend_path"]:
        origin = os.path.realpath(getattr(backend, "__file__", None) or "")
        inside = [os.path.join(path, "") for path in request["backend_path"]]
        if not any(origin.startswith(path) for path in inside):
            sys.exit("the backend {} was not imported from backend-path but from {}".format(name, origin))
    for attribute in filter(None, attributes.split(".")):
        backend = getattr(backend, attribute)
    return backend


def develop(request):
    """What setuptools did before it knew PEP 660: an in-place build, its metadata and its path."""
    import glob
    import subprocess
    import zipfile

    out = request["out"]
    site = os.path.join(out, "develop")
    os.mkdir(site)
    environment = dict(os.environ, PYTHONPATH=site)
    shim = (
        "import sys, setuptools; sys.argv[0] = 'setup.py'; __file__ = 'setup.py'; sys.path.insert(0, '');"
        "exec(compile(open('setup.py', encoding='utf-8').read() if __import__('os').path.exists('setup.py')"
        " else 'import setuptools; setuptools.setup()', 'setup.py', 'exec'))"
    )
    command = [sys.executable, "-c", shim, "develop", "--no-deps", "--install-dir", site]
    subprocess.check_call(command, env=environment)
    with open(glob.glob(os.path.join(site, "*.egg-link"))[0]) as link:
        source = link.readline().strip()
    metadata = os.path.join(out, "metadata")
    os.mkdir(metadata)
    backend = load(request)
    info = backend.prepare_metadata_for_build_wheel(metadata, request["config"] or None)
    stem = info[: -len(".dist-info")]
    wheel = stem + "-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(out, wheel), "w") as archive:
        archive.writestr("__editable__.{}.pth".format(stem), source + "\n")
        directory = os.path.join(metadata, info)
        for name in sorted(os.listdir(directory)):
            if name not in ("WHEEL", "RECORD"):
                archive.write(os.path.join(directory, name), info + "/" + name)
        archive.writestr(
            info + "/WHEEL",
            "Wheel-Version: 1.0\nGenerator: setup.py develop\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr(info + "/RECORD", "")
    return wheel


def main():
    # The directory of this file is not a place to import from.
    sys.path.pop(0)
    # setuptools sets the arguments of its own commands.
    _, question, place = sys.argv
    with open(question, encoding="utf-8") as file:
        request = json.load(file)
    hook = request["hook"]
    config = request["config"] or None
    backend = load(request)
    editable = hook.endswith("_editable")
    known = hasattr(backend, "build_editable")
    if hook.startswith("get_requires"):
        if editable and not known:
            hook = "get_requires_for_build_wheel"
        answer = list(getattr(backend, hook, lambda config: [])(config))
    elif editable and not known:
        if not request["backend"].startswith("setuptools."):
            sys.exit("the backend {} cannot make editable installations (PEP 660)".format(request["backend"]))
        answer = develop(request)
    else:
        answer = getattr(backend, hook)(request["out"], config)
    with open(place, "w", encoding="utf-8") as file:
        json.dump(answer, file)


if __name__ == "__main__":
    main()
