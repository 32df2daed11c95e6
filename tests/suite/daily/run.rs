//! `run`: a command or script in the environment. What pipenv's own tests (`test_run`) say of `pipenv run` is said here
//! of `venvoy run`.

use std::{fs, os::unix::process::ExitStatusExt as _, process::Stdio};

use super::{prints, with_demo};
use crate::support::{
    executable::write_executable,
    lock::Lock,
    package::{Package, greeter},
    process::started_by,
    project::Project,
};

fn demo() -> Package {
    Package::simple("demo", "1.0")
}

/// A project whose environment has `demo`, with this `[scripts]` table.
fn project(scripts: &str) -> Project {
    let project = with_demo();
    project.write("project/Pipfile", format!("[packages]\n[scripts]\n{scripts}"));
    project
}

#[test]
fn a_command_of_the_environment_runs_in_it() {
    let project = project("");
    prints(&project.run(&["run", "demo"]), "demo 1.0\n");
    prints(&project.run(&["run", "--", "demo"]), "demo 1.0\n");
    let code =
        "import sys, os; print(sys.prefix); print(os.environ['VIRTUAL_ENV'], os.environ['PIPENV_ACTIVE'])";
    prints(&project.run(&["run", "python", "-c", code]), "{root}/project/.venv\n{root}/project/.venv 1\n");
    let dir = project.run(&["run", "printenv", "PIPENV_PROJECT_DIR"]);
    prints(&dir, "{root}/project\n");
}

#[test]
fn it_runs_where_it_is_called_and_finds_the_project_above() {
    let project = project("");
    fs::create_dir_all(project.path("project/a/b")).expect("made");
    let mut command = project.command(&["run", "sh", "-c", "pwd; command -v demo"]);
    prints(
        &project.finish(command.current_dir(project.path("project/a/b"))),
        "{root}/project/a/b\n{root}/project/.venv/bin/demo\n",
    );
}

#[test]
fn env_is_loaded_over_the_environment() {
    let project = project("hello = 'echo $HELLO_VAR'");
    project.write("project/.env", "HELLO_VAR=WORLD\nTWICE=${HELLO_VAR}${OUTER:-none}\nOUTER=inner\n");
    prints(&project.run(&["run", "printenv", "HELLO_VAR", "TWICE"]), "WORLD\nWORLDnone\n");
    prints(&project.run(&["run", "hello"]), "WORLD\n");
    let mut command = project.command(&["run", "printenv", "OUTER", "TWICE"]);
    prints(&project.finish(command.env("OUTER", "outer")), "inner\nWORLDouter\n");
    let mut command = project.command(&["run", "printenv", "OUTER"]);
    prints(&project.finish(command.env("OUTER", "outer").env("PIPENV_DONT_LOAD_ENV", "1")), "outer\n");
}

#[test]
fn scripts_come_before_commands_and_take_arguments() {
    let project = project(
        r#"
printfoo = "python -c \"print('foo')\""
appendscript = "printf '%s|' arg1"
multicommand = "sh -c \"cd / && pwd\""
demo = "echo a script"
"#,
    );
    prints(&project.run(&["run", "printfoo"]), "foo\n");
    prints(&project.run(&["run", "appendscript", "a b", "-v", "--", "$HOME"]), "arg1|a b|-v|--|{root}/home|");
    prints(&project.run(&["run", "multicommand"]), "/\n");
    prints(&project.run(&["run", "demo"]), "a script\n");
}

#[test]
fn a_call_runs_a_function_of_the_project() {
    let project = project(
        "pkgfunc = {call = 'pkg.mod:test_func'}\nargfunc = {call = \"pkg.mod:arg_func('abc', 123)\"}",
    );
    project.write(
        "project/pkg/mod.py",
        "def test_func():\n    print('success')\n\ndef arg_func(s, i):\n    print(f'{s.upper()}. Easy as {i}')\n",
    );
    prints(&project.run(&["run", "pkgfunc"]), "success\n");
    prints(&project.run(&["run", "argfunc"]), "ABC. Easy as 123\n");
}

#[test]
fn a_list_of_commands_runs_until_one_fails() {
    let project = project(
        "good = ['echo a', 'X=1 printenv X', \"printf '%s|' b\"]\nbad = ['echo a', \"sh -c 'exit 3'\", 'echo never']\n\
         first = ['Y=2 printenv Y', 'echo then']\nkilled = [\"sh -c 'kill -9 $$'\", 'echo never']\n",
    );
    prints(&project.run(&["run", "good", "more"]), "a\n1\nb|more|");
    project.run(&["run", "bad"]).ends(3, &[]);
    prints(&project.run(&["run", "first"]), "2\nthen\n");
    project.run(&["run", "killed"]).ends(137, &[]);
}

#[test]
fn variables_before_a_command_are_set_for_it() {
    let project = project("spaces = \"GREET='hello world' printenv GREET\"");
    prints(&project.run(&["run", "A=foo", "B=bar", "sh", "-c", "echo \"$0$1\"", "$A", "$B"]), "foobar\n");
    prints(&project.run(&["run", "spaces"]), "hello world\n");
    project.run(&["run", "A=foo"]).ends(
        2,
        &[
            "error: A=... sets a variable for a command, and none follows",
            "  help: write the command after it: venvoy run NAME=value COMMAND",
        ],
    );
}

#[test]
fn what_only_a_shell_has_runs_in_one() {
    let project = project("");
    prints(&project.run(&["run", "cd", "/tmp"]), "");
    prints(&project.run(&["run", "type", "cd"]), "cd is a shell builtin\n");
    prints(&project.run(&["run", "echo", "Hello World"]), "Hello World\n");
}

#[test]
fn a_command_that_is_not_there_ends_as_in_a_shell() {
    let project = project("notfoundscript = 'randomthingtotally'");
    for name in ["notfoundscript", "randomthingtotally"] {
        let run = project.run(&["run", name]);
        run.ends(
            127,
            &[
                "error: randomthingtotally: not found in {root}/project/.venv/bin nor elsewhere on PATH",
                "  help: `venvoy scripts` lists the Pipfile's scripts; `venvoy plan` what is installed",
            ],
        );
        assert_eq!(run.stdout, "");
    }
    project.run(&["run", "./nothing"]).ends(127, &["error: ./nothing: not found"]);
    project.write("project/plain", "text");
    project.run(&["run", "./plain"]).ends(
        126,
        &[
            "error: ./plain is not executable",
            "  help: run it with its interpreter (`venvoy run python ./plain`), or chmod +x it",
        ],
    );
    project.run(&["run", "./.venv"]).ends(126, &["error: ./.venv is a directory, expected a program"]);
    write_executable(&project.path("project/gone"), b"#!/nowhere/python\n");
    project.run(&["run", "./gone"]).fails(
        126,
        &["error: cannot run ./gone", "  help: its first line (#!) names an interpreter that is not here; `venvoy sync` writes scripts anew"],
    );
}

#[test]
fn a_script_of_usr_bin_env_finds_the_environments_python() {
    let project = project("");
    let text = "#!/usr/bin/env python\nimport sys, os\nprint(sys.prefix)\nprint(os.getenv('VIRTUAL_ENV'))\n";
    write_executable(&project.path("project/test_script"), text.as_bytes());
    let venv = project.run(&["--venv"]).stdout;
    let run = project.run(&["run", "./test_script"]);
    run.says(&[]);
    assert_eq!(run.stdout, format!("{venv}{venv}"));
}

#[test]
fn options_before_the_command_are_venvoys_and_after_it_the_commands() {
    let project = project("hello = 'echo hello'");
    prints(&project.run(&["run", "--quiet", "hello"]), "hello\n");
    prints(&project.run(&["run", "hello", "--quiet", "-v", "--help"]), "hello --quiet -v --help\n");
    let verbose = project.run(&["run", "-v", "hello", "a b"]);
    verbose.says(&["$ /usr/bin/echo hello 'a b'"]);
    project.run(&["run"]).mentions(&["COMMAND"]).ends_with(2);
    project
        .run(&["run", "--frobnicate", "hello"])
        .mentions(&["unexpected argument '--frobnicate'"])
        .ends_with(2);
}

#[test]
fn signals_exit_codes_and_streams_are_the_commands() {
    let project = project("");
    project.run(&["run", "sh", "-c", "exit 42"]).ends(42, &[]);
    let run = project.run(&["run", "sh", "-c", "echo out; echo err >&2"]);
    run.says(&["err"]);
    assert_eq!(run.stdout, "out\n");
    // It is the same process: what ends it is seen as it is, and nothing stands between.
    let mut child = project
        .command(&["run", "sh", "-c", "echo $$; exec sleep 60"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().expect("piped")), &mut line)
        .expect("read");
    assert_eq!(line.trim(), child.id().to_string());
    child.kill().expect("killed");
    assert_eq!(child.wait().expect("ended").signal(), Some(9));
}

/// Python would not see the end of a pipe as other programs do if SIGPIPE stayed ignored; the limit on open files
/// that venvoy raises for itself is not the command's.
#[test]
fn the_command_finds_signals_and_limits_as_venvoy_found_them() {
    let project = project("");
    let code = "import resource, signal; print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])";
    let script = "ulimit -S -n 333; exec \"$@\"";
    let mut sh = std::process::Command::new("sh");
    sh.args(["-c", script, "sh"]);
    let run = project.command(&["run", "python", "-c", code]);
    prints(&project.finish(&mut started_by(sh, &run)), "333\n");
    let ignored = ["-c", "yes | head -1; grep SigIgn /proc/self/status"];
    let bare = std::process::Command::new("sh").args(ignored).output().expect("sh").stdout;
    prints(&project.run(&[&["run", "sh"], &ignored[..]].concat()), &String::from_utf8(bare).expect("UTF-8"));
}

/// A list's commands stand behind venvoy: what venvoy is told to do, they are told.
#[test]
fn a_list_ends_when_venvoy_is_told_to() {
    // A shell that is told just before it waits for a job may end without its trap; between commands it looks.
    let project = project(
        "list = [\"sh -c 'trap \\\"exit 7\\\" TERM; echo ready; while :; do sleep 0.1; done'\", 'echo never']",
    );
    let mut child = project.command(&["run", "list"]).stdout(Stdio::piped()).spawn().expect("started");
    let mut reader = std::io::BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut reader, &mut line).expect("read");
    assert_eq!(line, "ready\n");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("told");
    assert_eq!(child.wait().expect("ended").code(), Some(7));
}

#[test]
fn without_an_environment_it_says_so() {
    let project = Project::with_wheels(&[demo()]);
    project.run(&["run", "demo"]).ends(
        10,
        &[
            "error: there is no environment at {root}/project/.venv",
            "  help: make it with `venvoy sync`, or with `venvoy run --sync COMMAND` before the command",
        ],
    );
    prints(&project.run(&["run", "--system", "echo", "a"]), "a\n");
}

#[test]
fn with_sync_the_environment_is_made_first_and_once() {
    let project = Project::with_wheels(&[demo()]).variable("PIP_FIND_LINKS", "../wheels");
    let run = project.run(&["run", "--sync", "demo"]);
    run.says(&[".venv: 1 package, {size} in {time} s: 1 downloaded (1.1 kB)"]);
    assert_eq!(run.stdout, "demo 1.0\n");
    prints(&project.run(&["run", "--sync", "demo"]), "demo 1.0\n");
}

/// Once it was made again without what it was made with.
#[test]
fn with_sync_an_environment_is_made_again_as_it_was_made() {
    let tested = |version: &str| {
        let wheel =
            greeter("demo", version).file("demo_pkg/tests/test_it.py", "").file("demo_pkg/__init__.py", "");
        Package::new(&wheel)
    };
    let project = Project::with_wheels(&[tested("1.0")]).variable("PIP_FIND_LINKS", "../wheels");
    project
        .sync_with(&["--slim=tests", "--slim-except=six", "--compile=checked", "--at", "/it's here/.venv"])
        .succeeds();
    project.wheels(&[tested("2.0")]);
    project.lock(&Lock::new().package(&tested("2.0")));
    let made = "made \"--at=/it's here/.venv\" '--compile=checked' '--slim=tests' '--slim-except=six'\n";
    assert!(project.read("project/.venv/venvoy.manifest").contains(made));
    project.run(&["run", "--sync", "python", "-c", ""]).succeeds();
    let manifest = project.read("project/.venv/venvoy.manifest");
    assert!(manifest.contains(made) && manifest.contains("demo-2.0.dist-info"), "{manifest}");
    assert!(!manifest.contains("test_it.py") && manifest.contains("__pycache__"), "{manifest}");
}

#[test]
fn an_environment_that_is_not_what_the_lock_says_is_told() {
    let project = project("");
    let two = [Package::simple("demo", "2.0"), Package::simple("other", "1.0")];
    project.wheels(&two);
    project.lock(&two.iter().fold(Lock::new(), Lock::package));
    let stale = "warning: .venv is not what the lock says: demo is 1.0, locked is ==2.0; other is missing; \
                 `venvoy sync` makes it so, or `venvoy run --sync`";
    let run = project.run(&["run", "demo"]);
    run.says(&[stale]);
    assert_eq!(run.stdout, "demo 1.0\n");
    prints(&project.run(&["run", "-q", "demo"]), "demo 1.0\n");
    let mut command = project.command(&["run", "demo"]);
    prints(&project.finish(command.env("PIPENV_ACTIVE", "1")), "demo 1.0\n");
    let mut command = project.command(&["run", "--sync", "demo"]);
    let run = project.finish(command.env("PIP_FIND_LINKS", "../wheels"));
    assert_eq!(run.succeeds().stdout, "demo 2.0\n");
    prints(&project.run(&["run", "demo"]), "demo 2.0\n");
}

#[test]
fn categories_that_are_not_installed_are_not_missed_and_those_that_are_stay() {
    let packages = ["demo", "tool", "docs"].map(|name| Package::simple(name, "1.0"));
    let newer = Package::simple("tool", "2.0");
    let project = Project::new().variable("PIP_FIND_LINKS", "../wheels");
    project.wheels(&packages);
    project.wheels(std::slice::from_ref(&newer));
    let [demo, tool, docs] = &packages;
    let lock = |tool: &Package| {
        Lock::new().package(demo).entry("develop", "tool", tool.entry()).entry("docs", "docs", docs.entry())
    };
    project.lock(&lock(tool));
    project.run(&["sync"]).succeeds();
    prints(&project.run(&["run", "demo"]), "demo 1.0\n");
    project.run(&["sync", "--dev"]).succeeds();
    project.lock(&lock(&newer));
    let run = project.run(&["run", "demo"]);
    run.mentions(&["tool is 1.0, locked is ==2.0"]).succeeds();
    project.run(&["run", "--sync", "demo"]).succeeds();
    assert_eq!(project.installed(), ["demo 1.0", "tool 2.0"]);
}

#[test]
fn entries_that_do_not_apply_are_not_missed() {
    let project = project("");
    let lock = Lock::new()
        .package(&demo())
        .entry(
            "default",
            "windows",
            serde_json::json!({"version": "==1", "markers": "sys_platform == 'win32'"}),
        )
        .entry("default", "old", serde_json::json!({"version": "==1", "markers": "python_version < '3'"}));
    project.lock(&lock);
    prints(&project.run(&["run", "demo"]), "demo 1.0\n");
}

#[test]
fn the_active_environment_stands_in_where_the_project_has_none() {
    let project = project("");
    fs::rename(project.venv(), project.path("elsewhere")).expect("moved");
    let mut command = project.command(&["run", "demo"]);
    prints(&project.finish(command.env("VIRTUAL_ENV", project.path("elsewhere"))), "demo 1.0\n");
    prints(&project.run(&["run", "--venv", "../elsewhere", "demo"]), "demo 1.0\n");
    project
        .run(&["run", "--venv", "../nowhere", "demo"])
        .fails(10, &["error: there is no environment at {root}/project/../nowhere"]);
}

#[test]
fn a_script_that_is_wrong_is_named() {
    let project = project("empty = ''\ncall = {call = 'x'}\nopen = \"a 'b\"");
    project
        .run(&["run", "empty"])
        .ends(3, &["error: the script empty of the Pipfile is wrong", "  because: its command is empty"]);
    project.run(&["run", "open"]).mentions(&["a quote is not closed"]).ends_with(3);
}

/// What `pip install` would change is somebody else's then.
#[test]
fn the_pip_of_another_python_is_told() {
    let project = project("freeze = 'pip3.11 freeze'")
        .program("pip", "echo pip: \"$@\"")
        .program("pip3.11", "echo 3.11: \"$@\"");
    let warning = |name: &str| {
        format!(
            "warning: .venv has no pip: {{root}}/bin/{name} lists and changes another Python's packages; `venvoy sync --seed` puts pip into it"
        )
    };
    let run = project.run(&["run", "pip", "install", "x"]);
    run.says(&[&warning("pip")]);
    assert_eq!(run.stdout, "pip: install x\n");
    project.run(&["run", "freeze"]).says(&[&warning("pip3.11")]);
    prints(&project.run(&["run", "-q", "pip", "freeze"]), "pip: freeze\n");
    prints(&project.run(&["run", "pip", "--python", ".venv", "freeze"]), "pip: --python .venv freeze\n");
    prints(&project.run(&["run", "../bin/pip", "freeze"]), "pip: freeze\n");
    write_executable(&project.venv().join("bin/pip"), b"#!/bin/sh\necho own\n");
    prints(&project.run(&["run", "pip", "freeze"]), "own\n");
}

/// What a run costs on top of the command stays small as nothing is started for it: no process, no thread.
#[test]
fn nothing_but_the_command_is_started() {
    let project = project("");
    let calls = ["-e", "trace=execve,execveat,clone,clone3,fork,vfork"];
    prints(&project.traced(&calls, &["run", "demo"]), "demo 1.0\n");
    let trace = project.read("trace");
    let until = trace.find("/project/.venv/bin/demo").unwrap_or_else(|| panic!("{trace}"));
    let before: Vec<&str> = trace[..until].lines().collect();
    assert!(before.len() == 2 && before.iter().all(|line| line.contains("execve(")), "{trace}");
}
