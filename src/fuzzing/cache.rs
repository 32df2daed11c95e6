//! What lies in a cache that others may have written.

use std::{cell::RefCell, io::Write as _};

use serde_json::json;

use super::{Read, SECRET, said, text_of, with_file, without_place};
use crate::{
    packages::{
        cache::{Below as _, Bundle, VerifiedFile, known_to_ledger},
        index::SelectionKey,
        wheel::{PROOF_HEAD, Proof, Proven, Strictness, Wheel},
    },
    project::lock::Hashes,
    words::vocab::{Concealed, PackageName, Sha256, SourceUrl},
};

/// A selection record: plain names, servers' URLs, and the source's secret for the source's server alone.
pub(super) fn selection(bytes: &[u8]) -> Read {
    let source: SourceUrl = said("https://index.example/simple".parse())?;
    let name: PackageName = said("demo".parse())?;
    let concealed = Concealed::default();
    concealed.add("TOKEN", SECRET);
    let hashes = Hashes { sha256: vec![Sha256([0; 32])], other: Vec::new() };
    let key =
        SelectionKey { source: &source, concealed: &concealed, name: &name, pin: "==1.0", hashes: &hashes };
    let record = key.parse(bytes).ok_or("it is no record of files")?;
    let mut rows = Vec::new();
    for file in &record.files {
        super::packages::assert_safe(file);
        let told = file.url.as_str().contains(SECRET) && !String::from_utf8_lossy(bytes).contains(SECRET);
        assert!(!told || file.url.host_str() == Some("index.example"), "{}", file.url);
        rows.push(json!([file.filename, file.url.as_str(), file.sha256.map(|digest| digest.to_string())]));
    }
    Ok(json!({"files": rows, "complete": record.complete}))
}

/// The lines of a ledger: what is read is written again.
pub(super) fn ledger(bytes: &[u8]) -> Read {
    let (known, lines) = known_to_ledger(text_of(bytes)?);
    assert!(known.len() <= lines, "{} keys in {lines} lines", known.len());
    let mut rows: Vec<String> = known.iter().map(|(key, identity)| format!("{key} {identity}")).collect();
    rows.sort();
    let (again, _) = known_to_ledger(&format!("head\n{}\n", rows.join("\n")));
    assert_eq!(again, known, "{rows:?}");
    if rows.is_empty() { Err("it knows nothing".to_owned()) } else { Ok(json!(rows)) }
}

/// The rows of a proof, whose digest is put right: no stream is longer than its entry.
pub(super) fn proof(bytes: &[u8]) -> Read {
    thread_local!(static WHEEL: RefCell<Option<Wheel>> = const { RefCell::new(None) });
    WHEEL.with_borrow_mut(|known| {
        if known.is_none() {
            *known = Some(a_wheel()?);
        }
        let wheel = known.as_ref().ok_or("there is no wheel")?;
        let sealed = [PROOF_HEAD, &Sha256::of(bytes).0, bytes].concat();
        let proof = Proof::parse(&sealed, wheel).ok_or("it is no proof of this wheel")?;
        let known: Vec<_> = (0..wheel.entries.len()).map(|entry| proof.get(entry)).collect();
        for (proven, entry) in known.iter().zip(&wheel.entries) {
            let end = proven.and_then(|proven| proven.end);
            assert!(end.is_none_or(|end| end.bytes() <= entry.compressed_size), "{proven:?}");
        }
        let again = Proof::parse(&proof.render(), wheel).ok_or("it does not read what it wrote")?;
        // A digest of zeros is that of nothing, and stands for a row that is not known.
        let same = |(entry, proven): (usize, &Option<Proven>)| {
            again.get(entry) == *proven || proven.is_some_and(|proven| proven.sha256.0 == [0; 32])
        };
        assert!(known.iter().enumerate().all(same), "{known:?}");
        let rows = known.iter().map(|proven| proven.map(|proven| proven.sha256.to_string()));
        Ok(json!(rows.collect::<Vec<_>>()))
    })
}

/// A wheel of two entries that are deflated and one that is stored.
fn a_wheel() -> Result<Wheel, String> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let files: [(&str, &[u8]); 5] = [
        ("demo/__init__.py", b"x = 1\n"),
        ("demo/big.py", &[b'a'; 3000]),
        ("demo-1.0.dist-info/METADATA", b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"),
        ("demo-1.0.dist-info/WHEEL", b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
        ("demo-1.0.dist-info/RECORD", b"demo/__init__.py,,\n"),
    ];
    for (path, content) in files {
        let method = if path.contains(".dist-info/") {
            zip::CompressionMethod::Stored
        } else {
            zip::CompressionMethod::Deflated
        };
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(method)
            .last_modified_time(zip::DateTime::default());
        let written = writer.start_file(path, options).map_err(std::io::Error::from);
        written.and_then(|()| writer.write_all(content)).map_err(|error| error.to_string())?;
    }
    let built = writer.finish().map_err(|error| error.to_string())?.into_inner();
    let name = said("demo-1.0-py3-none-any.whl".parse())?;
    with_file("demo-1.0-py3-none-any.whl", &built, |path| {
        let file = VerifiedFile::vouch(path.to_owned(), Sha256::of(&built), built.len() as u64);
        said(Wheel::open(file, name, Strictness::Warn)).map(|(wheel, _)| wheel)
    })
}

/// A cache in a tar: every file in it is as long as it says, or cannot be read.
pub(super) fn bundle(bytes: &[u8]) -> Read {
    with_file("base.tar", bytes, |path| {
        let opened = Bundle::open(path).map_err(|error| error.report());
        let bundle = match opened {
            Ok(bundle) => bundle,
            Err(refusal) => return without_place(path, Err(refusal)),
        };
        let mut rows = Vec::new();
        for sha256 in bundle.digests() {
            let Some((size, name)) = bundle.look(&sha256) else { continue };
            assert!(!name.is_empty() && !name.contains('/'), "{name:?}");
            let mut read = Vec::new();
            let whole = said(bundle.open(&sha256))?.map(|mut reader| reader.read_to_end(&mut read).is_ok());
            assert!(
                whole != Some(true) || read.len() as u64 == size,
                "{name:?} has {} bytes of {size}",
                read.len()
            );
            rows.push(json!([sha256.to_string(), name, size, whole]));
        }
        for place in bundle.places() {
            let _ = bundle.record(&place);
        }
        rows.sort_by_key(ToString::to_string);
        Ok(json!(rows))
    })
}
