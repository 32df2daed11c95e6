//! Local projects: as copies and in their place, the user's tree left as it was.

use std::{fs, path::Path, process::Command};

use crate::support::{
    archive::{has_extension, wheel_files},
    backend::in_tree,
    build::{Run, SETUPTOOLS, directory, target},
    files::{self, assert_unchanged, plant},
    git::{git, repository},
};
use venvoy::inside::packages::sdist::{Built, relativise, relativise_hook};

/// Lays an editable wheel out beside the project, by the `.pth` alone, and runs code with it.
fn import(run: &Run, built: &Built, root: &Path, code: &str) -> String {
    let site = root.join(".venv").join(target().site_packages.as_path());
    fs::create_dir_all(&site).expect("a directory");
    for (name, bytes) in wheel_files(built.wheel.path()) {
        if !name.contains('/') {
            let bytes = match () {
                () if has_extension(&name, "pth") => relativise(&bytes, &site, root),
                () if name.starts_with("__editable__") => relativise_hook(&bytes, &site, root),
                () => bytes,
            };
            fs::write(site.join(name), bytes).expect("written");
        }
    }
    let moved = run.path().join("moved");
    fs::rename(root, &moved).expect("moved");
    let site = moved.join(".venv").join(target().site_packages.as_path());
    let output = Command::new(&target().executable)
        .args([
            "-I",
            "-B",
            "-c",
            &format!("import site; site.addsitedir({:?}); {code}", site.display().to_string()),
        ])
        .output()
        .expect("an interpreter");
    fs::rename(&moved, root).expect("moved back");
    fs::remove_dir_all(root.join(".venv")).expect("removed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

#[test]
fn a_directory_is_built_from_a_copy_and_again_only_when_a_file_changed() {
    let run = Run::with_backends();
    let project = run.project();
    plant(&project, SETUPTOOLS);
    plant(&project, &[("build/lib/stale.py", ""), (".venv/pyvenv.cfg", ""), ("__pycache__/demo.pyc", "")]);
    let before = files::snapshot(&project);
    let first = run.built(&directory(&project, false));
    assert_unchanged(&project, &before, "after a build");
    assert!(!wheel_files(first.wheel.path()).contains_key("stale.py"));
    assert!(first.direct_url.is_none() && first.editable.is_none());
    assert!(run.built(&directory(&project, false)).cached);
    plant(&project, &[("build/lib/stale.py", "changed"), (".git/HEAD", "no repository")]);
    assert!(run.built(&directory(&project, false)).cached, "leftovers are no source");
    plant(&project, &[("demo.py", "changed = 1\n")]);
    let changed = run.built(&directory(&project, false));
    assert!(!changed.cached);
    assert_eq!(wheel_files(changed.wheel.path())["demo.py"], b"changed = 1\n");
}

#[test]
fn git_says_which_files_count() {
    let run = Run::with_backends();
    let project = run.project();
    let mut files = SETUPTOOLS.to_vec();
    files.push((".gitignore", "ignored.txt\n"));
    repository(&project, &files);
    plant(&project, &[("ignored.txt", "one")]);
    let before = files::snapshot(&project);
    assert!(!run.built(&directory(&project, false)).cached);
    assert_unchanged(&project, &before, "the repository, too, is as it was");
    plant(&project, &[("ignored.txt", "two")]);
    assert!(run.built(&directory(&project, false)).cached);
    plant(&project, &[("untracked.txt", "counts")]);
    assert!(!run.built(&directory(&project, false)).cached);
}

#[test]
fn a_missing_project_is_named() {
    let run = Run::default();
    let report = run.fails(&directory(&run.project().join("nowhere"), false));
    assert!(
        report.contains("nowhere does not exist") && report.contains("check the path in the lock"),
        "{report}"
    );
    let report = run.fails(&directory(&run.project(), true));
    assert!(report.contains("neither a pyproject.toml nor a setup.py"), "{report}");
}

#[test]
fn a_project_of_another_name_is_the_users_own_affair() {
    let run = Run::default();
    let files = in_tree("return wheel(out, name='other')");
    plant(&run.project(), &files);
    let built = run.built(&directory(&run.project(), false));
    assert_eq!(built.name.as_str(), "other");
    assert!(
        built.warnings.0.iter().any(|w| w.contains("got other 1.0, the lock says demo")),
        "{:?}",
        built.warnings
    );
}

#[test]
fn every_common_backend_gives_an_editable_project_that_can_move() {
    let project = "[project]\nname = 'demo'\nversion = '1.0'\ndescription = 'd'\n";
    let system = |requires: &str, backend: &str| {
        format!("[build-system]\nrequires = ['{requires}']\nbuild-backend = '{backend}'\n{project}")
    };
    let poetry = "[build-system]\nrequires = ['poetry-core']\nbuild-backend = 'poetry.core.masonry.api'\n[tool.poetry]\nname = 'demo'\nversion = '1.0'\ndescription = ''\nauthors = []\npackages = [{include = 'demo', from = 'src'}]\n";
    let cases: Vec<(&str, String, &str, &str)> = vec![
        (
            "setuptools, src",
            system("setuptools", "setuptools.build_meta")
                + "[tool.setuptools.packages.find]\nwhere = ['src']\n",
            "src/demo/__init__.py",
            "src",
        ),
        // Its hook maps the package alone, so that nothing else of the project can be imported.
        ("setuptools, flat", system("setuptools", "setuptools.build_meta"), "demo/__init__.py", "demo"),
        ("hatchling, src", system("hatchling", "hatchling.build"), "src/demo/__init__.py", "src"),
        ("flit, flat", system("flit-core", "flit_core.buildapi"), "demo/__init__.py", ""),
        ("poetry, src", poetry.into(), "src/demo/__init__.py", "src"),
        ("pdm, src", system("pdm-backend", "pdm.backend"), "src/demo/__init__.py", "src"),
    ];
    for (what, pyproject, module, leads) in cases {
        let run = Run::with_backends();
        let root = run.project();
        plant(
            &root,
            &[
                ("pyproject.toml", pyproject.as_str()),
                (module, "import os\nplace = os.path.dirname(__file__)\n"),
                ("README.md", ""),
            ],
        );
        let before = files::snapshot(&root);
        let built = run.built(&directory(&root, true));
        assert_unchanged(&root, &before, what);
        let editable = built.editable.clone().expect("editable");
        assert!(editable.relocatable, "{what}: {editable:?}");
        assert_eq!(editable.paths, [root.join(leads).components().collect::<std::path::PathBuf>()], "{what}");
        let record = String::from_utf8(built.direct_url.clone().expect("a record")).expect("text");
        assert_eq!(
            record,
            format!(r#"{{"dir_info":{{"editable":true}},"url":"file://{}"}}"#, root.display())
        );
        let place = import(&run, &built, &root, "import demo; print(demo.place)");
        assert!(place.starts_with(&run.path().join("moved").display().to_string()), "{what}: {place}");
        assert!(run.built(&directory(&root, true)).cached, "{what}");
    }
}

#[test]
fn a_legacy_project_is_editable_with_its_scripts() {
    let run = Run::with_backends();
    let root = run.project();
    plant(&root, SETUPTOOLS);
    let before = files::snapshot(&root);
    let built = run.built(&directory(&root, true));
    assert_unchanged(&root, &before, "after a build");
    assert_eq!(built.editable.clone().expect("editable").paths, [root.join("demo")]);
    assert!(wheel_files(built.wheel.path()).contains_key("demo-1.0.dist-info/entry_points.txt"));
    assert_eq!(import(&run, &built, &root, "import demo; demo.main()"), "demo");
}

#[test]
fn a_layout_that_no_path_can_express_moves_with_its_hook() {
    let run = Run::with_backends();
    let root = run.project();
    plant(
        &root,
        &[
            (
                "setup.py",
                "from setuptools import setup\nsetup(name='demo', version='1.0', packages=['demo'], package_dir={'demo': 'lib'})\n",
            ),
            ("lib/__init__.py", "answer = 42\n"),
        ],
    );
    let built = run.built(&directory(&root, true));
    let editable = built.editable.clone().expect("editable");
    assert!(editable.relocatable && editable.hook_files.len() == 1, "{editable:?}");
    assert!(built.warnings.0.is_empty(), "{:?}", built.warnings);
    assert_eq!(editable.paths, [root.join("lib")]);
    assert_eq!(import(&run, &built, &root, "import demo; print(demo.answer)"), "42");
}

#[test]
fn an_editable_extension_module_is_brought_to_its_project() {
    let run = Run::with_backends();
    let root = run.project();
    plant(
        &root,
        &[
            (
                "setup.py",
                "from setuptools import setup, Extension\nsetup(name='demo', version='1.0', packages=['demo'], ext_modules=[Extension('demo.fast', ['fast.c'])])\n",
            ),
            ("demo/__init__.py", ""),
            (
                "fast.c",
                "#include <Python.h>\nstatic struct PyModuleDef def = {PyModuleDef_HEAD_INIT, \"fast\", 0, -1, 0};\nPyMODINIT_FUNC PyInit_fast(void) { return PyModule_Create(&def); }\n",
            ),
        ],
    );
    let before = files::snapshot(&root);
    let built = run.built(&directory(&root, true));
    let after = files::snapshot(&root);
    let new: Vec<String> = after
        .keys()
        .filter(|path| !before.contains_key(*path))
        .map(|path| path.display().to_string())
        .collect();
    assert!(new.len() == 1 && new[0].contains("/demo/fast.") && has_extension(&new[0], "so"), "{new:?}");
    assert!(built.warnings.0.iter().any(|w| w.contains("demo/fast.")), "{:?}", built.warnings);
    assert_eq!(import(&run, &built, &root, "import demo.fast; print('fast')"), "fast");
}

/// What pip's editable installation lets import is what ours does: the packages, not what lies beside them.
#[test]
fn an_editable_project_lends_its_packages_and_not_its_tests() {
    let run = Run::with_backends();
    let root = run.project();
    plant(
        &root,
        &[
            (
                "setup.py",
                "from setuptools import setup\nsetup(name='demo', version='1.0', packages=['demo'])\n",
            ),
            ("demo/__init__.py", ""),
            ("tests/__init__.py", ""),
            ("conftest.py", ""),
        ],
    );
    let built = run.built(&directory(&root, true));
    let code = "import demo, importlib.util as u; print(u.find_spec('tests'), u.find_spec('conftest'))";
    assert_eq!(import(&run, &built, &root, code), "None None");
}

/// Fault 1: `../VERSION` and a module beside the project are there for its build, the tree is as it was, and a change of what was read
/// is a reason to build again.
#[test]
fn what_a_build_reads_beside_its_project_is_there_and_counts() {
    let run = Run::with_backends();
    let top = run.project();
    let files = [
        ("VERSION", "1.5"),
        ("unrelated.txt", "one"),
        ("common/shared.py", "NAME = 'demo'\n"),
        (
            "part/setup.py",
            "import sys\nsys.path.append('../common')\nsys.dont_write_bytecode = True\nimport shared\nfrom setuptools import setup\n\
             setup(name=shared.NAME, version=open('../VERSION').read(), py_modules=['demo'])\n",
        ),
        ("part/demo.py", ""),
    ];
    plant(&top, &files);
    let part = top.join("part");
    let before = files::snapshot(&top);
    let built = run.built(&directory(&part, false));
    assert_eq!(built.version.to_string(), "1.5");
    assert_eq!(run.built(&directory(&part, true)).version.to_string(), "1.5", "editable, too");
    assert_unchanged(&top, &before, "after a build");
    assert!(run.built(&directory(&part, false)).cached);
    plant(&top, &[("unrelated.txt", "two")]);
    assert!(run.built(&directory(&part, false)).cached, "nobody read it");
    plant(&top, &[("VERSION", "2.0")]);
    for editable in [false, true] {
        let again = run.built(&directory(&part, editable));
        assert!(!again.cached && again.version.to_string() == "2.0", "{again:?}");
    }
    plant(&top, &[("common/more.py", "")]);
    assert!(!run.built(&directory(&part, false)).cached, "a directory counts with all that is in it");
}

/// What a build writes beside its project would be written to the user's own files: where the kernel can, it refuses.
#[test]
fn what_lies_beside_a_project_is_only_read() {
    let run = Run::default();
    let top = run.project();
    let body =
        "try:\n    open('../beside.txt', 'a').write('changed')\nexcept OSError:\n    pass\nreturn wheel(out)";
    plant(&top.join("part"), &in_tree(body));
    plant(&top, &[("beside.txt", "as it was")]);
    let built = run.built(&directory(&top.join("part"), false));
    let log = fs::read_to_string(built.log.expect("a log")).expect("read");
    if !log.contains("this kernel cannot keep the build from writing elsewhere") {
        assert_eq!(fs::read_to_string(top.join("beside.txt")).expect("read"), "as it was");
    }
}

#[test]
fn a_version_from_the_history_needs_no_copy_of_it() {
    let run = Run::with_backends();
    let root = run.project();
    let pyproject = "[build-system]\nrequires = ['setuptools', 'setuptools-scm']\n[project]\nname = 'demo'\ndynamic = ['version']\n[tool.setuptools_scm]\nroot = '..'\n";
    repository(&root, &[("part/pyproject.toml", pyproject), ("part/demo.py", ""), ("other.txt", "")]);
    git(&root, &["tag", "v4.5"]);
    let before = files::snapshot(&root);
    let built = run.built(&directory(&root.join("part"), false));
    assert_eq!(built.version.to_string(), "4.5");
    assert_unchanged(&root, &before, "after a build");
    let editable = run.built(&directory(&root.join("part"), true));
    assert_eq!(editable.editable.expect("editable").paths, [root.join("part/demo")]);
}

/// setuptools before 64 knows no PEP 660 (and does not run on Python 3.12 and later).
#[test]
fn an_old_setuptools_develops_without_leaving_anything_behind() {
    if target().version >= (3, 12, 0) {
        return;
    }
    let run = Run::with_backends();
    let root = run.project();
    plant(
        &root,
        &[
            (
                "pyproject.toml",
                "[build-system]\nrequires = ['setuptools<64', 'wheel']\nbuild-backend = 'setuptools.build_meta'\n",
            ),
            (
                "setup.py",
                "from setuptools import setup\nsetup(name='demo', version='1.0', packages=['demo'], package_dir={'': 'src'}, entry_points={'console_scripts': ['demo=demo:main']})\n",
            ),
            ("src/demo/__init__.py", "def main():\n    print('demo')\n"),
        ],
    );
    let before = files::snapshot(&root);
    let built = run.built(&directory(&root, true));
    assert_unchanged(&root, &before, "after a build");
    let editable = built.editable.clone().expect("editable");
    assert_eq!((editable.paths, editable.relocatable), (vec![root.join("src")], true));
    assert!(wheel_files(built.wheel.path()).contains_key("demo-1.0.dist-info/entry_points.txt"));
    assert_eq!(import(&run, &built, &root, "import demo; demo.main()"), "demo");
}

/// meson-python builds again on import: its hook needs the build directory and the tools to stay.
#[test]
fn a_backend_with_import_hooks_works_in_its_place_and_says_it_cannot_move() {
    let run = Run::with_backends();
    let root = run.project();
    plant(
        &root,
        &[
            (
                "pyproject.toml",
                "[build-system]\nrequires = ['meson-python', 'ninja']\nbuild-backend = 'mesonpy'\n[project]\nname = 'demo'\nversion = '1.0'\n",
            ),
            (
                "meson.build",
                "project('demo')\nimport('python').find_installation(pure: true).install_sources('demo/__init__.py', subdir: 'demo')\n",
            ),
            ("demo/__init__.py", "answer = 42\n"),
        ],
    );
    let before = files::snapshot(&root);
    let built = run.built(&directory(&root, true));
    assert_unchanged(&root, &before, "after a build");
    assert!(!built.editable.clone().expect("editable").relocatable);
    assert!(built.warnings.0.iter().any(|w| w.contains("cannot be moved")), "{:?}", built.warnings);
    let files = wheel_files(built.wheel.path());
    fs::remove_dir_all(run.path().join("scratch")).expect("removed");
    let site = run.path().join("site");
    for (name, bytes) in files {
        if !name.contains('/') {
            plant(&site, &[(&name, &bytes)]);
        }
    }
    let output = Command::new(&target().executable)
        .args([
            "-I",
            "-B",
            "-c",
            &format!(
                "import site; site.addsitedir({:?}); import demo; print(demo.answer)",
                site.display().to_string()
            ),
        ])
        .current_dir(run.path())
        .output()
        .expect("an interpreter");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "42\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// What a project is, and what is done to it then: whether that needs a build.
fn after_a_build(files: &[(&str, &str)], edits: &[(&str, &str, bool)]) {
    let run = Run::with_backends();
    let project = run.project();
    plant(&project, files);
    assert!(!run.built(&directory(&project, true)).cached);
    assert!(run.built(&directory(&project, true)).cached, "nothing was done");
    for (name, text, builds) in edits {
        plant(&project, &[(*name, *text)]);
        assert_eq!(run.built(&directory(&project, true)).cached, !builds, "{name}");
        assert!(run.built(&directory(&project, true)).cached, "{name}, again");
    }
}

#[test]
fn an_editable_project_is_built_again_only_when_its_build_would_differ() {
    const SYSTEM: &str =
        "[build-system]\nrequires = ['setuptools']\nbuild-backend = 'setuptools.build_meta'\n";
    let metadata = "[project]\nname = 'demo'\ndynamic = ['version']\nreadme = 'README.md'\n";
    let version = "[tool.setuptools.dynamic]\nversion = {attr = 'demo.version.number'}\n";
    let pyproject = format!("{SYSTEM}{metadata}{version}");
    let files = |at: &str| {
        vec![
            ("pyproject.toml".to_owned(), pyproject.clone()),
            ("README.md".to_owned(), "one".to_owned()),
            (format!("{at}demo/__init__.py"), String::new()),
            (format!("{at}demo/version.py"), "number = '1.0'\n".to_owned()),
            (format!("{at}demo/work.py"), "x = 1\n".to_owned()),
            ("tests/test_work.py".to_owned(), String::new()),
        ]
    };
    for at in ["src/", ""] {
        let files = files(at);
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
        let in_package = |name: &str| format!("{at}demo/{name}");
        let (work, new, data, version) = (
            in_package("work.py"),
            in_package("new.py"),
            in_package("templates/page.html"),
            in_package("version.py"),
        );
        after_a_build(
            &files,
            &[
                (&work, "x = 2\n", false),
                (&new, "", false),
                (&data, "<p>", false),
                ("tests/test_work.py", "changed", false),
                // These the build reads.
                (&version, "number = '1.1'\n", true),
                ("README.md", "two", true),
                // And this it would.
                ("setup.cfg", "[metadata]\nkeywords = a\n", true),
            ],
        );
    }
}

#[test]
fn an_import_hook_has_to_learn_of_a_package_that_is_new() {
    let pyproject = "[build-system]\nrequires = ['setuptools']\nbuild-backend = 'setuptools.build_meta'\n[project]\nname = 'demo'\nversion = '1.0'\n[tool.setuptools.packages.find]\ninclude = ['demo*', 'extra*']\n";
    after_a_build(
        &[("pyproject.toml", pyproject), ("demo/__init__.py", ""), ("demo/inner/__init__.py", "")],
        &[("demo/inner/more.py", "", false), ("extra/__init__.py", "", true)],
    );
}

#[test]
fn sources_of_an_extension_module_count_in_an_editable_project() {
    let setup = "from setuptools import Extension, setup\nsetup(name='demo', version='1.0', py_modules=['demo'], ext_modules=[Extension('fast', ['fast.c'])])\n";
    let module = |value: u8| {
        format!(
            "#include <Python.h>\nstatic struct PyModuleDef d = {{PyModuleDef_HEAD_INIT, \"fast\", 0, -1, 0}};\nPyMODINIT_FUNC PyInit_fast(void) {{ PyObject *m = PyModule_Create(&d); PyModule_AddIntConstant(m, \"v\", {value}); return m; }}\n"
        )
    };
    let run = Run::with_backends();
    let project = run.project();
    plant(&project, &[("setup.py", setup), ("demo.py", ""), ("fast.c", &module(1))]);
    run.built(&directory(&project, true));
    plant(&project, &[("fast.c", &module(2))]);
    assert!(!run.built(&directory(&project, true)).cached);
}

#[test]
fn cache_keys_of_uv_say_what_an_editable_project_is_built_for() {
    let pyproject = "[build-system]\nrequires = ['setuptools']\nbuild-backend = 'setuptools.build_meta'\n[project]\nname = 'demo'\nversion = '1.0'\nreadme = 'README.md'\n[tool.uv]\ncache-keys = [{file = 'native/**/*.rs'}, 'VERSION']\n";
    after_a_build(
        &[
            ("pyproject.toml", pyproject),
            ("README.md", "one"),
            ("VERSION", "1"),
            ("native/deep/lib.rs", ""),
            ("src/demo/__init__.py", ""),
        ],
        &[
            ("src/demo/__init__.py", "x = 1\n", false),
            ("README.md", "two", false),
            ("native/deep/lib.rs", "fn main() {}", true),
            ("native/notes.txt", "", false),
            ("VERSION", "2", true),
            ("pyproject.toml", &pyproject.replace("1.0", "1.1"), true),
        ],
    );
}
