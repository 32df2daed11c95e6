//! Writing a layout into a directory, new or there.

use std::{fs, path::Path};

use serde_json::Value;

use super::{BlobSource, Content, VERSION, index};
use crate::{
    artifact::pack::{image::bytes, making, store},
    packages::cache::Cache,
    words::{
        error::{Error, Kind, Result},
        files::{LARGEST_TEXT, read_regular, read_text},
    },
};

/// The largest manifest that is looked at, in bytes: registries take 4 MiB at most, and layers are larger or no JSON.
const LARGEST_MANIFEST: u64 = 4 << 20;

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
    let version = read_text(&dir.join("oci-layout"), LARGEST_TEXT).ok();
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
    let text = read_regular(&path, LARGEST_TEXT)
        .map_err(|e| Error::io("cannot read", &path, e).with_kind(Kind::Destination))?;
    serde_json::from_slice(&text).map_err(|error| {
        Error::new(Kind::Destination, format!("{} is not JSON", path.display())).because(error)
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
        // A link is there at once, and a rename of it would change what the cache knows its own file by.
        if let BlobSource::Cached(blob) = &source {
            let to = dir.join(&name);
            let _ = fs::remove_file(&to);
            if store::link(cache, blob, &to)? {
                continue;
            }
        }
        put(dir, &name, &mut |to| match &source {
            BlobSource::Bytes(bytes) => Ok(fs::write(to, bytes)?),
            BlobSource::Cached(blob) => store::copy(cache, blob, to).map_err(PutError::Ours),
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
                && let Some(value) = read_regular(&path, LARGEST_MANIFEST)
                    .ok()
                    .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
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
