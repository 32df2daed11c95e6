//! Programs that a test runs and must succeed.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Where the tests' interpreter and programs are: nothing of the user's own.
pub const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A program of `tests/tools.txt`, which `tests/run` installs.
pub fn tool(name: &str) -> PathBuf {
    let tools = std::env::var_os("VENVOY_TEST_TOOLS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/bin"), PathBuf::from);
    let program = tools.join(name);
    assert!(program.exists(), "{} is not there: tests/run installs it", program.display());
    program
}

/// A program without the user's environment.
pub fn clean(program: &Path) -> Command {
    let mut command = Command::new(program);
    // Bytecode would change what the tests compare.
    command
        .env_clear()
        .env("PATH", PATH)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir("/")
        .stdin(Stdio::null());
    command
}

/// What a program prints; it must succeed.
#[track_caller]
pub fn script(program: &Path) -> String {
    prints(&mut clean(program))
}

/// What an environment's interpreter prints for a program.
#[track_caller]
pub fn script_in(venv: &Path, program: &str) -> String {
    prints(clean(&venv.join("bin/python")).args(["-I", "-c", program]))
}

/// What the machine's python3 prints for a program.
#[track_caller]
pub fn script_of_python(program: &str) -> String {
    prints(Command::new("python3").env("PATH", PATH).args(["-I", "-c", program]))
}

#[track_caller]
fn prints(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8").trim_end().to_owned()
}

/// Runs a program to its end and gives what it printed; `package` is what to install where it is missing.
#[track_caller]
pub fn run(command: &mut Command, package: &str) -> Vec<u8> {
    let output = command.output().unwrap_or_else(|error| panic!("{error}; install {package}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
