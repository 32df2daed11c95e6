use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};

use super::*;
use crate::words::error::Kind;
use tempfile::TempDir;

const NAME: &str = "demo-1.0-py3-none-any.whl";

fn scratch() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

fn open(root: &Path) -> Cache {
    Cache::open(root, Options::default()).expect("a cache")
}

fn store(cache: &Cache, bytes: &[u8]) -> VerifiedFile {
    let mut pending = cache.begin(NAME).expect("a pending file");
    pending.write_all(bytes).expect("written");
    pending.commit(&[Sha256::of(bytes)]).expect("a verified file")
}

/// Every file below a directory, locks left out.
fn files_below(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else if path.file_name().is_some_and(|name| name != "CACHEDIR.TAG") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn make_old(path: &Path) {
    let then = SystemTime::now() - Duration::from_hours(48);
    let times = fs::FileTimes::new().set_accessed(then).set_modified(then);
    File::open(path).and_then(|file| file.set_times(times)).expect("times");
}

#[test]
fn what_was_stored_is_found_by_its_digest_under_its_name() {
    let root = scratch();
    let stored = store(&open(root.path()), b"wheel");
    let found = open(root.path()).file(&Sha256::of(b"wheel")).expect("a file");
    assert_eq!(found, stored);
    assert_eq!(found.size(), 5);
    assert_eq!(found.path().file_name().and_then(|name| name.to_str()), Some(NAME));
    assert_eq!(fs::read(found.path()).expect("bytes"), b"wheel");
    assert_eq!(open(root.path()).file(&Sha256::of(b"other")), None);
}

#[test]
fn wrong_bytes_are_refused_and_removed() {
    let root = scratch();
    let cache = open(root.path());
    let mut pending = cache.begin(NAME).expect("a pending file");
    pending.write_all(b"evil").expect("written");
    let error = pending.commit(&[Sha256::of(b"good")]).expect_err("a mismatch");
    assert_eq!(error.kind(), Kind::Integrity);
    assert_eq!(
        error.report(),
        "demo-1.0-py3-none-any.whl is not the file that was locked\n  \
         got sha256:EVIL (4 bytes)\n  \
         expected sha256:GOOD\n  \
         help: nothing of it was kept; if the file was uploaded again on purpose, lock again, otherwise \
         find out who changed it"
            .replace("EVIL", &Sha256::of(b"evil").to_string())
            .replace("GOOD", &Sha256::of(b"good").to_string())
    );
    assert_eq!(files_below(root.path()), Vec::<PathBuf>::new());
}

#[test]
fn without_a_digest_to_match_nothing_is_published() {
    let root = scratch();
    let pending = open(root.path()).begin(NAME).expect("a pending file");
    let error = pending.commit(&[]).expect_err("a mismatch");
    assert!(error.report().contains("expected none: nothing pins this file"), "{}", error.report());
}

#[test]
fn a_file_name_cannot_lead_out_of_the_cache() {
    let root = scratch();
    for name in ["", ".", "..", "../demo.whl", "/demo.whl", "a/b", "a\0b"] {
        let error = open(root.path()).begin(name).err().expect("refused");
        assert_eq!(error.report(), format!("unsafe file name {name:?}: expected a single path component"));
    }
}

#[test]
fn a_truncated_file_counts_as_absent_and_is_replaced() {
    let root = scratch();
    let cache = open(root.path());
    let stored = store(&cache, b"wheel");
    File::options().write(true).open(stored.path()).and_then(|file| file.set_len(2)).expect("truncated");
    assert_eq!(cache.file(&stored.sha256()), None);
    assert_eq!(store(&cache, b"wheel"), stored);
    assert_eq!(fs::read(stored.path()).expect("bytes"), b"wheel");
    assert_eq!(cache.file(&stored.sha256()), Some(stored));
}

#[test]
fn a_link_in_the_place_of_a_file_is_not_followed() {
    let root = scratch();
    let cache = open(root.path());
    let stored = store(&cache, b"wheel");
    let elsewhere = root.path().join("elsewhere");
    fs::rename(stored.path(), &elsewhere).expect("moved");
    std::os::unix::fs::symlink(&elsewhere, stored.path()).expect("a link");
    assert_eq!(cache.file(&stored.sha256()), None);
}

#[test]
fn a_download_that_starts_over_is_digested_from_the_start() {
    let root = scratch();
    let cache = open(root.path());
    let mut pending = cache.begin(NAME).expect("a pending file");
    pending.write_all(b"a longer beginning").expect("written");
    assert_eq!(pending.len(), 18);
    pending.reset().expect("reset");
    assert!(pending.is_empty());
    pending.write_all(b"whe").expect("written");
    pending.write_all(b"el").expect("written");
    assert_eq!(pending.sha256(), Sha256::of(b"wheel"));
    let file = pending.commit(&[Sha256::of(b"x"), Sha256::of(b"wheel")]).expect("a file");
    assert_eq!(fs::read(file.path()).expect("bytes"), b"wheel");
}

#[test]
fn a_local_file_is_copied_so_that_later_changes_do_not_reach_the_cache() {
    let root = scratch();
    let cache = open(&root.path().join("cache"));
    let original = root.path().join(NAME);
    fs::write(&original, "wheel").expect("a file");
    assert_eq!(digest_of(&original).expect("a digest"), Sha256::of(b"wheel"));
    let adopted = cache.adopt(&original, &[Sha256::of(b"wheel")]).expect("a file");
    fs::write(&original, "evil!").expect("changed");
    assert_eq!(fs::read(adopted.path()).expect("bytes"), b"wheel");
    let error = cache.adopt(&original, &[Sha256::of(b"wheel")]).expect_err("a mismatch");
    assert!(
        error.report().starts_with(&format!("cannot use {}\n  because: {NAME} is not", original.display()))
    );
    assert_eq!(cache.adopt_unpinned(&original).expect("a file").sha256(), Sha256::of(b"evil!"));
    let missing = cache.adopt(&root.path().join("none.whl"), &[]).expect_err("no file");
    assert_eq!(missing.kind(), Kind::Io);
}

#[test]
fn many_threads_that_want_one_file_bring_it_once() {
    let root = scratch();
    let (brought, start) = (AtomicUsize::new(0), Barrier::new(8));
    // Each with a cache of its own, as processes have.
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let cache = open(root.path());
                start.wait();
                let file = cache.file_or(&Sha256::of(b"wheel"), NAME, |pending| {
                    brought.fetch_add(1, Ordering::SeqCst);
                    thread::sleep(Duration::from_millis(20));
                    pending.write_all(b"wheel").expect("written");
                    Ok(())
                });
                assert_eq!(file.expect("a file").size(), 5);
            });
        }
    });
    assert_eq!(brought.into_inner(), 1);
    assert_eq!(files_below(root.path()).len(), 1, "locks and temporary files are gone");
}

#[test]
fn a_failed_download_leaves_the_turn_to_the_next() {
    let root = scratch();
    let cache = open(root.path());
    let digest = Sha256::of(b"wheel");
    let failed = cache.file_or(&digest, NAME, |_| Err(Error::new(Kind::Network, "gone")));
    assert_eq!(failed.expect_err("an error").report(), "gone");
    let file = cache.file_or(&digest, NAME, |pending| {
        pending.write_all(b"wheel").map_err(|error| Error::io("cannot write", pending.path(), error))
    });
    assert_eq!(file.expect("a file").sha256(), digest);
}

/// Run again as a child by the tests below; does nothing unless told to.
#[test]
fn child() {
    let Ok(root) = std::env::var("VENVOY_TEST_CACHE") else { return };
    let cache = open(Path::new(&root));
    let _sole = cache.lock(&Sha256::of(b"wheel"));
    let mut pending = cache.begin(NAME).expect("a pending file");
    pending.write_all(b"half a whe").expect("written");
    println!("at work");
    // Until killed, or until the parent goes away.
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[test]
fn a_killed_process_leaves_no_lock_and_nothing_to_trust() {
    use std::io::{BufRead as _, BufReader};
    let root = scratch();
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "packages::cache::tests::child", "--nocapture"])
        .env("VENVOY_TEST_CACHE", root.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    assert!(lines.any(|line| line.expect("a line").contains("at work")));

    let parts = |root: &Path| fs::read_dir(root.join("v1/tmp")).expect("tmp").count();
    make_old(&files_below(&root.path().join("v1/tmp"))[0]);
    let cache = open(root.path());
    assert_eq!(parts(root.path()), 1, "what someone is at work on is not swept, however old");

    child.kill().expect("killed");
    child.wait().expect("gone");
    let file = cache.file_or(&Sha256::of(b"wheel"), NAME, |pending| {
        pending.write_all(b"wheel").expect("written");
        Ok(())
    });
    assert_eq!(fs::read(file.expect("a file").path()).expect("bytes"), b"wheel");
    assert_eq!(parts(root.path()), 1);
    drop(open(root.path()));
    assert_eq!(parts(root.path()), 0, "what nobody is at work on is swept once it is old");
}

#[test]
fn what_is_new_in_the_temporary_directory_is_not_swept() {
    let root = scratch();
    open(root.path());
    let left = root.path().join("v1/tmp/part-x");
    fs::write(&left, "x").expect("a file");
    open(root.path());
    assert!(left.exists());
    make_old(&left);
    open(root.path());
    assert!(!left.exists());
}

#[test]
fn a_cache_that_cannot_be_written_is_read_and_new_files_are_kept_for_the_run() {
    let root = scratch();
    let old = store(&open(root.path()), b"old");
    let before = files_below(root.path());
    let cache = Cache::open(root.path(), Options { read_only: true }).expect("a cache");
    assert_eq!(
        cache.warning(),
        Some(format!(
            "the cache {} cannot be written: it is read, but what is downloaded now will not be kept; set \
             VENVOY_CACHE_DIR to a directory that can be written",
            root.path().display()
        ))
    );
    assert_eq!(cache.file(&old.sha256()), Some(old));
    let new = store(&cache, b"new");
    assert_eq!(cache.file(&new.sha256()), Some(new.clone()));
    assert_eq!(files_below(root.path()), before);
    drop(cache);
    assert!(!new.path().exists());
}

#[test]
#[cfg(target_os = "linux")]
fn a_place_where_even_root_may_not_write_is_a_read_only_cache() {
    let cache = open(Path::new("/sys/venvoy-cache"));
    assert!(cache.is_read_only());
    assert_eq!(store(&cache, b"new").size(), 3);
    assert_eq!(open(scratch().path()).warning(), None);
}

#[test]
fn a_cache_directory_that_is_a_file_is_an_error_that_says_what_to_set() {
    let root = scratch();
    let file = root.path().join("file");
    fs::write(&file, "").expect("a file");
    let error = Cache::open(&file, Options::default()).expect_err("no directory");
    assert_eq!(error.kind(), Kind::Io);
    assert_eq!(
        error.report(),
        format!(
            "cannot make the cache directory {}\n  because: Not a directory (os error 20)\n  \
             help: name another directory with VENVOY_CACHE_DIR",
            file.join("v1/tmp").display()
        )
    );
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error_of_the_writer() {
    // /dev/full stands for the file system: every write to it fails with ENOSPC.
    let root = scratch();
    let cache = open(root.path());
    let kept = store(&cache, b"old");
    let mut pending = cache.begin(NAME).expect("a pending file");
    pending.redirect(File::options().write(true).open("/dev/full").expect("/dev/full"));
    let error = pending.write_all(b"wheel").expect_err("no space");
    let error = Error::io("cannot write", pending.path(), error);
    assert!(error.report().contains("free some space"), "{}", error.report());
    drop(pending);
    assert_eq!(cache.file(&kept.sha256()), Some(kept));
    assert_eq!(files_below(root.path()).len(), 1);
}

#[test]
fn derived_files_and_directories_are_published_whole() {
    let root = scratch();
    let cache = open(root.path());
    let key = Sha256::of(b"source");
    let place = cache.keyed("built", &key);
    assert_eq!((place.read(), place.existing()), (None, None));
    place.publish(b"one").expect("published");
    place.publish(b"two").expect("published again");
    assert_eq!(place.read().as_deref(), Some(&b"two"[..]));
    assert_eq!(cache.keyed("probes", &key).read(), None);

    let place = cache.keyed("checkouts", &key);
    let (first, second) =
        (place.begin_directory().expect("a directory"), place.begin_directory().expect("another"));
    for (dir, text) in [(&first, "first"), (&second, "second")] {
        fs::write(dir.path().join("file"), text).expect("a file");
    }
    assert_eq!(place.existing(), None);
    let path = first.commit().expect("published");
    assert_eq!(place.existing(), Some(path.clone()));
    assert_eq!(second.commit().expect("the first stays"), path);
    assert_eq!(fs::read(path.join("file")).expect("bytes"), b"first");
    drop(place.begin_directory().expect("one that is given up"));
    assert_eq!(files_below(&root.path().join("v1/tmp")), Vec::<PathBuf>::new());
    assert_eq!(fs::read_dir(root.path().join("v1/tmp")).expect("tmp").count(), 0);
}

#[test]
fn size_clear_and_prune_know_what_is_there() {
    let root = scratch();
    let cache = open(root.path());
    let (old, new) = (store(&cache, b"old"), store(&cache, b"newer"));
    cache.keyed("built", &Sha256::of(b"key")).publish(b"{}").expect("published");
    assert_eq!(cache.size()["files"], Usage { files: 2, bytes: 8 });
    assert_eq!(cache.size()["built"], Usage { files: 1, bytes: 2 });
    make_old(old.path());
    assert_eq!(cache.prune(Duration::from_hours(24)), Usage { files: 1, bytes: 3 });
    assert_eq!((cache.file(&old.sha256()), cache.file(&new.sha256())), (None, Some(new.clone())));
    cache.forget(&new.sha256()).expect("forgotten");
    cache.forget(&new.sha256()).expect("nothing to forget is fine");
    assert_eq!(cache.file(&new.sha256()), None);

    let mut pending = cache.begin(NAME).expect("a pending file");
    pending.write_all(b"wheel").expect("written");
    cache.clear().expect("cleared");
    assert!(cache.size().is_empty());
    pending.commit(&[Sha256::of(b"wheel")]).expect("who was at work goes on");
    assert!(cache.file(&Sha256::of(b"wheel")).is_some());
}
