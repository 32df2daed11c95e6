//! Places for bytecode in a plan.

use std::collections::HashSet;

use super::{ContentOrigin, Plan, PlanFile};
use crate::{project::python::Target, words::vocab::RelPath};

/// What file systems allow a name to have, in bytes.
const NAME_LIMIT: usize = 255;

impl Plan {
    /// The plan with a place for the bytecode of every module in site-packages
    /// (`__pycache__/NAME.TAG.pyc`, PEP 3147). What a wheel brought there gives way, as in pip. Whoever carries
    /// the plan out compiles, and leaves out what does not compile with [`Plan::without`].
    #[must_use]
    pub(crate) fn with_bytecode(self, target: &Target) -> Plan {
        let inside = format!("{}/", target.site_packages);
        // A wheel may put a file where the directory would be, or a directory where the file would be.
        let files: HashSet<&str> = self
            .files
            .iter()
            .map(|file| file.path.as_str())
            .filter(|path| path.ends_with("/__pycache__"))
            .collect();
        let dirs: HashSet<&str> =
            self.dirs.iter().map(RelPath::as_str).filter(|path| path.contains("/__pycache__/")).collect();
        let place = |file: &PlanFile| {
            let inner = file.path.as_str().strip_prefix(&inside)?;
            let (dir, name) = inner.rsplit_once('/').unwrap_or(("", inner));
            let stem = name.strip_suffix(".py").filter(|stem| !stem.is_empty())?;
            let name = format!("{stem}.{}.pyc", target.cache_tag);
            let dir = if dir.is_empty() { String::new() } else { format!("{dir}/") };
            let dir = format!("{inside}{dir}__pycache__");
            let path: RelPath = format!("{dir}/{name}").parse().ok()?;
            let free = !files.contains(dir.as_str()) && !dirs.contains(path.as_str());
            (free && name.len() <= NAME_LIMIT && file.dist.is_some()).then_some(path)
        };
        let added: Vec<PlanFile> = self
            .files
            .iter()
            .enumerate()
            .filter_map(|(source, file)| {
                let origin = ContentOrigin::Bytecode { source };
                Some(PlanFile { path: place(file)?, dist: file.dist, origin, executable: false })
            })
            .collect();
        let taken: HashSet<&str> = added.iter().map(|file| file.path.as_str()).collect();
        // Whoever lists a source that another distribution wrote lists its bytecode, too.
        let both: Vec<(usize, RelPath)> =
            self.shared.iter().filter_map(|&(dist, at)| Some((dist, place(&self.files[at])?))).collect();

        let Plan { key, common, mtime, slim, made, described, dists, dirs, files, links, shared, dropped } =
            self;
        let mut items: Vec<(Option<usize>, PlanFile)> = files
            .into_iter()
            .enumerate()
            .filter(|(_, file)| !taken.contains(file.path.as_str()))
            .map(|(at, file)| (Some(at), file))
            .collect();
        let mut dirs: Vec<RelPath> =
            dirs.into_iter().chain(added.iter().filter_map(|file| file.path.parent())).collect();
        dirs.sort_unstable();
        dirs.dedup();
        items.extend(added.into_iter().map(|file| (None, file)));
        items.sort_by(|(_, a), (_, b)| a.path.as_str().cmp(b.path.as_str()));
        let mut plan = Plan {
            key,
            common,
            mtime,
            slim,
            made,
            described,
            dists,
            dirs,
            files: Vec::new(),
            links,
            shared,
            dropped,
        };
        plan.renumber(items);
        for (dist, path) in both {
            if let Ok(at) = plan.files.binary_search_by(|file| file.path.as_str().cmp(path.as_str())) {
                plan.shared.push((dist, at));
            }
        }
        plan.shared.sort_unstable();
        plan
    }

    /// The plan without the bytecode at these positions, and without the directories that this empties.
    #[must_use]
    pub(crate) fn without(mut self, left_out: &HashSet<usize>) -> Plan {
        let emptied: HashSet<RelPath> =
            left_out.iter().filter_map(|&at| self.files[at].path.parent()).collect();
        let files = std::mem::take(&mut self.files);
        let items: Vec<_> = files
            .into_iter()
            .enumerate()
            .filter(|(at, _)| !left_out.contains(at))
            .map(|(at, file)| (Some(at), file))
            .collect();
        let paths = items.iter().map(|(_, file)| &file.path).chain(&self.dirs);
        let full: HashSet<RelPath> = paths.filter_map(RelPath::parent).collect();
        self.dirs.retain(|dir| !emptied.contains(dir) || full.contains(dir));
        self.renumber(items);
        self
    }

    /// Takes these files, each with its position before; what refers to positions follows.
    fn renumber(&mut self, items: Vec<(Option<usize>, PlanFile)>) {
        let before = items.iter().filter_map(|(before, _)| *before).max().map_or(0, |last| last + 1);
        let mut now = vec![None; before];
        for (at, (before, _)) in items.iter().enumerate() {
            if let Some(before) = before {
                now[*before] = Some(at);
            }
        }
        let find = |before: usize| now.get(before).copied().flatten();
        self.files = items
            .into_iter()
            .filter_map(|(_, mut file)| {
                if let ContentOrigin::Bytecode { source } = &mut file.origin {
                    *source = find(*source)?;
                }
                Some(file)
            })
            .collect();
        self.shared = self.shared.iter().filter_map(|&(dist, at)| Some((dist, find(at)?))).collect();
    }
}
