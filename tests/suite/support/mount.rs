//! Small file systems in memory, for disks that are full or cannot be written, and places that one process alone sees.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::process::started_by;

/// A mounted tmpfs, unmounted when dropped.
pub struct Mount(PathBuf);

impl Mount {
    /// Mounts one at a directory (made if need be). Mounting is root's privilege: without it (and without a sudo that
    /// asks nothing) there is no full disk to be had, and the test that wants one says so and ends.
    pub fn tmpfs(at: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(at).expect("a directory");
        // As a user's own directory is.
        let (user, group) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let options = format!("size={size},mode=0755,uid={user},gid={group}");
        let done = as_root("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).output();
        match done {
            Ok(output) if output.status.success() => Some(Mount(at.to_owned())),
            other => {
                assert!(std::env::var_os("CI").is_none(), "no file system can be mounted here: {other:?}");
                eprintln!("skipped: no file system can be mounted here: {other:?}");
                None
            }
        }
    }

    /// Mounts a file system whose files can share blocks (`xfs`, `btrfs`), in a file elsewhere.
    pub fn cloning(kind: &str, at: &Path, image: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).expect("a directory");
        // No smaller one can be made; it is sparse.
        std::fs::File::create(image).and_then(|file| file.set_len(320 << 20)).expect("a file");
        let made = as_root(&format!("mkfs.{kind}")).arg("-q").arg(image).output();
        let mounted = || as_root("mount").args(["-o", "loop"]).arg(image).arg(at).output();
        match made.and_then(|made| if made.status.success() { mounted() } else { Ok(made) }) {
            Ok(output) if output.status.success() => Some(Mount(at.to_owned())),
            other => {
                eprintln!("skipped: no {kind} can be made and mounted here: {other:?}");
                None
            }
        }
    }

    /// Mounts an overlay at a directory whose contents become its lower layer, as those of an image are for a container;
    /// what changes goes to `upper`, an empty directory elsewhere.
    pub fn overlay(at: &Path, upper: &Path) -> Option<Self> {
        let (changes, work) = (upper.join("upper"), upper.join("work"));
        for dir in [&changes, &work] {
            std::fs::create_dir_all(dir).expect("a directory");
        }
        let options = format!(
            "lowerdir={},upperdir={},workdir={},redirect_dir=off",
            at.display(),
            changes.display(),
            work.display()
        );
        let done = as_root("mount").args(["-t", "overlay", "-o", &options, "overlay"]).arg(at).output();
        match done {
            Ok(output) if output.status.success() => Some(Mount(at.to_owned())),
            other => {
                assert!(std::env::var_os("CI").is_none(), "no overlay can be mounted here: {other:?}");
                eprintln!("skipped: no overlay can be mounted here: {other:?}");
                None
            }
        }
    }

    /// Mounts it anew with other options, such as `ro` or another size.
    pub fn change(&self, options: &str) {
        let options = format!("remount,{options}");
        let done = as_root("mount").args(["-o", &options]).arg(&self.0).status().expect("mount runs");
        assert!(done.success(), "{options}");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = as_root("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// The command run where `script` has mounted something for it alone; in the script, `$0` is `source`. Without the
/// privilege there is no such place, and the test that wants one says so and ends.
pub fn with_mounts(script: &str, source: &Path, command: &Command) -> Option<Command> {
    let wrapped = || {
        let mut wrapped = Command::new("unshare");
        wrapped.args(["--mount", "sh", "-c", &format!("{script} && exec \"$@\"")]).arg(source);
        wrapped
    };
    through(&wrapped, command)
}

/// The command run where there is no network at all, not even a loopback. Without the privilege there is no such place,
/// and the test that wants one says so and ends.
pub fn without_network(command: &Command) -> Option<Command> {
    let wrapped = || {
        let mut wrapped = Command::new("unshare");
        wrapped.arg("--net");
        wrapped
    };
    through(&wrapped, command)
}

/// The command as `wrapped` starts its program, where that can start anything at all.
fn through(wrapped: &dyn Fn() -> Command, command: &Command) -> Option<Command> {
    let possible = wrapped().arg("true").output();
    if !possible.as_ref().is_ok_and(|output| output.status.success()) {
        assert!(std::env::var_os("CI").is_none(), "no namespace of one's own can be had here: {possible:?}");
        eprintln!("skipped: no namespace of one's own can be had here: {possible:?}");
        return None;
    }
    Some(started_by(wrapped(), command))
}

fn as_root(program: &str) -> Command {
    if rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.arg("-n").arg(program);
    command
}
