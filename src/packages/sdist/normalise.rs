//! A wheel as a backend wrote it in, the same files in the one form venvoy keeps out.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufReader, BufWriter, Read as _, Write as _},
    path::Path,
};

use zip::{CompressionMethod, DateTime, write::SimpleFileOptions};

use super::traces::{BuildSite, replace};
use crate::words::{
    error::{Error, Kind, Result, Warnings},
    vocab::{Civil, PackageName, RelPath, Sha256, Version, civil},
};

/// What a built wheel says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// `Name` of its METADATA.
    pub name: PackageName,
    /// `Version` of its METADATA.
    pub version: Version,
}

/// A wheel in its one form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Normalised {
    /// What it says it is.
    pub identity: Identity,
    /// Entries that are scripts for the first line they had (see [`BuildSite::clean`]).
    pub scripts: Vec<RelPath>,
    /// What the user should hear of its entries.
    pub warnings: Warnings,
}

/// Writes `wheel` anew to `out`: entries sorted with the `.dist-info` last and RECORD the very last, times
/// `epoch` (seconds since 1970; zip begins at 1980), modes 0644 or 0755, RECORD from the bytes written.
///
/// Fails with [`Kind::Integrity`] for entries that are unsafe, double or links, and for wheels without
/// proper metadata: a backend is not trusted more than an index.
pub(super) fn normalise(wheel: &Path, out: &Path, epoch: u64, origin: &BuildSite) -> Result<Normalised> {
    let broken =
        |e: zip::result::ZipError| Error::new(Kind::Integrity, "the built wheel is damaged").because(e);
    let file = File::open(wheel).map_err(|e| Error::io("cannot read", wheel, e))?;
    let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(broken)?;
    let mut entries: BTreeMap<RelPath, (usize, bool)> = BTreeMap::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(broken)?;
        if entry.is_dir() {
            continue;
        }
        let name = entry.name().map_err(broken)?;
        let mode = entry.unix_mode().unwrap_or(0o644);
        if mode & 0o170_000 != 0 && mode & 0o170_000 != 0o100_000 {
            return Err(wrong(&format!("{name:?} is a link or of an unknown type")));
        }
        let path: RelPath = name.parse()?;
        if entries.insert(path.clone(), (index, mode & 0o111 != 0)).is_some() {
            return Err(wrong(&format!("{path} is there twice")));
        }
    }
    let dist_info = dist_info(entries.keys())?;
    let record = format!("{dist_info}/RECORD");
    // RECORD is written anew, and a signature of the old one signs nothing.
    entries.retain(|path, _| {
        let path = path.as_str();
        path != record && path != format!("{record}.jws") && path != format!("{record}.p7s")
    });
    let mut order: Vec<(&RelPath, &(usize, bool))> = entries.iter().collect();
    order.sort_by_key(|(path, _)| (path.components().next() == Some(dist_info.as_str()), *path));

    let failed = |e: std::io::Error| Error::io("cannot write", out, e);
    let file = File::create_new(out).map_err(failed)?;
    let mut writer = zip::ZipWriter::new(BufWriter::new(file));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(6))
        .last_modified_time(zip_time(epoch));
    let mut rows: Vec<[String; 3]> = Vec::new();
    let mut metadata = None;
    let mut has_wheel = false;
    let (mut scripts, mut warnings) = (Vec::new(), Warnings::default());
    for (path, (index, executable)) in order {
        let mut entry = archive.by_index(*index).map_err(broken)?;
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(|e| broken(e.into()))?;
        if path.components().count() == 1 || path.as_path().extension().is_some_and(|end| end == "py") {
            bytes = origin.moved.iter().fold(bytes, |bytes, moved| replace(&bytes, moved));
        }
        let cleaned = origin.clean(path.as_str(), bytes);
        bytes = cleaned.bytes;
        cleaned.warning.into_iter().for_each(|warning| warnings.push(warning));
        if cleaned.script {
            scripts.push(path.clone());
        }
        if path.as_str() == format!("{dist_info}/METADATA") {
            metadata = Some(identity(&bytes)?);
        }
        has_wheel |= path.as_str() == format!("{dist_info}/WHEEL");
        let mode = if *executable || cleaned.script { 0o755 } else { 0o644 };
        let large = bytes.len() as u64 >= u64::from(u32::MAX);
        writer
            .start_file(path.as_str(), options.unix_permissions(mode).large_file(large))
            .map_err(|e| Error::new(Kind::Io, format!("cannot write {}", out.display())).because(e))?;
        writer.write_all(&bytes).map_err(failed)?;
        rows.push([
            path.to_string(),
            format!("sha256={}", Sha256::of(&bytes).to_record()),
            bytes.len().to_string(),
        ]);
    }
    let identity = metadata.ok_or_else(|| wrong(&format!("{dist_info}/METADATA is missing")))?;
    if !has_wheel {
        return Err(wrong(&format!("{dist_info}/WHEEL is missing")));
    }
    rows.sort();
    rows.push([record.clone(), String::new(), String::new()]);
    let mut csv = csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(Vec::new());
    let unwritable = |e: &dyn std::fmt::Display| Error::new(Kind::Io, format!("cannot write RECORD: {e}"));
    for row in rows {
        csv.write_record(row).map_err(|e| unwritable(&e))?;
    }
    let csv = csv.into_inner().map_err(|e| unwritable(&e))?;
    writer
        .start_file(&record, options.unix_permissions(0o644))
        .map_err(|e| Error::new(Kind::Io, format!("cannot write {}", out.display())).because(e))?;
    writer.write_all(&csv).map_err(failed)?;
    let mut file = writer
        .finish()
        .map_err(|e| Error::new(Kind::Io, format!("cannot write {}", out.display())).because(e))?;
    file.flush().map_err(failed)?;
    Ok(Normalised { identity, scripts, warnings })
}

fn wrong(why: &str) -> Error {
    Error::new(Kind::Integrity, format!("the build gave a wheel that is not one: {why}"))
}

fn dist_info<'a>(paths: impl Iterator<Item = &'a RelPath>) -> Result<String> {
    let mut found: Vec<&str> = paths
        .filter(|path| path.components().count() > 1)
        .filter_map(|path| path.components().next())
        .filter(|top| top.ends_with(".dist-info"))
        .collect();
    found.dedup();
    match found[..] {
        [one] => Ok(one.to_owned()),
        _ => Err(wrong(&format!("it has {} .dist-info directories", found.len()))),
    }
}

/// Name and version of a METADATA file's header (core metadata).
fn identity(metadata: &[u8]) -> Result<Identity> {
    let text = String::from_utf8_lossy(metadata);
    let header = |name: &str| {
        text.lines().take_while(|line| !line.trim().is_empty()).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let name = header("Name").ok_or_else(|| wrong("its METADATA has no Name"))?;
    let version = header("Version").ok_or_else(|| wrong("its METADATA has no Version"))?;
    Ok(Identity {
        name: name.parse().map_err(|e: Error| e.with_kind(Kind::Integrity))?,
        version: version.parse().map_err(|_| wrong(&format!("its version {version:?} is none (PEP 440)")))?,
    })
}

/// Seconds since 1970 as a zip's local time, taken as UTC; the nearest a zip can say.
fn zip_time(epoch: u64) -> DateTime {
    let Civil { year, month, day, hour, minute, second } = civil(i64::try_from(epoch).unwrap_or(i64::MAX));
    let small = |number: i64| u8::try_from(number).unwrap_or(0);
    u16::try_from(year)
        .ok()
        .and_then(|year| {
            let (hour, minute, second) = (small(hour), small(minute), small(second));
            DateTime::from_date_and_time(year, small(month), small(day), hour, minute, second).ok()
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wheel of the given files, written in the given order.
    fn wheel(directory: &Path, files: &[(&str, &str, u32)]) -> std::path::PathBuf {
        let path = directory.join("in.whl");
        let mut writer = zip::ZipWriter::new(File::create(&path).expect("created"));
        for (name, text, mode) in files {
            let options = SimpleFileOptions::default().unix_permissions(*mode).last_modified_time(
                DateTime::from_date_and_time(
                    2020,
                    1,
                    u8::try_from(text.len() % 20 + 1).unwrap_or(1),
                    0,
                    0,
                    0,
                )
                .expect("a day"),
            );
            writer.start_file(*name, options).expect("started");
            writer.write_all(text.as_bytes()).expect("written");
        }
        writer.finish().expect("finished");
        path
    }

    fn origin() -> BuildSite {
        BuildSite::new("/nowhere", true, "/usr/bin/python3")
    }

    const METADATA: (&str, &str, u32) = (
        "Demo-1.0.dist-info/METADATA",
        "Metadata-Version: 2.1\nName: Demo\nVersion: 1.0\n\nName: no\n",
        0o600,
    );
    const WHEEL: (&str, &str, u32) = ("Demo-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\n", 0o664);
    const RECORD: (&str, &str, u32) = ("Demo-1.0.dist-info/RECORD", "stale", 0o644);

    #[test]
    fn order_times_and_modes_of_the_backend_do_not_reach_the_bytes() {
        let directory = tempfile::tempdir().expect("a directory");
        let one = wheel(
            directory.path(),
            &[RECORD, WHEEL, METADATA, ("demo/b.py", "b", 0o664), ("demo/a.py", "a", 0o700)],
        );
        let out = |name: &str| directory.path().join(name);
        let identity = normalise(&one, &out("1"), 315_532_800, &origin()).expect("normalised").identity;
        assert_eq!((identity.name.as_str(), identity.version.to_string().as_str()), ("demo", "1.0"));
        let two =
            wheel(directory.path(), &[("demo/a.py", "a", 0o755), ("demo/b.py", "b", 0o600), METADATA, WHEEL]);
        normalise(&two, &out("2"), 315_532_800, &origin()).expect("normalised");
        assert_eq!(std::fs::read(out("1")).expect("read"), std::fs::read(out("2")).expect("read"));

        let mut archive = zip::ZipArchive::new(File::open(out("1")).expect("opened")).expect("a zip");
        let names: Vec<String> = archive.file_names().filter_map(|name| name.ok().map(Into::into)).collect();
        assert_eq!(
            names,
            ["demo/a.py", "demo/b.py", METADATA.0, WHEEL.0, RECORD.0],
            "the metadata comes last"
        );
        let mut record = String::new();
        archive.by_name(RECORD.0).expect("there").read_to_string(&mut record).expect("text");
        assert_eq!(record.lines().count(), 5);
        assert!(record.starts_with("Demo-1.0.dist-info/METADATA,sha256="), "{record}");
        let entry = archive.by_name("demo/a.py").expect("there");
        assert_eq!(entry.unix_mode(), Some(0o100_755));
        assert_eq!(entry.last_modified().map(|t| (t.year(), t.month(), t.day())), Some((1980, 1, 1)));
    }

    #[test]
    fn a_wheel_that_is_none_is_refused() {
        for (files, why) in [
            (&[METADATA, WHEEL, ("../evil.py", "", 0o644)][..], "unsafe path"),
            (&[METADATA, WHEEL, ("/evil.py", "", 0o644)], "unsafe path"),
            (&[METADATA], "WHEEL is missing"),
            (&[WHEEL], "METADATA is missing"),
            (&[("demo.py", "", 0o644)], "0 .dist-info"),
            (&[METADATA, WHEEL, ("Other-1.0.dist-info/WHEEL", "", 0o644)], "2 .dist-info"),
        ] {
            let directory = tempfile::tempdir().expect("a directory");
            let wheel = wheel(directory.path(), files);
            let error =
                normalise(&wheel, &directory.path().join("out"), 0, &origin()).expect_err(why).report();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn days_are_counted_as_the_calendar_does() {
        for (epoch, date) in [
            (315_532_800, (1980, 1, 1)),
            (951_782_400, (2000, 2, 29)),
            (1_709_164_800, (2024, 2, 29)),
            (1_767_139_199, (2025, 12, 30)),
            (0, (1980, 1, 1)),
        ] {
            let time = zip_time(epoch);
            assert_eq!((time.year(), time.month(), time.day()), date, "{epoch}");
        }
    }
}
