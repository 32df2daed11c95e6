//! Where artifacts go: files, layouts, registries, the local engine.

use std::{
    io::{self, Write},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use rayon::prelude::*;

use super::{base::OpenBase, doors::Doors};
use crate::{
    artifact::{
        pack::{
            archive,
            image::Blob,
            layout::{self, BlobSource, Content},
            making,
        },
        registry::{Reference, Registry, Upload},
    },
    packages::cache::Cache,
    run::options::{Oci, To},
    words::{
        choices::EngineKind,
        error::{Error, Kind, Result},
        progress::Part,
        vocab::Sha256,
    },
};

/// An artifact, and how many bytes it has or took, where that is known.
pub(super) type Delivered = (String, Option<u64>);

/// An image on its way.
pub(super) struct Deliver<'a, 'd> {
    pub(super) content: &'a Content<'a>,
    pub(super) cache: &'a Cache,
    pub(super) doors: &'d Doors<'d>,
    pub(super) mtime: i64,
}

impl Deliver<'_, '_> {
    /// Into an image layout.
    pub(super) fn layout(&self, oci: &Oci) -> Result<Delivered> {
        match oci {
            Oci::Directory(dir) => {
                layout::to_directory(dir, self.content, self.cache)?;
                Ok((dir.display().to_string(), None))
            }
            Oci::Tar(to) => publish(to, &mut |out, failed| {
                layout::to_tar(out, self.content, self.cache, self.mtime, failed)
            }),
        }
    }

    /// Into the local engine.
    pub(super) fn load(&self, kind: Option<EngineKind>, name: &str) -> Result<Delivered> {
        let engine = self.doors.engine(kind)?;
        self.doors.progress.stage("Loading", 0);
        let failed = |error| engine.gone(error);
        engine.load(&mut |out| layout::to_tar(out, self.content, self.cache, self.mtime, &failed))?;
        Ok((format!("{name} in {engine}"), None))
    }

    /// Sends what the registry does not have; says how many bytes that were.
    pub(super) fn push(&self, to: &Reference, base: Option<&OpenBase<'_>>) -> Result<Delivered> {
        let registry = self.doors.registry(to.clone())?;
        let from = base.and_then(|base| base.beside(to));
        let mut blobs: Vec<(Blob, BlobSource<'_>)> =
            self.content.images().iter().flat_map(layout::One::blobs).collect();
        blobs.sort_by_key(|(blob, _)| blob.sha256);
        blobs.dedup_by_key(|(blob, _)| blob.sha256);
        self.doors.progress.stage("Pushing", blobs.iter().map(|(blob, _)| blob.size).sum());
        let sent = blobs
            .par_iter()
            .map(|(blob, source)| self.push_blob(&registry, blob, source, from))
            .collect::<Result<Vec<u64>>>()?;
        let images = self.content.images();
        for one in images.iter().filter(|_| images.len() > 1) {
            let (manifest, family) = (&one.image.manifest, one.image.family);
            registry.push_manifest(
                &format!("sha256:{}", Sha256::of(manifest)),
                manifest,
                family.manifest(),
            )?;
        }
        let (top, media_type) = self.content.top();
        registry.push_manifest(&to.tag, top, media_type)?;
        Ok((to.to_string(), Some(sent.iter().sum())))
    }

    fn push_blob(
        &self,
        registry: &Registry<'_>,
        blob: &Blob,
        source: &BlobSource<'_>,
        from: Option<&str>,
    ) -> Result<u64> {
        let open = || source.open(self.cache);
        // What is ours is in no other repository.
        let from = from.filter(|_| matches!(source, BlobSource::Remote(..)));
        let began = std::time::Instant::now();
        let upload = registry.push_blob(&blob.sha256, blob.size, from, &open)?;
        self.doors.progress.advance(blob.size);
        let what = blob.sha256.to_string();
        self.doors.progress.part(&format!("sha256:{}", &what[..12]), Part::Push, began, blob.size);
        Ok(if upload == Upload::Sent { blob.size } else { 0 })
    }
}

/// Writes to a file that appears whole, or to standard output.
pub(in crate::run::commands) fn publish(
    to: &To,
    write: &mut dyn FnMut(&mut (dyn Write + Send), archive::Failed<'_>) -> Result<()>,
) -> Result<Delivered> {
    const BUFFER: usize = 256 << 10;
    let To::File(path) = to else {
        let failed = |error: io::Error| {
            Error::new(Kind::Destination, "cannot write to standard output").because(error)
        };
        let mut out = io::BufWriter::with_capacity(BUFFER, io::stdout());
        write(&mut out, &failed)?;
        out.flush().map_err(failed)?;
        return Ok(("standard output".to_owned(), None));
    };
    let failed = |error: io::Error| Error::io("cannot write", path, error).with_kind(Kind::Destination);
    if std::fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(Error::new(
            Kind::Destination,
            format!("{} is there and no regular file", path.display()),
        )
        .help("name another file, or - for standard output; nothing was changed"));
    }
    let parent = path.parent().unwrap_or(Path::new("/"));
    making::sweep(path);
    let mut file = tempfile::Builder::new()
        .prefix(&making::prefix(path))
        .permissions(std::fs::Permissions::from_mode(0o666))
        .tempfile_in(parent)
        .map_err(failed)?;
    let held = making::hold(file.path());
    let mut out = io::BufWriter::with_capacity(BUFFER, file.as_file_mut());
    write(&mut out, &failed)?;
    out.flush().map_err(failed)?;
    drop(out);
    let size = file.as_file().metadata().map_err(failed)?.len();
    file.persist(path).map_err(|error| failed(error.error))?;
    drop(held);
    Ok((path.display().to_string(), Some(size)))
}
