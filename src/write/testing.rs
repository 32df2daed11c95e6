//! Opens wheels that tests have just made, trusting them.

use std::{collections::BTreeMap, fs::File, io::Read as _, path::Path, sync::Arc};

use crate::{
    cache::VerifiedFile,
    vocab::{RelPath, Sha256},
    wheel::{Method, Wheel, WheelEntry},
};

/// The wheel at `path`, its entries with the digests its RECORD gives.
pub(super) fn open(path: &Path) -> Wheel {
    let mut zip = zip::ZipArchive::new(File::open(path).expect("file")).expect("zip");
    let (mut entries, mut record, mut dist_info) = (Vec::new(), String::new(), None);
    for position in 0..zip.len() {
        let mut file = zip.by_index(position).expect("entry");
        let path: RelPath = file.name().expect("UTF-8").parse().expect("path");
        if path.file_name() == "RECORD" {
            file.read_to_string(&mut record).expect("RECORD");
            dist_info = path.parent();
            continue;
        }
        let stored = file.compression() == zip::CompressionMethod::Stored;
        entries.push(WheelEntry {
            path,
            header_offset: file.header_start(),
            data_offset: file.data_start().expect("offset"),
            compressed_size: file.compressed_size(),
            size: file.size(),
            crc32: file.crc32(),
            method: if stored { Method::Stored } else { Method::Deflated },
            executable: file.unix_mode().is_some_and(|mode| mode & 0o111 != 0),
            sha256: None,
        });
    }
    let digests: BTreeMap<&str, Sha256> = record
        .lines()
        .filter_map(|row| {
            let (name, rest) = row.split_once(",sha256=")?;
            Some((name, Sha256::from_record(rest.split(',').next()?)?))
        })
        .collect();
    for entry in &mut entries {
        entry.sha256 = digests.get(entry.path.as_str()).copied();
    }
    let bytes = std::fs::read(path).expect("file");
    Wheel {
        name: path.file_name().and_then(|name| name.to_str()).expect("name").parse().expect("wheel name"),
        file: VerifiedFile::vouch(path.to_owned(), Sha256::of(&bytes), bytes.len() as u64),
        handle: Arc::new(File::open(path).expect("file")),
        dist_info: dist_info.expect("RECORD"),
        data_dir: None,
        root_is_purelib: true,
        entries,
        scripts: Vec::new(),
    }
}
