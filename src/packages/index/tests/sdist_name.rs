use super::*;
use crate::words::vocab::ArchiveFormat;

/// Version as written, as read, and format of a file name read for a package.
fn read(name: &str, file_name: &str) -> Option<(String, Option<String>, ArchiveFormat)> {
    let name = name.parse().expect(name);
    let sdist = SdistName::parse(file_name, &name)?;
    Some((sdist.written, sdist.version.map(|version| version.to_string()), sdist.format))
}

#[test]
fn a_name_is_read_in_any_spelling_and_format() {
    use ArchiveFormat::{Tar, TarBz2, TarGz, TarXz, Zip};
    for (name, file_name, written, version, format) in [
        ("demo", "demo-1.0.tar.gz", "1.0", "1.0", TarGz),
        ("demo", "Demo-1.0.TAR.GZ", "1.0", "1.0", TarGz),
        ("demo", "demo-1.0.tgz", "1.0", "1.0", TarGz),
        ("demo", "demo-1.0.zip", "1.0", "1.0", Zip),
        ("demo", "demo-1.0.tar.bz2", "1.0", "1.0", TarBz2),
        ("demo", "demo-1.0.tbz", "1.0", "1.0", TarBz2),
        ("demo", "demo-1.0.tar.xz", "1.0", "1.0", TarXz),
        ("demo", "demo-1.0.txz", "1.0", "1.0", TarXz),
        ("demo", "demo-1.0.tar", "1.0", "1.0", Tar),
        ("zope-interface", "zope.interface-5.4.0.tar.gz", "5.4.0", "5.4.0", TarGz),
        ("zope-interface", "zope_interface-5.4.0.tar.gz", "5.4.0", "5.4.0", TarGz),
        ("ruamel-yaml-clib", "ruamel.yaml-clib-0.2.tar.gz", "0.2", "0.2", TarGz),
        ("backports-zoneinfo", "backports-zoneinfo-0.2.tar.gz", "0.2", "0.2", TarGz),
        ("demo", "demo-1.0-1.tar.gz", "1.0-1", "1.0.post1", TarGz),
        ("demo", "demo-1.0+local.1.tar.gz", "1.0+local.1", "1.0+local.1", TarGz),
        ("demo", "demo-1.0_local.1.tar.gz", "1.0_local.1", "1.0+local.1", TarGz),
        ("demo", "demo-v1.0-beta.tar.gz", "v1.0-beta", "1.0b0", TarGz),
        ("demo-2", "demo-2-1.0.tar.gz", "1.0", "1.0", TarGz),
    ] {
        let expected = (written.to_owned(), Some(version.to_owned()), format);
        assert_eq!(read(name, file_name), Some(expected), "{file_name}");
    }
}

#[test]
fn a_version_from_before_pep_440_is_kept_as_text() {
    assert_eq!(read("pytz", "pytz-2004-d-x.zip"), Some(("2004-d-x".into(), None, ArchiveFormat::Zip)));
}

#[test]
fn what_is_no_sdist_of_the_package_is_refused() {
    for file_name in [
        "",
        "demo.tar.gz",
        "demo-.tar.gz",
        "-1.0.tar.gz",
        ".tar.gz",
        "demo-1.0",
        "demo-1.0.tar.lz",
        "demo-1.0.whl",
        "other-1.0.tar.gz",
        "demonstration-1.0.tar.gz",
        "dem\u{f6}-1.0.tar.gz",
        "../demo-1.0.tar.gz",
    ] {
        assert_eq!(read("demo", file_name), None, "{file_name}");
    }
}
