"""Writes what `packaging` says about many markers in several environments.

    python3 -m pip install packaging==26.3
    python3 tests/expected/markers.py > src/words/vocab/marker/expected.json

Each marker gets one character per environment: 1 or 0 as it holds or not, E where evaluation raises;
or "invalid" where it does not parse at all.
"""

import itertools
import json

from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName


def environment(version, full, **others):
    values = {
        "implementation_name": "cpython",
        "implementation_version": full,
        "os_name": "posix",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
        "platform_release": "6.1.0-18-amd64",
        "platform_system": "Linux",
        "platform_version": "#1 SMP PREEMPT_DYNAMIC 6.1.76-1",
        "python_full_version": full,
        "python_version": version,
        "sys_platform": "linux",
        "extras": [],
        "dependency_groups": [],
    }
    values.update(others)
    return values


ENVIRONMENTS = [
    environment("3.11", "3.11.7"),
    environment("3.9", "3.9.0", extras=["socks"], dependency_groups=["dev"], platform_release="5.10.0"),
    environment("3.7", "3.7.16", platform_machine="aarch64", extras=["a-b", "security"]),
    environment("3.13", "3.13.0a2", platform_release="6.6.87.2-microsoft-standard-WSL2"),
    environment("3.14", "3.14.0+", platform_release="20.6.0", sys_platform="darwin", platform_system="Darwin"),
    environment("3.10", "3.10.14", implementation_name="pypy", implementation_version="7.3.17",
                platform_python_implementation="PyPy", dependency_groups=["Dev_Tools", "docs"]),
    environment("3.12", "3.12.1", os_name="nt", sys_platform="win32", platform_system="Windows",
                platform_machine="AMD64", platform_release="10", platform_version="10.0.19045"),
    environment("2.7", "2.7.18", platform_machine="", platform_release="4.14.336-257.566.amzn2.x86_64"),
]

OPERATORS = ["==", "!=", "<", "<=", ">", ">=", "~=", "===", "in", "not in"]
VERSIONS = [
    "3", "3.9", "3.10", "3.11", "3.13", "3.9.0", "3.13.0", "3.13.0a1", "3.13.0a2", "3.13.0.dev1", "3.11.7",
    "3.11.7.post1", "3.11.7+local", "3.14.0", "3.*", "3.1.*", "3.11.*", "3.11.7.*", "3.11.7.0.*", "v3.9",
    " 3.9 ", "3.9-1", "1!3.9", "3.x", "", "3.0, 3.1, 3.2", "3.9,3.10", "6.1.0-18-amd64", "5.10", "10", "7.3",
    "3..*", "3.a1.*", "3 .*", "2.7.18.dev3", "3.13.0RC1", "3.13.0.rc.1", "3.13a", "3.7.16.post0.dev1", "pypy",
]
VERSION_VARIABLES = ["python_version", "python_full_version", "platform_release", "implementation_version"]
TEXTS = ["", "linux", "Linux", "win32", "posix", "nt", "x86_64", "AMD64", "CPython", "PyPy", "pypy", "x86_64 aarch64",
         "3.9", "10.0.19045"]
TEXT_VARIABLES = ["sys_platform", "os_name", "platform_machine", "platform_system", "platform_version",
                  "implementation_name", "platform_python_implementation", "os.name", "sys.platform",
                  "platform.version", "platform.machine", "platform.python_implementation",
                  "python_implementation"]
NAMES = ["", "socks", "Security", "A_B", "a.b", "dev", "dev-tools", "docs", "other", "a -_. b"]

OTHERS = [
    "python_version >= '2.7' and python_version not in '3.0, 3.1, 3.2, 3.3'",
    "python_full_version not in '3.9.0, 3.9.1'",
    "('dev' in dependency_groups) and (python_version >= '3.9')",
    "'dev' in dependency_groups",
    "'dev' not in dependency_groups or 'socks' in extras",
    "(sys_platform == 'linux' and (platform_machine == 'x86_64' or (platform_machine == 'aarch64')))",
    "python_version < '3.8' and sys_platform == 'linux' or python_version > '3.10' and os_name == 'posix'",
    "python_version < '3.8' and (sys_platform == 'linux' or python_version > '3.10') and os_name == 'posix'",
    "python_version >= '3' and platform_python_implementation != 'PyPy' or (platform_system != 'Windows')",
    "((((python_version>='3.8'))))",
    "python_version>='3.8'and(os_name=='posix')or extra=='socks'",
    "extra == 'socks' and extra == 'security'",
    "extra == 'a-b' or extra == 'security'",
    "extra != 'security'",
    "'A.b' == extra",
    "os_name == sys_platform",
    "python_version == python_full_version",
    "'3.8' <= python_version",
    "'linux' in sys_platform",
    "'86' in platform_machine",
    "\tpython_version\t==\t'3.11'\t",
    '"posix" == os_name',
    "os_name == 'po\\x73ix'",
    "os_name == '\\160osix'",
    "os_name == 'posi\\u0078'",
    "os_name != '\\q'",
    "os_name == '\\N{LATIN SMALL LETTER P}osix",
    "os_name == 'a\\'",
    "os_name == '\\x7'",
    "os_name == 'a\nb'",
    "", " ", "()", "(", ")", "python_version", "python_version >=", "python_version >= 3.8", "'3.8'",
    "python_version >= '3.8", "python_version >= '3.8\"", "python_version => '3.8'", "python_version = '3.8'",
    "python_version >= '3.8' python_version", "python_version >= '3.8' and", "and python_version >= '3.8'",
    "(python_version >= '3.8'", "python_version >= '3.8')", "python_versions >= '3.8'", "pythonversion >= '3.8'",
    "os_name notin 'posix'", "os_name not  in 'posix'", "os_name not 'posix'", "os_nameéin 'posix'",
    "os_name in'posix'", "os_name inposix", "python.version == '3.8'", "platform.system == 'Linux'",
    "os_name == 'posix' && os_name == 'posix'", "os_name == 'posix' AND os_name == 'posix'",
    "os_name == 'posix' xor os_name == 'posix'", "os_name == 'posix'\n", "os_name == 'posix';",
    "dependency_groups == 'dev'", "extras in 'dev'", "'a' == 'b'",
    "not os_name == 'posix'", "os_name == u'posix'", "os_name == posix", "sys_platform == 'linux' or",
]


def markers():
    for variable, operator, version in itertools.product(VERSION_VARIABLES, OPERATORS, VERSIONS):
        yield f"{variable} {operator} '{version}'"
        yield f"'{version}' {operator} {variable}"
    for variable, operator, text in itertools.product(TEXT_VARIABLES, OPERATORS, TEXTS):
        yield f"{variable} {operator} '{text}'"
        yield f"'{text}' {operator} {variable}"
    for operator, name in itertools.product(OPERATORS, NAMES):
        yield f"extra {operator} '{name}'"
        yield f"'{name}' {operator} extra"
    for operator, name, variable in itertools.product(["in", "not in"], NAMES, ["extras", "dependency_groups"]):
        yield f"'{name}' {operator} {variable}"
    yield from OTHERS


def holds(marker, env):
    values = dict(env, extras=set(env["extras"]), dependency_groups=set(env["dependency_groups"]))
    try:
        # pip evaluates a marker once per extra.
        return "01"[any([marker.evaluate(dict(values, extra=extra)) for extra in env["extras"] or [""]])]
    except (UndefinedComparison, UndefinedEnvironmentName):
        return "E"


def answers(text):
    try:
        marker = Marker(text)
    except InvalidMarker:
        return "invalid"
    return "".join(holds(marker, env) for env in ENVIRONMENTS)


# Markers are grouped by their answers: it keeps the file small.
grouped = {}
for text in dict.fromkeys(markers()):
    grouped.setdefault(answers(text), []).append(text)
print("{\"environments\": [")
print(",\n".join(json.dumps(env) for env in ENVIRONMENTS))
print("],\n\"markers\": {")
print(",\n".join(f"{json.dumps(key)}: {json.dumps(grouped[key])}" for key in sorted(grouped)))
print("}}")
