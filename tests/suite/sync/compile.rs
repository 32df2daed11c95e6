//! `--compile`: bytecode that the interpreter takes, with the same bytes each time.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{
    files, interpreters,
    lock::Lock,
    package::Package,
    program::{clean, script_of_python},
    project::Project,
    wheel::WheelBuilder,
};
use venvoy::inside::{
    environment::bytecode::{Compiler, Kept},
    packages::cache::Cache,
    project::python,
    words::choices::Invalidation,
};

/// A package with modules of many kinds; `demo.fail()` raises.
fn demo() -> Package {
    Package::new(
        &WheelBuilder::new("demo", "1.0")
            .file("demo/__init__.py", "from .inner import fail\n")
            .file("demo/inner.py", "def fail():\n    raise ValueError({1, None, 'a b'} & {'a b'})\n")
            .file("demo/latin.py", b"# coding: latin-1\nname = '\xe9'\n")
            .file("single.py", "word = 'single'\n")
            .file("demo/a.b.py", "")
            .data("purelib/pure.py", "word = 'pure'\n")
            .data("scripts/tool.py", "#!python\nprint('tool')\n")
            .data("data/share/demo/config.py", "word = 'config'\n"),
    )
}

/// A package with modules that no Python 3 compiles.
fn broken() -> Package {
    Package::new(
        &WheelBuilder::new("broken", "1.0")
            .file("broken/__init__.py", "")
            .file("broken/python2.py", "print 'hello'\n")
            .file("broken/templates/only.py", "class {{ name }}:\n")
            .file("broken/templates/null.py", "a\0b\n"),
    )
}

/// Every file of bytecode, relative to the environment.
fn bytecode(venv: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    files::below(venv)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "pyc"))
        .map(|path| {
            let bytes = fs::read(&path).expect("a file");
            (path.strip_prefix(venv).expect("inside").to_owned(), bytes)
        })
        .collect()
}

/// The tag of the machine's python3, such as `cpython-311`.
fn tag() -> String {
    script_of_python("import sys; print(sys.implementation.cache_tag)")
}

fn site_packages() -> String {
    script_of_python("import sys; print('lib/python%d.%d/site-packages' % sys.version_info[:2])")
}

/// What a program prints in the environment's interpreter.
fn python(venv: &Path, program: &str) -> String {
    let output = clean(&venv.join("bin/python")).args(["-I", "-c", program]).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8").trim_end().to_owned()
}

fn cached_bytecode(project: &Project) -> Vec<PathBuf> {
    files::below(&project.path("cache/v1/bytecode"))
}

#[test]
fn every_module_in_site_packages_is_compiled_and_recorded() {
    let project = Project::with_wheels(&[demo()]);
    project.sync_with(&["--compile"]).succeeds();
    let (tag, site) = (tag(), site_packages());
    let expected: Vec<PathBuf> = [
        "__pycache__/pure.TAG.pyc",
        "__pycache__/single.TAG.pyc",
        "demo/__pycache__/__init__.TAG.pyc",
        "demo/__pycache__/a.b.TAG.pyc",
        "demo/__pycache__/inner.TAG.pyc",
        "demo/__pycache__/latin.TAG.pyc",
    ]
    .iter()
    .map(|path| Path::new(&site).join(path.replace("TAG", &tag)))
    .collect();
    assert_eq!(bytecode(&project.venv()).into_keys().collect::<Vec<_>>(), expected);
    // As pip writes them: without digest, as the interpreter may replace them.
    let record = fs::read_to_string(project.venv().join(&site).join("demo-1.0.dist-info/RECORD"));
    let record = record.expect("a RECORD");
    let rows: Vec<&str> = record.lines().filter(|line| line.contains(".pyc")).collect();
    let inside = |path: &PathBuf| format!("{},,", path.strip_prefix(&site).expect("inside").display());
    assert_eq!(rows, expected.iter().map(inside).collect::<Vec<_>>());
    assert_eq!(project.run(&["check"]).says(&[]).code, Some(0));
    project.sync_with(&["--compile"]).says(&[".venv is up to date (1 package)"]);
}

#[test]
fn every_interpreter_loads_it_and_shows_true_paths() {
    // Takes the interpreter's own modules as a package, so that there is something to compare.
    const COLLECT: &str = "
import os, sys, shutil
names = 'argparse ast calendar collections copy dataclasses datetime decimal difflib enum inspect json pickle \
         statistics tarfile tokenize typing unittest urllib xml'.split()
top = os.path.dirname(os.__file__)
for name in names:
    for path in (os.path.join(top, name), os.path.join(top, name + '.py')):
        if os.path.isdir(path):
            shutil.copytree(path, os.path.join(sys.argv[1], name), ignore=lambda d, n: [x for x in n if x in ('__pycache__', 'test', 'tests')])
        elif os.path.isfile(path):
            shutil.copy(path, sys.argv[1])
";
    const COMPARE: &str = r#"
import importlib.util, marshal, os, sys, traceback, warnings
warnings.simplefilter("ignore")
top = os.path.join(sys.prefix, "lib", "python%d.%d" % sys.version_info[:2], "site-packages")
def same(one, other):
    if type(one) is not type(other):
        return False
    if hasattr(one, "co_code"):
        names = [n for n in dir(one) if n.startswith("co_") and n != "co_lnotab" and not callable(getattr(one, n))]
        return all(same(getattr(one, n), getattr(other, n)) for n in names)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other and (isinstance(one, frozenset) or repr(one) == repr(other))
compared = 0
for directory, _, names in os.walk(top):
    for name in names:
        if not name.endswith(".py"):
            continue
        source = os.path.join(directory, name)
        with open(importlib.util.cache_from_source(source), "rb") as file:
            head, code = file.read(16), marshal.loads(file.read())
        with open(source, "rb") as file:
            text = file.read()
        assert head == importlib.util.MAGIC_NUMBER + b"\1\0\0\0" + importlib.util.source_hash(text), source
        assert code.co_filename == os.path.relpath(source, sys.prefix), code.co_filename
        assert same(code, compile(text, code.co_filename, "exec", dont_inherit=True)), source
        compared += 1
assert compared > 30, compared
import demo
try:
    demo.fail()
except ValueError:
    place = traceback.extract_tb(sys.exc_info()[2])[-1]
    assert place.filename == os.path.join(top, "demo", "inner.py") and place.line.startswith("raise"), place
    assert demo.fail.__code__.co_filename == place.filename
# Only an unchecked file still counts when the source is another.
with open(os.path.join(top, "single.py"), "w") as file:
    file.write("word = 'edited'\n")
import single
print(single.word)
"#;
    let interpreters = interpreters::all();
    std::thread::scope(|scope| {
        for interpreter in &interpreters {
            scope.spawn(move || {
                let project = Project::new();
                let collected = project.path("collected");
                fs::create_dir(&collected).expect("made");
                let done = Command::new(interpreter).args(["-I", "-c", COLLECT]).arg(&collected).output();
                let done = done.expect("it runs");
                assert!(done.status.success(), "{done:?}");
                let stdlib = files::below(&collected).into_iter().fold(
                    WheelBuilder::new("stdlib", "1.0"),
                    |wheel, path| {
                        let inside = path.strip_prefix(&collected).expect("inside").to_str().expect("UTF-8");
                        wheel.file(inside, fs::read(&path).expect("a file"))
                    },
                );
                let packages = [demo(), Package::new(&stdlib)];
                project.wheels(&packages);
                project.lock(&packages.iter().fold(Lock::new(), Lock::package));
                let interpreter = interpreter.to_str().expect("UTF-8");
                project.sync_with(&["--compile", "--python", interpreter]).succeeds();
                assert_eq!(python(&project.venv(), COMPARE), "single", "{interpreter}");
            });
        }
    });
}

#[test]
fn the_interpreter_compares_what_the_option_says() {
    const SHOW: &str = "import single; print(single.word)";
    for (how, flags, after_edit) in
        [("unchecked", 1, "single"), ("checked", 3, "edited"), ("timestamp", 0, "edited")]
    {
        let project = Project::with_wheels(&[demo()]);
        project.sync_with(&[&format!("--compile={how}")]).succeeds();
        for bytes in bytecode(&project.venv()).values() {
            assert_eq!(bytes[4..8], [flags, 0, 0, 0], "{how}");
            if how == "timestamp" {
                assert_eq!(bytes[8..12], 315_532_800_u32.to_le_bytes());
            }
        }
        // `-v` names the file that a module's code came from.
        let loaded = clean(&project.venv().join("bin/python")).args(["-I", "-v", "-c", SHOW]).output();
        let said = String::from_utf8(loaded.expect("it runs").stderr).expect("UTF-8");
        let taken = format!("# code object from '{}", project.venv().display());
        assert!(said.lines().any(|line| line.starts_with(&taken) && line.contains(".pyc")), "{how}: {said}");
        let source = project.venv().join(site_packages()).join("single.py");
        fs::remove_file(&source).expect("removed");
        fs::write(&source, "word = 'edited'\n").expect("written");
        assert_eq!(python(&project.venv(), SHOW), after_edit, "{how}");
    }
}

#[test]
fn at_gives_the_paths_that_the_modules_will_have() {
    const SHOW: &str = "
import marshal, sys
code = marshal.loads(open(sys.argv[1], 'rb').read()[16:])
print(code.co_filename, *{inner.co_filename for inner in code.co_consts if hasattr(inner, 'co_code')})";
    let project = Project::with_wheels(&[demo()]);
    project.sync_with(&["--compile", "--at", "/opt/app/.venv/"]).succeeds();
    let inner = format!("{}/demo/__pycache__/inner.{}.pyc", site_packages(), tag());
    let output =
        Command::new("/usr/bin/python3").args(["-I", "-c", SHOW]).arg(project.venv().join(inner)).output();
    let path = format!("/opt/app/.venv/{}/demo/inner.py", site_packages());
    assert_eq!(
        String::from_utf8(output.expect("it runs").stdout).expect("UTF-8"),
        format!("{path} {path}\n")
    );
}

#[test]
fn what_does_not_compile_is_passed_over_and_v_says_why() {
    let project = Project::with_wheels(&[broken()]);
    let run = project.sync_with(&["--compile", "-v"]);
    run.succeeds();
    let site = site_packages();
    for (name, why) in
        [("python2", "SyntaxError: "), ("templates/only", "SyntaxError: "), ("templates/null", "")]
    {
        let start = format!("{site}/broken/{name}.py does not compile: {why}");
        assert!(run.stderr.lines().any(|line| line.starts_with(&start)), "{start}\n{}", run.stderr);
    }
    let init = Path::new(&site).join(format!("broken/__pycache__/__init__.{}.pyc", tag()));
    assert_eq!(bytecode(&project.venv()).into_keys().collect::<Vec<_>>(), [init]);
    assert!(!project.venv().join(&site).join("broken/templates/__pycache__").exists());
    project.run(&["check"]).says(&[]);
    // What the cache holds says the same again.
    let again = project.sync_with(&["--compile", "-v", "--venv", "again"]);
    assert!(again.stderr.contains("python2.py does not compile: SyntaxError: "), "{}", again.stderr);
    let digest = |args: &[&str]| project.run(&[&["digest"], args].concat()).stdout.clone();
    assert_eq!(digest(&[]), digest(&["again"]));
}

#[test]
fn bytecode_that_a_wheel_brings_gives_way() {
    let inner = format!("demo/__pycache__/inner.{}.pyc", tag());
    let wheel = WheelBuilder::new("demo", "1.0")
        .file("demo/__init__.py", "from .inner import word\n")
        .file("demo/inner.py", "word = 'source'\n")
        .file(&inner, "stale")
        .file("blocked/__init__.py", "")
        .file("blocked/__pycache__", "a file where a directory would be");
    let project = Project::with_wheels(&[Package::new(&wheel)]);
    project.sync_with(&["--compile"]).succeeds();
    assert_eq!(python(&project.venv(), "import blocked, demo; print(demo.word)"), "source");
    assert_ne!(bytecode(&project.venv())[&Path::new(&site_packages()).join(inner)], b"stale");
    assert_eq!(bytecode(&project.venv()).len(), 2);
}

#[test]
fn what_slim_leaves_out_is_not_compiled_and_what_it_leaves_is() {
    let tested = Package::new(
        &WheelBuilder::new("tested", "1.0")
            .file("tested/__init__.py", "word = 'code'\n")
            .file("tested/tests/__init__.py", "")
            .file("tested/tests/test_it.py", "def test_it(): pass\n"),
    );
    let project = Project::with_wheels(&[tested]);
    let modules = || -> Vec<String> {
        let place = |path: PathBuf| path.strip_prefix(site_packages()).expect("inside").display().to_string();
        bytecode(&project.venv()).into_keys().map(place).collect()
    };
    let pyc = |name: &str| name.replace(".pyc", &format!(".{}.pyc", tag()));
    let slim = [pyc("tested/__pycache__/__init__.pyc")];
    let whole = [
        slim[0].clone(),
        pyc("tested/tests/__pycache__/__init__.pyc"),
        pyc("tested/tests/__pycache__/test_it.pyc"),
    ];
    // The cache keeps bytecode by wheel: what one of them knows must do for the other.
    for (options, expected) in [
        (&["--compile", "--slim"][..], &slim[..]),
        (&["--compile"], &whole),
        (&["--compile", "--slim"], &slim),
        (&["--compile"], &whole),
    ] {
        project.sync_with(options).succeeds();
        assert_eq!(modules(), expected, "{options:?}");
        assert_eq!(project.run(&["check"]).code, Some(0), "{options:?}");
    }
}

#[test]
fn asking_for_bytecode_or_no_longer_makes_another_environment() {
    let project = Project::with_wheels(&[demo()]);
    let modes: [&[&str]; 6] = [
        &[],
        &["--compile"],
        &["--compile=checked"],
        &["--compile=timestamp"],
        &[],
        &["--compile=unchecked"],
    ];
    let mut digests = Vec::new();
    for args in modes {
        project.sync_with(args).says(&[&format!(
            ".venv: 1 package, {{size}} in {{time}} s: 1 {}",
            if digests.is_empty() { format!("downloaded ({})", size(&demo())) } else { "cached".into() }
        )]);
        project.sync_with(args).says(&[".venv is up to date (1 package)"]);
        digests.push(project.run(&["digest"]).stdout.clone());
    }
    assert_eq!((&digests[0], &digests[1]), (&digests[4], &digests[5]));
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), 4);
}

/// A size as a summary has it.
fn size(package: &Package) -> String {
    venvoy::inside::words::vocab::size(package.bytes.len() as u64)
}

#[test]
fn check_knows_bytecode_and_repair_restores_it_offline() {
    let project = Project::with_wheels(&[demo()]);
    project.sync_with(&["--compile"]).succeeds();
    let digest = project.run(&["digest"]).stdout.clone();
    let site = site_packages();
    let pyc = |name: &str| format!("{site}/demo/__pycache__/{name}.{}.pyc", tag());
    let changed = project.venv().join(pyc("inner"));
    fs::remove_file(&changed).expect("removed");
    fs::write(&changed, "evil").expect("written");
    fs::remove_file(project.venv().join(pyc("latin"))).expect("removed");
    // What the interpreter itself would add does not count.
    fs::write(project.venv().join(pyc("inner").replace(".pyc", ".opt-2.pyc")), "").expect("written");
    assert_eq!(
        project.run(&["check"]).ends(8, &[]).stdout.lines().collect::<Vec<_>>(),
        [
            &format!("missing: {}", pyc("latin")),
            &format!("changed: {} has other contents", pyc("inner")),
            "{root}/project/.venv is not what it should be: 1 missing, 1 changed, 0 extra, 0 unlike the lock (--repair makes it anew)",
        ]
    );
    fs::remove_dir_all(project.path("wheels")).expect("removed");
    project.run(&["check", "--repair", "--offline", "--compile"]).succeeds();
    assert_eq!(project.run(&["digest"]).stdout, digest);
}

#[test]
fn what_was_compiled_comes_from_the_cache_unless_it_was_damaged() {
    let project = Project::with_wheels(&[demo()]);
    project.sync_with(&["--compile"]).succeeds();
    let expected = bytecode(&project.venv());
    let [kept] = &*cached_bytecode(&project) else { panic!("{:?}", cached_bytecode(&project)) };
    let fresh = |name: &str| {
        project.sync_with(&["--compile", "--venv", name]).succeeds();
        bytecode(&project.dir().join(name))
    };
    assert_eq!(fresh("second"), expected);

    // A mark in the cache shows where bytecode came from.
    let request = python::InterpreterRequest {
        python: Some("/usr/bin/python3".into()),
        ..python::InterpreterRequest::default()
    };
    let target = python::find(&request).expect("an interpreter");
    let cache = Cache::open(&project.path("cache"), venvoy::inside::packages::cache::Options::default());
    let compiler = Compiler::new(&target, Invalidation::Unchecked, None, 315_532_800, Some(&cache));
    let compiler = compiler.expect("a compiler");
    let wheel = demo().sha256.parse().expect("a digest");
    let Kept(mut known) = compiler.kept(&wheel).expect("it was kept");
    for compiled in known.values_mut() {
        *compiled = Ok(b"marked".to_vec());
    }
    compiler.keep(&wheel, &Kept(known));
    assert!(fresh("marked").values().all(|bytes| bytes == b"marked"));
    // The same bytes from elsewhere are nothing that could be checked.
    let marked = fs::read(kept).expect("a file");
    fs::remove_file(kept).expect("removed");
    fs::write(kept, &marked).expect("brought");
    assert_eq!(fresh("brought"), expected);

    let mut damaged = fs::read(kept).expect("a file");
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(kept, &damaged).expect("written");
    assert_eq!(fresh("third"), expected);
    assert_ne!(fs::read(kept).expect("a file"), damaged);

    fs::remove_dir_all(project.path("cache/v1/bytecode")).expect("removed");
    assert_eq!(fresh("fourth"), expected);
}

#[test]
fn a_target_without_an_interpreter_cannot_be_compiled_for() {
    let project = Project::with_wheels(&[demo()]);
    let described =
        ["--python-version", "3.9", "--platform", "linux/arm64", "--python-home", "/usr/local/bin"];
    project.sync_with(&[&["--compile"], &described[..]].concat()).ends(
        2,
        &[
            "error: --compile and --python-version exclude each other: the target's own interpreter compiles, and it is not here",
            "  help: run venvoy on that platform with that interpreter (--python), or leave one of them out",
        ],
    );
    assert!(!project.venv().exists());
    project
        .run(&["sync", "--compile=never"])
        .fails(2, &["error: invalid value 'never' for '--compile[=<HOW>]'"]);
}

#[test]
fn an_interpreter_that_fails_while_compiling_is_an_error_and_the_old_environment_stays() {
    let project = Project::with_wheels(&[demo()]);
    // The answers of an interpreter are kept as long as its file looks the same.
    let place = project.path("py/bin/python3");
    let real = fs::canonicalize("/usr/bin/python3").expect("python3");
    fs::create_dir_all(place.parent().expect("bin")).expect("made");
    let copied = Command::new("cp").arg(&real).arg(&place).status().expect("cp");
    assert!(copied.success());
    std::os::unix::fs::symlink(
        real.parent().expect("bin").parent().expect("usr").join("lib"),
        project.path("py/lib"),
    )
    .expect("linked");
    let args = ["--python", place.to_str().expect("UTF-8")];
    project.sync_with(&args).succeeds();
    let before = project.snapshot();
    let meta = fs::metadata(&place).expect("a file");
    let answers = r"printf '\003\013'; head -c 4 >/dev/null; ";
    for (program, what, why) in [
        ("echo out of order >&2; exit 3".to_owned(), "with {root}/py/bin/python3", "ended: out of order"),
        (format!("{answers} exit 3"), "", "ended with exit status: 3"),
        (format!("{answers} kill -SEGV $$"), "", "ended with signal: 11 (SIGSEGV) (core dumped)"),
    ] {
        let minor = script_of_python("import sys; print('%03o' % sys.version_info[1])");
        let mut text = format!("#!/bin/sh\n{program}\n").replace(r"\013", &format!(r"\{minor}")).into_bytes();
        text.resize(usize::try_from(meta.len()).expect("a size"), b'\n');
        project.write("text", &text);
        let replaced = Command::new("cp").arg(project.path("text")).arg(&place).status().expect("cp");
        assert!(replaced.success());
        let touched = Command::new("touch").arg("-r").arg(&real).arg(&place).status();
        assert!(touched.expect("touch").success());
        let file = fs::File::open(&place).expect("a file");
        file.set_modified(meta.modified().expect("a time")).expect("set");
        let run = project.sync_with(&[&["--compile", "--threads", "1"], &args[..]].concat());
        let site = site_packages();
        let what = if what.is_empty() { format!("{site}/demo/inner.py") } else { what.to_owned() };
        let said = run.stderr.replace(" (core dumped)", "");
        let why = why.replace(" (core dumped)", "");
        assert_eq!(
            said.lines().collect::<Vec<_>>(),
            [
                "error: cannot make {root}/project/.venv".to_owned(),
                format!("  because: cannot compile {what}"),
                format!("  because: {{root}}/py/bin/python3 {why}"),
                "  help: leave --compile out, or use another interpreter (--python)".to_owned(),
            ]
        );
        assert_eq!(run.code, Some(4));
        assert_eq!(project.snapshot(), before);
    }
}
