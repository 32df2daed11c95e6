//! The usual causes of a failed build, told from what it printed.

/// What in the output betrays which cause, and what Debian and Alpine call the missing packages.
const MISSING: &[(&[&str], &str, &str, &str)] = &[
    (&["Python.h: No such file"], "the headers of Python (Python.h)", "python3-dev", "python3-dev"),
    (
        &["pg_config executable not found", "pg_config: not found", "pg_config --", "libpq-fe.h"],
        "pg_config and libpq's headers (PostgreSQL)",
        "libpq-dev",
        "libpq-dev",
    ),
    (
        &[
            "mysql_config: not found",
            "mysql_config not found",
            "mysql.h: No such file",
            "Can not find valid pkg-config name",
        ],
        "MySQL's client library",
        "default-libmysqlclient-dev pkg-config",
        "mariadb-connector-c-dev pkgconf",
    ),
    (
        &["ffi.h: No such file", "Package libffi was not found"],
        "libffi's headers (ffi.h)",
        "libffi-dev",
        "libffi-dev",
    ),
    (
        &["libxml/xmlversion.h", "xml2-config", "libxml2 and libxslt development packages", "libxml/tree.h"],
        "libxml2's and libxslt's headers",
        "libxml2-dev libxslt1-dev",
        "libxml2-dev libxslt-dev",
    ),
    (&["xmlsec1", "xmlsec/xmlsec.h"], "xmlsec's headers", "libxmlsec1-dev pkg-config", "xmlsec-dev pkgconf"),
    (
        &[
            "openssl/opensslv.h",
            "openssl/ssl.h",
            "openssl/evp.h",
            "Could not find directory of OpenSSL",
            "Could not find openssl",
        ],
        "OpenSSL's headers",
        "libssl-dev pkg-config",
        "openssl-dev pkgconf",
    ),
    (
        &[
            "can't find Rust compiler",
            "cargo: not found",
            "Cargo, the Rust package manager, is not installed",
            "rustc: not found",
            "rustc, the rust compiler, is not installed",
        ],
        "the Rust compiler",
        "rustc cargo",
        "rust cargo",
    ),
    (
        &[
            "cmake: not found",
            "CMake must be installed",
            "Could not find CMake",
            "'cmake'",
            "Unable to find CMake",
        ],
        "cmake",
        "cmake",
        "cmake",
    ),
    (&["ninja: not found", "Could not detect Ninja"], "ninja", "ninja-build", "samurai"),
    (
        &["gfortran: not found", "No Fortran compiler", "Unknown compiler(s): [['gfortran'"],
        "a Fortran compiler",
        "gfortran",
        "gfortran",
    ),
    (
        &[
            "pkg-config: not found",
            "pkg-config is required",
            "'pkg-config'",
            "Did not find pkg-config",
            "Pkg-config binary for machine",
        ],
        "pkg-config",
        "pkg-config",
        "pkgconf",
    ),
    (
        &[
            "command 'gcc' failed: No such file",
            "unable to execute 'gcc'",
            "command 'cc' failed: No such file",
            "unable to execute 'cc'",
            "linux-gnu-gcc' failed: No such file",
            "linux-gnu-gcc': No such file",
            "linux-musl-gcc' failed: No such file",
            "gcc: not found",
            "no acceptable C compiler",
            "linker `cc` not found",
            "Unknown compiler(s): [['cc'",
            "No such file or directory: 'gcc'",
            "No such file or directory: 'cc'",
            "error: [Errno 2] No such file or directory: 'x86_64-linux-gnu-gcc'",
        ],
        "a C compiler",
        "build-essential",
        "build-base",
    ),
    (
        &[
            "command 'g++' failed: No such file",
            "unable to execute 'g++'",
            "cc1plus",
            "g++: not found",
            "c++: not found",
        ],
        "a C++ compiler",
        "g++",
        "g++",
    ),
    (
        &[
            "fatal error: stdio.h",
            "fatal error: limits.h",
            "fatal error: stdlib.h",
            "cannot find crti.o",
            "cannot find -lc",
        ],
        "the C library's headers",
        "libc6-dev",
        "musl-dev",
    ),
    (&["fatal error: linux/"], "the kernel's headers", "linux-libc-dev", "linux-headers"),
    (
        &["headers or library files could not be found for zlib", "zlib.h: No such file"],
        "zlib's headers",
        "zlib1g-dev",
        "zlib-dev",
    ),
    (
        &["headers or library files could not be found for jpeg", "jpeglib.h"],
        "libjpeg's headers",
        "libjpeg-dev",
        "jpeg-dev",
    ),
    (
        &["lber.h", "ldap.h: No such file", "sasl/sasl.h", "sasl.h: No such file"],
        "OpenLDAP's and SASL's headers",
        "libldap2-dev libsasl2-dev",
        "openldap-dev cyrus-sasl-dev",
    ),
    (&["curl-config", "curl/curl.h"], "libcurl's headers", "libcurl4-openssl-dev libssl-dev", "curl-dev"),
    (&["krb5-config", "gssapi.h", "gssapi/gssapi.h"], "Kerberos' headers", "libkrb5-dev", "krb5-dev"),
    (&["gdal-config"], "GDAL", "libgdal-dev", "gdal-dev"),
    (&["geos_c.h", "geos-config"], "GEOS' headers", "libgeos-dev", "geos-dev"),
    (&["hdf5.h"], "HDF5's headers", "libhdf5-dev", "hdf5-dev"),
    (&["sql.h: No such file", "sqlext.h"], "unixODBC's headers", "unixodbc-dev", "unixodbc-dev"),
    (&["sqlite3.h"], "SQLite's headers", "libsqlite3-dev", "sqlite-dev"),
    (&["snappy-c.h"], "snappy's headers", "libsnappy-dev", "snappy-dev"),
    (&["librdkafka/rdkafka.h"], "librdkafka's headers", "librdkafka-dev", "librdkafka-dev"),
    (
        &["cairo.h", "Dependency \"cairo\" not found", "No package 'cairo' found"],
        "cairo's headers",
        "libcairo2-dev pkg-config",
        "cairo-dev pkgconf",
    ),
    (&["magic.h: No such file"], "libmagic's headers", "libmagic-dev", "file-dev"),
    (
        &["libmemcached/memcached.h"],
        "libmemcached's headers",
        "libmemcached-dev zlib1g-dev",
        "libmemcached-dev zlib-dev",
    ),
    (&["gmp.h: No such file"], "GMP's headers", "libgmp-dev", "gmp-dev"),
    (&["yaml.h: No such file"], "libyaml's headers", "libyaml-dev", "yaml-dev"),
    (&["portaudio.h"], "PortAudio's headers", "portaudio19-dev", "portaudio-dev"),
];

/// What the user can do about a build that printed `output`; `None` where it is no usual cause.
/// `package` is named where the cause lies with it.
pub(super) fn hint(output: &str, package: &str) -> Option<String> {
    for (signs, what, debian, alpine) in MISSING {
        if signs.iter().any(|sign| output.contains(sign)) {
            return Some(format!(
                "{what} is missing where this was built; on Debian and Ubuntu: apt-get install {debian}; on Alpine: apk add {alpine}"
            ));
        }
    }
    if output.contains("No module named 'distutils'") || output.contains("No module named 'imp'") {
        return Some(format!(
            "{package} was written for an older Python (distutils and imp are gone since 3.12): lock a newer version of it, or use Python 3.11"
        ));
    }
    if output.contains("use_2to3 is invalid") {
        return Some(format!(
            "{package} needs setuptools older than 58: pass PIP_CONSTRAINT a file with `setuptools<58`, or lock a newer version of it"
        ));
    }
    if output.contains("No module named 'pkg_resources'") {
        return Some(format!(
            "{package} needs setuptools older than 82 (which dropped pkg_resources): pass PIP_CONSTRAINT a file with `setuptools<82`, or lock a newer version of it"
        ));
    }
    if let Some(module) = missing_module(output) {
        return Some(format!(
            "{package} imports {module} while it is built without declaring it as a build requirement: lock a newer version of it, one with a wheel, or pass --extra-pip-args=--no-build-isolation with {module} in a category before it or installed in the interpreter"
        ));
    }
    if output.contains("Permission denied") || output.contains("PermissionError") {
        return Some(
            "a build may write to its own directory and the caches of its tools, nowhere else; one that must needs --extra-pip-args=--no-build-isolation".into(),
        );
    }
    if output.contains("Killed signal terminated program") || output.contains("MemoryError") {
        return Some(
            "the compiler ran out of memory: give the build more, or run fewer at once with --jobs 1".into(),
        );
    }
    if output.contains("No space left on device") {
        return Some("free some space on that file system, or point TMPDIR to another one".into());
    }
    None
}

/// What the user can do about a build without isolation that printed `output`, where it did not find what it needs:
/// a module, or one of its build requirements.
pub(super) fn without_isolation(output: &str, package: &str, missing: &[String]) -> Option<String> {
    let module = missing_module(output);
    let absent = match (missing, module) {
        ([], None) => return None,
        ([], Some(module)) => format!("{module} is not among it"),
        (missing, None) => format!("of its build requirements there is no {}", missing.join(", ")),
        (missing, Some(module)) => {
            format!(
                "{module} is not among it, and of its build requirements there is no {}",
                missing.join(", ")
            )
        }
    };
    Some(format!(
        "--no-build-isolation builds {package} with what the lock installs before it and what the interpreter has; {absent}: lock that in a category that is installed before (--categories=\"prereq packages\"), or leave --no-build-isolation out"
    ))
}

/// The module that Python did not find last.
fn missing_module(output: &str) -> Option<&str> {
    let (_, rest) = output.rsplit_once("No module named '")?;
    Some(rest.split_once('\'')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_causes_are_told_with_the_packages_to_install() {
        for (output, expected) in [
            ("src/a.c:1:10: fatal error: Python.h: No such file or directory", "python3-dev"),
            ("error: command 'gcc' failed: No such file or directory", "build-essential"),
            ("Error: pg_config executable not found.", "libpq-dev"),
            ("c/_cffi_backend.c:15:10: fatal error: ffi.h: No such file or directory", "libffi-dev"),
            ("error: can't find Rust compiler", "apk add rust cargo"),
            ("/bin/sh: 1: mysql_config: not found", "mariadb-connector-c-dev"),
            ("fatal error: libmemcached/memcached.h: No such file or directory", "libmemcached-dev"),
            ("ModuleNotFoundError: No module named 'numpy'", "imports numpy"),
            ("ModuleNotFoundError: No module named 'distutils'", "older Python"),
        ] {
            let hint = hint(output, "demo").expect(output);
            assert!(hint.contains(expected), "{output}: {hint}");
        }
        assert_eq!(hint("something else", "demo"), None);
    }
}
