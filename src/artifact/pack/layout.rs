//! An OCI image layout (image specification 1.1, "Image Layout Specification"), as a directory or as a tar that Docker
//! loads too.

use std::{
    fs,
    io::{Read as _, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::{Map, Value, json};

use super::{
    image::{Blob, Family, Image, Layer, Platform, bytes, descriptor},
    making, store,
    tar::{self, Common, END, Kind as Entry},
};
use crate::{
    artifact::registry::Registry,
    packages::cache::Cache,
    words::{
        error::{Context as _, Error, Kind, Result},
        vocab::Sha256,
    },
};

/// What `oci-layout` says.
const VERSION: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// Under which name a tag stands in `index.json`.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// How often a blob is fetched that breaks on its way.
const TRIES: u32 = 3;

/// A blob that goes into a layout.
#[derive(Clone)]
pub(crate) enum BlobSource<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// A layer in the cache.
    Cached(Blob),
    /// A file, as a base's blob.
    File(PathBuf),
    /// A part of a file.
    Section(Arc<fs::File>, u64, u64),
    /// A blob of a repository.
    Remote(&'a Registry<'a>, Blob),
}

impl BlobSource<'_> {
    /// Opens it at its beginning.
    pub(crate) fn open(&self, cache: &Cache) -> std::io::Result<Box<dyn std::io::Read + Send>> {
        let cached =
            |blob| store::file(cache, blob).and_then(|file| file.open()).map_err(std::io::Error::other);
        Ok(match self {
            BlobSource::Bytes(bytes) => Box::new(std::io::Cursor::new(bytes.to_vec())),
            BlobSource::Cached(blob) => Box::new(cached(blob)?),
            BlobSource::File(path) => Box::new(fs::File::open(path)?),
            BlobSource::Section(file, at, length) => {
                Box::new(crate::packages::wheel::Section::new(Arc::clone(file), *at, *length))
            }
            BlobSource::Remote(_, blob) if cache.has(&blob.sha256).is_some() => Box::new(cached(blob)?),
            BlobSource::Remote(registry, blob) => registry
                .open_blob(&blob.sha256, blob.size)
                .map_err(|error| std::io::Error::other(error.in_one_line()))?,
        })
    }

    /// Has a blob of a repository come into the cache, from where it is taken for every layout.
    fn here(&self, cache: &Cache) -> Result<Self> {
        let BlobSource::Remote(registry, blob) = self else { return Ok(self.clone()) };
        let mut tries = 0;
        while cache.file(&blob.sha256).is_none() {
            tries += 1;
            let what = || format!("cannot read the blob sha256:{} of {}", blob.sha256, registry.reference());
            let mut pending = cache.begin(store::FILE_NAME)?;
            let mut reader = registry.open_blob(&blob.sha256, blob.size)?;
            match std::io::copy(&mut reader, &mut pending) {
                Ok(_) => drop(pending.commit(&[blob.sha256])?),
                Err(error) if tries >= TRIES => {
                    return Err(Error::new(Kind::Network, what()).because(error));
                }
                Err(_) => crate::words::interrupt::check()?,
            }
        }
        Ok(BlobSource::Cached(blob.clone()))
    }
}

/// An image that is put into a layout.
pub(crate) struct One<'a> {
    /// Its config and manifest.
    pub image: &'a Image,
    /// Its own layers.
    pub layers: &'a [Layer],
    /// Its base's layers and where their bytes are.
    pub base: Vec<(Blob, BlobSource<'a>)>,
}

/// What is put into a layout.
pub(crate) struct Content<'a> {
    /// One image for each platform.
    images: Vec<One<'a>>,
    /// The list of them, where there are several.
    list: Option<(Vec<u8>, Family)>,
    /// `NAME:TAG`, the tag after the last colon.
    name: &'a str,
}

impl<'a> Content<'a> {
    /// Of images, at least one, under a name.
    pub(crate) fn new(images: Vec<One<'a>>, name: &'a str) -> Self {
        let list = (images.len() > 1).then(|| {
            let family = if images.iter().all(|one| one.image.family == Family::Docker) {
                Family::Docker
            } else {
                Family::Oci
            };
            let rows: Vec<Value> = images.iter().map(|one| one.image.row()).collect();
            let list = json!({ "schemaVersion": 2, "mediaType": family.index(), "manifests": rows });
            (bytes(&list), family)
        });
        Content { images, list, name }
    }

    /// What is tagged: the bytes of the one manifest or of the list, and their media type.
    pub(crate) fn top(&self) -> (&[u8], &'static str) {
        match (&self.list, self.images.first()) {
            (Some((list, family)), _) => (list, family.index()),
            (None, Some(one)) => (&one.image.manifest, one.image.family.manifest()),
            (None, None) => (b"", Family::Oci.manifest()),
        }
    }

    /// The images.
    pub(crate) fn images(&self) -> &[One<'a>] {
        &self.images
    }

    fn tag(&self) -> &str {
        self.name.rsplit_once(':').map_or("latest", |(_, tag)| tag)
    }

    /// The row in `index.json`.
    fn row(&self) -> Value {
        let (top, media_type) = self.top();
        let mut row = match self.images.as_slice() {
            [one] => one.image.row(),
            _ => descriptor(media_type, &Blob::of(top)),
        };
        row["annotations"] = json!({
            "io.containerd.image.name": full_name(self.name),
            REF_NAME: self.tag(),
        });
        row
    }

    /// Every blob with its source, sorted by digest, each once; manifests are among them.
    pub(crate) fn blobs(&self) -> Vec<(Blob, BlobSource<'_>)> {
        let mut all: Vec<(Blob, BlobSource<'_>)> = Vec::new();
        if let Some((list, _)) = &self.list {
            all.push((Blob::of(list), BlobSource::Bytes(list)));
        }
        for one in &self.images {
            all.push((Blob::of(&one.image.manifest), BlobSource::Bytes(&one.image.manifest)));
            all.extend(one.blobs());
        }
        all.sort_by_key(|(blob, _)| blob.sha256);
        all.dedup_by_key(|(blob, _)| blob.sha256);
        all
    }
}

impl One<'_> {
    /// Every blob that its manifest names.
    pub(crate) fn blobs(&self) -> Vec<(Blob, BlobSource<'_>)> {
        let mut all = vec![(Blob::of(&self.image.config), BlobSource::Bytes(&self.image.config))];
        all.extend(
            self.layers.iter().map(|layer| (layer.blob.clone(), BlobSource::Cached(layer.blob.clone()))),
        );
        all.extend(self.base.iter().cloned());
        all
    }
}

/// A name as containerd has it, the registry in front.
fn full_name(name: &str) -> String {
    match name.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
        None => format!("docker.io/library/{name}"),
    }
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> Error + '_ {
    move |error| Error::io("cannot write", path, error).with_kind(Kind::Destination)
}

/// Writes into a directory: a new one appears whole, in an existing layout the tag is put in place of another of its
/// name once all blobs are there.
///
/// # Errors
/// [`Kind::Destination`] where something else stands there, or it cannot be written.
pub(crate) fn to_directory(dir: &Path, content: &Content<'_>, cache: &Cache) -> Result<()> {
    let existing = match fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => {
            return Err(Error::io("cannot use", dir, error)
                .with_kind(Kind::Destination)
                .help("name a directory that is not there yet, or an OCI layout"));
        }
    };
    if !existing {
        let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(failed(parent))?;
        making::sweep(dir);
        let made = tempfile::Builder::new()
            .prefix(&making::prefix(dir))
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777))
            .tempdir_in(parent)
            .map_err(failed(parent))?;
        let held = making::hold(made.path());
        fill(made.path(), content, cache)?;
        write_index(made.path(), &index(None, content))?;
        // An empty directory gives way.
        fs::rename(made.path(), dir).map_err(failed(dir))?;
        let _ = made.keep();
        drop(held);
        return Ok(());
    }
    let version = fs::read_to_string(dir.join("oci-layout")).ok();
    let version = version.and_then(|text| serde_json::from_str::<Value>(&text).ok());
    if version.is_none_or(|version| version["imageLayoutVersion"].as_str() != Some("1.0.0")) {
        return Err(Error::new(
            Kind::Destination,
            format!(
                "{} is not an OCI layout: it holds other files, and no oci-layout of version 1.0.0",
                dir.display()
            ),
        )
        .help("name a directory that is not there yet; nothing was changed"));
    }
    // One run at a time: the index is read and written. Whatever is in the making here was left by one that was killed.
    let held = fs::File::open(dir).and_then(|dir| dir.lock().map(|()| dir));
    if held.is_ok() {
        sweep(dir);
    }
    let old = read_index(dir)?;
    fill(dir, content, cache)?;
    write_index(dir, &index(Some(&old), content))?;
    forget(dir, &old);
    Ok(())
}

fn read_index(dir: &Path) -> Result<Value> {
    let path = dir.join("index.json");
    let text =
        fs::read(&path).map_err(|e| Error::io("cannot read", &path, e).with_kind(Kind::Destination))?;
    serde_json::from_slice(&text).map_err(|error| {
        Error::new(Kind::Destination, format!("{} is not JSON", path.display())).because(error)
    })
}

/// `index.json`: what is there under other names stays.
fn index(old: Option<&Value>, content: &Content<'_>) -> Value {
    let tag = content.tag();
    let mut manifests: Vec<Value> = old
        .and_then(|old| old["manifests"].as_array())
        .into_iter()
        .flatten()
        .filter(|one| one["annotations"][REF_NAME].as_str() != Some(tag))
        .cloned()
        .collect();
    manifests.push(content.row());
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": manifests,
    })
}

fn write_index(dir: &Path, index: &Value) -> Result<()> {
    put(dir, "oci-layout", &mut |to| Ok(fs::write(to, VERSION)?))?;
    put(dir, "index.json", &mut |to| Ok(fs::write(to, bytes(index))?))
}

/// What names of files in the making begin with, in a layout.
const MAKING: &str = ".venvoy-";

/// Removes files in the making, of a layout that nobody else writes to.
fn sweep(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(MAKING) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Makes a file under another name and renames it.
fn put(dir: &Path, name: &str, make: &mut dyn FnMut(&Path) -> Result<(), PutError>) -> Result<()> {
    let to = dir.join(name);
    let temporary = dir.join(format!("{MAKING}{}-{}", std::process::id(), name.replace('/', "-")));
    let _ = fs::remove_file(&temporary);
    let done = make(&temporary).and_then(|()| Ok(fs::rename(&temporary, &to)?));
    if done.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    done.map_err(|error| match error {
        PutError::Io(error) => failed(&to)(error),
        PutError::Ours(error) => error,
    })
}

enum PutError {
    Io(std::io::Error),
    Ours(Error),
}

impl From<std::io::Error> for PutError {
    fn from(error: std::io::Error) -> Self {
        PutError::Io(error)
    }
}

/// Puts all blobs in place that are not there.
fn fill(dir: &Path, content: &Content<'_>, cache: &Cache) -> Result<()> {
    let blobs = dir.join("blobs/sha256");
    fs::create_dir_all(&blobs).map_err(failed(&blobs))?;
    for (blob, source) in content.blobs() {
        let name = format!("blobs/sha256/{}", blob.sha256);
        if fs::symlink_metadata(dir.join(&name))
            .is_ok_and(|found| found.is_file() && found.len() == blob.size)
        {
            continue;
        }
        let source = source.here(cache)?;
        put(dir, &name, &mut |to| match &source {
            BlobSource::Bytes(bytes) => Ok(fs::write(to, bytes)?),
            BlobSource::Cached(blob) => store::place(cache, blob, to).map_err(PutError::Ours),
            BlobSource::File(path) => Ok(fs::copy(path, to).map(drop)?),
            BlobSource::Section(..) | BlobSource::Remote(..) => {
                Ok(std::io::copy(&mut source.open(cache)?, &mut fs::File::create(to)?).map(drop)?)
            }
        })?;
    }
    Ok(())
}

/// Removes the blobs of what was replaced and nothing refers to any more. What cannot be followed stays.
fn forget(dir: &Path, old: &Value) {
    let Ok(new) = read_index(dir) else { return };
    let blob = |digest: &str| Some(dir.join("blobs/sha256").join(digest.strip_prefix("sha256:")?));
    let reach = |index: &Value| {
        let mut found = std::collections::BTreeSet::new();
        let mut todo: Vec<String> = digests(index);
        while let Some(digest) = todo.pop() {
            // Only manifests are small; a layer is no JSON, and not read to find that out.
            if let Some(path) = blob(&digest)
                && fs::metadata(&path).is_ok_and(|found| found.len() < 1 << 20)
                && let Some(value) =
                    fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
            {
                todo.extend(digests(&value).into_iter().filter(|inner| !found.contains(inner)));
            }
            found.insert(digest);
        }
        found
    };
    let kept = reach(&new);
    for digest in reach(old).difference(&kept) {
        if let Some(path) = blob(digest) {
            let _ = fs::remove_file(path);
        }
    }
}

/// The digests that a manifest or index names.
fn digests(value: &Value) -> Vec<String> {
    let mut rows: Vec<&Value> = vec![&value["config"], &value["subject"]];
    for list in ["layers", "manifests"] {
        rows.extend(value[list].as_array().into_iter().flatten());
    }
    rows.into_iter().filter_map(|row| row["digest"].as_str().map(str::to_owned)).collect()
}

/// Writes a tar of the layout, with the `manifest.json` that `docker load` wants in it.
pub(crate) fn to_tar(
    out: &mut dyn Write,
    content: &Content<'_>,
    cache: &Cache,
    mtime: i64,
    failed: super::archive::Failed<'_>,
) -> Result<()> {
    let common = Common { owner: tar::Owner::default(), mtime };
    let blobs = content.blobs();
    let at = |digest: &Sha256| format!("blobs/sha256/{digest}");
    let mut members = vec![("index.json", bytes(&index(None, content)))];
    // It knows one platform; several are loaded by index.json alone.
    if let [one] = content.images.as_slice() {
        let mut layers: Vec<String> = one.base.iter().map(|(blob, _)| at(&blob.sha256)).collect();
        layers.extend(one.layers.iter().map(|layer| at(&layer.blob.sha256)));
        let docker = json!([{
            "Config": at(&Sha256::of(&one.image.config)),
            "RepoTags": [content.name],
            "Layers": layers,
        }]);
        members.push(("manifest.json", bytes(&docker)));
    }
    members.push(("oci-layout", VERSION.as_bytes().to_vec()));
    let mut put = |path: &str, entry: Entry<'_>| {
        let mut header = Vec::new();
        tar::header(path, entry, common, &mut header);
        out.write_all(&header).map_err(failed)
    };
    put("blobs", Entry::Directory)?;
    put("blobs/sha256", Entry::Directory)?;
    for (blob, source) in &blobs {
        let mut header = Vec::new();
        tar::header(
            &at(&blob.sha256),
            Entry::File { size: blob.size, executable: false },
            common,
            &mut header,
        );
        out.write_all(&header).map_err(failed)?;
        let source = source.here(cache)?;
        let mut reader = source.open(cache).map_err(|error| {
            Error::new(Kind::Io, format!("cannot read the blob sha256:{}", blob.sha256)).because(error)
        })?;
        let copied = std::io::copy(&mut reader, out).map_err(failed)?;
        if copied != blob.size {
            return Err(Error::new(
                Kind::Integrity,
                format!("the blob sha256:{} has {copied} bytes, expected {}", blob.sha256, blob.size),
            ));
        }
        out.write_all(&END[..tar::padding(blob.size)]).map_err(failed)?;
    }
    for (name, content) in members {
        let mut header = Vec::new();
        tar::header(name, Entry::File { size: content.len() as u64, executable: false }, common, &mut header);
        out.write_all(&header).map_err(failed)?;
        out.write_all(&content).map_err(failed)?;
        out.write_all(&END[..tar::padding(content.len() as u64)]).map_err(failed)?;
    }
    out.write_all(&END).map_err(failed)
}

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
        let file = fs::File::open(path).map_err(unusable)?;
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

    pub(super) fn shown(&self) -> &Path {
        match self {
            Layout::Directory(path) | Layout::Tar { path, .. } => path,
        }
    }

    /// A file of the layout by name.
    pub(super) fn find(&self, name: &str) -> Result<BlobSource<'_>> {
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
                if path.is_file() { Ok(BlobSource::File(path)) } else { Err(missing()) }
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

    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>> {
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
