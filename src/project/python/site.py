# Run in an interpreter (-I) that packages are to be installed for: prints one line of JSON with where they go.
# Says what pip says, as what pip installed there is to be found and replaced (pip/_internal/locations).
import json
import os
import sys
import sysconfig

NAMES = ("purelib", "platlib", "scripts", "data", "include")


def by_distutils(user):
    """The paths before Python 3.10, where distributions changed distutils rather than sysconfig; None without it."""
    try:
        from distutils.command.install import SCHEME_KEYS  # noqa: F401
        from distutils.dist import Distribution
    except Exception:
        return None
    command = Distribution().get_command_obj("install", create=True)
    command.user = user
    if user:
        command.prefix = ""
    command.finalize_options()
    paths = {name: getattr(command, "install_" + name) for name in NAMES if name != "include"}
    paths["include"] = os.path.dirname(command.install_headers)
    return paths


def by_sysconfig(user):
    if hasattr(sysconfig, "get_preferred_scheme"):
        scheme = sysconfig.get_preferred_scheme("user" if user else "prefix")
    elif user:
        scheme = "posix_user"
    else:
        scheme = sysconfig._get_default_scheme()
    paths = sysconfig.get_paths(scheme)
    return {name: paths[name] for name in NAMES}


def paths(user):
    found = by_distutils(user) if sys.version_info < (3, 10) else None
    found = found or by_sysconfig(user)
    if sys.prefix != sys.base_prefix and not user:
        found["include"] = os.path.join(sys.prefix, "include", "site", "python%d.%d" % sys.version_info[:2])
    return found


def externally_managed():
    """What the distribution that looks after this interpreter has to say (PEP 668); None where there is none."""
    if sys.prefix != sys.base_prefix:
        return None
    stdlib = sysconfig.get_path("stdlib", sysconfig.get_default_scheme()) if hasattr(sysconfig, "get_default_scheme") \
        else sysconfig.get_path("stdlib")
    marker = os.path.join(stdlib, "EXTERNALLY-MANAGED")
    if not os.path.isfile(marker):
        return None
    import configparser
    parser = configparser.ConfigParser(interpolation=None)
    try:
        with open(marker, encoding="utf-8") as file:
            parser.read_file(file)
        return parser.get("externally-managed", "Error")
    except Exception:
        return ""


def sees_user_site():
    """Whether a virtual environment lets its interpreter see the user's packages."""
    try:
        with open(os.path.join(sys.prefix, "pyvenv.cfg"), encoding="utf-8") as file:
            lines = [line.partition("=")[::2] for line in file]
    except OSError:
        return True
    settings = {name.strip().lower(): value.strip().lower() for name, value in lines}
    return settings.get("include-system-site-packages", "true") == "true"


user = sys.argv[1:] == ["user"]
print(json.dumps({
    "executable": sys.executable,
    "prefix": sys.prefix,
    "is_virtual": sys.prefix != sys.base_prefix,
    "sees_user_site": sees_user_site(),
    "externally_managed": externally_managed(),
    "paths": paths(user),
}))
