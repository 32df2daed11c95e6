//! What is inside an image or a tar, as documents: in files, and beside the image in its registry.

use super::{deliver::publish, doors::Doors};
use crate::{
    artifact::{
        pack::image::Image,
        sbom::{Component, Subject},
    },
    run::options::{PackOptions, SbomTo, To},
    words::{error::Result, vocab::Sha256},
};

/// Writes those that go to files: there is one platform then.
pub(super) fn write(
    pack: &PackOptions,
    images: Option<&[&Image]>,
    inside: &[Vec<Component>],
    created: i64,
) -> Result<()> {
    let components = inside.first().map_or(&[][..], Vec::as_slice);
    let image = images.and_then(|images| images.first()).copied();
    for (format, to) in &pack.sboms {
        let SbomTo::File(path) = to else { continue };
        let document = format.document(&subject(pack, image, created), components);
        publish(&To::File(path.clone()), &mut |out, failed| out.write_all(&document).map_err(failed))?;
    }
    Ok(())
}

/// Pushes those that belong beside the image: each platform's to its own manifest.
pub(super) fn attach(
    pack: &PackOptions,
    images: &[&Image],
    inside: &[Vec<Component>],
    created: i64,
    doors: &Doors<'_>,
) -> Result<()> {
    let Some(reference) = &pack.push else { return Ok(()) };
    let wanted: Vec<_> = pack.sboms.iter().filter(|(_, to)| *to == SbomTo::Attach).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let registry = doors.registry(reference.clone())?;
    for (image, components) in images.iter().zip(inside) {
        for (format, _) in &wanted {
            let document = format.document(&subject(pack, Some(image), created), components);
            registry.attach(&image.descriptor(), format.media_type(), &document)?;
        }
    }
    Ok(())
}

fn subject<'p>(pack: &'p PackOptions, image: Option<&Image>, created: i64) -> Subject<'p> {
    let digest = image.map(|image| format!("sha256:{}", Sha256::of(&image.manifest)));
    Subject { name: &pack.name, digest, created }
}
