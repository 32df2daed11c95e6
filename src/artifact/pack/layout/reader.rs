//! Reading a layout: a base that lies in a directory or a tar.

use std::{
    fs,
    io::Read as _,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use serde_json::{Map, Value, json};

use super::{BlobSource, REF_NAME};
use crate::{
    artifact::pack::image::Platform,
    words::{
        error::{Context as _, Error, Kind, Result},
        files::open_regular,
        vocab::Sha256,
    },
};

/// A layout to read from.
pub(crate) enum Layout {
    /// A directory.
    Directory(PathBuf),
    /// A tar, with where each of its files is.
    Tar {
        /// The open file.
        file: Arc<fs::File>,
        /// Its path, for messages.
        path: PathBuf,
        /// By name: first byte and length.
        members: Map<String, Value>,
    },
}

impl Layout {
    /// Opens a layout.
    ///
    /// # Errors
    /// [`Kind::Usage`] where there is none.
    pub(crate) fn open(path: &Path) -> Result<Layout> {
        let unusable = |e| Error::io("cannot read", path, e).with_kind(Kind::Usage);
        if fs::metadata(path).map_err(unusable)?.is_dir() {
            return Ok(Layout::Directory(path.to_owned()));
        }
        let file = open_regular(path).map_err(unusable)?;
        let mut magic = [0; 2];
        let mut members = Map::new();
        let begin = (&file).read(&mut magic).map_err(unusable)?;
        if begin == 2 && magic == [0x1f, 0x8b] {
            return Err(Error::new(
                Kind::Usage,
                format!("{} is compressed; expected a plain tar", path.display()),
            )
            .help("unpack it with gunzip first"));
        }
        let mut reader = &file;
        std::io::Seek::rewind(&mut reader).map_err(unusable)?;
        let mut archive = ::tar::Archive::new(&file);
        for entry in archive.entries_with_seek().map_err(unusable)? {
            let entry = entry.map_err(unusable)?;
            let name = entry.path().map_err(unusable)?.to_string_lossy().trim_start_matches("./").to_owned();
            // `docker save` links to a layer that is there already.
            let link =
                entry.header().entry_type().is_symlink().then(|| entry.link_name().ok().flatten()).flatten();
            let row = match link {
                Some(target) => json!(target.to_string_lossy()),
                None => json!([entry.raw_file_position(), entry.size()]),
            };
            members.insert(name, row);
        }
        Ok(Layout::Tar { file: Arc::new(file), path: path.to_owned(), members })
    }

    /// The layout's path, as messages name it.
    pub(in crate::artifact::pack) fn shown(&self) -> &Path {
        match self {
            Layout::Directory(path) | Layout::Tar { path, .. } => path,
        }
    }

    /// A file of the layout by name.
    pub(in crate::artifact::pack) fn find(&self, name: &str) -> Result<BlobSource<'_>> {
        let missing = || {
            Error::new(
                Kind::Usage,
                format!("{} has no {name}; expected an OCI layout", self.shown().display()),
            )
            .help("`skopeo copy docker://IMAGE oci:DIR` makes one")
        };
        match self {
            Layout::Directory(dir) => {
                let path = dir.join(name);
                // What engines save names its files itself.
                let is_inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
                if is_inside && path.is_file() { Ok(BlobSource::File(path)) } else { Err(missing()) }
            }
            Layout::Tar { file, members, .. } => {
                let mut found = members.get(name).ok_or_else(missing)?;
                if let Some(target) = found.as_str() {
                    let parent = name.rsplit_once('/').map_or("", |(parent, _)| parent);
                    let target = path_clean::clean(Path::new(parent).join(target));
                    found = members.get(target.to_string_lossy().as_ref()).ok_or_else(missing)?;
                }
                let number = |at: usize| found[at].as_u64().unwrap_or(0);
                Ok(BlobSource::Section(Arc::clone(file), number(0), number(1)))
            }
        }
    }

    /// A file's bytes by name.
    ///
    /// # Errors
    /// A file that is not there or cannot be read.
    pub(in crate::artifact::pack) fn read(&self, name: &str) -> Result<Vec<u8>> {
        let unreadable = |e| Error::io("cannot read", &self.shown().join(name), e);
        match self.find(name)? {
            BlobSource::File(path) => fs::read(path).map_err(unreadable),
            BlobSource::Section(file, at, length) => {
                let mut bytes = Vec::new();
                crate::packages::wheel::Section::new(file, at, length)
                    .read_to_end(&mut bytes)
                    .map_err(unreadable)?;
                Ok(bytes)
            }
            BlobSource::Bytes(bytes) => Ok(bytes.to_vec()),
            BlobSource::Cached(_) | BlobSource::Remote(..) => {
                Err(Error::new(Kind::Io, "a layout has no cache"))
            }
        }
    }

    /// Whether it is what `docker save` writes: no layout, or one that is no more than a list of the same files.
    pub(crate) fn is_saved(&self) -> bool {
        self.find("manifest.json").is_ok() && self.find("index.json").is_err()
    }

    /// The bytes of a blob that is small, digested.
    pub(crate) fn blob(&self, digest: &str) -> Result<Vec<u8>> {
        let name = blob_name(digest)?;
        let bytes = self.read(&name)?;
        let got = format!("sha256:{}", Sha256::of(&bytes));
        if got != digest {
            return Err(Error::new(
                Kind::Integrity,
                format!("{}: {name} has {got}, expected {digest}", self.shown().display()),
            )
            .help("the layout is damaged: copy the base again"));
        }
        Ok(bytes)
    }

    /// Where a blob's bytes are.
    pub(crate) fn source(&self, digest: &str) -> Result<BlobSource<'_>> {
        self.find(&blob_name(digest)?)
    }

    /// The manifest for a platform (`None`: the only one), by tag where one is given: its bytes and media type.
    pub(crate) fn manifest(
        &self,
        tag: Option<&str>,
        wanted: Option<&Platform>,
    ) -> Result<(Vec<u8>, Option<String>)> {
        let index: Value = serde_json::from_slice(&self.read("index.json")?).map_err(|error| {
            Error::new(Kind::Integrity, format!("{}: index.json is not JSON", self.shown().display()))
                .because(error)
        })?;
        let rows = index["manifests"].as_array().cloned().unwrap_or_default();
        let tags: Vec<&str> = rows.iter().filter_map(|row| row["annotations"][REF_NAME].as_str()).collect();
        let rows: Vec<&Value> = match tag {
            Some(tag) => {
                rows.iter().filter(|row| row["annotations"][REF_NAME].as_str() == Some(tag)).collect()
            }
            None => rows.iter().collect(),
        };
        if rows.is_empty() {
            let there = if tags.is_empty() { "none".to_owned() } else { tags.join(", ") };
            return Err(Error::new(
                Kind::Usage,
                format!(
                    "{} has no image {}; there are: {there}",
                    self.shown().display(),
                    tag.unwrap_or("at all")
                ),
            ));
        }
        self.choose(&rows, wanted, 0)
    }

    fn choose(
        &self,
        rows: &[&Value],
        wanted: Option<&Platform>,
        depth: u8,
    ) -> Result<(Vec<u8>, Option<String>)> {
        let row = pick(rows, wanted)?;
        let digest = row["digest"].as_str().unwrap_or_default();
        let media_type = row["mediaType"].as_str().map(str::to_owned);
        let bytes = self.blob(digest)?;
        let value: Value = serde_json::from_slice(&bytes).map_err(|error| {
            Error::new(Kind::Integrity, format!("the manifest {digest} is not JSON")).because(error)
        })?;
        match value["manifests"].as_array() {
            Some(inner) if depth < 3 => self.choose(&inner.iter().collect::<Vec<_>>(), wanted, depth + 1),
            _ => Ok((bytes, media_type)),
        }
    }
}

/// The row of an index for a platform. Attestations (`unknown/unknown`) are no images.
///
/// # Errors
/// [`Kind::Usage`], naming the platforms there are.
pub(crate) fn pick<'v>(rows: &[&'v Value], wanted: Option<&Platform>) -> Result<&'v Value> {
    let images: Vec<(&Value, Option<Platform>)> = rows
        .iter()
        .filter(|row| row["platform"]["os"] != json!("unknown"))
        .map(|row| (*row, row["platform"].is_object().then(|| Platform::of_json(&row["platform"]))))
        .collect();
    if let [(only, platform)] = images.as_slice()
        && platform.as_ref().is_none_or(|platform| wanted.is_none_or(|wanted| wanted.matches(platform)))
    {
        return Ok(only);
    }
    let exact = |platform: &Option<Platform>| {
        platform.as_ref().is_some_and(|platform| wanted.is_some_and(|wanted| wanted.matches(platform)))
    };
    images.iter().find(|(_, platform)| exact(platform)).map(|(row, _)| *row).ok_or_else(|| {
        let there: Vec<String> =
            images.iter().filter_map(|(_, platform)| platform.as_ref().map(Platform::to_string)).collect();
        let wanted = wanted.map_or("any single one".to_owned(), Platform::to_string);
        Error::new(Kind::Usage, format!("it has no image for {wanted}; there are: {}", there.join(", ")))
            .help("choose one of these with --platform, or another base")
    })
}

fn blob_name(digest: &str) -> Result<String> {
    let hex = digest.strip_prefix("sha256:").unwrap_or_default();
    let sha256: Sha256 = hex
        .parse()
        .map_err(|_| {
            Error::new(
                Kind::Integrity,
                format!("{digest:?} is not a digest that is known; expected sha256:..."),
            )
        })
        .context(|| "the layout names a blob that cannot be found")?;
    Ok(format!("blobs/sha256/{sha256}"))
}
