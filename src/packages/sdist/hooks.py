"""Calls hooks of a build backend (PEP 517, PEP 660), one after another, and writes the last answer down.

Run as `python hooks.py REQUEST ANSWER`, both JSON files. The backend is imported once; each hook runs in a
process of its own that is forked from this one, so that none sees what another left behind. Kept to what Python
3.6 understands.
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


def develop(request, backend):
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


def call(request, backend, hook):
    config = request["config"] or None
    editable = hook.endswith("_editable")
    known = hasattr(backend, "build_editable")
    if hook.startswith("get_requires"):
        if editable and not known:
            hook = "get_requires_for_build_wheel"
        return list(getattr(backend, hook, lambda config: [])(config))
    if editable and not known:
        if not request["backend"].startswith("setuptools."):
            sys.exit("the backend {} cannot make editable installations (PEP 660)".format(request["backend"]))
        return develop(request, backend)
    return getattr(backend, hook)(request["out"], config)


def tell(place, **what):
    with open(place, "w", encoding="utf-8") as file:
        json.dump(what, file)


def main():
    # The directory of this file is not a place to import from.
    sys.path.pop(0)
    # setuptools sets the arguments of its own commands.
    _, question, place = sys.argv
    with open(question, encoding="utf-8") as file:
        request = json.load(file)
    tell(place, hook=request["hooks"][0])
    backend = load(request)
    for hook in request["hooks"]:
        tell(place, hook=hook)
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            tell(place, hook=hook, answer=call(request, backend, hook))
            return
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            os.kill(os.getpid(), os.WTERMSIG(status))
        if status:
            # The traceback stands in the output already.
            sys.exit(os.WEXITSTATUS(status) or 1)
        with open(place, encoding="utf-8") as file:
            answer = json.load(file).get("answer")
        # What a hook asks for must be there before the next is called.
        if hook.startswith("get_requires") and set(answer) - set(request["installed"]):
            return


if __name__ == "__main__":
    main()
