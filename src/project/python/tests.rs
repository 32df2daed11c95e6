use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{find::find_within, probe::musl_version, *};
use crate::{
    executable::write_executable,
    packages::cache::{Cache, Options},
    words::{error::Kind, vocab::WheelName},
};

/// Interpreters of this machine that venvoy supports: pyenv's, and those on PATH.
fn interpreters() -> Vec<PathBuf> {
    let pyenv = pyenv_root().map(|root| root.join("versions"));
    let versions = pyenv.and_then(|dir| fs::read_dir(dir).ok()).into_iter().flatten();
    let mut found: Vec<PathBuf> =
        versions.filter_map(|entry| Some(entry.ok()?.path().join("bin/python"))).collect();
    let shims = pyenv_root().map(|root| root.join("shims"));
    for dir in std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()) {
        if Some(&dir) != shims.as_ref() {
            found.extend(["python3", "python", "pypy3"].map(|name| dir.join(name)));
        }
    }
    let supported = "import sys; sys.exit(sys.version_info < (3, 7))";
    found.retain(|path| {
        path.is_file()
            && Command::new(path)
                .args(["-I", "-c", supported])
                .output()
                .is_ok_and(|output| output.status.success())
    });
    assert!(!found.is_empty(), "these tests need at least one Python 3.7 or newer");
    found
}

fn pyenv_root() -> Option<PathBuf> {
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".pyenv"));
    std::env::var_os("PYENV_ROOT").map(PathBuf::from).or_else(home)
}

fn any_python() -> PathBuf {
    interpreters().swap_remove(0)
}

/// What a script prints under an interpreter.
fn output(python: &Path, arguments: &[&str]) -> String {
    output_of(Command::new(python).args(arguments))
}

fn output_of(command: &mut Command) -> String {
    let output = command.output().expect("an interpreter");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn at(path: &Path) -> Result<Target, crate::words::error::Error> {
    find(&InterpreterRequest {
        python: Some(path.to_str().expect("UTF-8").to_owned()),
        ..InterpreterRequest::default()
    })
}

fn program(path: &Path, text: &str) {
    write_executable(path, text.as_bytes());
}

fn report(result: Result<Target, crate::words::error::Error>) -> String {
    let error = result.expect_err("an error");
    assert_eq!(error.kind(), Kind::Target);
    error.report()
}

fn described(version: &str, platform: &str) -> Target {
    let home = Path::new("/usr/local/bin");
    let description = Description { python_version: version, platform, python_home: home };
    description.target().unwrap_or_else(|error| panic!("{}", error.report()))
}

fn wheel(name: &str) -> WheelName {
    name.parse().expect(name)
}

/// Version, ABI, platform and the tags.
type ExpectedTags = ((u8, u8), String, String, Vec<String>);

#[derive(serde::Deserialize)]
struct Expected {
    mac: Vec<((u32, u32), String, Vec<String>)>,
    python: Vec<ExpectedTags>,
}

/// What `packaging` answers for other platforms (made by `tests/expected/tags.py`).
fn expected() -> Expected {
    serde_json::from_str(include_str!("expected_tags.json")).expect("the expected tags")
}

#[test]
fn macos_tags_are_those_of_packaging() {
    for (version, arch, tags) in expected().mac {
        assert_eq!(Platform::MacOs { version, arch: arch.clone() }.tags(), tags, "{version:?} {arch}");
    }
}

#[test]
fn tags_of_other_interpreters_are_those_of_packaging() {
    for (version, abi, platform, tags) in expected().python {
        let pypy = abi.starts_with("pypy");
        let interpreter = Interpreter {
            implementation: if pypy { "pypy" } else { "cpython" }.into(),
            version,
            version_nodot: format!("{}{}", version.0, version.1),
            free_threaded: abi.contains('t'),
            debug: abi.ends_with('d'),
            pymalloc: true,
            ext_suffix: ".pypy310-pp73-x86_64-linux-gnu.so".into(),
        };
        let got: Vec<String> = interpreter.tags(&[platform]).iter().map(ToString::to_string).collect();
        assert_eq!(got, tags, "{abi}");
    }
}

/// The tags and markers of every interpreter here are what `packaging` in that interpreter says. Old ones
/// put native `linux_*` tags last (until 26.3), and knew neither `cp311-none-any` nor `abi3t`: the first
/// are compared without their order, the others in the test above only.
#[test]
fn tags_and_markers_of_interpreters_here_are_those_of_packaging() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/expected/tags.py");
    let lent = packaging();
    let mut compared = Vec::new();
    for python in interpreters() {
        let has = "try:\n import packaging\nexcept ImportError:\n import pip._vendor.packaging";
        let own =
            Command::new(&python).args(["-c", has]).output().is_ok_and(|output| output.status.success());
        // Debian's interpreters have no pip.
        let ask = |arguments: &[&str]| {
            let mut command = Command::new(&python);
            if let (false, Some(lent)) = (own, &lent) {
                command.env("PYTHONPATH", lent.path());
            }
            output_of(command.args(arguments))
        };
        let target = at(&python).expect("a target");
        if !own && (lent.is_none() || target.version < (3, 8, 0)) {
            continue;
        }
        let theirs: Vec<String> = serde_json::from_str(&ask(&[script])).expect("tags");
        let ours: Vec<String> = target.tags.iter().map(ToString::to_string).collect();
        let known_to_old =
            |tag: &&String| !(tag.contains("-abi3t-") || tag.starts_with("cp") && tag.ends_with("-none-any"));
        let in_order = |tags: &[String]| -> Vec<String> {
            let tags = tags.iter().filter(known_to_old);
            tags.filter(|tag| !tag.contains("-linux_")).cloned().collect()
        };
        let sorted = |tags: &[String]| -> Vec<String> {
            let mut tags: Vec<String> = tags.iter().filter(known_to_old).cloned().collect();
            tags.sort();
            tags
        };
        assert_eq!(in_order(&ours), in_order(&theirs), "{}", python.display());
        assert_eq!(sorted(&ours), sorted(&theirs), "{}", python.display());

        let markers = "import json\ntry:\n from packaging import markers\nexcept ImportError:\n \
                       from pip._vendor.packaging import markers\nprint(json.dumps(markers.default_environment()))";
        let theirs: crate::words::vocab::MarkerEnv =
            serde_json::from_str(&ask(&["-c", markers])).expect("markers");
        assert_eq!(target.markers, theirs);
        compared.push(target.implementation);
    }
    assert!(!compared.is_empty(), "no interpreter here has pip or packaging");
    if lent.is_some() {
        assert!(compared.iter().any(|name| name == "pypy"), "pypy3 must be installed: {compared:?}");
    }
}

/// A directory with the `packaging` of the tools that tests/run installs.
fn packaging() -> Option<tempfile::TempDir> {
    let tools = PathBuf::from(std::env::var_os("VENVOY_TEST_TOOLS")?);
    let place = output(&tools.join("python"), &["-c", "import packaging; print(packaging.__path__[0])"]);
    let dir = tempfile::tempdir().expect("a directory");
    symlink(place.trim_end(), dir.path().join("packaging")).expect("a link");
    Some(dir)
}

/// Directories, links and `pyvenv.cfg` are where `venv` puts them.
#[test]
fn the_layout_is_that_of_venv() {
    for python in interpreters() {
        let dir = tempfile::tempdir().expect("a directory");
        let venv = dir.path().join("venv");
        let made = Command::new(&python).args(["-m", "venv", "--without-pip"]).arg(&venv).output();
        if !made.is_ok_and(|output| output.status.success()) {
            continue; // Debian ships venv as a package of its own.
        }
        let base = at(&python).expect("a target");
        let inside = at(&venv.join("bin/python")).expect("the target of an environment");
        assert_eq!(inside, base, "an environment leads to its base interpreter");
        assert_eq!(at(&venv).expect("an environment's directory"), base);

        assert!(venv.join(base.site_packages.as_path()).is_dir(), "{}", base.site_packages);
        assert_eq!(venv.join("lib64").is_symlink(), base.lib64);
        let version = format!("version = {}\n", base.version_text());
        assert!(fs::read_to_string(venv.join("pyvenv.cfg")).expect("pyvenv.cfg").contains(&version));
        let names = base.bin_names();
        for entry in fs::read_dir(venv.join("bin")).expect("bin") {
            let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
            if name.starts_with("py") {
                assert!(names.contains(&name), "{name} is not in {names:?}");
            }
        }
        assert_eq!(base.executable.parent(), Some(base.home.as_path()));
        let real = output(&base.executable, &["-c", "import sys; print(sys.version_info[:3])"]);
        let (major, minor, micro) = base.version;
        assert_eq!(real.trim(), format!("({major}, {minor}, {micro})"));
    }
}

#[test]
fn an_environment_made_with_copies_leads_to_its_base_interpreter() {
    for python in interpreters() {
        let dir = tempfile::tempdir().expect("a directory");
        let venv = dir.path().join("venv");
        let made =
            Command::new(&python).args(["-m", "venv", "--without-pip", "--copies"]).arg(&venv).output();
        if made.is_ok_and(|output| output.status.success()) {
            assert_eq!(at(&venv).expect("a target"), at(&python).expect("a target"));
        }
    }
}

#[test]
fn glibc_musl_and_32_bit_platforms_have_their_tags() {
    let tags = |platform: &str| -> Vec<String> {
        let mut platforms: Vec<String> = Vec::new();
        for tag in described("3.12", platform).tags.iter().filter(|tag| tag.abi == "cp312") {
            platforms.push(tag.platform.clone());
        }
        platforms
    };
    let x86 = tags("linux/amd64/glibc2.18");
    assert_eq!(
        x86[..4],
        ["linux_x86_64", "manylinux_2_18_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"]
    );
    assert!(x86.contains(&"manylinux2010_x86_64".to_owned()));
    assert_eq!(x86[x86.len() - 2..], ["manylinux_2_5_x86_64", "manylinux1_x86_64"]);
    let arm = tags("linux/arm64");
    assert_eq!(arm[..2], ["linux_aarch64", "manylinux_2_28_aarch64"]);
    assert_eq!(arm[arm.len() - 2..], ["manylinux_2_17_aarch64", "manylinux2014_aarch64"]);
    assert_eq!(
        tags("linux/amd64/musl"),
        ["linux_x86_64", "musllinux_1_2_x86_64", "musllinux_1_1_x86_64", "musllinux_1_0_x86_64"]
    );
    assert_eq!(tags("linux/arm/v6/musllinux_1_0"), ["linux_armv6l", "musllinux_1_0_armv6l"]);
    // No manylinux policy covers ARMv6.
    assert_eq!(tags("linux/arm/v6"), ["linux_armv6l"]);
    assert_eq!(tags("linux/arm/v7")[1], "manylinux_2_28_armv7l");

    let soft_float = Platform::Linux {
        arch: "armv7l".into(),
        libc: Libc::Glibc(2, 31),
        manylinux_abi: false,
        refused: vec![],
    };
    assert_eq!(soft_float.tags(), ["linux_armv7l"]);
    let refused = Platform::Linux {
        arch: "aarch64".into(),
        libc: Libc::Glibc(2, 18),
        manylinux_abi: false,
        refused: vec![(2, 17)],
    };
    assert_eq!(refused.tags(), ["linux_aarch64", "manylinux_2_18_aarch64"]);
    assert_eq!(Platform::Other("win-amd64".into()).tags(), ["win_amd64"]);
}

#[test]
fn the_loader_of_musl_tells_its_version() {
    assert_eq!(musl_version("musl libc (x86_64)\nVersion 1.2.3\nDynamic Program Loader\n"), Some((1, 2)));
    assert_eq!(musl_version("\n  musl libc\n\n Version 1.1.24-git\n"), Some((1, 1)));
    for other in ["", "musl libc", "glibc\nVersion 2.31", "musl libc\nVersion x"] {
        assert_eq!(musl_version(other), None, "{other:?}");
    }
}

#[test]
fn the_best_tag_of_a_wheel_counts() {
    let tags = described("3.11.4", "linux/amd64").tags;
    assert_eq!(tags.best(&wheel("a-1-cp311-cp311-linux_x86_64.whl")), Some(0));
    let rank = |name: &str| tags.best(&wheel(name)).expect(name);
    let order = [
        "a-1-cp311-cp311-manylinux_2_28_x86_64.whl",
        "a-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "a-1-cp311-abi3-manylinux1_x86_64.whl",
        "a-1-cp38.cp39-abi3-manylinux1_x86_64.whl",
        "a-1-py311-none-any.whl",
        "a-1-py2.py3-none-any.whl",
        "a-1-py38-none-any.whl",
    ];
    for pair in order.windows(2) {
        assert!(rank(pair[0]) < rank(pair[1]), "{pair:?}");
    }
}

#[test]
fn a_wheel_that_does_not_fit_is_told_by_the_part_that_fails() {
    let tags = described("3.11", "linux/amd64").tags;
    let why = |name: &str| tags.explain(&wheel(name)).map(|mismatch| mismatch.to_string());
    assert_eq!(why("a-1-cp38-abi3-manylinux2014_x86_64.whl"), None);
    assert_eq!(
        why("a-1-cp310-cp310-manylinux2014_x86_64.whl").as_deref(),
        Some("Python tag cp310; this target accepts cp311, py311, py3, py310, ... (14 in all)")
    );
    assert_eq!(
        why("a-1-cp311-cp311d-manylinux2014_x86_64.whl").as_deref(),
        Some("ABI tag cp311d; this target accepts cp311, abi3, none")
    );
    assert_eq!(
        why("a-1-cp311-cp311-win32.win_amd64.whl").as_deref(),
        Some(
            "platform tags win32, win_amd64; this target accepts linux_x86_64, manylinux_2_28_x86_64, \
             manylinux_2_27_x86_64, manylinux_2_26_x86_64, ... (29 in all)"
        )
    );
}

#[test]
fn a_free_threaded_python_says_that_it_does_not_take_abi3() {
    let tags = described("3.13t", "linux/amd64").tags;
    for python in ["cp39", "cp313", "cp37.cp313"] {
        let mismatch = tags.explain(&wheel(&format!("a-1-{python}-abi3-manylinux2014_x86_64.whl")));
        assert_eq!(
            mismatch.expect("it does not fit").to_string(),
            "ABI tag abi3; this target accepts cp313t, abi3t, none"
        );
    }
    let newer = tags.explain(&wheel("a-1-cp314-abi3-manylinux2014_x86_64.whl")).expect("it does not fit");
    assert_eq!(newer.part, TagPart::Python);
}

#[test]
fn a_described_target_has_the_markers_and_paths_of_a_real_one() {
    let target = described("3.13.2t", "linux/arm64/v8");
    assert_eq!(target.executable, Path::new("/usr/local/bin/python3.13t"));
    assert_eq!(target.site_packages.as_str(), "lib/python3.13t/site-packages");
    assert_eq!(target.include.as_str(), "include/site/python3.13");
    assert_eq!(target.bin_names(), ["python", "python3", "python3.13", "python3.13t"]);
    assert_eq!(target.markers.platform_machine, "aarch64");
    assert_eq!((target.version_text().as_str(), target.assumed_micro), ("3.13.2", false));
    assert_eq!(target.describe_shortly(), "CPython 3.13.2 (free-threaded)");
    assert!(target.lib64);
    assert!(!described("3.9", "linux/arm/v7").lib64);

    let mac = described("3.12.1", "darwin/arm64");
    assert_eq!(
        (mac.markers.sys_platform.as_str(), mac.markers.platform_machine.as_str()),
        ("darwin", "arm64")
    );
    assert!(mac.tags.best(&wheel("a-1-cp312-cp312-macosx_11_0_arm64.whl")).is_some());
    assert!(!mac.lib64);
}

#[test]
fn a_description_that_makes_no_sense_is_refused() {
    for (version, platform, home, why) in [
        ("3", "linux/amd64", "/usr/bin", "names no single version"),
        (">=3.9", "linux/amd64", "/usr/bin", "names no single version"),
        ("x", "linux/amd64", "/usr/bin", "is not a Python version"),
        ("2.7", "linux/amd64", "/usr/bin", "is not supported"),
        ("3.12t", "linux/amd64", "/usr/bin", "is not supported"),
        ("3.12", "linux", "/usr/bin", "the machine \"\" is not known"),
        ("3.12", "linux/vax", "/usr/bin", "the machine \"vax\" is not known"),
        ("3.12", "plan9/amd64", "/usr/bin", "the system \"plan9\" is not known"),
        ("3.12", "windows/amd64", "/usr/bin", "Windows is not supported yet"),
        ("3.12", "linux/amd64/uclibc", "/usr/bin", "neither a variant nor a C library"),
        ("3.12", "linux/amd64/glibc2.4000000000", "/usr/bin", "neither a variant nor a C library"),
        ("3.12", "linux/amd64/musl/glibc", "/usr/bin", "neither a variant nor a C library"),
        ("3.12", "linux/amd64", "bin", "is not absolute"),
    ] {
        let description = Description { python_version: version, platform, python_home: Path::new(home) };
        let error = description.target().expect_err(why);
        assert!(error.report().contains(why), "{}", error.report());
        assert_eq!(error.kind(), Kind::Usage);
    }
}

#[test]
fn wanted_versions_match_by_component_or_range() {
    let wanted = |text: &str| text.parse::<Wanted>().unwrap_or_else(|error| panic!("{}", error.report()));
    for (text, version, free_threaded, expected) in [
        ("3", "3.11.7", false, true),
        ("3.1", "3.11.7", false, false),
        ("3.11", "3.11.7", false, true),
        ("3.11.*", "3.11.7", false, true),
        ("3.11.7", "3.11.7", false, true),
        ("3.11.7", "3.11.6", false, false),
        ("3.13", "3.13.0a2", false, true),
        ("3.13", "3.13.0+", false, true),
        ("3.13", "3.13.0", true, true),
        ("3.13t", "3.13.0", true, true),
        ("3.13t", "3.13.0", false, false),
        (">=3.6", "3.11.7", false, true),
        (">=3.9,<3.11", "3.11.7", false, false),
        ("*", "3.11.7", false, true),
    ] {
        assert_eq!(wanted(text).matches(version, free_threaded), expected, "{text} {version}");
        assert_eq!(wanted(&wanted(text).to_string()), wanted(text));
    }
    for text in ["", "3.", "3.x", "3.9.1.2", "300", ">=", "latest"] {
        assert!(text.parse::<Wanted>().is_err(), "{text}");
    }
}

#[test]
fn what_is_no_python_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().expect("a directory");
    let fails = dir.path().join("fails");
    program(&fails, "#!/bin/sh\necho one >&2\necho 'libpython3.11.so.1.0: cannot open' >&2\nexit 127\n");
    let failed = report(at(&fails));
    assert!(
        failed.contains("is not a working Python interpreter: it ended with exit status: 127"),
        "{failed}"
    );
    assert!(failed.contains("libpython3.11.so.1.0: cannot open"), "{failed}");

    let silent = dir.path().join("silent");
    program(&silent, "#!/bin/sh\necho '{\"hello\": 1}'\n");
    assert!(report(at(&silent)).contains("is not a Python interpreter: it ran, but did not say"));

    let two = dir.path().join("two");
    program(&two, "#!/bin/sh\necho 'Unknown option: -I' >&2\nexit 2\n");
    let old = report(at(&two));
    assert!(old.contains("is Python 2; expected 3.7 or newer") && old.contains("help: choose"), "{old}");

    let six = dir.path().join("six");
    program(&six, "#!/bin/sh\necho '{\"too_old\": \"3.6.15\"}'\n");
    assert!(report(at(&six)).contains("is Python 3.6.15; expected 3.7 or newer"));

    let plain = dir.path().join("plain");
    fs::write(&plain, "no program").expect("a file");
    assert!(report(at(&plain)).contains("Permission denied"));
    assert!(report(at(&dir.path().join("none"))).contains("No such file"));
    assert!(report(at(dir.path())).contains("is a directory without bin/python3"));
}

#[test]
fn an_interpreter_that_hangs_is_stopped_with_its_children() {
    let dir = tempfile::tempdir().expect("a directory");
    let hangs = dir.path().join("hangs");
    let pid = dir.path().join("pid");
    program(&hangs, &format!("#!/bin/sh\nsleep 60 &\necho $! > '{}'\nwait\n", pid.display()));
    let request =
        InterpreterRequest { python: Some(hangs.display().to_string()), ..InterpreterRequest::default() };
    let started = Instant::now();
    let message = report(find_within(&request, Duration::from_secs(1)));
    assert!(message.contains("did not answer within 1 s and was stopped"), "{message}");
    assert!(started.elapsed() < Duration::from_secs(30));
    let pid = fs::read_to_string(pid).expect("the child's id");
    // The signal is sent; the kernel may take a moment to deliver it.
    let runs = || {
        let state = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        !state.is_empty() && !state.contains(") Z ")
    };
    while runs() {
        assert!(started.elapsed() < Duration::from_secs(30), "the child still runs");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Wraps an interpreter so that each run leaves a line in `runs`.
fn counted(dir: &Path, python: &Path) -> PathBuf {
    let path = dir.join("wrapped");
    let runs = dir.join("runs");
    program(
        &path,
        &format!("#!/bin/sh\necho run >> '{}'\nexec '{}' \"$@\"\n", runs.display(), python.display()),
    );
    path
}

fn runs(dir: &Path) -> usize {
    fs::read_to_string(dir.join("runs")).map_or(0, |text| text.lines().count())
}

fn answers(cache: &Path) -> Arc<dyn Answers> {
    Arc::new(Cache::open(cache, Options::default()))
}

#[test]
fn the_answer_is_kept_until_the_interpreter_changes_or_the_entry_is_damaged() {
    let dir = tempfile::tempdir().expect("a directory");
    let python = counted(dir.path(), &any_python());
    let cache = dir.path().join("cache");
    let request = InterpreterRequest {
        python: Some(python.display().to_string()),
        answers: Some(answers(&cache)),
        ..InterpreterRequest::default()
    };
    let first = find(&request).expect("a target");
    assert_eq!(find(&request).expect("a target"), first);
    assert_eq!(runs(dir.path()), 1);

    let only = |dir: &Path| {
        let entries: Vec<_> =
            fs::read_dir(dir).expect("entries").map(|e| e.expect("an entry").path()).collect();
        assert_eq!(entries.len(), 1);
        entries[0].clone()
    };
    let entry = only(&only(&cache.join("v1/interpreters")));
    for damage in ["", "{", "{\"key\": \"other\"}", "\0\0\0"] {
        fs::write(&entry, damage).expect("damage");
        let before = runs(dir.path());
        assert_eq!(find(&request).expect("a target"), first);
        assert_eq!(runs(dir.path()), before + 1, "{damage:?} was believed");
    }

    let before = runs(dir.path());
    let text = fs::read_to_string(&python).expect("the wrapper");
    program(&python, &format!("{text}# changed\n"));
    assert_eq!(find(&request).expect("a target"), first);
    assert_eq!(runs(dir.path()), before + 1);

    // A cache that cannot be made is no reason to fail.
    let blocked = InterpreterRequest { answers: Some(answers(&python.join("cache"))), ..request };
    assert_eq!(find(&blocked).expect("a target"), first);
}

#[test]
fn the_interpreter_sees_no_secrets_of_the_environment() {
    let dir = tempfile::tempdir().expect("a directory");
    let python = dir.path().join("python");
    let seen = dir.path().join("seen");
    program(
        &python,
        &format!(
            "#!/bin/sh\n/usr/bin/env > '{}'\nexec '{}' \"$@\"\n",
            seen.display(),
            any_python().display()
        ),
    );
    at(&python).expect("a target");
    // CARGO_MANIFEST_DIR is set for tests and not among what is passed on.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    let seen = fs::read_to_string(seen).expect("the environment");
    assert!(!seen.contains("CARGO") && seen.contains("PATH="), "{seen}");
}

/// A directory with links to interpreters under the given names.
fn links(dir: &Path, names: &[(&str, &Path)]) -> PathBuf {
    fs::create_dir_all(dir).expect("a directory");
    for (name, python) in names {
        symlink(python, dir.join(name)).expect("a link");
    }
    dir.to_owned()
}

#[test]
fn what_is_asked_for_wins_in_order_and_search_follows_path_then_pyenv_then_the_rest() {
    let dir = tempfile::tempdir().expect("a directory");
    let python = any_python();
    let target = at(&python).expect("a target");
    let (major, minor, _) = target.version;
    let minor_text = format!("{major}.{minor}");
    let bin = links(&dir.path().join("bin"), &[("python3", &python)]);
    let other = dir.path().join("other");
    program(&other.join("python3"), "#!/bin/sh\nexit 1\n");
    let pyenv = dir.path().join("pyenv");
    links(&pyenv.join("versions").join(target.version_text()).join("bin"), &[("python", &python)]);
    fs::create_dir_all(pyenv.join("versions/2.7.18/bin")).expect("a directory");

    let with = |path: &[&Path], pyenv_root: Option<&Path>, extra: &[&Path]| InterpreterRequest {
        wanted: Some(minor_text.parse().expect("a version")),
        search: SearchPaths {
            path: path.iter().map(|path| path.to_path_buf()).collect(),
            pyenv_root: pyenv_root.map(Path::to_path_buf),
            extra: extra.iter().map(|path| path.to_path_buf()).collect(),
            ..SearchPaths::default()
        },
        ..InterpreterRequest::default()
    };
    // What does not work on PATH is passed over.
    assert_eq!(find(&with(&[&other, &bin], None, &[])).expect("on PATH"), target);
    assert_eq!(find(&with(&[&other], Some(&pyenv), &[])).expect("in pyenv"), target);
    assert_eq!(find(&with(&[Path::new("relative")], None, &[&bin])).expect("elsewhere"), target);

    let mut asked = with(&[&bin], None, &[]);
    asked.wanted = Some("2.6".parse().expect("a version"));
    asked.env_python = Some((minor_text.clone(), "PIPENV_PYTHON"));
    assert_eq!(find(&asked).expect("by the variable"), target);
    asked.env_python = Some(("2.6".into(), "PIPENV_PYTHON"));
    asked.python = Some("python3".into());
    assert_eq!(find(&asked).expect("by the command's name"), target);
    asked.python = Some(">=3.7".into());
    assert_eq!(find(&asked).expect("by a range"), target);
    asked.python = Some("!".into());
    assert!(
        report(find(&asked)).starts_with("--python ! is unusable\n  because: \"!\" is not a Python version")
    );

    let plain = InterpreterRequest { wanted: None, ..with(&[&bin], None, &[]) };
    assert_eq!(find(&plain).expect("the first Python"), target);
}

#[test]
fn a_version_that_is_not_there_is_told_with_all_that_was_looked_at() {
    let dir = tempfile::tempdir().expect("a directory");
    let python = any_python();
    let bin = links(&dir.path().join("bin"), &[("python3", &python)]);
    let broken = dir.path().join("broken");
    program(&broken.join("python"), "#!/bin/sh\nexit 3\n");
    let mut request = InterpreterRequest {
        wanted: Some("3.99".parse().expect("a version")),
        search: SearchPaths { path: vec![bin.clone(), broken.clone()], ..SearchPaths::default() },
        ..InterpreterRequest::default()
    };
    let message = report(find(&request));
    let head = format!(
        "Python 3.99 was not found (the lock requires it); looked in {}, {}\n  - ",
        bin.display(),
        broken.display()
    );
    assert!(message.starts_with(&head), "{message}");
    assert!(message.contains(&format!("{} is ", bin.join("python3").display())), "{message}");
    assert!(
        message.contains("is not a working Python interpreter: it ended with exit status: 3"),
        "{message}"
    );
    assert!(message.ends_with("help: install that version, or choose an interpreter with --python PATH"));

    request.search.path = vec![dir.path().to_owned()];
    request.wanted = None;
    assert!(report(find(&request)).contains("any Python was not found (on PATH); looked in"));
}

#[test]
fn a_shim_of_pyenv_is_read_and_not_run() {
    let dir = tempfile::tempdir().expect("a directory");
    let (root, python) = (dir.path().join("pyenv"), any_python());
    let target = at(&python).expect("a target");
    for name in ["python", "python3"] {
        program(&root.join("shims").join(name), "#!/bin/sh\nexit 9\n");
    }
    links(&root.join("versions/3.98.1/bin"), &[("python", &python), ("python3", &python)]);
    let project = dir.path().join("project/inner");
    fs::create_dir_all(&project).expect("a directory");
    let request = |version: Option<&str>| InterpreterRequest {
        search: SearchPaths {
            path: vec![root.join("shims")],
            pyenv_root: Some(root.clone()),
            pyenv_version: version.map(str::to_owned),
            project: Some(project.clone()),
            extra: vec![],
        },
        ..InterpreterRequest::default()
    };
    assert!(report(find(&request(None))).contains("there is no Python in any of them"));
    assert_eq!(find(&request(Some("system:3.98.1"))).expect("PYENV_VERSION"), target);
    assert!(find(&request(Some("../../x"))).is_err());
    fs::write(root.join("version"), "system\n3.98\n").expect("a file");
    assert_eq!(find(&request(None)).expect("the global version"), target);
    fs::write(project.parent().expect("a parent").join(".python-version"), "3.97.0\n").expect("a file");
    assert!(find(&request(None)).is_err(), "the nearest file decides");
}
