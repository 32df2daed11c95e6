//! Scripts really run: by the kernel, dash, bash and BusyBox, from paths that need care, through links.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::symlink,
    },
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::support::executable::write_executable;
use proptest::prelude::*;
use tempfile::TempDir;
use venvoy::inside::{
    environment::script::{LauncherStyle, launcher, rewrite_script},
    packages::wheel::EntryPoint,
};

/// How a script is started: by its path (no words), or by a shell.
const SHELLS: [&[&str]; 4] = [&[], &["dash"], &["bash"], &["busybox", "sh"]];

const MODULE: &str = r#"
import json, os, sys
class app:
    @staticmethod
    def run():
        text = lambda s: list(os.fsencode(s))
        leaked = [key for key in os.environ if key.startswith("_venvoy")]
        json.dump([text(sys.executable), leaked, [text(arg) for arg in sys.argv]], sys.stdout)
        return 7
"#;

fn base_python() -> PathBuf {
    let out = Command::new("python3")
        .args(["-c", "import os, sys; print(os.path.realpath(sys.executable))"])
        .output()
        .expect("these tests need python3");
    PathBuf::from(String::from_utf8(out.stdout).expect("a path").trim_end())
}

/// A directory that holds an environment: `bin/python`, and `bin/demo` made for it.
struct Env {
    root: TempDir,
    at: PathBuf,
}

impl Env {
    fn new(name: &[u8], style: impl FnOnce(&Path) -> LauncherStyle) -> Env {
        let root = tempfile::tempdir().expect("a directory");
        // Links above (such as /tmp on macOS) would blur what is compared.
        let base = root.path().canonicalize().expect("it is there");
        let at = base.join(OsStr::from_bytes(name));
        fs::create_dir_all(at.join("bin")).expect("writable");
        fs::write(base.join("demo_main.py"), MODULE).expect("writable");
        symlink(base_python(), at.join("bin/python")).expect("writable");
        let entry = EntryPoint {
            name: "demo".parse().expect("a name"),
            module: "demo_main".into(),
            function: "app.run".into(),
            gui: false,
        };
        let env = Env { root, at };
        env.put("demo", &launcher(&entry, &style(&env.at)));
        env
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.at.join("bin").join(name);
        write_executable(&path, bytes);
        path
    }

    fn base(&self) -> PathBuf {
        self.root.path().canonicalize().expect("it is there")
    }

    fn command(&self, shell: &[&str], script: &Path) -> Command {
        let mut command = match shell {
            [] => Command::new(script),
            [program, words @ ..] => {
                let mut command = Command::new(program);
                command.args(words).arg(script);
                command
            }
        };
        command.env("PYTHONPATH", self.base()).env("PYTHONWARNINGS", "error").current_dir("/");
        command
    }
}

const ARGUMENTS: [&str; 5] = ["a b", "", "$HOME `id`", "line\nend\n", "-x'\"*"];

/// The interpreter beside the script ran it, with its name and arguments as they were.
#[track_caller]
fn assert_ran(env: &Env, output: &Output, argv0: &OsStr) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*stderr), (Some(7), ""), "{}", env.at.display());
    let (python, leaked, argv): (Vec<u8>, Vec<String>, Vec<Vec<u8>>) =
        serde_json::from_slice(&output.stdout).expect("what the module prints");
    let python = PathBuf::from(std::ffi::OsString::from_vec(python));
    assert_eq!(python.file_name(), Some(OsStr::new("python")));
    assert_eq!(
        python.parent().expect("bin").canonicalize().expect("there"),
        env.at.join("bin").canonicalize().expect("there")
    );
    assert_eq!(leaked, [""; 0]);
    let expected: Vec<&[u8]> =
        std::iter::once(argv0.as_bytes()).chain(ARGUMENTS.iter().map(|a| a.as_bytes())).collect();
    assert_eq!(argv, expected);
}

const NASTY: [&[u8]; 9] = [
    b"plain",
    b"with space and\ttab",
    b"it's \"quoted\" `id` $HOME ${x} $(id)",
    b"line\nend\n",
    "d\u{e9}j\u{e0} \u{1f40d}".as_bytes(),
    b"not utf-8 \xff\xc3",
    b"back\\slash \\n",
    b"-dash",
    b"*?[a]~#&;|<>(){}!%",
];

#[test]
fn a_relative_script_runs_from_any_path() {
    for name in NASTY {
        let env = Env::new(name, |_| LauncherStyle::Relative);
        let script = env.at.join("bin/demo");
        for shell in SHELLS {
            let output = env.command(shell, &script).args(ARGUMENTS).output().expect("the shell is needed");
            assert_ran(&env, &output, script.as_os_str());
        }
    }
}

#[test]
fn a_relative_script_runs_after_its_environment_moved() {
    let mut env = Env::new(b"before", |_| LauncherStyle::Relative);
    let moved = env.base().join("after it moved");
    fs::rename(&env.at, &moved).expect("movable");
    env.at = moved;
    let script = env.at.join("bin/demo");
    let output = env.command(&[], &script).args(ARGUMENTS).output().expect("sh");
    assert_ran(&env, &output, script.as_os_str());
}

#[test]
fn a_relative_script_runs_by_a_relative_path() {
    for name in NASTY {
        let env = Env::new(name, |_| LauncherStyle::Relative);
        for (dir, path, argv0) in [
            (env.at.clone(), "bin/demo", "bin/demo"),
            (env.at.clone(), "./bin/demo", "./bin/demo"),
            (env.at.join("bin"), "../bin/demo", "../bin/demo"),
        ] {
            for shell in &SHELLS[1..] {
                let output = env
                    .command(shell, Path::new(path))
                    .current_dir(&dir)
                    .args(ARGUMENTS)
                    .output()
                    .expect("sh");
                assert_ran(&env, &output, OsStr::new(argv0));
            }
        }
        // A name without a slash: the shell takes it from the current directory.
        for shell in &SHELLS[1..] {
            let output = env
                .command(shell, Path::new("demo"))
                .current_dir(env.at.join("bin"))
                .args(ARGUMENTS)
                .output()
                .expect("sh");
            assert_ran(&env, &output, OsStr::new("./demo"));
        }
    }
}

#[test]
fn a_relative_script_is_found_on_the_path() {
    let env = Env::new(b"on the path", |_| LauncherStyle::Relative);
    let path = std::env::var_os("PATH").expect("PATH");
    let with = |dir: &Path| {
        std::env::join_paths(std::iter::once(dir.to_owned()).chain(std::env::split_paths(&path)))
            .expect("PATH")
    };
    let script = env.at.join("bin/demo");
    for shell in &SHELLS[1..] {
        let output = env
            .command(shell, Path::new("-c"))
            .arg("demo \"$@\"")
            .arg("sh")
            .args(ARGUMENTS)
            .env("PATH", with(&env.at.join("bin")))
            .output()
            .expect("sh");
        assert_ran(&env, &output, script.as_os_str());
    }
    // bash searches PATH for a script it is given by name, and leaves $0 without a directory.
    let output = env
        .command(&["bash"], Path::new("demo"))
        .args(ARGUMENTS)
        .env("PATH", with(&env.at.join("bin")))
        .output()
        .expect("bash");
    assert_ran(&env, &output, script.as_os_str());
}

#[test]
fn a_relative_script_runs_through_links() {
    for name in NASTY {
        let env = Env::new(name, |_| LauncherStyle::Relative);
        let base = env.base();
        let elsewhere = base.join(OsStr::from_bytes(&[b"else ", name].concat()));
        fs::create_dir_all(&elsewhere).expect("writable");
        let relative = Path::new("..").join(env.at.file_name().expect("a name")).join("bin/demo");
        let nasty_name = elsewhere.join("li'nk $x \n\n");
        // absolute; relative; a chain of both; through a linked directory, where `..` is not what it seems
        symlink(env.at.join("bin/demo"), elsewhere.join("absolute")).expect("writable");
        symlink(&relative, &nasty_name).expect("writable");
        symlink(nasty_name.file_name().expect("a name"), elsewhere.join("second")).expect("writable");
        symlink(elsewhere.join("second"), base.join("third")).expect("writable");
        fs::create_dir_all(base.join("deep/er")).expect("writable");
        symlink(&elsewhere, base.join("deep/er/dir")).expect("writable");
        for link in [
            elsewhere.join("absolute"),
            nasty_name.clone(),
            elsewhere.join("second"),
            base.join("third"),
            base.join("deep/er/dir").join(nasty_name.file_name().expect("a name")),
        ] {
            for shell in SHELLS {
                let output = env.command(shell, &link).args(ARGUMENTS).output().expect("sh");
                assert_ran(&env, &output, link.as_os_str());
            }
        }
        let output = env
            .command(&["dash"], Path::new("third"))
            .current_dir(&base)
            .args(ARGUMENTS)
            .output()
            .expect("sh");
        assert_ran(&env, &output, OsStr::new("./third"));
    }
}

#[test]
fn a_relative_script_forks_nothing_where_no_link_is_in_the_way() {
    let env = Env::new(b"env", |_| LauncherStyle::Relative);
    fs::remove_file(env.at.join("bin/python")).expect("ours");
    env.put("python", b"#!/bin/sh\necho $PPID $$\n");
    let script = env.at.join("bin/demo");
    // Without PATH, nothing but the shell's own commands can have run; the process stays the same one.
    let child = env.command(&[], &script).env_remove("PATH").stdout(std::process::Stdio::piped()).spawn();
    let child = child.expect("sh");
    let expected = format!("{} {}\n", std::process::id(), child.id());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

#[test]
fn a_missing_interpreter_is_a_failure_with_its_path() {
    let env = Env::new(b"env", |_| LauncherStyle::Relative);
    fs::remove_file(env.at.join("bin/python")).expect("ours");
    for shell in SHELLS {
        let output = env.command(shell, &env.at.join("bin/demo")).output().expect("sh");
        assert!(matches!(output.status.code(), Some(126 | 127)), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("env/bin/python"), "{output:?}");
    }
}

#[test]
fn an_absolute_script_runs_from_any_path() {
    for (name, first_line) in [
        (&b"plain"[..], None),
        (b"with space and\ttab", Some("#!/bin/sh")),
        (b"it's $HOME", Some("#!/bin/sh")),
        (b"$HOME `id` ${x} \" $(id) x", Some("#!/bin/sh")),
        (&[b'l'; 120], Some("#!/bin/sh")),
        (b"line\nend\n", Some("#!/bin/sh")),
        (b"back\\slash\\", Some("#!/bin/sh")),
    ] {
        let env = Env::new(name, |at| LauncherStyle::Absolute(at.to_str().expect("UTF-8").into()));
        let script = env.at.join("bin/demo");
        let text = fs::read_to_string(&script).expect("there");
        let plain = format!("#!{}", env.at.join("bin/python").display());
        assert_eq!(text.lines().next(), Some(first_line.unwrap_or(&plain)));
        let output = env.command(&[], &script).args(ARGUMENTS).output().expect("sh");
        assert_ran(&env, &output, script.as_os_str());
    }
}

#[test]
fn an_absolute_first_line_is_as_long_as_every_kernel_reads() {
    let entry = EntryPoint {
        name: "x".parse().expect("a name"),
        module: "m".into(),
        function: "f".into(),
        gui: false,
    };
    let first_line = |len: usize| {
        let at = format!("/{}", "e".repeat(len - "#!/".len() - "/bin/python".len()));
        let text = String::from_utf8(launcher(&entry, &LauncherStyle::Absolute(at))).expect("UTF-8");
        text.lines().next().expect("a line").to_owned()
    };
    assert_eq!(first_line(127).len(), 127);
    assert_eq!(first_line(128), "#!/bin/sh");
}

/// Runs a rewritten script and gives what it prints.
fn rewritten(source: &[u8]) -> String {
    let env = Env::new(b"an env", |_| LauncherStyle::Relative);
    let text = rewrite_script(source, &LauncherStyle::Relative).expect("it begins with #!python");
    let output = env.command(&[], &env.put("script", &text)).output().expect("sh");
    assert!(output.status.success(), "{output:?}\n{}", String::from_utf8_lossy(&text));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn only_scripts_for_python_are_rewritten() {
    for source in
        [&b"#!/bin/sh\necho\n"[..], b"\x7fELF", b"", b"#!pyth", b"#! python\n", b"#!/usr/bin/python\n"]
    {
        assert_eq!(rewrite_script(source, &LauncherStyle::Relative), None);
    }
    let at = LauncherStyle::Absolute("/.venv".into());
    for first in ["#!python", "#!pythonw", "#!python3", "#!python -E"] {
        let source = format!("{first}\nprint(1)\r\n\u{e9}");
        let expected = "#!/.venv/bin/python\nprint(1)\r\n\u{e9}";
        assert_eq!(rewrite_script(source.as_bytes(), &at), Some(expected.into()));
    }
    assert_eq!(rewrite_script(b"#!python", &at), Some(b"#!/.venv/bin/python\n".to_vec()));
}

#[test]
fn a_rewritten_script_keeps_its_docstring_and_future_imports() {
    for (source, expected) in [
        ("print('plain')\n", "plain\n"),
        ("", ""),
        ("# comment\n\n'''Doc'''\nprint(__doc__)\n", "Doc\n"),
        ("\"one line\" # comment\nprint(__doc__)", "one line\n"),
        ("from __future__ import annotations\nprint(annotations.compiler_flag > 0)\n", "True\n"),
        (
            "'''Doc \\''' of\nlines'''\n# why\nfrom __future__ import annotations\n\
             from __future__ import (division, # a ( comment\n  print_function)\n\
             from __future__ import generators, \\\n  nested_scopes\nprint(__doc__)\n",
            "Doc ''' of\nlines\n",
        ),
        ("r\"\"\"Raw\\d\"\"\"\nfrom __future__ import annotations", ""),
        ("u'Doc'\nimport sys\nprint(__doc__)\n", "Doc\n"),
        ("'a' 'b'\nprint('two strings')\n", "two strings\n"),
        ("b'''bytes'''\nprint('bytes')\n", "bytes\n"),
        ("'''x'''.strip()\nprint('call')\n", "call\n"),
        ("''\nprint(repr(__doc__))\n", "''\n"),
        ("'''Doc'''\r\nfrom __future__ import annotations\r\nprint(__doc__)\r\n", "Doc\n"),
    ] {
        assert_eq!(rewritten(format!("#!python\n{source}").as_bytes()), expected, "{source}");
    }
}

#[test]
fn a_rewritten_script_keeps_its_encoding() {
    let printed = "print(ascii('\u{e9}'))\n";
    let latin = |source: &str| source.chars().map(|c| c as u8).collect::<Vec<u8>>();
    for cookie in
        ["# -*- coding: latin-1 -*-", "# vim: set fileencoding=latin-1 :", "# a coding style, coding=latin-1"]
    {
        assert_eq!(rewritten(&latin(&format!("#!python\n{cookie}\n{printed}"))), "'\\xe9'\n", "{cookie}");
    }
    assert_eq!(rewritten(format!("#!python\n# no declaration of coding\n{printed}").as_bytes()), "'\\xe9'\n");
}

proptest! {
    /// Whatever a script holds, rewriting it keeps every byte after the first line, but for a docstring
    /// that is moved or assigned.
    #[test]
    fn any_script_can_be_rewritten(source in "[#\"'ru\\\\\n =()a-f]{0,40}(from __future__ import [(]?a[)]?\n)?.{0,9}") {
        let script = format!("#!python\n{source}");
        let out = rewrite_script(script.as_bytes(), &LauncherStyle::Relative).expect("#!python");
        let text = String::from_utf8(out).expect("UTF-8 stays UTF-8");
        let count = |text: &str, c: char| text.chars().filter(|&x| x == c).count();
        let empty = rewrite_script(b"#!python\n", &LauncherStyle::Relative).expect("#!python");
        let head = String::from_utf8(empty).expect("UTF-8");
        for c in ['"', '\'', 'f', '(', 'b'] {
            prop_assert_eq!(count(&text, c), count(&head, c) + count(&source, c), "{}", c);
        }
    }
}
