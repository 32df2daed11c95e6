"""Use this environment's packages from a Python that runs already:

    import runpy
    runpy.run_path("bin/activate_this.py")
"""

import os
import site
import sys

try:
    _file = os.path.abspath(__file__)
except NameError:
    raise AssertionError("run this file with runpy.run_path(path), which says where it is")

_env = os.path.dirname(os.path.dirname(_file))
_packages = os.path.join(_env, *@SITE_PACKAGES@.split("/"))

_paths = [os.path.join(_env, "bin")]
if os.environ.get("PATH"):
    _paths.append(os.environ["PATH"])
os.environ["PATH"] = os.pathsep.join(_paths)
os.environ["VIRTUAL_ENV"] = _env
os.environ["VIRTUAL_ENV_PROMPT"] = @PROMPT@ or os.path.basename(_env)

# What a `.pth` file adds goes with the packages, before everything that was there.
_before = list(sys.path)
site.addsitedir(_packages)
sys.path[:] = [p for p in sys.path if p not in _before] + [p for p in _before if p != _packages]
if _packages not in sys.path:
    sys.path.insert(0, _packages)

sys.real_prefix = sys.prefix
sys.prefix = _env
