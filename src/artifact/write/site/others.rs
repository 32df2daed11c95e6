//! What other installers have in the site-packages of an interpreter.

use std::{collections::HashSet, fs};

use crate::{
    artifact::write::publish::read_regular,
    project::python::Site,
    words::{
        error::{Error, Kind, Result},
        vocab::{PackageName, RelPath},
    },
};

/// What other installers have under the names that come.
#[derive(Default)]
pub(super) struct Others {
    /// Their files, relative to the site's root.
    pub(super) files: Vec<String>,
    /// What they are called, and their versions.
    pub(super) names: Vec<(String, String)>,
}

impl Others {
    /// Finds what goes by one of `names`, but for the metadata directories in `own`.
    pub(super) fn find(site: &Site, names: &HashSet<&str>, own: &HashSet<&str>) -> Result<Self> {
        let mut others = Others::default();
        for dir in &site.others {
            let Ok(entries) = fs::read_dir(site.root.join(dir.as_path())) else { continue };
            let mut found: Vec<String> =
                entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
            found.sort_unstable();
            for file in found {
                let Some((stem, kind)) = file.rsplit_once('.') else { continue };
                if !matches!(kind, "dist-info" | "egg-info" | "egg-link") {
                    continue;
                }
                let (name, version) = match stem.split_once('-') {
                    // `name-version-py3.11.egg-info`
                    Some((name, rest)) => (name, rest.split("-py").next().unwrap_or(rest)),
                    None => (stem, ""),
                };
                let Ok(name) = name.parse::<PackageName>() else { continue };
                let path = format!("{dir}/{file}");
                if !names.contains(name.as_str()) || own.contains(path.as_str()) {
                    continue;
                }
                others.files.extend(files_of(site, dir, &file, kind)?);
                others.names.push((name.to_string(), version.to_owned()));
            }
        }
        Ok(others)
    }
}

/// The files of a distribution that another installer put there.
fn files_of(site: &Site, dir: &RelPath, name: &str, kind: &str) -> Result<Vec<String>> {
    let path = site.root.join(dir.as_path()).join(name);
    let unknown = |why: &str| {
        Error::new(Kind::Destination, format!("{} is to be replaced, and {why}", path.display()))
            .help("remove it with what installed it, then run the same command again")
    };
    // RECORD's paths are relative to the directory it is for, those of the older file to the one it lies in.
    let (list, base) = match kind {
        "dist-info" => ("RECORD", dir.clone()),
        "egg-info" if path.is_dir() => ("installed-files.txt", dir.join(&name.parse()?)),
        _ => return Err(unknown("nothing says which files belong to it")),
    };
    let text = read_regular(&path.join(list))
        .ok_or_else(|| unknown(&format!("has no {list} that could be read")))?;
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut files = Vec::new();
    for row in reader.records() {
        let row = row.map_err(|e| unknown(&format!("its {list} is damaged")).because(e))?;
        // What lies elsewhere (of another prefix) is not for us to remove.
        files.extend(row.get(0).and_then(|path| resolve(site, &base, path)));
    }
    // Whatever is in its own directory goes with it: pip lists all of it.
    files.push(format!("{dir}/{name}/{list}"));
    Ok(files)
}

/// A path of a RECORD, relative to the site's root; `None` where it leads out of it.
fn resolve(site: &Site, base: &RelPath, path: &str) -> Option<String> {
    if let Some(absolute) = path.strip_prefix('/') {
        let root = site.root.to_str()?.strip_prefix('/')?;
        let inner = absolute.strip_prefix(root)?.strip_prefix('/')?;
        return inner.parse::<RelPath>().ok().map(|path| path.to_string());
    }
    let mut parts: Vec<&str> = base.components().collect();
    for part in path.split('/') {
        match part {
            ".." => drop(parts.pop()?),
            "." | "" => {}
            part => parts.push(part),
        }
    }
    parts.join("/").parse::<RelPath>().ok().map(|path| path.to_string())
}
