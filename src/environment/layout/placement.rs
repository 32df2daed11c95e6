//! Where a wheel's entry goes (binary distribution format, "Installing a wheel").

use super::DistInput;
use crate::{
    packages::wheel::{Wheel, WheelEntry},
    project::python::Target,
    words::{
        error::{Error, Kind, Result},
        vocab::RelPath,
    },
};

/// Where an entry goes.
pub(super) struct Placement {
    pub path: RelPath,
    /// It is a script: executable, and its first line may be rewritten.
    pub script: bool,
}

/// The paths of a target that wheels refer to.
pub(super) struct Scheme<'t> {
    target: &'t Target,
    scripts: RelPath,
    lib: RelPath,
    lib64: RelPath,
}

impl<'t> Scheme<'t> {
    pub(super) fn new(target: &'t Target) -> Result<Self> {
        Ok(Scheme { target, scripts: "bin".parse()?, lib: "lib".parse()?, lib64: "lib64".parse()? })
    }

    pub(super) fn scripts(&self) -> &RelPath {
        &self.scripts
    }

    /// The place of an entry; `None` for what the installer writes itself.
    pub(super) fn place(&self, wheel: &Wheel, entry: &WheelEntry) -> Result<Option<Placement>> {
        let path = entry.path.as_str();
        let below = |dir: &RelPath| path.strip_prefix(dir.as_str()).and_then(|rest| rest.strip_prefix('/'));
        if let Some(name) = below(&wheel.dist_info)
            && matches!(name, "INSTALLER" | "REQUESTED" | "direct_url.json")
        {
            return Ok(None);
        }
        let Some(inner) = wheel.data_dir.as_ref().and_then(below) else {
            let path = self.target.site_packages.join(&entry.path);
            return Ok(Some(Placement { path, script: false }));
        };
        let Some((key, rest)) = inner.split_once('/') else {
            return Err(unknown(wheel, entry, inner));
        };
        let rest: RelPath = rest.parse()?;
        let (path, script) = match key {
            "purelib" | "platlib" => (self.target.site_packages.join(&rest), false),
            "scripts" => (self.scripts.join(&rest), true),
            "headers" => (self.target.include.join(&wheel.name.name.as_str().parse()?).join(&rest), false),
            "data" => (self.data(rest), false),
            _ => return Err(unknown(wheel, entry, key)),
        };
        Ok(Some(Placement { path, script }))
    }

    /// `lib64` is a link to `lib`: what goes there is known by one path only.
    fn data(&self, path: RelPath) -> RelPath {
        match path.strip_prefix(&self.lib64) {
            Some(inner) if self.target.lib64 => self.lib.join(&inner),
            _ => path,
        }
    }
}

/// Where every entry of every distribution goes, by position; nowhere for what the installer writes itself.
pub(crate) fn places(dists: &[DistInput], target: &Target) -> Result<Vec<Vec<Option<RelPath>>>> {
    let scheme = Scheme::new(target)?;
    let place = |dist: &DistInput| {
        let entries = dist.wheel.entries.iter();
        entries.map(|entry| Ok(scheme.place(&dist.wheel, entry)?.map(|place| place.path))).collect()
    };
    dists.iter().map(place).collect()
}

fn unknown(wheel: &Wheel, entry: &WheelEntry, key: &str) -> Error {
    Error::new(
        Kind::Integrity,
        format!(
            "{}: entry {:?} is for {key:?}; expected purelib, platlib, scripts, headers or data",
            wheel.name,
            entry.path.as_str()
        ),
    )
}
