use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};

use super::{
    scratch::{files_below, open, scratch},
    *,
};
use crate::words::error::Kind;
use tempfile::TempDir;

const NAME: &str = "demo-1.0-py3-none-any.whl";

fn store(cache: &Cache, bytes: &[u8]) -> VerifiedFile {
    let mut pending = cache.begin(NAME).expect("a pending file");
    pending.write_all(bytes).expect("written");
    pending.commit(&[Sha256::of(bytes)]).expect("a verified file")
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
        let error = open(root.path()).begin(name).expect_err("refused");
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
        pending.write_all(b"wheel").map_err(|error| Error::io("cannot write", &pending.path(), error))
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
    let cache = Cache::open(root.path(), Options { read_only: true, ..Options::default() });
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
fn a_cache_directory_that_is_a_file_is_done_without() {
    let root = scratch();
    let file = root.path().join("file");
    fs::write(&file, "").expect("a file");
    let cache = open(&file);
    assert_eq!(
        cache.warning().expect("a warning"),
        format!(
            "the cache {} cannot be used (File exists (os error 17)): what is downloaded now will not be kept; set \
             VENVOY_CACHE_DIR to a directory that can be written",
            file.display()
        )
    );
    assert_eq!(store(&cache, b"new").size(), 3);
    assert_eq!(fs::read(&file).expect("the file"), b"");
}

#[test]
#[cfg(target_os = "linux")]
fn where_the_cache_is_full_the_run_goes_on_with_what_it_has() {
    // /dev/full stands for the file system: every write to it fails with ENOSPC.
    let root = scratch();
    let cache = open(root.path());
    let kept = store(&cache, b"old");
    let mut pending = cache.begin(NAME).expect("a pending file");
    pending.redirect(File::options().read(true).write(true).open("/dev/full").expect("/dev/full"));
    pending.write_all(b"wheel").expect("written elsewhere");
    let stored = pending.commit(&[Sha256::of(b"wheel")]).expect("a file");
    assert!(!stored.path().starts_with(root.path()), "{}", stored.path().display());
    assert_eq!(
        cache.notes(),
        [format!(
            "there is no room left for the cache {}: what is downloaded now will not be kept",
            root.path().display()
        )]
    );
    assert!(cache.is_read_only());
    assert_eq!(cache.file(&stored.sha256()), Some(stored));
    assert_eq!(cache.file(&kept.sha256()), Some(kept));
    assert_eq!(files_below(root.path()).len(), 1);
}

#[test]
#[cfg(target_os = "linux")]
fn all_that_find_the_cache_full_at_once_go_on_elsewhere() {
    let root = scratch();
    let cache = open(root.path());
    let full = || File::options().read(true).write(true).open("/dev/full").expect("/dev/full");
    let mut begun = ["one", "two"].map(|name| cache.begin(name).expect("a pending file"));
    for pending in &mut begun {
        pending.redirect(full());
        pending.write_all(b"wheel").expect("written elsewhere");
    }
    for pending in begun {
        let stored = pending.commit(&[Sha256::of(b"wheel")]).expect("a file");
        assert!(!stored.path().starts_with(root.path()), "{}", stored.path().display());
    }
    // Another finds out between the place of a record and its bytes.
    let key = Sha256::of(b"key");
    let record = cache.keyed("selections", &key);
    let (home, mut temporary) = cache.temporary_file().expect("a temporary file");
    *temporary.file() = full();
    let failed = record.publish_at(&home, temporary, b"text").expect_err("there is no room");
    assert!(pending::cannot_stay(&failed.1) && !cache.can_spill_from(&home), "{failed:?}");
    assert!(cache.can_spill_from(&cache.0.roots[0]));
    record.publish(b"text").expect("published elsewhere");
    assert_eq!(cache.notes().len(), 1);
}

#[test]
fn derived_files_and_directories_are_published_whole() {
    let root = scratch();
    let cache = open(root.path());
    let key = Sha256::of(b"source");
    let place = cache.derived("bytecode", &key, &key);
    assert_eq!(place.read(), None);
    place.publish(b"one").expect("published");
    place.publish(b"two").expect("published again");
    assert_eq!(place.read().as_deref(), Some(&b"two"[..]));
    assert_eq!(cache.keyed("bytecode", &Sha256::of(b"other")).read(), None);

    let place = cache.derived("trees", &key, &key);
    let (first, second) =
        (place.begin_directory().expect("a directory"), place.begin_directory().expect("another"));
    for (dir, text) in [(&first, "first"), (&second, "second")] {
        fs::write(dir.dir().path().join("file"), text).expect("a file");
    }
    assert!(place.kept_dir().is_none());
    place.commit(first).expect("published");
    place.commit(second).expect("the first stays");
    let kept = place.kept_dir().expect("a directory");
    assert_eq!(fs::read(kept.path().join("file")).expect("bytes"), b"first");
    drop(place.begin_directory().expect("one that is given up"));
    assert_eq!(fs::read_dir(root.path().join("v1/tmp")).expect("tmp").count(), 0);
}

/// Puts other bytes of the same length in the place of a file, its time unchanged.
fn exchange(path: &Path, bytes: &[u8]) {
    let time = fs::metadata(path).and_then(|metadata| metadata.modified()).expect("a time");
    fs::remove_file(path).expect("removed");
    fs::write(path, bytes).expect("written");
    File::open(path).and_then(|file| file.set_modified(time)).expect("the old time");
}

#[test]
fn a_file_exchanged_for_another_of_the_same_size_and_time_is_not_taken() {
    let root = scratch();
    let stored = store(&open(root.path()), b"wheel");
    exchange(stored.path(), b"evil!");
    let cache = open(root.path());
    assert_eq!(cache.has(&stored.sha256()), Some(5));
    assert_eq!(cache.file(&stored.sha256()), None);
    assert_eq!(cache.notes(), [format!("{} is damaged: it is fetched again", stored.path().display())]);
    assert_eq!(cache.has(&stored.sha256()), None);
}

#[test]
fn a_file_written_to_in_place_is_not_taken_though_its_time_was_set_back() {
    let root = scratch();
    let stored = store(&open(root.path()), b"wheel");
    let file = File::options().write(true).open(stored.path()).expect("the file");
    let time = file.metadata().and_then(|metadata| metadata.modified()).expect("a time");
    (&file).write_all(b"evil!").expect("written");
    file.set_modified(time).expect("the old time");
    assert_eq!(open(root.path()).file(&stored.sha256()), None);
}

#[test]
fn a_file_that_is_exchanged_while_it_is_used_is_not_read() {
    let root = scratch();
    let stored = store(&open(root.path()), b"wheel");
    assert!(stored.open().is_ok());
    exchange(stored.path(), b"wheel");
    assert!(stored.open().is_ok(), "the same bytes, published anew");
    exchange(stored.path(), b"evil!");
    let error = stored.open().expect_err("another file");
    assert_eq!(error.kind(), Kind::Integrity);
    assert_eq!(
        error.report(),
        format!(
            "{} was changed while it was used\n  got sha256:{} (5 bytes)\n  expected sha256:{} (5 bytes)\n  \
             help: find out who writes to the cache, and run the same command again",
            stored.path().display(),
            Sha256::of(b"evil!"),
            Sha256::of(b"wheel")
        )
    );
}

/// A copy of a cache as a CI job restores one: other files with the same bytes and times.
fn restored(from: &Path) -> TempDir {
    let to = scratch();
    let copied = Command::new("cp").arg("-a").arg(from.join(".")).arg(to.path()).status().expect("cp runs");
    assert!(copied.success());
    to
}

#[test]
fn a_restored_cache_serves_what_is_pinned_and_nothing_that_could_not_be_checked() {
    let root = scratch();
    let cache = open(root.path());
    let key = Sha256::of(b"key");
    let stored = store(&cache, b"wheel");
    cache.derived("bytecode", &stored.sha256(), &key).publish(b"code").expect("published");
    cache.keyed("interpreters", &key).publish(b"answer").expect("published");
    let own = |cache: &Cache| {
        let bytecode = cache.derived("bytecode", &stored.sha256(), &key).read_own();
        (bytecode.is_some(), cache.keyed("interpreters", &key).read_own().is_some())
    };
    assert_eq!(own(&open(root.path())), (true, true));
    let copy = restored(root.path());
    let cache = open(copy.path());
    assert_eq!(own(&cache), (false, false));
    assert_eq!(cache.file(&stored.sha256()).expect("a file").sha256(), Sha256::of(b"wheel"));
    assert_eq!(cache.notes(), Vec::<String>::new());
}

#[test]
fn a_ledger_of_someone_else_or_another_place_says_nothing() {
    let root = scratch();
    let stored = store(&open(root.path()), b"wheel");
    let user = rustix::process::geteuid().as_raw();
    let ledger = root.path().join(format!("v1/verified/{user}/files"));
    let knows = || {
        let digest = stored.sha256().to_string();
        let identity = Identity::of(&fs::metadata(stored.path()).expect("a file"));
        open(root.path()).ledger("files").knows(&digest, &identity)
    };
    assert!(knows());
    let text = fs::read(&ledger).expect("a ledger");
    let spoil: [(&str, &dyn Fn()); 5] = [
        ("copied", &|| exchange(&ledger, &text)),
        ("writable by others", &|| {
            fs::set_permissions(&ledger, fs::Permissions::from_mode(0o666)).expect("a mode");
        }),
        ("a link", &|| {
            let elsewhere = root.path().join("elsewhere");
            fs::rename(&ledger, &elsewhere).expect("moved");
            std::os::unix::fs::symlink(&elsewhere, &ledger).expect("a link");
        }),
        ("a FIFO", &|| {
            fs::remove_file(&ledger).expect("removed");
            assert!(Command::new("mkfifo").arg(&ledger).status().expect("mkfifo runs").success());
        }),
        ("damaged", &|| fs::write(&ledger, [0xff, 0xfe, 0, 10]).expect("written")),
    ];
    for (how, spoil) in spoil {
        spoil();
        assert!(!knows(), "{how}");
        assert!(open(root.path()).file(&stored.sha256()).is_some(), "{how}");
        assert!(knows(), "{how}: it is begun anew");
    }
}

#[test]
fn a_cache_of_links_leads_nowhere() {
    let root = scratch();
    let outside = root.path().join("outside");
    for dir in ["a/b", "files", "locks", "tmp", "bytecode"] {
        fs::create_dir_all(outside.join(dir)).expect("a directory");
    }
    fs::write(outside.join("precious"), "keep").expect("a file");
    make_old(&outside.join("precious"));
    let before = files_below(&outside);
    let key = Sha256::of(b"wheel");
    for link in
        ["v1", "v1/files", "v1/tmp", "v1/locks", "v1/bytecode", "v1/unpacked", "v1/verified", "v1/logs"]
    {
        let place = root.path().join("cache");
        let at = place.join(link);
        fs::create_dir_all(at.parent().expect("a parent")).expect("a directory");
        std::os::unix::fs::symlink(&outside, &at).expect("a link");
        std::os::unix::fs::symlink(outside.join("tag"), place.join("CACHEDIR.TAG")).expect("a link");
        let cache = open(&place);
        let stored = store(&cache, b"wheel");
        assert_eq!(cache.file(&stored.sha256()), Some(stored));
        drop(cache.lock(&key));
        cache.derived("bytecode", &key, &key).publish(b"code").expect("published");
        cache.logs_dir().expect("logs");
        cache.unpacked(0).and_then(|store| store.begin(key)?.commit().map(drop)).expect("unpacked");
        let age = Policy { older_than: Some(Duration::ZERO), ..Policy::default() };
        std::os::unix::fs::symlink(&outside, place.join("v1/files/ab")).expect("a link");
        std::os::unix::fs::symlink(&outside, place.join("v1/odd")).expect("a link");
        cache.prune(&age).expect("pruned");
        cache.clear().expect("cleared");
        assert_eq!(files_below(&outside), before, "{link}");
        assert_eq!(fs::read_dir(&outside).expect("a directory").count(), 6, "{link}");
        fs::remove_dir_all(&place).expect("removed");
    }
}

#[test]
fn fifos_in_the_place_of_everything_stop_nobody() {
    let root = scratch();
    let cache = open(root.path());
    let key = Sha256::of(b"key");
    let stored = store(&cache, b"wheel");
    cache.keyed("interpreters", &key).publish(b"answer").expect("published");
    let lock = root.path().join(format!("v1/locks/{key}.lock"));
    for path in files_below(root.path()).into_iter().chain([lock, root.path().join("v1/tmp/part-x")]) {
        let _ = fs::remove_file(&path);
        assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo runs").success());
    }
    let cache = open(root.path());
    assert_eq!(cache.file(&stored.sha256()), None);
    assert_eq!(cache.keyed("interpreters", &key).read(), None);
    drop(cache.lock(&key));
    assert_eq!(store(&cache, b"wheel").size(), 5);
}

#[test]
fn what_is_published_or_linked_anew_while_it_is_digested_is_no_damage() {
    let root = scratch();
    let cache = open(root.path());
    let bytes = vec![7; 64 << 10];
    let digest = store(&cache, &bytes).sha256();
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            while done.load(Ordering::Relaxed) == 0 {
                // Where there are no locks, several bring the same file.
                let stored = store(&cache, &bytes);
                let link = root.path().join("link");
                fs::hard_link(stored.path(), &link).and_then(|()| fs::remove_file(&link)).expect("linked");
                assert_eq!(fs::read(stored.path()).expect("it stays"), bytes);
                thread::sleep(Duration::from_millis(3));
            }
        });
        let read = || {
            // Each of these has verified nothing yet.
            let doubting = Cache::open(root.path(), Options { trust: Trust::Nothing, ..Options::default() });
            doubting.file(&digest).is_some() && doubting.notes().is_empty()
        };
        let found = (0..300).filter(|_| read()).count();
        done.store(1, Ordering::Relaxed);
        assert_eq!(found, 300);
    });
}

#[test]
fn usage_clear_and_prune_know_what_is_there() {
    let root = scratch();
    let cache = open(root.path());
    let (old, new) = (store(&cache, b"old"), store(&cache, b"newer"));
    cache.derived("bytecode", &old.sha256(), &Sha256::of(b"key")).publish(b"{}").expect("published");
    assert_eq!(cache.usage()["files"], Usage { files: 2, bytes: 8 });
    assert_eq!(cache.usage()["bytecode"], Usage { files: 1, bytes: 2 });
    make_old(old.path());
    make_old(old.path().parent().expect("a directory"));
    let policy = Policy { older_than: Some(Duration::from_hours(24)), ..Policy::default() };
    assert_eq!(
        cache.prune(&policy).expect("pruned"),
        Usage { files: 2, bytes: 5 },
        "bytecode goes with its wheel"
    );
    assert_eq!((cache.file(&old.sha256()), cache.file(&new.sha256())), (None, Some(new.clone())));
    cache.forget(&new.sha256()).expect("forgotten");
    cache.forget(&new.sha256()).expect("nothing to forget is fine");
    assert_eq!(cache.file(&new.sha256()), None);

    let mut pending = cache.begin(NAME).expect("a pending file");
    pending.write_all(b"wheel").expect("written");
    cache.clear().expect("cleared");
    assert!(cache.usage().is_empty());
    pending.commit(&[Sha256::of(b"wheel")]).expect("who was at work goes on");
    assert!(cache.file(&Sha256::of(b"wheel")).is_some());
}

#[test]
fn what_was_not_used_for_longest_goes_first() {
    let root = scratch();
    let cache = open(root.path());
    let files: Vec<_> = [b"first", b"other", b"third"].iter().map(|bytes| store(&cache, *bytes)).collect();
    for file in [&files[1], &files[2]] {
        make_old(file.path());
        make_old(file.path().parent().expect("a directory"));
    }
    // Using it is enough to keep it, whatever the file system knows about times of access.
    assert!(open(root.path()).file(&files[2].sha256()).is_some());
    let policy = Policy { max_size: Some(10), ..Policy::default() };
    assert_eq!(cache.prune(&policy).expect("pruned"), Usage { files: 1, bytes: 5 });
    let left: Vec<bool> = files.iter().map(|file| cache.has(&file.sha256()).is_some()).collect();
    assert_eq!(left, [true, false, true]);
}

#[test]
fn only_what_the_locks_need_is_kept_with_what_is_derived_from_it() {
    let root = scratch();
    let cache = open(root.path());
    let (kept, gone, source) = (store(&cache, b"kept"), store(&cache, b"gone"), store(&cache, b"source"));
    let key = Sha256::of(b"key");
    for file in [&kept, &gone] {
        cache.derived("bytecode", &file.sha256(), &key).publish(b"code").expect("published");
        cache.derived("selections", &file.sha256(), &key).publish(b"[]").expect("published");
    }
    let wheel = root.path().join("built-1.0-py3-none-any.whl");
    fs::write(&wheel, "built").expect("a wheel");
    let built = cache.keep_built(&key, &source.sha256(), &wheel, "about".into()).expect("kept");
    cache.keyed("interpreters", &key).publish(b"answer").expect("published");
    let keep_only = Some([kept.sha256(), source.sha256()].into());
    let freed = cache.prune(&Policy { keep_only, ..Policy::default() }).expect("pruned");
    assert_eq!(freed, Usage { files: 3, bytes: 10 });
    let cache = open(root.path());
    assert_eq!(cache.file(&gone.sha256()), None);
    assert!(cache.file(&kept.sha256()).is_some());
    assert!(cache.derived("bytecode", &kept.sha256(), &key).read_own().is_some());
    assert!(cache.keyed("interpreters", &key).read_own().is_some());
    let (found, about) = cache.built(&key).expect("a built wheel");
    assert_eq!((found.sha256(), about), (built.sha256(), "about".into()));
    cache.prune(&Policy { keep_only: Some([kept.sha256()].into()), ..Policy::default() }).expect("pruned");
    assert!(open(root.path()).built(&key).is_none());
}

#[test]
fn a_read_only_cache_serves_built_wheels_and_one_exchanged_here_is_not_taken() {
    let root = scratch();
    let (key, from) = (Sha256::of(b"key"), Sha256::of(b"source"));
    let wheel = root.path().join("built-1.0-py3-none-any.whl");
    fs::write(&wheel, "built").expect("a wheel");
    let place = root.path().join("cache");
    let kept = open(&place).keep_built(&key, &from, &wheel, "about".into()).expect("kept");
    let read_only = Cache::open(&place, Options { read_only: true, ..Options::default() });
    assert_eq!(read_only.built(&key), Some((kept.clone(), "about".into())));
    // It came with the user's own cache.
    let copy = restored(&place);
    assert_eq!(open(copy.path()).built(&key).expect("a wheel").0.sha256(), kept.sha256());
    // Another record in the place of the one that was made here.
    let path = files_below(&place).into_iter().find(|path| path.starts_with(place.join("v1/built")));
    let path = path.expect("a record");
    let record = fs::read(&path).expect("a record");
    exchange(&path, &record);
    assert_eq!(open(&place).built(&key), None);
}

#[test]
fn what_is_cheaper_to_make_than_to_carry_goes_for_ci() {
    let root = scratch();
    let cache = open(root.path());
    let stored = store(&cache, b"wheel");
    let key = Sha256::of(b"key");
    cache.derived("bytecode", &stored.sha256(), &key).publish(b"code").expect("published");
    cache.derived("selections", &stored.sha256(), &key).publish(b"[]").expect("published");
    cache.keyed("interpreters", &key).publish(b"answer").expect("published");
    cache.unpacked(0).and_then(|store| store.begin(stored.sha256())?.commit().map(drop)).expect("unpacked");
    cache.prune(&Policy { ci: true, ..Policy::default() }).expect("pruned");
    let left: Vec<String> = open(root.path()).items().into_iter().map(|item| item.kind).collect();
    assert_eq!(left, ["files", "selections"]);
}
