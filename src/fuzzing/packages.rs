//! Readers of pages, wheels and source distributions.

use std::{io::Write as _, path::Path};

use serde_json::json;
use url::Url;

use super::{Read, said, with_file};
use crate::{
    packages::{
        cache::VerifiedFile,
        index::{IndexFile, parse_page},
        sdist::{Limits, unpack},
        wheel::{Strictness, Wheel, deflate as streams, with_scratch},
    },
    words::{
        files,
        vocab::{Sha256, WheelName},
    },
};

/// A page of links (PEP 503).
pub(super) fn index_html(bytes: &[u8]) -> Read {
    page("text/html", bytes)
}

/// The same as JSON (PEP 691).
pub(super) fn index_json(bytes: &[u8]) -> Read {
    page("application/vnd.pypi.simple.v1+json", bytes)
}

fn page(content_type: &str, bytes: &[u8]) -> Read {
    let url = Url::parse("https://index.example/simple/demo/").map_err(|error| error.to_string())?;
    let files = said(parse_page(Some(content_type), bytes, &url))?;
    files.iter().for_each(assert_safe);
    let rows: Vec<_> = files
        .iter()
        .map(|file| {
            json!([
                file.filename,
                file.url.as_str(),
                file.sha256.map(|digest| digest.to_string()),
                file.yanked
            ])
        })
        .collect();
    Ok(json!(rows))
}

pub(super) fn assert_safe(file: &IndexFile) {
    let name = &file.filename;
    assert!(!name.is_empty() && !name.contains(['/', '\\']) && !name.contains(".."), "{name:?}");
    assert!(!name.contains(char::is_control), "{name:?}");
    assert!(matches!(file.url.scheme(), "http" | "https"), "{}", file.url);
    assert!(file.url.username().is_empty() && file.url.password().is_none(), "{}", file.url);
    assert_eq!(file.url.fragment(), None, "{}", file.url);
}

/// The wheel that all of these are read as.
const NAME: &str = "demo-1.0-py3-none-any.whl";

/// A wheel: its files with what they inflate to.
pub(super) fn wheel(bytes: &[u8]) -> Read {
    let name: WheelName = said(NAME.parse())?;
    with_file(NAME, bytes, |path| {
        let file = VerifiedFile::vouch(path.to_owned(), Sha256::of(bytes), bytes.len() as u64);
        let (wheel, _) = said(Wheel::open(file, name, Strictness::Warn))?;
        let mut files = Vec::new();
        for (at, entry) in wheel.entries.iter().enumerate() {
            let path = entry.path.as_str();
            let plain = |part: &str| !matches!(part, "" | "." | "..");
            assert!(path.split('/').all(plain) && !path.contains('\0'), "{path:?} is no plain path");
            assert!(entry.header_offset + entry.span <= bytes.len() as u64, "{path:?} is not in the file");
            let digest = said(with_scratch(|scratch| {
                wheel.inflate(at, scratch).map(|content| {
                    assert_eq!(content.bytes.len() as u64, entry.size, "{path:?}");
                    assert_eq!(libdeflater::crc32(content.bytes), entry.crc32, "{path:?}");
                    content.sha256
                })
            }));
            let streamed = wheel.stream(at, &mut |_| Ok(()));
            assert_eq!(
                digest.as_ref().ok(),
                streamed.as_ref().ok().map(|checked| &checked.sha256),
                "{path:?} is read in two ways: {digest:?}, {}",
                streamed.as_ref().err().map(crate::words::error::Error::report).unwrap_or_default()
            );
            files.push(json!([path, digest?.to_string(), entry.executable]));
        }
        let scripts: Vec<_> = wheel
            .scripts
            .iter()
            .map(|script| json!([script.name.as_str(), script.module, script.function, script.gui]))
            .collect();
        Ok(json!({"files": files, "scripts": scripts}))
    })
}

/// A wheel that is right but for one file of its `.dist-info`.
fn wheel_with(name: &str, bytes: &[u8]) -> Read {
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Stored)
        .last_modified_time(zip::DateTime::default());
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let files: [(&str, &[u8]); 6] = [
        ("demo/__init__.py", b"x = 1\n"),
        ("demo-1.0.data/scripts/tool", b"#!python\n"),
        ("demo-1.0.dist-info/METADATA", b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"),
        ("demo-1.0.dist-info/WHEEL", b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
        ("demo-1.0.dist-info/entry_points.txt", b"[console_scripts]\ndemo = demo:main\n"),
        ("demo-1.0.dist-info/RECORD", b"demo/__init__.py,,\n"),
    ];
    for (path, content) in files {
        let content = if path.ends_with(name) { bytes } else { content };
        let written = writer.start_file(path, options).map_err(std::io::Error::from);
        written.and_then(|()| writer.write_all(content)).map_err(|error| error.to_string())?;
    }
    let built = writer.finish().map_err(|error| error.to_string())?;
    wheel(built.get_ref())
}

/// RECORD.
pub(super) fn record(bytes: &[u8]) -> Read {
    wheel_with("/RECORD", bytes)
}

/// METADATA of a wheel.
pub(super) fn metadata(bytes: &[u8]) -> Read {
    wheel_with("/METADATA", bytes)
}

/// WHEEL.
pub(super) fn wheel_file(bytes: &[u8]) -> Read {
    wheel_with("/WHEEL", bytes)
}

/// `entry_points.txt`: what is read becomes Python source.
pub(super) fn entry_points(bytes: &[u8]) -> Read {
    let read = wheel_with("/entry_points.txt", bytes)?;
    for script in read["scripts"].as_array().into_iter().flatten() {
        for part in [&script[1], &script[2]] {
            let word = |word: &str| !word.is_empty() && word.chars().all(|c| c == '_' || c.is_alphanumeric());
            assert!(part.as_str().is_some_and(|part| part.split('.').all(word)), "{script}");
        }
        assert!(script[0].as_str().is_some_and(|name| !name.contains(['/', '\n'])), "{script}");
    }
    Ok(read["scripts"].clone())
}

/// A deflate stream: where it ends, and to how many bytes it inflates, as zlib has it.
pub(super) fn deflate(bytes: &[u8]) -> Read {
    let walked = streams::walk(&mut &bytes[..]);
    let (mut ours, mut zlibs) = (libdeflater::Crc::new(), libdeflater::Crc::new());
    let mut take = |piece: &[u8]| {
        ours.update(piece);
        Ok(())
    };
    let in_pieces = streams::inflate_in_pieces(&mut &bytes[..], &mut take);
    assert_eq!(in_pieces.as_ref().ok(), walked.as_ref().ok(), "inflated and counted");
    let mut inflater = flate2::Decompress::new(false);
    let (mut out, mut whole) = (vec![0; 64 << 10], false);
    let inflated = loop {
        let at = usize::try_from(inflater.total_in()).unwrap_or(usize::MAX);
        let before = (inflater.total_in(), inflater.total_out());
        let status = inflater.decompress(&bytes[at..], &mut out, flate2::FlushDecompress::None);
        zlibs.update(&out[..usize::try_from(inflater.total_out() - before.1).unwrap_or(0)]);
        match status {
            Ok(flate2::Status::StreamEnd) => {
                whole = true;
                break Ok(());
            }
            Ok(_) if (inflater.total_in(), inflater.total_out()) == before => break Ok(()),
            Ok(_) => {}
            Err(error) => break Err(error.to_string()),
        }
    };
    match walked {
        Ok(end) => {
            if whole {
                assert_eq!((end.bytes(), end.size), (inflater.total_in(), inflater.total_out()));
                assert_eq!(ours.sum(), zlibs.sum(), "inflated to other bytes than by zlib");
            }
            Ok(json!({"bytes": end.bytes(), "size": end.size, "inflates": inflated.is_ok() && whole}))
        }
        Err(error) => {
            assert!(!whole, "zlib inflates what cannot be followed: {error}");
            Err(error.to_string())
        }
    }
}

/// A source distribution's tar: nothing leaves its directory.
pub(super) fn sdist_tar(bytes: &[u8]) -> Read {
    sdist("demo-1.0.tar", bytes)
}

/// The same as a zip archive.
pub(super) fn sdist_zip(bytes: &[u8]) -> Read {
    sdist("demo-1.0.zip", bytes)
}

fn sdist(name: &str, bytes: &[u8]) -> Read {
    with_file(name, bytes, |path| {
        let Some(dir) = path.parent() else { return Err("no directory".to_owned()) };
        let into = dir.join("into");
        let limits = Limits { total: 1 << 20, members: 200 };
        let project = unpack(path, name, &into, limits);
        let mut beside: Vec<_> = std::fs::read_dir(dir)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        beside.sort();
        beside.retain(|found| found != name && found != "into");
        assert!(beside.is_empty(), "something was unpacked beside its directory: {beside:?}");
        let mut found = inside(&into);
        let project = said(project)?;
        assert!(project.starts_with(&into), "{}", project.display());
        found.sort();
        Ok(json!(found))
    })
}

/// What lies below a directory; no link leads out of it.
fn inside(top: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in files::below(top).filter_map(Result::ok) {
        let (path, kind) = (entry.path(), entry.file_type());
        if kind.is_symlink() {
            // A link to what is not there leads nowhere.
            if let Ok(real) = path.canonicalize() {
                let top = top.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", top.display()));
                assert!(real.starts_with(top), "{} leads to {}", path.display(), real.display());
            }
        } else {
            assert!(kind.is_dir() || kind.is_file(), "{} is of another kind", path.display());
        }
        found.push(path.strip_prefix(top).unwrap_or(path).display().to_string());
    }
    found
}
