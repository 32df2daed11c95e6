# Run once in the target interpreter (-I -S): prints one line of JSON about it.
# Runs on Python 2.7 and later, so that an interpreter that is too old can be named as such.
import sys


def config(name):
    return sysconfig.get_config_var(name)


def full_version(info):
    text = "%d.%d.%d" % tuple(info[:3])
    return text if info[3] == "final" else text + info[3][0] + str(info[4])


def glibc():
    """The version of the C library as text; None where it is not glibc."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION").rsplit()[1]
    except Exception:
        pass
    try:
        import ctypes
        function = ctypes.CDLL(None).gnu_get_libc_version
        function.restype = ctypes.c_char_p
        return function().decode("ascii")
    except Exception:
        return None


def elf():
    """Class, byte order, machine, flags and loader of the interpreter's file (System V ABI)."""
    import struct
    try:
        with open(sys.executable, "rb") as file:
            ident = file.read(16)
            if ident[:4] != b"\x7fELF":
                return None
            wide, order = ident[4] == 2, "<" if ident[5] == 1 else ">"
            layout = "HHIQQQIHHH" if wide else "HHIIIIIHHH"
            header = struct.unpack(order + layout, file.read(42 if wide else 30))
            loader = None
            for index in range(header[9]):
                file.seek(header[4] + header[8] * index)
                entry = struct.unpack(order + ("IIQQQQ" if wide else "IIIII"), file.read(40 if wide else 20))
                if entry[0] == 3:
                    file.seek(entry[2] if wide else entry[1])
                    size = entry[5] if wide else entry[4]
                    loader = os.fsdecode(file.read(size)).strip("\0")
                    break
            return {"wide": wide, "little": order == "<", "machine": header[1], "flags": header[6],
                    "loader": loader}
    except (OSError, IndexError, struct.error):
        return None


def musl(loader):
    """What musl's loader says about itself; None where there is none."""
    if not loader or "musl" not in loader:
        return None
    import subprocess
    try:
        child = subprocess.Popen([loader], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return child.communicate()[1].decode("utf-8", "replace")
    except Exception:
        return None


def refused_manylinux(version, arch):
    """The glibc versions that a distribution's `_manylinux` module rules out (PEP 600)."""
    if not version:
        return []
    try:
        major, minor = [int(part) for part in version.split(".")[:2]]
        sys.path.append(sysconfig.get_path("purelib"))
        import _manylinux
    except Exception:
        return []
    legacy = {5: "manylinux1_compatible", 12: "manylinux2010_compatible", 17: "manylinux2014_compatible"}
    refused = []
    for number in range(minor + 1):
        if hasattr(_manylinux, "manylinux_compatible"):
            answer = _manylinux.manylinux_compatible(major, number, arch)
        else:
            answer = getattr(_manylinux, legacy.get(number, ""), None) if major == 2 else None
        if answer is not None and not answer:
            refused.append([major, number])
    return refused


def mac():
    """The version of macOS and the machine; None elsewhere."""
    if sys.platform != "darwin":
        return None
    version, _, machine = platform.mac_ver()
    if version.split(".")[:2] == ["10", "16"]:
        # An interpreter built with an old SDK is told 10.16 for everything newer.
        import subprocess
        version = subprocess.check_output(
            [sys.executable, "-I", "-S", "-c", "import platform; print(platform.mac_ver()[0])"],
            env={"SYSTEM_VERSION_COMPAT": "0"}).decode("ascii").strip()
    return {"version": version, "machine": machine}


def site_packages():
    scheme = "posix_prefix" if os.name == "posix" else "nt"
    return sysconfig.get_path("purelib", scheme, {"base": "", "platbase": ""}).lstrip("/")


if sys.version_info[:2] < (3, 7):
    sys.stdout.write('{"too_old": "%d.%d.%d"}\n' % sys.version_info[:3])
    sys.exit(0)

import json
import os
import platform
import sysconfig

file = elf()
glibc_version = glibc() if sys.platform == "linux" else None
plain = sysconfig.get_platform()
print(json.dumps({
    "markers": {
        "implementation_name": sys.implementation.name,
        "implementation_version": full_version(sys.implementation.version),
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": platform.python_version(),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": sys.platform,
    },
    "version": list(sys.version_info[:3]),
    "executable": sys.executable,
    "base_prefix": getattr(sys, "base_prefix", sys.prefix),
    "cache_tag": sys.implementation.cache_tag,
    "site_packages": site_packages(),
    "platform": plain,
    "narrow": sys.maxsize <= 2 ** 32,
    "free_threaded": bool(config("Py_GIL_DISABLED")),
    "debug": bool(config("Py_DEBUG") or (config("Py_DEBUG") is None and hasattr(sys, "gettotalrefcount"))),
    "pymalloc": config("WITH_PYMALLOC") is None or bool(config("WITH_PYMALLOC")),
    "version_nodot": str(config("py_version_nodot") or ""),
    "ext_suffix": config("EXT_SUFFIX"),
    "glibc": glibc_version,
    "musl": musl(file and file["loader"]),
    "elf": file,
    "refused_manylinux": refused_manylinux(glibc_version, plain.split("-", 1)[-1].replace("-", "_")),
    "mac": mac(),
}))
