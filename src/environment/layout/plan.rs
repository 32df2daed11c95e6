//! A plan from distributions: every file placed, conflicts decided, directories collected.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use rayon::prelude::*;

use super::{
    ContentOrigin, DistInput, Dropped, EnvFiles, Plan, PlanFile, PlannedDist,
    placement::{Placement, Scheme},
    reserved::Reserved,
    slim::is_shared_object,
};
use crate::{
    environment::script::{LauncherStyle, launcher, versioned},
    packages::wheel::STREAM_LIMIT,
    project::python::Target,
    words::{
        error::{Context as _, Error, Kind, Result, Warnings},
        gather::gather,
        vocab::RelPath,
    },
};

/// Lays out distributions and the environment's own files.
///
/// - A path that the environment or an installer writes (`bin/python`, activators, `pyvenv.cfg`, RECORD)
///   is refused to wheels, in any letter case.
/// - Within a wheel what comes later in this order counts: root, `.data`, entry points (as in pip).
/// - Of two distributions that bring different files of one path, the later in `dists` counts, with a
///   warning. Both RECORDs list the file, with the digest of what is on disk, so that both verify.
/// - A path that one needs as a file and another as a directory is refused.
pub(crate) fn plan(
    dists: &[DistInput],
    target: &Target,
    env: EnvFiles,
    launchers: &LauncherStyle,
) -> Result<(Plan, Warnings)> {
    let mut names: Vec<_> = dists.iter().map(|dist| &dist.wheel.name).collect();
    names.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some([one, other]) = names.array_windows().find(|[one, other]| one.name == other.name) {
        return Err(Error::new(
            Kind::Lock,
            format!("{one} and {other} are the same distribution; expected one of them"),
        ));
    }
    let scheme = Scheme::new(target)?;
    let reserved = Reserved::new(&env, target);
    let style = Arc::new(launchers.clone());

    let parts: Vec<Part> = dists
        .par_iter()
        .enumerate()
        .map(|(dist, input)| put_dist(dist, input, target, &scheme, &style, &reserved))
        .collect::<Result<_>>()?;
    let mut files = Vec::with_capacity(parts.iter().map(|part| part.files.len()).sum());
    let mut bad = Vec::new();
    let mut dropped = Vec::new();
    for file in env.files {
        files.push(PlanFile {
            path: file.path,
            dist: None,
            origin: ContentOrigin::Bytes(file.bytes),
            executable: file.executable,
        });
    }
    for part in parts {
        files.extend(part.files);
        dropped.extend(part.dropped);
        bad.extend(part.bad);
    }
    // Stable: among files of one path, the order they were put in remains.
    files.par_sort_by(|a, b| a.path.as_str().cmp(b.path.as_str()));

    let mut plan = Plan {
        dists: dists
            .iter()
            .map(|input| PlannedDist {
                name: input.wheel.name.name.clone(),
                version: input.wheel.name.version.clone(),
                wheel: Arc::clone(&input.wheel),
                dist_info: target.site_packages.join(&input.wheel.dist_info),
                key: input.key,
            })
            .collect(),
        links: env.links,
        dropped,
        ..Plan::default()
    };
    plan.links.sort_by(|a, b| a.path.cmp(&b.path));
    let mut warnings = Warnings::default();
    settle(&mut plan, files, &mut warnings, &mut bad);
    plan.dirs = directories(&plan, &[&target.site_packages, scheme.scripts()]);
    file_or_directory(&plan, &mut bad);
    gather(bad, |many| format!("{many} files cannot be installed"))?;
    Ok((plan, warnings))
}

/// What one distribution brings.
struct Part {
    /// In the order in which a later one of the same path counts.
    files: Vec<PlanFile>,
    dropped: Vec<Dropped>,
    bad: Vec<Error>,
}

/// Places every file of a distribution.
fn put_dist(
    dist: usize,
    input: &DistInput,
    target: &Target,
    scheme: &Scheme<'_>,
    style: &Arc<LauncherStyle>,
    reserved: &Reserved,
) -> Result<Part> {
    let wheel = &input.wheel;
    let mut files = Vec::with_capacity(wheel.entries.len() + wheel.scripts.len() + 8);
    let (mut dropped, mut bad) = (Vec::new(), Vec::new());
    let dist_info = target.site_packages.join(&wheel.dist_info);
    let mut refuse = |path: &RelPath, what: &dyn Fn() -> String| {
        let whose = if reserved.forbids(path) {
            "the environment's own"
        } else if is_anothers_record(path, &target.site_packages, &dist_info) {
            "not its own record of what is installed"
        } else {
            return false;
        };
        bad.push(
            Error::new(
                Kind::Integrity,
                format!("{}: {} would be installed as {path}, which is {whose}", wheel.name, what()),
            )
            .help("no honest package does that: look at this one closely before anything else"),
        );
        true
    };
    let mut from_data = Vec::new();
    for (entry, read) in wheel.entries.iter().enumerate() {
        let Some(Placement { path, script }) = scheme.place(wheel, read)? else { continue };
        if refuse(&path, &|| format!("entry {:?}", read.path.as_str())) {
            continue;
        }
        // A given file stands for the wheel's own: an editable's `.pth` with relative paths.
        if input.extra.iter().any(|given| given.path == path) {
            continue;
        }
        if let Some(kind) = input.cut.drops(entry) {
            dropped.push(Dropped { dist, kind, size: read.size });
            continue;
        }
        // What is larger is a program in machine code, not a Python script.
        let origin = if script && read.size <= STREAM_LIMIT {
            ContentOrigin::Script { dist, entry, style: Arc::clone(style) }
        } else if input.cut.strip && !script && is_shared_object(path.as_str()) {
            ContentOrigin::Stripped { dist, entry }
        } else {
            ContentOrigin::Entry { dist, entry }
        };
        let file = PlanFile { path, dist: Some(dist), origin, executable: script || read.executable };
        let in_data = wheel.data_dir.as_ref().is_some_and(|dir| read.path.starts_with(dir));
        if in_data { &mut from_data } else { &mut files }.push(file);
    }
    files.append(&mut from_data);
    for entry in &versioned(&wheel.scripts, (target.version.0, target.version.1)) {
        let path = scheme.scripts().join(&entry.name);
        if !refuse(&path, &|| format!("script {:?}", entry.name.as_str())) {
            let origin = ContentOrigin::Bytes(launcher(entry, style).into());
            files.push(PlanFile { path, dist: Some(dist), origin, executable: true });
        }
    }
    for file in &input.extra {
        if !refuse(&file.path, &|| "a file made for it".to_owned()) {
            let origin = ContentOrigin::Bytes(Arc::clone(&file.bytes));
            files.push(PlanFile {
                path: file.path.clone(),
                dist: Some(dist),
                origin,
                executable: file.executable,
            });
        }
    }

    let mut own = |name: &str, origin: ContentOrigin| -> Result<()> {
        let path = dist_info.join(&name.parse()?);
        files.push(PlanFile { path, dist: Some(dist), origin, executable: false });
        Ok(())
    };
    own("INSTALLER", ContentOrigin::Bytes(Arc::from(&b"venvoy\n"[..])))?;
    if input.requested {
        own("REQUESTED", ContentOrigin::Bytes(Arc::from(&b""[..])))?;
    }
    if let Some(direct_url) = &input.direct_url {
        own("direct_url.json", ContentOrigin::Bytes(Arc::from(&direct_url[..])))?;
    }
    own("RECORD", ContentOrigin::Record { dist }).context(|| format!("cannot lay out {}", wheel.name))?;
    Ok(Part { files, dropped, bad })
}

/// Keeps one file of each path and says what became of the others.
fn settle(plan: &mut Plan, files: Vec<PlanFile>, warnings: &mut Warnings, bad: &mut Vec<Error>) {
    // (loser, winner) -> paths they differ in
    let mut differing: BTreeMap<(usize, usize), Vec<String>> = BTreeMap::new();
    plan.files.reserve(files.len());
    for file in files {
        let Some(before) = plan.files.last_mut().filter(|before| before.path == file.path) else {
            plan.files.push(file);
            continue;
        };
        let (Some(loser), Some(winner)) = (before.dist, file.dist) else {
            bad.push(Error::new(Kind::Integrity, format!("{} is given twice", file.path)));
            continue;
        };
        // pip writes a launcher over a script of the same wheel without a word.
        let launcher = loser == winner && matches!(file.origin, ContentOrigin::Bytes(_));
        if !launcher && !same_bytes(&plan.dists, &before.origin, &file.origin) {
            differing.entry((loser, winner)).or_default().push(file.path.to_string());
        }
        if loser != winner {
            let at = plan.files.len() - 1;
            plan.shared.push((loser, at));
        }
        if let Some(before) = plan.files.last_mut() {
            *before = file;
        }
    }
    plan.shared.sort_unstable();
    for ((loser, winner), paths) in differing {
        let told = paths[..paths.len().min(3)].join(", ");
        let more = if paths.len() > 3 { format!(" and {} more", paths.len() - 3) } else { String::new() };
        if loser == winner {
            warnings.push(format!(
                "{} brings twice, the later counts: {told}{more}",
                plan.dists[winner].wheel.name
            ));
        } else {
            let [loser, winner] = [loser, winner].map(|dist| &plan.dists[dist]);
            warnings.push(format!(
                "{} {} and {} {} bring different files, {}'s count: {told}{more}",
                loser.name.as_str(),
                loser.version,
                winner.name.as_str(),
                winner.version,
                winner.name.as_str()
            ));
        }
    }
}

/// A file in another distribution's `.dist-info`, or one in its own that the installer writes. What lies
/// at the wheel's root cannot be either; `.data` can.
fn is_anothers_record(path: &RelPath, site_packages: &RelPath, dist_info: &RelPath) -> bool {
    let below =
        |dir: &RelPath| path.as_str().strip_prefix(dir.as_str()).and_then(|rest| rest.strip_prefix('/'));
    if let Some(name) = below(dist_info) {
        return matches!(
            name,
            "INSTALLER" | "REQUESTED" | "direct_url.json" | "RECORD" | "RECORD.jws" | "RECORD.p7s"
        );
    }
    below(site_packages)
        .and_then(|inner| inner.split_once('/'))
        .is_some_and(|(top, _)| top.ends_with(".dist-info"))
}

/// Whether two origins are known to give the same bytes.
fn same_bytes(dists: &[PlannedDist], a: &ContentOrigin, b: &ContentOrigin) -> bool {
    let read = |dist: usize, entry: usize| &dists[dist].wheel.entries[entry];
    let (a, b) = match (a, b) {
        (ContentOrigin::Entry { dist: d1, entry: e1 }, ContentOrigin::Entry { dist: d2, entry: e2 })
        | (
            ContentOrigin::Stripped { dist: d1, entry: e1 },
            ContentOrigin::Stripped { dist: d2, entry: e2 },
        )
        | (
            ContentOrigin::Script { dist: d1, entry: e1, .. },
            ContentOrigin::Script { dist: d2, entry: e2, .. },
        ) => (read(*d1, *e1), read(*d2, *e2)),
        (ContentOrigin::Bytes(a), ContentOrigin::Bytes(b)) => return a == b,
        _ => return false,
    };
    a.size == b.size
        && a.crc32 == b.crc32
        && (a.size == 0 || a.sha256.is_some_and(|sha256| b.sha256 == Some(sha256)))
}

/// Every directory above a file or link, and those that an environment has in any case.
fn directories(plan: &Plan, always: &[&RelPath]) -> Vec<RelPath> {
    let mut seen: HashSet<&str> = HashSet::new();
    let mut found: Vec<&str> = Vec::new();
    let mut last = "";
    let paths = plan.files.iter().map(|file| file.path.as_str());
    let paths = paths.chain(plan.links.iter().map(|link| link.path.as_str()));
    let parents = paths.filter_map(|path| path.rsplit_once('/').map(|(parent, _)| parent));
    for parent in parents.chain(always.iter().map(|dir| dir.as_str())) {
        if parent == last {
            continue;
        }
        last = parent;
        let mut dir = parent;
        while seen.insert(dir) {
            found.push(dir);
            let Some((above, _)) = dir.rsplit_once('/') else { break };
            dir = above;
        }
    }
    found.sort_unstable();
    // What is above a RelPath is one, too.
    found.into_iter().filter_map(|dir| dir.parse().ok()).collect()
}

/// Refuses a path that is a file or link, and also a directory of other files.
fn file_or_directory(plan: &Plan, bad: &mut Vec<Error>) {
    let mut dirs = plan.dirs.iter().map(RelPath::as_str).peekable();
    for file in &plan.files {
        while dirs.next_if(|dir| *dir < file.path.as_str()).is_some() {}
        if dirs.peek() != Some(&file.path.as_str()) {
            continue;
        }
        let inside = format!("{}/", file.path);
        let other = plan.files.iter().find(|other| other.path.as_str().starts_with(&inside));
        let name = |file: &PlanFile| match file.dist {
            Some(dist) => plan.dists[dist].wheel.name.to_string(),
            None => "the environment".to_owned(),
        };
        bad.push(Error::new(
            Kind::Integrity,
            format!(
                "{} is a file in {} and a directory in {}; one environment cannot hold both",
                file.path,
                name(file),
                other.map_or_else(|| "the environment".to_owned(), name)
            ),
        ));
    }
}
