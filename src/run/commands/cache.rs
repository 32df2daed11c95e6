//! `cache`: where it is, what it takes, and making it smaller.

use std::{path::Path, time::Duration};

use crate::{
    packages::cache::{Cache, Options, Policy},
    words::{args::CacheAction, error::Result},
};

/// Runs a `cache` command; `print` takes the lines of its result.
pub fn cache(action: CacheAction, dir: &Path, print: &mut dyn FnMut(&str)) -> Result<()> {
    if matches!(action, CacheAction::Dir) {
        print(&dir.display().to_string());
        return Ok(());
    }
    if !dir.exists() {
        print(&format!("{} does not exist: nothing is cached", dir.display()));
        return Ok(());
    }
    let cache = Cache::open(dir, Options::default());
    let size = crate::words::vocab::size;
    match action {
        CacheAction::Dir => {}
        CacheAction::Size => {
            let usage = cache.usage();
            for (kind, usage) in &usage {
                print(&format!("{kind:<12} {:>8} files {:>10}", usage.files, size(usage.bytes)));
            }
            let bytes = usage.values().map(|usage| usage.bytes).sum();
            print(&format!(
                "{:<12} {:>8} files {:>10}",
                "all",
                usage.values().map(|usage| usage.files).sum::<u64>(),
                size(bytes)
            ));
        }
        CacheAction::Prune { days } => {
            let age = Duration::from_secs(u64::from(days) * 24 * 60 * 60);
            let freed = cache.prune(&Policy { older_than: Some(age), ..Policy::default() })?;
            print(&format!("removed {} files, {}", freed.files, size(freed.bytes)));
        }
        CacheAction::Clear => {
            print(&format!("removed {}", size(cache.clear()?.bytes)));
        }
    }
    Ok(())
}
