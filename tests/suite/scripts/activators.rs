//! Every activator in its real shell: after a move, from another directory, in paths full of
//! metacharacters. A shell that is not installed fails its test: `tests/run` installs them.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use venvoy::inside::{
    environment::script::{Place, environment},
    project::python::{Description, Target},
};

/// Directory names that mean something to some shell. `PWNED` is what an expanded one would create.
const NAMES: [&str; 9] = [
    "plain",
    "two  spaces",
    "quo'te\"s",
    "$(touch PWNED)$HOME",
    "`touch PWNED`",
    "semi;touch PWNED&*?[a]",
    "excla!m!! per%cent %n",
    "back\\slash \\u \\n",
    "ünï-cödé",
];

/// A target whose interpreter is a program that runs whatever it is given.
fn target() -> Target {
    let python_home = Path::new("/usr/bin");
    let described = Description { python_version: "3.11.7", platform: "linux/amd64", python_home };
    Target { executable: "/usr/bin/env".into(), ..described.target().expect("a target") }
}

/// Writes the environment's own files to `dir`.
fn make(dir: &Path, place: &Place, prompt: Option<&str>) {
    let environment = environment(&target(), place, prompt).expect("environment");
    for file in environment.files {
        let path = dir.join(file.path.as_path());
        fs::create_dir_all(path.parent().expect("parent")).expect("directory");
        fs::write(&path, &file.bytes).expect("file");
    }
    for link in environment.links {
        symlink(&link.target, dir.join(link.path.as_path())).expect("link");
    }
}

/// A shell, how to run a script file in it, and the script. The script gets ENVDIR and prints
/// `KEY=value` lines, each ended by NUL.
struct Shell {
    program: &'static str,
    args: &'static [&'static str],
    script: &'static str,
}

const POSIX: &str = r#"
show() { printf '%s=%s\0' "$1" "$2"; }
set -eu
PATH_BEFORE=$PATH; PS1='before> '; PYTHONHOME=/nowhere; export PYTHONHOME
. "$ENVDIR/bin/activate"
show env "$VIRTUAL_ENV"; show name "$VIRTUAL_ENV_PROMPT"; show ps1 "$PS1"; show home "${PYTHONHOME-unset}"
show path "${PATH%:"$PATH_BEFORE"}"; show found "$(command -v python)"
. "$ENVDIR/bin/activate"
deactivate
show after "${VIRTUAL_ENV-unset}"; show ps1_after "$PS1"; show home_after "$PYTHONHOME"
if [ "$PATH" = "$PATH_BEFORE" ]; then show path_after same; else show path_after "$PATH"; fi
if command -v deactivate >/dev/null; then show gone no; else show gone yes; fi
( . "$ENVDIR/bin/activate"; show subshell "$VIRTUAL_ENV" )
"#;

const FISH: &str = r#"
function show; printf '%s=%s\0' $argv[1] "$argv[2]"; end
set -g before "$PATH"; set -gx PYTHONHOME /nowhere
function fish_prompt; echo -n 'before> '; end
source "$ENVDIR/bin/activate.fish"
show env "$VIRTUAL_ENV"; show name "$VIRTUAL_ENV_PROMPT"; show ps1 (fish_prompt | string collect)
show home (set -q PYTHONHOME; and echo $PYTHONHOME; or echo unset)
show path "$PATH[1]"; show found (command -s python | string collect)
source "$ENVDIR/bin/activate.fish"
deactivate
show after (set -q VIRTUAL_ENV; and echo $VIRTUAL_ENV; or echo unset)
show ps1_after (fish_prompt | string collect); show home_after "$PYTHONHOME"
if test "$PATH" = "$before"; show path_after same; else; show path_after "$PATH"; end
if functions -q deactivate; show gone no; else; show gone yes; end
"#;

const CSH: &str = r#"
set prompt = 'before> '
set before = "$PATH:q"
setenv PYTHONHOME /nowhere
source "$ENVDIR:q/bin/activate.csh"
printf 'env=%s\0name=%s\0ps1=%s\0path=%s\0' "$VIRTUAL_ENV:q" "$VIRTUAL_ENV_PROMPT:q" "$prompt:q" "`printenv PATH | cut -d: -f1`"
printf 'found=%s\0' "`sh -c 'command -v python'`"
if ( $?PYTHONHOME ) then
  printf 'home=set\0'
else
  printf 'home=unset\0'
endif
source "$ENVDIR:q/bin/activate.csh"
deactivate
if ( $?VIRTUAL_ENV ) then
  printf 'after=set\0'
else
  printf 'after=unset\0'
endif
printf 'ps1_after=%s\0home_after=%s\0' "$prompt:q" "$PYTHONHOME:q"
if ( "$PATH:q" == "$before:q" ) printf 'path_after=same\0'
if ( "`alias deactivate`" == "" ) printf 'gone=yes\0'
"#;

fn shells() -> Vec<Shell> {
    vec![
        Shell { program: "sh", args: &[], script: POSIX },
        Shell { program: "dash", args: &[], script: POSIX },
        Shell { program: "bash", args: &["--norc"], script: POSIX },
        Shell { program: "bash", args: &["--norc", "--posix"], script: POSIX },
        Shell { program: "zsh", args: &["-f"], script: POSIX },
        Shell { program: "busybox", args: &["ash"], script: POSIX },
        Shell { program: "fish", args: &["--no-config"], script: FISH },
        Shell { program: "tcsh", args: &["-f"], script: CSH },
    ]
}

fn run(shell: &Shell, env: &Path, cwd: &Path) -> BTreeMap<String, String> {
    let script = cwd.with_file_name("script");
    fs::write(&script, shell.script).expect("script");
    let output = Command::new(shell.program)
        .args(shell.args)
        .arg(&script)
        .current_dir(cwd)
        .env("ENVDIR", env)
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", cwd.with_file_name("home"))
        .env("LC_ALL", "C.UTF-8")
        .env_remove("VIRTUAL_ENV")
        .env_remove("PYTHONHOME")
        .output()
        .unwrap_or_else(|e| panic!("{} must be installed: {e}", shell.program));
    let text = String::from_utf8_lossy(&output.stdout);
    let got: BTreeMap<String, String> = text
        .split('\0')
        .filter_map(|part| part.split_once('='))
        .map(|(key, value)| (key.trim_start().to_owned(), value.to_owned()))
        .collect();
    assert!(
        output.status.success() && got.contains_key("env"),
        "{} {}: {}\n{text}\n{}",
        shell.program,
        env.display(),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    got
}

/// What a prompt shows of a name: everything that could mean something is a `_`.
fn inert(shell: &Shell, name: &str) -> String {
    let keep = |c: char| c.is_ascii_alphanumeric() || "._ +@:,/=-".contains(c);
    match shell.program {
        // fish does not expand what a prompt function prints.
        "fish" => name.to_owned(),
        // These work on bytes; so does `tr`.
        "dash" | "sh" | "busybox" | "tcsh" => {
            name.bytes().map(|b| if keep(char::from(b)) { char::from(b) } else { '_' }).collect()
        }
        _ => name.chars().map(|c| if keep(c) { c } else { '_' }).collect(),
    }
}

fn check(shell: &Shell, env: &Path, prompt: Option<&str>, cwd: &Path) {
    let got = run(shell, env, cwd);
    let path = env.to_str().expect("UTF-8");
    let name = prompt.unwrap_or_else(|| env.file_name().and_then(OsStr::to_str).expect("name"));
    let mut expected: BTreeMap<&str, String> = [
        ("env", path),
        ("name", name),
        ("home", "unset"),
        ("after", "unset"),
        ("ps1_after", "before> "),
        ("home_after", "/nowhere"),
        ("path_after", "same"),
        ("gone", "yes"),
    ]
    .map(|(key, value)| (key, value.to_owned()))
    .into();
    expected.insert("ps1", format!("({}) before> ", inert(shell, name)));
    expected.insert("path", format!("{path}/bin"));
    expected.insert("found", format!("{path}/bin/python"));
    if shell.script == POSIX {
        expected.insert("subshell", path.to_owned());
    }
    let got: BTreeMap<&str, String> = got.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    assert_eq!(got, expected, "{} {:?}", shell.program, shell.args);
    assert_eq!(fs::read_dir(cwd).expect("list").count(), 0, "{}: something was executed", shell.program);
}

fn scratch() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("directory");
    let cwd = dir.path().canonicalize().expect("path").join("elsewhere");
    fs::create_dir(&cwd).expect("directory");
    (dir, cwd)
}

#[test]
fn activators_find_a_moved_environment_whatever_its_path() {
    for name in NAMES {
        let (_dir, cwd) = scratch();
        let made = cwd.with_file_name("made");
        make(&made, &Place::Relative, None);
        let env = cwd.with_file_name(name);
        fs::rename(&made, &env).expect("move");
        for shell in shells() {
            check(&shell, &env, None, &cwd);
        }
    }
}

#[test]
fn activators_for_a_given_place_name_it_exactly() {
    for name in NAMES {
        let (_dir, cwd) = scratch();
        let env = cwd.with_file_name(name);
        make(&env, &Place::At(env.clone()), None);
        for shell in shells() {
            check(&shell, &env, None, &cwd);
        }
    }
}

#[test]
fn a_prompt_is_shown_and_never_executed() {
    for prompt in NAMES {
        let (_dir, cwd) = scratch();
        let env = cwd.with_file_name("env");
        make(&env, &Place::Relative, Some(prompt));
        for shell in shells() {
            check(&shell, &env, Some(prompt), &cwd);
        }
    }
}

#[test]
fn posix_activators_survive_line_breaks_in_the_path() {
    for name in ["line\nbreak", "break at the end\n"] {
        let (_dir, cwd) = scratch();
        let env = cwd.with_file_name(name);
        make(&env, &Place::Relative, None);
        for shell in shells().iter().filter(|shell| shell.script == POSIX) {
            let got = run(shell, &env, &cwd);
            assert_eq!(got["env"], env.to_str().expect("UTF-8"), "{}", shell.program);
            assert_eq!(got["subshell"], env.to_str().expect("UTF-8"), "{}", shell.program);
        }
    }
}

#[test]
fn nothing_names_the_place_an_environment_was_made_at() {
    let environment = environment(&target(), &Place::Relative, None).expect("environment");
    let cwd = std::env::current_dir().expect("directory");
    for file in environment.files {
        let text = String::from_utf8(file.bytes).expect("UTF-8");
        assert!(!text.contains(cwd.to_str().expect("UTF-8")), "{}", file.path);
        assert!(!text.contains("@LOCATE@") && !text.contains("@PROMPT@"), "{}", file.path);
    }
}

#[test]
fn activate_this_makes_packages_and_scripts_found() {
    let (_dir, cwd) = scratch();
    let env = cwd.with_file_name("quo'te\"s $HOME");
    make(&env, &Place::Relative, Some("a\\b'c\"ü"));
    let site = env.join("lib/python3.11/site-packages");
    fs::create_dir_all(&site).expect("directory");
    fs::write(site.join("probe_module.py"), "where = __file__\n").expect("module");
    let code = "import sys, runpy, os; runpy.run_path(sys.argv[1]); import probe_module\n\
                print(os.environ['VIRTUAL_ENV']); print(os.environ['VIRTUAL_ENV_PROMPT'])\n\
                print(sys.prefix); print(os.environ['PATH'].split(os.pathsep)[0])\n\
                assert sys.path[0].endswith('site-packages'), sys.path";
    let output = Command::new("python3")
        .args(["-c", code])
        .arg(env.join("bin/activate_this.py"))
        .env("PYTHONUTF8", "1")
        .output()
        .expect("python3 must be installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let path = env.to_str().expect("UTF-8");
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{path}\na\\b'c\"ü\n{path}\n{path}/bin\n"));
}

#[test]
fn an_activator_without_its_environment_says_so_and_changes_nothing() {
    let (_dir, cwd) = scratch();
    let env = cwd.with_file_name("env");
    make(&env, &Place::Relative, None);
    fs::remove_file(env.join("pyvenv.cfg")).expect("removed");
    for shell in ["dash", "bash", "zsh"] {
        let output = Command::new(shell)
            .args(["-c", ". \"$ENVDIR/bin/activate\"; echo status $? env \"${VIRTUAL_ENV-unset}\""])
            .env("ENVDIR", &env)
            .env_remove("VIRTUAL_ENV")
            .output()
            .expect("shell must be installed");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "status 1 env unset\n", "{shell}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("pyvenv.cfg is missing"), "{shell}");
    }
}

#[test]
fn an_interactive_dash_bash_and_zsh_show_a_hostile_name_and_do_not_run_it() {
    for name in NAMES {
        let (_dir, cwd) = scratch();
        let env = cwd.with_file_name(name);
        make(&env, &Place::Relative, None);
        for (shell, args) in
            [("dash", &["-i"][..]), ("bash", &["--norc", "-i"]), ("zsh", &["-f", "-i", "-o", "PROMPT_SUBST"])]
        {
            let script = cwd.with_file_name("input");
            fs::write(&script, ". \"$ENVDIR/bin/activate\"\ntrue\ndeactivate\nexit 0\n").expect("input");
            let output = Command::new(shell)
                .args(args)
                .current_dir(&cwd)
                .env("ENVDIR", &env)
                .env("HOME", cwd.with_file_name("home"))
                .env("HISTFILE", "/dev/null")
                .stdin(fs::File::open(&script).expect("input"))
                .output()
                .expect("shell must be installed");
            assert!(output.status.success(), "{shell} {name:?}: {}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(fs::read_dir(&cwd).expect("list").count(), 0, "{shell} {name:?} executed something");
        }
    }
}

#[test]
fn nushell_uses_the_activator_as_an_overlay() {
    // Nushell is in no Debian release: tests/run takes it from npm.
    let nu = std::env::var_os("VENVOY_TEST_NU").unwrap_or_else(|| "nu".into());
    for name in NAMES {
        for place in [None, Some(())] {
            let (_dir, cwd) = scratch();
            let env = cwd.with_file_name(name);
            let place = place.map_or(Place::Relative, |()| Place::At(env.clone()));
            make(&env, &place, Some(name));
            let activator = env.join("bin/activate.nu");
            let quoted = serde_json::to_string(activator.to_str().expect("UTF-8")).expect("quoted");
            let script = cwd.with_file_name("script.nu");
            fs::write(
                &script,
                format!(
                    "overlay use {quoted}\nprint $env.VIRTUAL_ENV\nprint $env.VIRTUAL_ENV_PROMPT\n\
                     print ($env.PATH | first)\nprint (do $env.PROMPT_COMMAND)\nprint (which python | get 0.path)\n\
                     deactivate\nprint ($env.VIRTUAL_ENV? | default unset)\n"
                ),
            )
            .expect("script");
            let output = Command::new(&nu)
                .args(["--no-config-file"])
                .arg(&script)
                .current_dir(&cwd)
                .env("HOME", cwd.with_file_name("home"))
                .env_remove("VIRTUAL_ENV")
                .output()
                .unwrap_or_else(|e| panic!("nu must be installed, or VENVOY_TEST_NU name it: {e}"));
            let path = env.to_str().expect("UTF-8");
            let text = String::from_utf8_lossy(&output.stdout);
            let lines: Vec<&str> = text.lines().collect();
            assert!(output.status.success(), "{name:?}: {}", String::from_utf8_lossy(&output.stderr));
            let bin = format!("{path}/bin");
            assert_eq!(lines[..3], [path, name, &bin]);
            assert!(lines[3].starts_with(&format!("({name}) ")), "{}", lines[3]);
            assert_eq!(lines[4..], [format!("{path}/bin/python").as_str(), "unset"]);
        }
    }
}

#[test]
fn powershell_cannot_be_left_through_any_of_its_quotes() {
    let place = Place::At(PathBuf::from("/a'b\u{2019}$(x)`n"));
    let environment = environment(&target(), &place, Some("it's \u{201b}$env:X")).expect("environment");
    let file = environment.files.iter().find(|file| file.path.as_str() == "bin/Activate.ps1").expect("file");
    let text = String::from_utf8_lossy(&file.bytes);
    assert!(text.contains("$_venvoyEnv = '/a''b\u{2019}\u{2019}$(x)`n'\n"), "{text}");
    assert!(text.contains("$_venvoyName = 'it''s \u{201b}\u{201b}$env:X'\n"), "{text}");
}

#[test]
fn a_place_or_an_interpreter_that_cannot_be_written_down_is_refused() {
    let relative = environment(&target(), &Place::At(PathBuf::from("env")), None).expect_err("relative");
    assert!(relative.report().contains("env: not an absolute path\n  help: "), "{}", relative.report());
    let broken = Target { home: PathBuf::from("/usr\nhome = /evil"), ..target() };
    let broken = environment(&broken, &Place::Relative, None).expect_err("line break");
    assert!(broken.report().contains("has a line break\n  help: "), "{}", broken.report());
}

#[test]
fn the_links_of_an_environment_lead_to_the_base_interpreter() {
    let environment = environment(&target(), &Place::Relative, Some("two\nlines")).expect("environment");
    let links: Vec<(&str, &str)> =
        environment.links.iter().map(|link| (link.path.as_str(), link.target.as_str())).collect();
    assert_eq!(
        links,
        [
            ("bin/python", "/usr/bin/env"),
            ("bin/python3", "python"),
            ("bin/python3.11", "python"),
            ("lib64", "lib")
        ]
    );
    let config = environment.files.iter().find(|file| file.path.as_str() == "pyvenv.cfg").expect("config");
    assert_eq!(
        String::from_utf8_lossy(&config.bytes),
        "home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11.7\nprompt = two lines\n"
    );
    assert_eq!(fs::metadata("/usr/bin/env").expect("env").permissions().mode() & 0o111, 0o111);
}
