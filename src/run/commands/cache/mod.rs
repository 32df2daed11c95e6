//! `cache`: what is in it, whether it is right, making it smaller, and carrying it.

mod needs;

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Serialize;

use crate::{
    artifact::write,
    packages::{
        cache::{Cache, Found, Item, Options, Policy, Trust, Usage},
        wheel::{Strictness, Wheel, proof},
    },
    words::{
        args::{CacheAction, PruneArgs},
        env::Env,
        error::{Error, Kind, Result},
        interrupt,
        vocab::{Sha256, count, size},
    },
};

/// What goes where nothing else is asked for.
const UNUSED_FOR: Duration = Duration::from_hours(30 * 24);

/// Takes the lines of the result.
type Print<'p> = &'p mut dyn FnMut(&str);

/// The version of what a CI cache holds, in its key: another one begins with an empty cache.
const CARRIED: &str = "venvoy-v1";

#[derive(Serialize)]
struct KindOf {
    kind: String,
    files: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct Info {
    dir: String,
    layout: u32,
    writable: bool,
    kinds: Vec<KindOf>,
    files: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct Listed {
    kind: String,
    name: String,
    path: String,
    sha256: Option<String>,
    files: u64,
    bytes: u64,
    /// Seconds since 1970.
    used: i64,
}

#[derive(Serialize)]
struct Key {
    key: String,
    restore_keys: Vec<String>,
}

#[derive(Serialize)]
struct Verified {
    files: u64,
    bytes: u64,
    damaged: Vec<String>,
    made_again: u64,
    missing: Option<usize>,
}

/// Runs a `cache` command; `false` where something was damaged, which is gone then.
///
/// # Errors
/// [`Kind::Lock`] for locks that cannot be read.
pub(crate) fn cache(action: CacheAction, dir: &Path, env: &Env, print: Print<'_>) -> Result<bool> {
    match &action {
        CacheAction::Dir => {
            print(&dir.display().to_string());
            return Ok(true);
        }
        CacheAction::Key { projects, with, json } => {
            key(projects, with, *json, env, print)?;
            return Ok(true);
        }
        _ => {}
    }
    let nothing =
        matches!(action, CacheAction::Info { json: false } | CacheAction::Prune(_) | CacheAction::Clear);
    if !dir.exists() && nothing {
        print(&format!("{} does not exist: nothing is cached", dir.display()));
        return Ok(true);
    }
    let cache = Cache::open(dir, Options { read_only: !dir.exists(), ..Options::default() });
    match action {
        CacheAction::Dir | CacheAction::Key { .. } => {}
        CacheAction::Info { json } => info(&cache, dir, json, print)?,
        CacheAction::List { json, name } => list(&cache, json, name.as_deref(), print)?,
        CacheAction::Prune(args) => {
            must_be_writable(&cache, dir)?;
            prune(&cache, &args, env, print)?;
        }
        CacheAction::Verify { lock, json } => return verify(&cache, dir, &lock, json, env, print),
        CacheAction::Clear => {
            must_be_writable(&cache, dir)?;
            print(&format!("removed {}", size(cache.clear()?.bytes)));
        }
    }
    Ok(true)
}

fn must_be_writable(cache: &Cache, dir: &Path) -> Result<()> {
    if !cache.is_read_only() {
        return Ok(());
    }
    Err(Error::new(Kind::Io, format!("the cache {} cannot be written: nothing was removed", dir.display()))
        .help("run this as its owner, or name another one with VENVOY_CACHE_DIR"))
}

fn info(cache: &Cache, dir: &Path, json: bool, print: Print<'_>) -> Result<()> {
    let usage = cache.usage();
    let mut all = Usage::default();
    for one in usage.values() {
        all.files += one.files;
        all.bytes += one.bytes;
    }
    if json {
        let kinds = usage.into_iter();
        let kinds =
            kinds.map(|(kind, usage)| KindOf { kind, files: usage.files, bytes: usage.bytes }).collect();
        let (writable, dir) = (!cache.is_read_only(), dir.display().to_string());
        return json_to(print, &Info { dir, layout: 1, writable, kinds, files: all.files, bytes: all.bytes });
    }
    print(&format!("{}{}", dir.display(), if cache.is_read_only() { " (cannot be written)" } else { "" }));
    for (kind, usage) in &usage {
        print(&format!("{kind:<12} {:>8} files {:>10}", usage.files, size(usage.bytes)));
    }
    print(&format!("{:<12} {:>8} files {:>10}", "all", all.files, size(all.bytes)));
    Ok(())
}

fn list(cache: &Cache, json: bool, name: Option<&str>, print: Print<'_>) -> Result<()> {
    let items = cache.items();
    let wanted = |item: &&Item| name.is_none_or(|name| item.name.contains(name));
    if json {
        let listed: Vec<Listed> = items
            .iter()
            .filter(wanted)
            .map(|item| Listed {
                kind: item.kind.clone(),
                name: item.name.clone(),
                path: item.path.display().to_string(),
                sha256: item.from.map(|digest| digest.to_string()),
                files: item.usage.files,
                bytes: item.usage.bytes,
                used: item.used,
            })
            .collect();
        return json_to(print, &listed);
    }
    let mut derived: BTreeMap<Sha256, Vec<&Item>> = BTreeMap::new();
    for item in items.iter().filter(|item| item.kind != "files") {
        if let Some(from) = item.from {
            derived.entry(from).or_default().push(item);
        }
    }
    let mut files: Vec<&Item> = items.iter().filter(|item| item.kind == "files").filter(wanted).collect();
    files.sort_by(|a, b| (&a.name, &a.path).cmp(&(&b.name, &b.path)));
    for file in files {
        let of_it = file.from.and_then(|digest| derived.get(&digest)).into_iter().flatten();
        let kinds: Vec<String> =
            of_it.map(|item| format!("{} {}", item.kind, size(item.usage.bytes))).collect();
        let kinds = if kinds.is_empty() { String::new() } else { format!("  + {}", kinds.join(", ")) };
        print(&format!("{:>10}  {}{kinds}", size(file.usage.bytes), file.name));
    }
    Ok(())
}

fn prune(cache: &Cache, args: &PruneArgs, env: &Env, print: Print<'_>) -> Result<()> {
    let PruneArgs { keep_locks, older_than, days, max_size, ci } = args;
    let keep_only = if keep_locks.is_empty() { None } else { Some(needs::needs(keep_locks, env)?) };
    let older_than = older_than.or(days.map(|days| Duration::from_hours(24) * days));
    let unasked = keep_only.is_none() && max_size.is_none() && !ci;
    let older_than = older_than.or(unasked.then_some(UNUSED_FOR));
    let freed = cache.prune(&Policy { ci: *ci, keep_only, older_than, max_size: *max_size })?;
    let files = count(usize::try_from(freed.files).unwrap_or(usize::MAX), "file");
    print(&format!("removed {files}, {}", size(freed.bytes)));
    Ok(())
}

fn verify(
    cache: &Cache,
    dir: &Path,
    locks: &[PathBuf],
    json: bool,
    env: &Env,
    print: Print<'_>,
) -> Result<bool> {
    let needs = if locks.is_empty() { None } else { Some(needs::needs(locks, env)?) };
    let mut items = cache.items();
    if let Some(needs) = &needs {
        items.retain(|item| item.from.is_some_and(|from| needs.contains(&from)));
    }
    let mut found = cache.verify(&items, &interrupt::check)?;
    found.damaged.extend(examine_unpacked(dir, &items)?);
    found.damaged.extend(examine_proofs(cache, &items)?);
    let there: HashSet<Sha256> =
        items.iter().filter(|item| item.kind == "files").filter_map(|item| item.from).collect();
    let missing = needs.map(|needs| needs.iter().filter(|digest| !there.contains(digest)).count());
    report(&found, missing, json, print)?;
    Ok(found.damaged.is_empty())
}

fn report(found: &Found, missing: Option<usize>, json: bool, print: Print<'_>) -> Result<()> {
    if json {
        return json_to(
            print,
            &Verified {
                files: found.right,
                bytes: found.bytes,
                damaged: found.damaged.iter().map(|path| path.display().to_string()).collect(),
                made_again: found.unproven,
                missing,
            },
        );
    }
    for path in &found.damaged {
        print(&format!("{} was damaged, and is gone", path.display()));
    }
    if found.unproven > 0 {
        let many = count(usize::try_from(found.unproven).unwrap_or(usize::MAX), "record");
        print(&format!("{many} that were not made here are gone: they will be made again"));
    }
    let files = count(usize::try_from(found.right).unwrap_or(usize::MAX), "file");
    print(&format!("{files}, {}: all as their digests say", size(found.bytes)));
    if let Some(missing) = missing {
        print(&format!("{} of the lock not here (files of other platforms count)", count(missing, "digest")));
    }
    Ok(())
}

/// Compares unpacked wheels with the RECORDs of their wheels, and removes those whose wheel is not here.
fn examine_unpacked(dir: &Path, items: &[Item]) -> Result<Vec<PathBuf>> {
    let doubting = Cache::open(dir, Options { trust: Trust::Nothing, ..Options::default() });
    let mut damaged = Vec::new();
    for item in items.iter().filter(|item| item.kind == "unpacked") {
        interrupt::check()?;
        let mtime = item.path.iter().nth(2).and_then(|time| time.to_str()?.parse().ok());
        let (Some(mtime), Some(wheel)) = (mtime, wheel_of(&doubting, item)) else {
            doubting.remove(item)?;
            continue;
        };
        damaged.extend(write::examine(&doubting.unpacked(mtime)?, &wheel)?);
    }
    Ok(damaged)
}

/// The wheel that something is derived from.
fn wheel_of(cache: &Cache, item: &Item) -> Option<Wheel> {
    let file = cache.file(&item.from?)?;
    let name = file.path().file_name()?.to_str()?.parse().ok()?;
    Some(Wheel::open(file, name, Strictness::Warn).ok()?.0)
}

/// Compares what is known of wheels with the wheels, and removes what is of one that is not here. Their files were digested
/// before.
fn examine_proofs(cache: &Cache, items: &[Item]) -> Result<Vec<PathBuf>> {
    let mut damaged = Vec::new();
    for item in items.iter().filter(|item| proof::is_proof(item)) {
        interrupt::check()?;
        let wheel = wheel_of(cache, item);
        if wheel.as_ref().is_some_and(|wheel| proof::examine(item, wheel, cache)) {
            continue;
        }
        cache.remove(item)?;
        // One of a wheel that is not here goes with it, and is no damage.
        if wheel.is_some() {
            damaged.push(cache.place_of(item));
        }
    }
    Ok(damaged)
}

fn key(projects: &[PathBuf], with: &[String], json: bool, env: &Env, print: Print<'_>) -> Result<()> {
    let here = [PathBuf::from(".")];
    let digest = needs::digest(if projects.is_empty() { &here } else { projects }, with, env)?;
    let prefix = format!("{CARRIED}-{}-{}-", std::env::consts::OS, std::env::consts::ARCH);
    let key = format!("{prefix}{}", &digest.to_string()[..16]);
    if json {
        return json_to(print, &Key { key, restore_keys: vec![prefix] });
    }
    print(&key);
    print(&prefix);
    Ok(())
}

/// Prints a value as indented JSON.
fn json_to(print: Print<'_>, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|e| Error::new(Kind::Io, "cannot write the result as JSON").because(e))?;
    print(&text);
    Ok(())
}
