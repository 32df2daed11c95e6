//! The packages of an image, read from its layers: from a layout, a registry or the local engine.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    path::Path,
};

use path_clean::PathClean as _;
use serde_json::{Map, Value, json};
use sha2::Digest as _;

use super::pack::{base::OpenBase, doors::Doors};
use crate::{
    artifact::pack::image::Blob,
    environment::installed::name_and_version,
    packages::cache::{self, Cache},
    project::lock::{Lock, Requires},
    run::{options::Options, supply::sources::Sources},
    words::{
        error::{Context as _, Error, Kind, Result},
        interrupt,
        progress::Progress,
        vocab::{PackageName, Sha256},
    },
};

/// The largest RECORD that is read.
const RECORD_LIMIT: u64 = 64 << 20;

/// What was found in an image.
#[derive(Debug, Clone, Default)]
pub(super) struct Contents {
    /// Packages: version, and bytes of the files that their RECORD lists.
    pub(super) packages: BTreeMap<PackageName, (String, u64)>,
    /// All its layers, the lowest first.
    pub(super) layers: Vec<Blob>,
}

/// Reads an image. Of one that `pack` made only the layers that it put on the base are looked into.
///
/// # Errors
/// Whatever finding and reading it brings; [`Kind::Integrity`] for a layer that is not what its digest says.
pub(super) fn read(text: &str, options: &Options, progress: &dyn Progress) -> Result<Contents> {
    let cache = Cache::open(&options.common.cache_dir, cache::Options::default());
    let nothing = Lock {
        sources: Vec::new(),
        categories: Vec::new(),
        requires: Requires::default(),
        hash: None,
        dependency_groups: Vec::new(),
        default_groups: Vec::new(),
    };
    let sources = Sources::new(&nothing, None, &options.index)?;
    let doors = Doors::new(options, &sources, progress);
    let open = OpenBase::open(text, &doors, &cache)?;
    let image = open.look(&cache)?;
    let layers = open.layers(&image)?;
    let own = own(&image.config, layers.len());
    let mut files = Files::default();
    for ((blob, source), _) in layers.iter().zip(own).filter(|(_, own)| *own) {
        let what = || format!("cannot read the layer sha256:{} of {text}", blob.sha256);
        let failed = |error| Error::new(Kind::Integrity, "it is no archive that can be read").because(error);
        let mut digested = Digested {
            inner: source.open(&cache).map_err(failed).context(what)?,
            digest: sha2::Sha256::new(),
        };
        files.add(&mut digested).map_err(failed).context(what)?;
        // What stands behind the archive's end belongs to the layer.
        io::copy(&mut digested, &mut io::sink()).map_err(failed).context(what)?;
        let got = Sha256(digested.digest.finalize().into());
        if got != blob.sha256 {
            return Err(Error::new(Kind::Integrity, format!("got sha256:{got}")).context(what()));
        }
        interrupt::check()?;
    }
    Ok(Contents { packages: files.packages(), layers: layers.into_iter().map(|(blob, _)| blob).collect() })
}

/// Which layers `pack` made, by the config's history; all where it made none.
fn own(config: &Map<String, Value>, layers: usize) -> Vec<bool> {
    let history = config.get("history").and_then(Value::as_array).into_iter().flatten();
    let of_layers = history.filter(|one| one["empty_layer"] != json!(true));
    let own: Vec<bool> = of_layers.map(|one| one["created_by"] == json!("venvoy pack")).collect();
    if own.len() == layers && own.contains(&true) { own } else { vec![true; layers] }
}

/// A reader that digests what goes through it.
struct Digested<R> {
    inner: R,
    digest: sha2::Sha256,
}

impl<R: Read> Read for Digested<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.digest.update(&buffer[..length]);
        Ok(length)
    }
}

/// The files of some layers on each other, as an engine would see them.
#[derive(Default)]
struct Files {
    sizes: BTreeMap<String, u64>,
    records: BTreeMap<String, Vec<u8>>,
}

impl Files {
    /// Puts a layer on those before it.
    fn add(&mut self, layer: &mut dyn Read) -> io::Result<()> {
        let mut magic = [0; 4];
        let length = read_up_to(layer, &mut magic)?;
        let whole = io::Cursor::new(magic[..length].to_vec()).chain(layer);
        match magic {
            [0x1f, 0x8b, ..] => self.unpack(flate2::read::MultiGzDecoder::new(whole)),
            [0x28, 0xb5, 0x2f, 0xfd] => self.unpack(zstd::stream::read::Decoder::new(whole)?),
            _ => self.unpack(whole),
        }
    }

    fn unpack(&mut self, layer: impl Read) -> io::Result<()> {
        for entry in tar::Archive::new(layer).entries()? {
            let entry = entry?;
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let path = path.trim_start_matches("./").trim_matches('/');
            let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
            let kind = entry.header().entry_type();
            if name == ".wh..wh..opq" {
                self.remove(dir);
            } else if let Some(gone) = name.strip_prefix(".wh.") {
                self.remove(format!("{dir}/{gone}").trim_start_matches('/'));
            } else if !kind.is_dir() {
                self.remove(path);
                self.sizes.insert(path.to_owned(), if kind.is_file() { entry.size() } else { 0 });
                if name == "RECORD" && dist_info(path).is_some() {
                    let (path, mut bytes) = (path.to_owned(), Vec::new());
                    entry.take(RECORD_LIMIT).read_to_end(&mut bytes)?;
                    self.records.insert(path, bytes);
                }
            }
        }
        Ok(())
    }

    /// Takes away a file, or a directory's files.
    fn remove(&mut self, path: &str) {
        let below = format!("{path}/");
        let stays = |known: &String| known != path && !known.starts_with(&below);
        if self.sizes.range(path.to_owned()..).next().is_some_and(|(known, _)| !stays(known)) {
            self.sizes.retain(|known, _| stays(known));
        }
        self.records.retain(|known, _| stays(known));
    }

    fn packages(&self) -> BTreeMap<PackageName, (String, u64)> {
        let mut found = BTreeMap::new();
        for (path, record) in &self.records {
            let Some((site, name, version)) = dist_info(path) else { continue };
            let rows =
                csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(record.as_slice());
            let listed = rows.into_records().filter_map(|row| row.ok()?.get(0).map(str::to_owned));
            let bytes = listed
                .filter_map(|file| {
                    let file = Path::new(site).join(file).clean();
                    self.sizes.get(file.to_str()?.trim_start_matches('/'))
                })
                .sum();
            found.insert(name, (version.to_owned(), bytes));
        }
        found
    }
}

/// The directory of packages that a path's `.dist-info` lies in, with the name and version that it is of. What is
/// vendored by a package is none of the environment's.
fn dist_info(path: &str) -> Option<(&str, PackageName, &str)> {
    let (info, _) = path.rsplit_once('/')?;
    let (site, info) = info.rsplit_once('/')?;
    let is_site = matches!(site.rsplit('/').next()?, "site-packages" | "dist-packages");
    let (name, version) = name_and_version(info).filter(|_| is_site && info.ends_with(".dist-info"))?;
    Some((site, name, version))
}

/// Fills a buffer as far as there is something to read.
fn read_up_to(from: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match from.read(&mut buffer[length..])? {
            0 => break,
            more => length += more,
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(files: &[(&str, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, path, text.as_bytes()).expect("appended");
        }
        builder.into_inner().expect("a tar")
    }

    fn found(layers: &[Vec<u8>]) -> Vec<String> {
        let mut files = Files::default();
        for layer in layers {
            files.add(&mut layer.as_slice()).expect("a layer");
        }
        files
            .packages()
            .into_iter()
            .map(|(name, (version, bytes))| format!("{name} {version} {bytes}"))
            .collect()
    }

    const SITE: &str = ".venv/lib/python3.11/site-packages";

    #[test]
    fn packages_are_those_of_all_layers_on_each_other() {
        let record = "a.py,,\na-1.0.dist-info/RECORD,,\n../../../bin/a,,\n";
        let of = |name: &str| format!("{SITE}/{name}");
        let lower = layer(&[
            (&of("a-1.0.dist-info/RECORD"), record),
            (&of("a.py"), "12345"),
            (".venv/bin/a", "123"),
            (&of("a/_vendor/b-2.dist-info/RECORD"), ""),
            (&of("c-3.dist-info/RECORD"), "c.py,,\n"),
            (&of("c.py"), "1"),
        ]);
        let whole = record.len() + 8;
        assert_eq!(found(std::slice::from_ref(&lower)), [format!("a 1.0 {whole}"), "c 3 1".to_owned()]);
        let upper = layer(&[(&of(".wh.c-3.dist-info"), ""), (&of("a.py"), "1234567")]);
        assert_eq!(found(&[lower.clone(), upper]), [format!("a 1.0 {}", whole + 2)]);
        let opaque = layer(&[(".venv/.wh..wh..opq", "")]);
        assert_eq!(found(&[lower, opaque]), Vec::<String>::new());
    }

    #[test]
    fn layers_are_read_however_they_are_compressed() {
        use std::io::Write as _;
        let plain = layer(&[(&format!("{SITE}/d-4.dist-info/RECORD"), "")]);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).expect("written");
        let zstd = zstd::encode_all(plain.as_slice(), 1).expect("compressed");
        for layer in [gzip.finish().expect("finished"), zstd, plain] {
            assert_eq!(found(&[layer]), ["d 4 0"]);
        }
    }

    #[test]
    fn of_what_pack_made_only_its_own_layers_are_looked_into() {
        let config = |rows: Value| rows.as_object().cloned().unwrap_or_default();
        let of = config(json!({"history": [
            {"created_by": "apt"}, {"created_by": "CMD", "empty_layer": true}, {"created_by": "venvoy pack"}
        ]}));
        assert_eq!(own(&of, 2), [false, true]);
        assert_eq!(own(&of, 3), [true, true, true], "a history that does not fit says nothing");
        assert_eq!(own(&Map::new(), 1), [true]);
    }
}
