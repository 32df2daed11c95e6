//! The files that other tools look for (`docs/releasing.md`): their scripts, run as those tools run them, without a
//! network.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use venvoy::inside::artifact::sbom::of_binary;

use crate::support::{
    archive::wheel_files,
    bill,
    executable::write_executable,
    lock::Lock,
    package::{Package, sha256},
    program::{PATH, clean},
    project::Project,
    server::{Server, reply},
    wheel::WheelBuilder,
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_venvoy"))
}

/// A script of `.ci` in a project's directory, with nothing of the user's environment.
fn script(project: &Project, name: &str, args: &[&str]) -> Command {
    let mut command = Command::new(root().join(".ci").join(name));
    command
        .args(args)
        .current_dir(project.dir())
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", project.path("home"));
    command
}

#[track_caller]
fn succeeds(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[track_caller]
fn fails(command: &mut Command) -> String {
    let Output { status, stderr, .. } = command.output().expect("it runs");
    assert!(!status.success());
    String::from_utf8(stderr).expect("UTF-8")
}

const TARGET: &str =
    if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-musl" } else { "x86_64-unknown-linux-musl" };

/// What stands for the binary: a few bytes that start it, as packing all of an unoptimised one takes its time.
fn small_binary(project: &Project) -> PathBuf {
    let path = project.path("small/venvoy");
    fs::create_dir_all(project.path("small")).expect("made");
    write_executable(&path, format!("#!/bin/sh\nexec '{}' \"$@\"\n", binary().display()).as_bytes());
    path
}

/// A release below `releases/v0.0.1`, and as the latest.
fn release(project: &Project) -> PathBuf {
    let dir = project.path("releases/v0.0.1");
    succeeds(
        script(project, "release", &["pack", TARGET, dir.to_str().expect("UTF-8")])
            .env("VENVOY_BINARY", small_binary(project))
            .env("VENVOY_NO_WHEEL", "1"),
    );
    succeeds(&mut script(project, "release", &["sums", dir.to_str().expect("UTF-8")]));
    std::os::unix::fs::symlink("v0.0.1", project.path("releases/latest")).expect("a link");
    dir
}

/// The releases as a server offers them.
fn serve(project: &Project) -> Server {
    let releases = project.path("releases");
    Server::start(move |request| match fs::read(releases.join(request.path.trim_start_matches('/'))) {
        Ok(bytes) => reply("200 OK", &[], &bytes),
        Err(_) => reply("404 Not Found", &[], b""),
    })
}

#[test]
fn an_archive_has_binary_manual_and_completions_and_the_same_bytes_each_time() {
    let project = Project::new();
    let dir = release(&project);
    let archive = dir.join(format!("venvoy-{TARGET}.tar.gz"));
    let list = succeeds(Command::new("tar").arg("-tvzf").arg(&archive));
    for name in [
        "/venvoy",
        "/man/man1/venvoy-sync.1",
        "/completions/venvoy.bash",
        "/completions/_venvoy",
        "/LICENSE-MIT",
    ] {
        assert!(list.lines().any(|line| line.ends_with(name)), "no {name} in\n{list}");
    }
    assert!(list.lines().all(|line| line.contains(" 0/0 ") && line.contains("1980-01-01")), "{list}");
    let first = fs::read(&archive).expect("an archive");
    let again = project.path("again");
    succeeds(&mut script(
        &project,
        "package",
        &[small_binary(&project).to_str().expect("UTF-8"), TARGET, again.to_str().expect("UTF-8")],
    ));
    assert!(
        fs::read(again.join(format!("venvoy-{TARGET}.tar.gz"))).expect("an archive") == first,
        "other bytes"
    );
    let sums = fs::read_to_string(dir.join("SHA256SUMS")).expect("sums");
    assert_eq!(sums, format!("{}  venvoy-{TARGET}.tar.gz\n", sha256(&first)));
}

#[test]
fn the_install_script_installs_what_the_release_lists_and_nothing_else() {
    let project = Project::new();
    let dir = release(&project);
    let server = serve(&project);
    let to = project.path("home/.local/bin/venvoy");
    let install = |args: &[&str]| {
        let mut command = script(&project, "install", args);
        command.env("VENVOY_RELEASES", server.url(""));
        command
    };
    let said = succeeds(&mut install(&[]));
    assert!(said.starts_with("venvoy "), "{said}");
    assert_eq!(fs::metadata(&to).expect("installed").permissions().mode() & 0o777, 0o755);
    succeeds(&mut install(&["--version", "0.0.1", "--to", project.path("other").to_str().expect("UTF-8")]));
    assert!(project.path("other/venvoy").is_file());
    fs::remove_file(&to).expect("removed");
    assert!(fails(&mut install(&["--version", "9"])).contains("cannot get "));
    assert!(fails(&mut install(&["--frobnicate"])).contains("--frobnicate is not known"));
    // Bytes that are not those of the list, and a list without the archive.
    let archive = dir.join(format!("venvoy-{TARGET}.tar.gz"));
    let mut bytes = fs::read(&archive).expect("an archive");
    *bytes.last_mut().expect("a byte") ^= 1;
    fs::write(&archive, bytes).expect("written");
    assert!(fails(&mut install(&[])).contains("nothing is installed"));
    fs::write(dir.join("SHA256SUMS"), "").expect("written");
    assert!(fails(&mut install(&[])).contains("does not list"));
    assert!(!to.exists());
}

#[test]
fn a_wheel_gets_manual_and_completions_that_installers_take() {
    let wheel = WheelBuilder::new("venvoy", "0.0.1").file("venvoy.py", "");
    let package = Package::new(&wheel);
    let project = Project::new();
    project.wheels(std::slice::from_ref(&package));
    let path = project.path(&format!("wheels/{}", package.file));
    let arguments = [path.to_str().expect("UTF-8"), binary().to_str().expect("UTF-8")];
    succeeds(&mut script(&project, "wheel", &arguments));
    let once = fs::read(&path).expect("the wheel");
    succeeds(&mut script(&project, "wheel", &arguments));
    assert!(fs::read(&path).expect("the wheel") == once, "done twice it is another");
    assert!(wheel_files(&path).keys().any(|name| name == "venvoy-0.0.1.data/data/share/man/man1/venvoy.1"));
    project.lock(&Lock::new().package(&Package::of(&package.file, once)));
    project.sync_with(&["--strict"]).succeeds();
    for file in [
        "share/man/man1/venvoy-run.1",
        "share/bash-completion/completions/venvoy",
        "share/zsh/site-functions/_venvoy",
    ] {
        assert!(project.venv().join(file).is_file(), "{file}");
    }
}

/// A YAML file as JSON: of several documents a list. `tests/run` installs pyyaml.
fn yaml(name: &str) -> Value {
    const CODE: &str =
        "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    let python = super::pipenv().with_file_name("python");
    let text = succeeds(Command::new(python).args(["-c", CODE]).arg(root().join(name)));
    serde_json::from_str(&text).expect("JSON")
}

/// What `run:` lines of a workflow or an action hold, syntax checked.
fn scripts(steps: &Value) -> Vec<String> {
    let lines: Vec<String> = steps
        .as_array()
        .expect("steps")
        .iter()
        .filter_map(|step| Some(step["run"].as_str()?.to_owned()))
        .collect();
    for line in &lines {
        succeeds(Command::new("bash").args(["-n", "-c", line]));
    }
    lines
}

#[test]
fn the_actions_steps_install_venvoy_make_the_environment_and_put_it_on_path() {
    let action = &yaml("action.yml")[0];
    let lines = scripts(&action["runs"]["steps"]);
    assert_eq!(lines.len(), 3);
    let inputs: Vec<&String> = action["inputs"].as_object().expect("inputs").keys().collect();
    let demo = Package::simple("demo", "1.0");
    let project = Project::with_wheels(&[demo]);
    release(&project);
    let server = serve(&project);
    let mut path = PATH.to_owned();
    for (line, step) in lines
        .iter()
        .zip(action["runs"]["steps"].as_array().expect("steps").iter().filter(|step| step["run"].is_string()))
    {
        let mut command = Command::new("bash");
        command.args(["-e", "-c", line]).current_dir(project.dir()).env_clear();
        command.env("PATH", &path).env("HOME", project.path("home")).env("GITHUB_ACTION_PATH", root());
        command
            .env("RUNNER_TEMP", project.path("runner"))
            .env("VENVOY_RELEASES", server.url(""))
            .env("PIP_FIND_LINKS", "../wheels");
        for name in ["GITHUB_PATH", "GITHUB_ENV", "GITHUB_OUTPUT"] {
            command.env(name, project.path(name));
        }
        for (variable, value) in step["env"].as_object().expect("variables") {
            let value = value.as_str().expect("a text");
            let input = value.trim_start_matches("${{ inputs.").trim_end_matches(" }}");
            assert!(inputs.iter().any(|known| *known == input), "{value}");
            // What comes from outside is never part of a line.
            assert!(!line.contains("inputs."), "{line}");
            command.env(variable, action["inputs"][input]["default"].as_str().expect("a default"));
        }
        succeeds(&mut command);
        let added = project.read("GITHUB_PATH");
        path = added.lines().rev().chain([PATH]).collect::<Vec<_>>().join(":");
    }
    assert_eq!(succeeds(Command::new("demo").env("PATH", &path)), "demo 1.0\n");
    let output = project.read("GITHUB_OUTPUT");
    assert!(output.contains("key=") && output.contains("/project/.venv"), "{output}");
}

#[test]
fn the_components_lines_make_the_environment_and_put_it_on_path() {
    let documents = yaml("templates/venvoy.yml");
    let (inputs, job) = (&documents[0]["spec"]["inputs"], &documents[1]["$[[ inputs.job ]]"]);
    let filled = |text: &str| {
        inputs.as_object().expect("inputs").iter().fold(text.to_owned(), |text, (name, input)| {
            let value = match (name.as_str(), &input["default"]) {
                ("install", _) => "true".to_owned(),
                (_, Value::String(value)) => value.clone(),
                (_, value) => value.to_string(),
            };
            text.replace(&format!("$[[ inputs.{name} ]]"), &value)
        })
    };
    let lines = |key: &str| {
        job[key]
            .as_array()
            .expect(key)
            .iter()
            .map(|line| filled(line.as_str().expect("a line")))
            .collect::<Vec<_>>()
    };
    let project =
        Project::with_wheels(&[Package::simple("demo", "1.0")]).variable("PIP_FIND_LINKS", "../wheels");
    let script = [lines("before_script"), vec!["demo".to_owned()], lines("after_script")].concat().join("\n");
    assert!(!script.contains("$[["), "{script}");
    let inner = project.command(&["--version"]);
    let mut command = Command::new("bash");
    command.args(["-e", "-c", &script]).current_dir(project.dir()).env_clear();
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let bin = binary().parent().expect("a directory").display().to_string();
    command.env("PATH", format!("{bin}:{PATH}"));
    let said = succeeds(&mut command);
    assert!(said.starts_with("demo 1.0\n"), "{said}");
}

#[test]
fn the_hooks_are_commands_that_fail_where_the_lock_is_not_fresh() {
    let hooks = &yaml(".pre-commit-hooks.yaml")[0];
    let project = Project::of(&Lock::new());
    project.write("project/Pipfile", "[packages]\nnew = '*'\n");
    for hook in hooks.as_array().expect("hooks") {
        let entry: Vec<&str> = hook["entry"].as_str().expect("an entry").split(' ').collect();
        assert_eq!(entry[0], "venvoy");
        let run = project.run(&entry[1..]);
        assert!(run.code.is_some_and(|code| code != 0), "{entry:?}");
        run.mentions(&["out-of-date"].map(|text| if entry[1] == "verify" { text } else { "out of date" }));
    }
}

#[test]
fn the_workflows_lines_are_scripts_that_are_there() {
    let release = &yaml(".github/workflows/release.yml")[0];
    let mut lines = scripts(&release["jobs"]["build"]["steps"]);
    lines.extend(scripts(&release["jobs"]["publish"]["steps"]));
    let usage = fs::read_to_string(root().join(".ci/release")).expect(".ci/release");
    let own: Vec<&String> = lines.iter().filter(|line| line.starts_with(".ci/")).collect();
    assert_eq!(own.len(), 4, "{lines:?}");
    for line in own {
        let verb = line.split(' ').nth(1).expect("a verb");
        assert!(line.starts_with(".ci/release ") && usage.contains(&format!("\n{verb})\n")), "{line}");
        // What GitHub fills in comes through variables, never as text of a line.
        assert!(!line.contains("${{"), "{line}");
    }
}

#[test]
fn a_release_for_musl_asks_for_its_compiler_before_it_builds() {
    let place = tempfile::tempdir().expect("a directory");
    for name in ["rustup", "cargo"] {
        let says = "#!/bin/sh\ntouch \"$(dirname \"$0\")/built-$3\"\n";
        write_executable(&place.path().join(name), says.as_bytes());
    }
    for name in ["bash", "dirname", "touch"] {
        let found = ["/usr/bin", "/bin"].map(|dir| Path::new(dir).join(name));
        let found = found.into_iter().find(|path| path.exists()).expect("it is there");
        std::os::unix::fs::symlink(found, place.path().join(name)).expect("linked");
    }
    let build = |target: &str| {
        let mut command = clean(&root().join(".ci/release"));
        command.env("PATH", place.path()).args(["build", target]).output().expect("it runs")
    };
    let output = build("x86_64-unknown-linux-musl");
    assert_eq!(
        (output.status.code(), &*String::from_utf8_lossy(&output.stderr)),
        (Some(1), "musl-gcc is missing; Debian and Ubuntu have it in musl-tools\n")
    );
    assert!(!place.path().join("built---release").exists());
    assert!(build("aarch64-apple-darwin").status.success());
    assert!(place.path().join("built---release").exists());
}

#[test]
fn binstall_looks_for_what_the_package_script_makes() {
    let text = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let table: toml::Table = text.parse().expect("TOML");
    let binstall = &table["package"]["metadata"]["binstall"];
    let url = binstall["pkg-url"].as_str().expect("a URL");
    assert!(url.ends_with("/v{ version }/venvoy-{ target }.tar.gz"), "{url}");
    assert_eq!(binstall["bin-dir"].as_str(), Some("venvoy-{ target }/{ bin }"));
    for (_, one) in binstall["overrides"].as_table().expect("overrides") {
        assert!(one["pkg-url"].as_str().expect("a URL").contains("-unknown-linux-musl.tar.gz"));
    }
}

#[test]
fn the_releases_list_of_what_is_inside_is_valid_and_has_what_is_linked() {
    let version = succeeds(Command::new("rustc").arg("-vV"));
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root()).args(["metadata", "--format-version", "1", "--locked", "--offline"]);
    let metadata = succeeds(cargo.args(["--filter-platform", host]));
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock");
    let project = Project::of(&Lock::new());
    let [cyclonedx, spdx] = ["cyclonedx", "spdx"].map(|format| {
        let document = of_binary(format, &metadata, &lock);
        let path = project.path(&format!("{format}.json"));
        fs::write(&path, document.unwrap_or_else(|error| panic!("{}", error.report()))).expect("written");
        path
    });
    bill::are_valid(&cyclonedx, &spdx);
    let document: Value = serde_json::from_slice(&fs::read(&cyclonedx).expect("a document")).expect("JSON");
    let rows = document["components"].as_array().expect("components");
    let names: Vec<&str> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
    // Asked for, needed by what is asked for; for tests, for macros, for another platform.
    for (name, inside) in
        [("rustls", true), ("ring", true), ("proptest", false), ("syn", false), ("windows-sys", false)]
    {
        assert_eq!(names.contains(&name), inside, "{name}: {names:?}");
    }
    let lacking = |key: &str| rows.iter().find(|row| row[key].as_array().is_none_or(Vec::is_empty));
    assert_eq!((lacking("licenses"), lacking("hashes")), (None, None), "each has a licence and a digest");
}
