//! Source archives, and what is in a wheel.

use std::{
    collections::BTreeMap,
    fs,
    io::{Cursor, Read as _, Write as _},
    path::Path,
};

/// A gzipped tar with every file below `top`.
pub fn tar_gz<N: AsRef<str>, T: AsRef<[u8]>>(top: &str, files: &[(N, T)]) -> Vec<u8> {
    let mut builder =
        tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (name, text) in files {
        let (name, text) = (name.as_ref(), text.as_ref());
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, format!("{top}/{name}"), text).expect("appended");
    }
    builder.into_inner().and_then(flate2::write::GzEncoder::finish).expect("finished")
}

/// A zip with every file below `top`.
pub fn zip<N: AsRef<str>, T: AsRef<[u8]>>(top: &str, files: &[(N, T)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in files {
        let options = zip::write::SimpleFileOptions::default();
        writer.start_file(format!("{top}/{}", name.as_ref()), options).expect("started");
        writer.write_all(text.as_ref()).expect("written");
    }
    writer.finish().expect("finished").into_inner()
}

/// The files of a wheel.
pub fn wheel_files(wheel: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut archive = zip::ZipArchive::new(fs::File::open(wheel).expect("opened")).expect("a zip");
    (0..archive.len())
        .map(|index| {
            let mut entry = archive.by_index(index).expect("an entry");
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("read");
            (entry.name().expect("a name").into_owned(), bytes)
        })
        .collect()
}

/// Whether a file name ends in `.extension`.
pub fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|have| have == extension)
}
