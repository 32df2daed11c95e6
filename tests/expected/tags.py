"""Prints the tags of the interpreter it runs under, best first, as `packaging` gives them.

With arguments, prints instead what `packaging.tags` says about platforms that are not this one:

    python3 -m pip install packaging==26.3
    python3 tests/expected/tags.py fixed > src/project/python/expected_tags.json
"""

import json
import sys

try:
    from packaging import tags
except ImportError:
    from pip._vendor.packaging import tags


def fixed():
    mac = [[version, arch, list(tags.mac_platforms(tuple(version), arch))]
           for version in ([10, 3], [10, 9], [10, 15], [11, 0], [14, 2], [26, 0])
           for arch in ("x86_64", "arm64", "i386")]
    python = []
    for version, abis, platform in [
        ((3, 7), ["cp37m"], "linux_x86_64"),
        ((3, 9), ["cp39"], "win_amd64"),
        ((3, 12), ["cp312d", "cp312"], "linux_x86_64"),
        ((3, 13), ["cp313t"], "linux_aarch64"),
        ((3, 14), ["cp314td", "cp314t"], "linux_aarch64"),
        ((3, 14), ["cp314"], "macosx_11_0_arm64"),
    ]:
        found = list(tags.cpython_tags(version, abis, [platform]))
        found += tags.compatible_tags(version, "cp%d%d" % version, [platform])
        python.append([version, abis[0], platform, [str(tag) for tag in found]])
    pypy = list(tags.generic_tags("pp310", ["pypy310_pp73"], ["linux_x86_64"]))
    pypy += tags.compatible_tags((3, 10), "pp3", ["linux_x86_64"])
    python.append([(3, 10), "pypy310_pp73", "linux_x86_64", [str(tag) for tag in pypy]])
    return {"mac": mac, "python": python}


if sys.argv[1:]:
    print("{\n" + ",\n".join(
        json.dumps(key) + ": [\n" + ",\n".join(map(json.dumps, rows)) + "\n]" for key, rows in fixed().items()) + "\n}")
else:
    print(json.dumps([str(tag) for tag in tags.sys_tags()]))
