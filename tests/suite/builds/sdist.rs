//! Source distributions: built with a real interpreter and real backends.

use std::{fs, time::Duration};

use crate::support::{
    archive::{has_extension, tar_gz, wheel_files, zip},
    backend::in_tree,
    build::{Run, SETUPTOOLS, credentials, job},
    files::plant,
    index::basic,
    server::Server,
};
use venvoy::inside::{
    packages::sdist::{self, BuildSource, IndexSource},
    project::lock::{Hashes, Pin},
    words::{error::Kind, vocab::Sha256},
};

#[test]
fn a_legacy_project_is_built_once_and_its_bytes_do_not_depend_on_the_run() {
    let run = Run::with_backends();
    let job = run.sdist(SETUPTOOLS);
    let first = run.built(&job);
    assert_eq!((first.name.as_str(), first.version.to_string().as_str()), ("demo", "1.0"));
    assert!(!first.cached && first.log.is_some() && first.direct_url.is_none());
    let files = wheel_files(first.wheel.path());
    assert!(files.contains_key("demo.py"), "{:?}", files.keys());
    let points = String::from_utf8_lossy(&files["demo-1.0.dist-info/entry_points.txt"]).into_owned();
    assert!(points.contains("demo = demo:main") || points.contains("demo=demo:main"), "{points}");

    let second = run.built(&job);
    assert!(second.cached && second.log.is_none(), "nothing is built twice");
    assert_eq!(second.wheel, first.wheel);

    let other = Run::with_backends();
    let third = other.built(&other.sdist(SETUPTOOLS));
    assert!(!third.cached);
    assert_eq!(third.wheel.sha256(), first.wheel.sha256(), "another directory and time, the same bytes");
}

#[test]
fn every_format_of_archive_is_built() {
    let files = in_tree("return wheel(out, **{'demo.py': ''})");
    let tar = {
        let mut plain = Vec::new();
        std::io::Read::read_to_end(
            &mut flate2::read::GzDecoder::new(tar_gz("demo-1.0", &files).as_slice()),
            &mut plain,
        )
        .expect("inflated");
        plain
    };
    let mut bz2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    std::io::Write::write_all(&mut bz2, &tar).expect("written");
    for (name, bytes) in [
        ("demo-1.0.tar.gz", tar_gz("demo-1.0", &files)),
        ("demo-1.0.tar.bz2", bz2.finish().expect("finished")),
        ("demo-1.0.zip", zip("demo-1.0", &files)),
    ] {
        let run = Run::default();
        let path = run.write(name, bytes);
        let built =
            run.built(&job("demo", Some("1.0"), BuildSource::LocalFile { path, hashes: Hashes::default() }));
        assert!(wheel_files(built.wheel.path()).contains_key("demo.py"), "{name}");
    }
}

#[test]
fn a_failing_build_shows_command_exit_code_last_lines_and_log() {
    let run = Run::default();
    let files = in_tree("print('something useful')\nsys.exit(7)");
    let report = run.fails(&run.sdist(&files));
    for part in [
        "cannot build demo 1.0 from ",
        "build_wheel of own failed",
        "hooks.py",
        "failed (exit code 7)",
        "| something useful",
        "help: the whole output is in ",
    ] {
        assert!(report.contains(part), "{part}: {report}");
    }
    let log =
        report.rsplit("the whole output is in ").next().expect("a path").lines().next().expect("a line");
    assert!(fs::read_to_string(log).expect("a log").contains("something useful"));
}

#[test]
fn a_hanging_build_is_stopped() {
    let run = Run { timeout: Duration::from_secs(2), ..Run::default() };
    let files = in_tree("import time\ntime.sleep(600)");
    let report = run.fails(&run.sdist(&files));
    assert!(report.contains("did not end within 2 seconds"), "{report}");
    assert!(report.contains("--build-timeout"), "{report}");
}

#[test]
fn without_a_compiler_the_packages_to_install_are_named() {
    let mut run = Run::with_backends();
    let empty = run.path().join("empty");
    fs::create_dir(&empty).expect("a directory");
    run.set("PATH", empty.to_str().expect("text"));
    run.env.retain(|(name, _)| name != "CC");
    let report = run.fails(&run.sdist(&[
        ("setup.py", "from setuptools import setup, Extension\nsetup(name='demo', version='1.0', ext_modules=[Extension('demo', ['demo.c'])])\n"),
        ("demo.c", "int demo;\n"),
    ]));
    assert!(report.contains("apt-get install build-essential; on Alpine: apk add build-base"), "{report}");
}

#[test]
fn an_extension_module_is_compiled() {
    let run = Run::with_backends();
    let built = run.built(&run.sdist(&[
        ("setup.py", "from setuptools import setup, Extension\nsetup(name='demo', version='1.0', ext_modules=[Extension('demo', ['demo.c'])])\n"),
        ("demo.c", "#include <Python.h>\nstatic struct PyModuleDef def = {PyModuleDef_HEAD_INIT, \"demo\", 0, -1, 0};\nPyMODINIT_FUNC PyInit_demo(void) { return PyModule_Create(&def); }\n"),
    ]));
    assert!(
        wheel_files(built.wheel.path())
            .keys()
            .any(|name| name.starts_with("demo.") && has_extension(name, "so"))
    );
    assert_ne!(built.file_name.platform, ["any"]);
}

#[test]
fn a_wheel_of_another_name_or_version_is_refused() {
    for (body, got) in [
        ("return wheel(out, name='other')", "got other 1.0, the lock says demo 1.0"),
        ("return wheel(out, version='2.0')", "got demo 2.0, the lock says demo 1.0"),
        (
            "name = wheel(out, name='other')\nos.rename(os.path.join(out, name), os.path.join(out, 'demo-1.0-py3-none-any.whl'))\nreturn 'demo-1.0-py3-none-any.whl'",
            "demo-1.0-py3-none-any.whl says inside that it is other 1.0",
        ),
        ("return '../../demo-1.0-py3-none-any.whl'", "path separator"),
        ("return 'demo-1.0-py3-none-any.whl'", "said it wrote demo-1.0-py3-none-any.whl, but did not"),
        ("return None", "gave \"\" as the wheel's name"),
        ("return wheel(out, **{'../evil.py': ''})", "unsafe path \"../evil.py\""),
        (
            "name = wheel(out)\nnew = 'demo-1.0-cp27-none-win32.whl'\nos.rename(os.path.join(out, name), os.path.join(out, new))\nreturn new",
            "demo-1.0-cp27-none-win32.whl does not fit CPython",
        ),
    ] {
        let run = Run::default();
        let files = in_tree(body);
        let bytes = tar_gz("demo-1.0", &files);
        let path = run.write("sdist", &bytes);
        let file = run.store.clone();
        let file = sdist::BuildStore::keep_wheel(
            &file,
            "feed",
            &{
                // A store vouches for what it keeps; the name is only a name.
                let named = run.path().join("sdist.whl");
                fs::rename(&path, &named).expect("renamed");
                named
            },
            &sdist::BuildRecord::default(),
        )
        .expect("kept")
        .0;
        let job = job("demo", Some("1.0"), BuildSource::Sdist { file, file_name: "demo-1.0.tar.gz".into() });
        let error = run.error(&job);
        assert!(error.report().contains(got), "{body}: {}", error.report());
        assert!(run.error(&job).report().contains(got), "a refused wheel is not kept");
    }
}

#[test]
fn a_version_with_a_local_part_is_accepted_for_one_without() {
    let run = Run::default();
    let files = in_tree("return wheel(out, version='1.0+cpu')");
    let mut job = run.sdist(&files);
    assert!(run.built(&job).warnings.0.is_empty());
    job.pin = Pin::Arbitrary("1.0+CPU".into());
    assert!(run.built(&job).warnings.0.is_empty());
}

#[test]
fn a_local_file_must_have_the_digest_of_the_lock() {
    let run = Run::default();
    let files = in_tree("return wheel(out)");
    let bytes = tar_gz("demo-1.0", &files);
    let path = run.write("demo-1.0.tar.gz", &bytes);
    let with = |sha256| {
        job(
            "demo",
            None,
            BuildSource::LocalFile {
                path: path.clone(),
                hashes: Hashes { sha256: vec![sha256], other: vec![] },
            },
        )
    };
    run.built(&with(Sha256::of(&bytes)));
    let error = run.error(&with(Sha256([0; 32])));
    assert_eq!(error.kind(), Kind::Integrity);
    assert!(error.report().contains("the lock accepts sha256:0000"), "{}", error.report());
    let missing = job(
        "demo",
        None,
        BuildSource::LocalFile { path: run.path().join("no.zip"), hashes: Hashes::default() },
    );
    assert!(run.fails(&missing).contains("check the path in the lock"));
}

#[test]
fn a_local_wheel_is_taken_as_it_is() {
    let run = Run::default();
    let files = in_tree("return wheel(out)");
    let built = run.built(&run.sdist(&files));
    let path = run.path().join("demo-1.0-py3-none-any.whl");
    fs::copy(built.wheel.path(), &path).expect("copied");
    let taken =
        run.built(&job("demo", Some("1.0"), BuildSource::LocalFile { path, hashes: Hashes::default() }));
    assert_eq!(taken.wheel.sha256(), built.wheel.sha256());
}

#[test]
fn requirements_that_cannot_be_had_are_named() {
    let project: &[(&str, &str)] = &[(
        "pyproject.toml",
        "[build-system]\nrequires = ['venvoy-no-such-backend']\nbuild-backend = 'none'\n",
    )];
    let mut run = Run::default();
    let report = run.fails(&run.sdist(project));
    assert!(report.contains("cannot install the build requirements (venvoy-no-such-backend)"), "{report}");
    assert!(report.contains("none of the lock's sources has it"), "{report}");
    run.offline = true;
    let report = run.fails(&run.sdist(project));
    assert!(report.contains("--offline asks no index"), "{report}");
}

#[test]
fn settings_reach_the_backend() {
    let pip_args = vec!["--config-settings=a=1".into(), "--config-settings=a=2".into()];
    let run = Run { pip_args, ..Run::default() };
    let files = in_tree(
        "import json\nreturn wheel(out, **{'config.json': json.dumps(config_settings, sort_keys=True)})",
    );
    let mut job = run.sdist(&files);
    job.pip_args = vec!["-Cb=x".into()];
    let built = run.built(&job);
    assert_eq!(wheel_files(built.wheel.path())["config.json"], br#"{"a": ["1", "2"], "b": "x"}"#);
    job.pip_args.clear();
    assert!(!run.built(&job).cached, "other settings, another wheel");
}

/// The backend comes from a private index; the backend writes down all it can see.
#[test]
fn credentials_reach_pip_and_no_code_of_the_project() {
    let files = in_tree("return wheel(out)");
    let mut spy: Vec<(String, String)> = files
        .into_iter()
        .map(|(name, text)| (name.replace("backend/own.py", "spy.py"), text))
        .filter(|(name, _)| name == "spy.py")
        .collect();
    let dump = "seen = [repr(sys.argv), repr(dict(os.environ))]\n    \
                for base in [os.path.dirname(os.path.dirname(os.path.abspath(sys.argv[0]))), os.path.dirname(sys.prefix)]:\n        \
                for root, _, names in os.walk(base):\n            \
                for name in names:\n                \
                if not name.endswith(('.py', '.pyc', '.so', '.whl')):\n                    \
                seen.append(open(os.path.join(root, name), errors='replace').read())\n    \
                return wheel(out, **{'seen.txt': '\\n'.join(seen)})";
    spy[0].1 = spy[0].1.replace("return wheel(out)", dump);

    let mut run = Run::default();
    let index = run.path().join("index");
    let wheel = {
        let mut source = in_tree("return wheel(out, name='spy', **{'spy.py': open('spy.txt').read()})");
        source.push(("spy.txt".into(), spy[0].1.clone()));
        let path = run.write("spy-1.0.tar.gz", tar_gz("spy-1.0", &source));
        run.built(&job("spy", None, BuildSource::LocalFile { path, hashes: Hashes::default() }))
    };
    let name = "spy-1.0-py3-none-any.whl";
    plant(&index, &[("simple/spy/index.html", &format!("<a href=\"../../{name}\">{name}</a>"))]);
    fs::copy(wheel.wheel.path(), index.join(name)).expect("copied");
    let server = Server::of_directory(&index, &basic("ci:canary-p@ss/w%rd"));
    let url: url::Url = server.url("/simple/").parse().expect("a URL");
    run.sources = vec![IndexSource { url: url.clone(), verify_ssl: true }];
    run.credentials = Some((url, credentials("ci", "canary-p@ss/w%rd")));
    run.set("CI_JOB_TOKEN", "canary-token");
    run.set("INNOCENT", "canary-p@ss/w%rd");

    let built = run.built(
        &run.sdist(&[("pyproject.toml", "[build-system]\nrequires = ['spy']\nbuild-backend = 'spy'\n")]),
    );
    let seen = String::from_utf8_lossy(&wheel_files(built.wheel.path())["seen.txt"]).into_owned();
    assert!(
        seen.contains("PYTHONHASHSEED")
            && seen.contains(
                "spy
"
            ),
        "it saw the environment and the requirements: {seen}"
    );
    assert!(!seen.contains("canary") && !seen.contains("w%25rd"), "{seen}");
    let log = fs::read_to_string(built.log.expect("a log")).expect("read");
    assert!(!log.contains("canary") && log.contains(name), "{log}");
    let login = basic("ci:canary-p@ss/w%rd");
    let asked = server.log();
    assert!(asked.iter().any(|r| r.path == format!("/{name}") && r.header("authorization") == Some(&login)));
}

/// A message that quotes it writes a backslash twice, a tab as two characters.
#[test]
fn a_secret_that_a_build_quotes_is_struck_out() {
    let token = "canary\\one\ttwo\"three'four";
    let mut run = Run::default();
    run.set("CI_JOB_TOKEN", token);
    let show = format!("import json\ntoken = {}\n", serde_json::Value::from(token))
        + "print('shown:', token, repr(token), repr([token]), json.dumps(token))\nreturn wheel(out)";
    let built = run.built(&run.sdist(&in_tree(&show)));
    let log = fs::read_to_string(built.log.expect("a log")).expect("read");
    assert!(log.contains("shown: **** '****' ['****'] \"****\""), "{log}");
    for part in ["canary", "one", "two", "three", "four"] {
        assert!(!log.contains(part), "{log}");
    }
}

/// pip hands the URLs of indexes on to a second pip, where a build requirement has to be built and needs something for
/// that itself: in arguments, which all can read.
#[test]
fn a_login_is_in_no_argument_while_pip_builds_a_build_requirement() {
    let look = "import glob\n\
                for place in glob.glob('/proc/[0-9]*/cmdline'):\n    \
                    try: seen = open(place, 'rb').read()\n    \
                    except OSError: continue\n    \
                    assert b'canary' not in seen, seen\n\
                return wheel(out, name=NAME, **{NAME + '.py': 'from own import *'})";
    let looking = |name: &str, requires: &str| {
        let mut files = in_tree(&look.replace("NAME", &format!("{name:?}")));
        for (file, text) in &mut files {
            if file == "pyproject.toml" {
                *text = text.replace("requires = []", &format!("requires = [{requires}]"));
            }
        }
        files.push(("PKG-INFO".into(), format!("Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")));
        files
    };
    let mut run = Run::default();
    let index = run.path().join("index");
    for (name, requires) in [("outer", "'inner'"), ("inner", "")] {
        let file = format!("{name}-1.0.tar.gz");
        let page = format!("<a href=\"../../{file}\">{file}</a>");
        plant(&index, &[(&format!("simple/{name}/index.html"), &page)]);
        fs::write(index.join(&file), tar_gz(&format!("{name}-1.0"), &looking(name, requires)))
            .expect("written");
    }
    let server = Server::of_directory(&index, &basic("ci:canary"));
    let url: url::Url = server.url("/simple/").parse().expect("a URL");
    run.sources = vec![IndexSource { url: url.clone(), verify_ssl: true }];
    run.credentials = Some((url, credentials("ci", "canary")));
    let built = run.built(&run.sdist(&looking("demo", "'outer'")));
    assert_eq!(built.requirements, ["outer==1.0"]);
    assert!(server.log().iter().any(|asked| asked.path == "/inner-1.0.tar.gz"), "the second pip was there");
}

#[test]
fn offline_a_kept_wheel_is_enough() {
    let mut run = Run::with_backends();
    let job = run.sdist(SETUPTOOLS);
    run.built(&job);
    run.offline = true;
    run.env.retain(|(name, _)| name != "PIP_FIND_LINKS");
    assert!(run.built(&job).cached);
}

#[test]
fn a_build_writes_nothing_outside_its_directory() {
    let run = Run::default();
    let harmed = run.path().join("project/harmed");
    let files =
        in_tree(&format!("open({:?}, 'w').write('x')\nreturn wheel(out)", harmed.display().to_string()));
    let result = run.build(&run.sdist(&files));
    let log = fs::read_dir(run.path().join("logs")).expect("logs").flatten().next().expect("a log").path();
    let log = fs::read_to_string(log).expect("read");
    if log.contains("# this kernel cannot keep the build from writing elsewhere") {
        result.expect("an older kernel lets it");
        return;
    }
    let report = result.expect_err("refused").report();
    assert!(
        report.contains("PermissionError") && report.contains("a build may write to its own directory"),
        "{report}"
    );
    assert!(!harmed.exists());
}

#[test]
fn an_interrupt_ends_a_build() {
    let run = Run::default();
    let files = in_tree("import time\ntime.sleep(600)");
    let job = run.sdist(&files);
    run.interrupted.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(run.error(&job).kind(), Kind::Interrupted);
}
