//! Programs that a test writes and runs.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

/// Writes an executable file, making the directories above it.
///
/// Another process writes it: a handle of this one may live on in what another test's thread has just
/// forked, and then the kernel refuses to run the file ("Text file busy").
pub fn write_executable(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
    let mut writer = Command::new("sh")
        .args(["-c", "cat >\"$1\" && chmod 755 \"$1\"", "sh"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .expect("sh runs");
    writer.stdin.take().expect("a pipe").write_all(bytes).expect("written");
    assert!(writer.wait().expect("it ends").success(), "{}", path.display());
}
