//! Which files go, from paths and texts.

use proptest::prelude::*;

use super::*;

const SITE: &str = "lib/python3.11/site-packages";

/// Distributions of files, some of them with contents, all below site-packages unless they begin with `/`
/// (then below the environment).
struct World {
    dists: Vec<Vec<(String, &'static str)>>,
}

impl World {
    fn of(files: &[(&str, &'static str)]) -> Self {
        World { dists: Vec::new() }.and(files)
    }

    fn and(mut self, files: &[(&str, &'static str)]) -> Self {
        let place = |path: &str| match path.strip_prefix('/') {
            Some(outside) => outside.to_owned(),
            None => format!("{SITE}/{path}"),
        };
        self.dists.push(files.iter().map(|(path, text)| (place(path), *text)).collect());
        self
    }

    /// What goes as each kind: paths as they were given.
    fn gone(&self, slim: Slim) -> Vec<(String, SlimKind)> {
        let paths = self.dists.iter().map(|files| files.iter().map(|(path, _)| path.as_str()).collect());
        let mut survey = Survey::new(SITE, paths.collect());
        loop {
            let wanted = survey.unread();
            if wanted.is_empty() {
                break;
            }
            for reading in wanted {
                let text = self.dists[reading.dist][reading.file].1;
                survey.learn(reading, Mentions::of(survey.path(reading), text.as_bytes()));
            }
        }
        let mut gone = Vec::new();
        for (dist, files) in self.dists.iter().enumerate() {
            for ((path, _), kind) in files.iter().zip(survey.decide(dist, slim)) {
                let given = path.strip_prefix(SITE).map_or(format!("/{path}"), |inner| inner[1..].to_owned());
                gone.extend(kind.map(|kind| (given, kind)));
            }
        }
        gone
    }

    #[track_caller]
    fn loses(&self, kind: SlimKind, expected: &[&str]) {
        let gone = self.gone(Slim::from_iter([kind]));
        let paths: Vec<&str> = gone.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, expected);
    }
}

#[test]
fn the_set_is_written_in_a_fixed_order() {
    let set = Slim::from_iter([SlimKind::Strip, SlimKind::Tests, SlimKind::Tests]);
    assert_eq!(set.to_string(), "tests,strip");
    assert_eq!(Slim::default().to_string(), "");
    assert_eq!(Slim::SAFE.to_string(), "tests,pyc,stubs,docs,strip");
    assert_eq!(Slim::ALL.kinds().collect::<Vec<_>>(), SlimKind::ALL);
}

#[test]
fn test_packages_go_with_all_that_is_in_them() {
    World::of(&[
        ("pkg/__init__.py", ""),
        ("pkg/tests/__init__.py", ""),
        ("pkg/tests/test_a.py", ""),
        ("pkg/tests/data/big.bin", ""),
        ("pkg/sub/test/deep/a_test.py", ""),
        ("pkg/sub/test/_ext.abi3.so", ""),
        ("pkg/testing/test_x.py", ""),
        ("pkg/tests.py", ""),
    ])
    .loses(
        SlimKind::Tests,
        &[
            "pkg/tests/__init__.py",
            "pkg/tests/test_a.py",
            "pkg/tests/data/big.bin",
            "pkg/sub/test/deep/a_test.py",
            "pkg/sub/test/_ext.abi3.so",
        ],
    );
}

#[test]
fn what_only_looks_like_a_test_package_stays() {
    World::of(&[
        ("tests/test_a.py", ""),
        ("test/__init__.py", ""),
        ("pkg/data/test/a.csv", ""),
        ("pkg/test/client.py", ""),
        ("pkg-1.0.dist-info/tests/test_a.py", ""),
        ("/share/pkg/tests/test_a.py", ""),
        ("pkg/testsuite/test_a.py", ""),
    ])
    .loses(SlimKind::Tests, &[]);
}

#[test]
fn a_test_package_that_code_imports_stays() {
    for text in [
        "import pkg.sub.tests.tools",
        "import os, pkg.sub.tests",
        "from pkg.sub.tests import tools",
        "from pkg.sub import tests",
        "from pkg.sub import (  # noqa: F401\n    other,\n    tests,\n)",
        "if x: from pkg.sub.tests.tools import y",
        "try:\n    import pkg.sub.tests as t\nexcept ImportError:\n    pass",
        "from .sub.tests import tools",
        "from .sub import other, tests",
        "from . sub import x\nRUNNER = 'pkg.sub.tests.Runner'",
        "importlib.import_module(\"pkg.sub.tests.tools\")",
        "path = join(here, 'sub/tests/data/x.xml')",
        "path = \"../pkg/sub/tests/data/x.xml\"",
    ] {
        World::of(&[("pkg/sub/tests/test_a.py", ""), ("pkg/__init__.py", text)]).loses(SlimKind::Tests, &[]);
    }
    // Seen from further down.
    for text in
        ["from . import tests", "from .tests import x", "from ..sub.tests import x", "open('./tests/x.csv')"]
    {
        World::of(&[("pkg/sub/tests/test_a.py", ""), ("pkg/sub/a.py", text)]).loses(SlimKind::Tests, &[]);
    }
    // By another distribution, or by an entry point.
    World::of(&[("pkg/tests/test_a.py", "")])
        .and(&[("other.py", "import pkg.tests")])
        .loses(SlimKind::Tests, &[]);
    World::of(&[
        ("pkg/tests/test_a.py", ""),
        ("pkg-1.dist-info/entry_points.txt", "[pytest11]\npkg = pkg.tests.plugin"),
    ])
    .loses(SlimKind::Tests, &[]);
}

#[test]
fn a_test_package_that_code_only_speaks_of_goes() {
    for text in [
        "# see pkg.tests.test_a",
        "\"\"\"Compare pkg.tests and pkg/tests/data.\"\"\"",
        "names = ['tests', 'test']",
        "from other import tests",
        "from .other import tests",
        "self.tests = pkg.tests",
        "url = 'https://index.example/' + tests",
    ] {
        World::of(&[("pkg/tests/test_a.py", ""), ("pkg/__init__.py", text)])
            .loses(SlimKind::Tests, &["pkg/tests/test_a.py"]);
    }
}

#[test]
fn a_test_package_that_a_kept_one_imports_stays_too() {
    World::of(&[
        ("pkg/a.py", "from pkg.tests import helpers"),
        ("pkg/tests/test_a.py", "from pkg.sub.tests import more"),
        ("pkg/sub/tests/test_b.py", "import pkg.third.tests"),
        ("pkg/third/tests/test_c.py", ""),
        ("pkg/fourth/tests/test_d.py", "import pkg.fifth.tests"),
        ("pkg/fifth/tests/test_e.py", ""),
    ])
    .loses(SlimKind::Tests, &["pkg/fourth/tests/test_d.py", "pkg/fifth/tests/test_e.py"]);
}

#[test]
fn bytecode_goes_where_its_source_stays() {
    World::of(&[
        ("pkg/a.py", ""),
        ("pkg/a.pyc", ""),
        ("pkg/__pycache__/a.cpython-311.pyc", ""),
        ("pkg/sourceless.pyc", ""),
        ("pkg/__init__.pyc", ""),
    ])
    .loses(SlimKind::Pyc, &["pkg/a.pyc", "pkg/__pycache__/a.cpython-311.pyc"]);
}

#[test]
fn stubs_go_where_their_module_is() {
    World::of(&[
        ("pkg/__init__.py", ""),
        ("pkg/__init__.pyi", ""),
        ("pkg/_ext.cpython-311-x86_64-linux-gnu.so", ""),
        ("pkg/_ext.pyi", ""),
        ("pkg/_abi.abi3.so", ""),
        ("pkg/_abi.pyi", ""),
        ("pkg/py.typed", ""),
        ("pkg/typeshed/stdlib/os/__init__.pyi", ""),
        ("pkg/_ext/other.pyi", ""),
        ("other-stubs/__init__.pyi", ""),
        ("other-stubs/METADATA.toml", ""),
        ("other-stubs/LICENSE", ""),
    ])
    .loses(
        SlimKind::Stubs,
        &[
            "pkg/__init__.pyi",
            "pkg/_ext.pyi",
            "pkg/_abi.pyi",
            "other-stubs/__init__.pyi",
            "other-stubs/METADATA.toml",
        ],
    );
}

#[test]
fn a_stub_that_its_module_reads_stays() {
    let text = "import lazy_loader\n__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)\n";
    World::of(&[("pkg/__init__.py", text), ("pkg/__init__.pyi", ""), ("pkg/a.py", ""), ("pkg/a.pyi", "")])
        .loses(SlimKind::Stubs, &["pkg/a.pyi"]);
}

#[test]
fn documentation_goes_and_licences_stay() {
    World::of(&[
        ("/share/man/man1/pkg.1", ""),
        ("/share/doc/pkg/index.html", ""),
        ("/share/doc/pkg/copyright", ""),
        ("/share/doc/pkg/LICENSES/MIT.txt", ""),
        ("/share/jupyter/kernels/k.json", ""),
        ("/man/man1/pkg.1", ""),
        ("README.md", ""),
        ("pkg/README", ""),
        ("pkg/ReadMe.rst", ""),
        ("pkg/CHANGES.txt", ""),
        ("pkg/README.html", ""),
        ("pkg/changes.py", ""),
        ("pkg/changelists.css", ""),
        ("pkg/docs/service.py", ""),
        ("pkg-1.0.dist-info/README.md", ""),
    ])
    .loses(
        SlimKind::Docs,
        &[
            "/share/man/man1/pkg.1",
            "/share/doc/pkg/index.html",
            "/man/man1/pkg.1",
            "README.md",
            "pkg/README",
            "pkg/ReadMe.rst",
            "pkg/CHANGES.txt",
        ],
    );
}

#[test]
fn a_readme_that_its_distribution_names_stays() {
    World::of(&[
        ("pkg/__init__.py", "__doc__ = open(join(here, 'README.rst')).read()"),
        ("pkg/README.rst", ""),
        ("pkg/CHANGES.rst", ""),
    ])
    .and(&[("other/README.rst", "")])
    .loses(SlimKind::Docs, &["pkg/CHANGES.rst", "other/README.rst"]);
}

#[test]
fn headers_are_what_compilers_read() {
    World::of(&[
        ("/include/site/python3.11/pkg/api.h", ""),
        ("pkg/include/pkg/api.hpp", ""),
        ("pkg/_core.pxd", ""),
        ("pkg/lib/libpkg.a", ""),
        ("pkg/include/__init__.py", ""),
        ("pkg/_core.pyx", ""),
    ])
    .loses(
        SlimKind::Headers,
        &[
            "/include/site/python3.11/pkg/api.h",
            "pkg/include/pkg/api.hpp",
            "pkg/_core.pxd",
            "pkg/lib/libpkg.a",
        ],
    );
}

#[test]
fn shared_objects_are_known_by_name() {
    for name in ["x.so", "a/libx.so.1", "libx-1a2b.so.5.0.0", "x.cpython-311-x86_64-linux-gnu.so"] {
        assert!(is_shared_object(name), "{name}");
    }
    for name in ["so", "x.so.txt", "x.sot", "x.py", "a.so/b"] {
        assert!(!is_shared_object(name), "{name}");
    }
}

#[test]
fn text_that_is_not_utf8_is_read() {
    let mentions = Mentions::of("pkg/a.py", b"# \xff\xfe\nfrom pkg.tests import x\n# \xe9t\xe9 test");
    assert_eq!(mentions.tests.into_iter().collect::<Vec<_>>(), ["pkg/tests"]);
}

proptest! {
    #[test]
    fn licences_and_metadata_never_go(
        dirs in proptest::collection::vec("(tests|test|pkg|a-stubs|docs|licenses|p-1\\.dist-info)", 0..4),
        name in "(LICENSE|COPYING\\.txt|NOTICE|METADATA|RECORD|MIT\\.txt|test_a\\.py|README|a\\.pyi)",
        outside in any::<bool>(),
    ) {
        let top = if outside { "/share/doc" } else { "pkg" };
        let path = dirs.iter().fold(top.to_owned(), |path, dir| format!("{path}/{dir}")) + "/" + &name;
        let licence = name.starts_with("LICENSE") || name.starts_with("COPYING") || name == "NOTICE"
            || name == "MIT.txt" && dirs.iter().any(|dir| dir == "licenses");
        let world = World::of(&[(path.as_str(), ""), ("pkg/tests/test_x.py", ""), ("p-1.dist-info/tests/README", "")]);
        let gone = world.gone(Slim::ALL);
        prop_assert!(!licence || gone.iter().all(|(gone, _)| *gone != path), "{path}");
        prop_assert!(gone.iter().all(|(gone, _)| !gone.starts_with("p-1.dist-info")));
    }

    #[test]
    fn any_text_is_read(path in "[a-z/.]{0,12}", text in "[a-z.\"'/()\n ]{0,20}(tests?|README)[a-z.\"'/()\n ]{0,20}") {
        Mentions::of(&path, text.as_bytes());
    }

    #[test]
    fn a_smaller_set_never_drops_more(seed in 0_u8..64) {
        let world = World::of(&[
            ("pkg/__init__.py", ""), ("pkg/__init__.pyi", ""), ("pkg/tests/test_a.py", ""), ("pkg/tests/a.h", ""),
            ("pkg/README", ""), ("pkg/a.h", ""), ("pkg/__pycache__/__init__.cpython-311.pyc", ""),
        ]);
        let kinds = SlimKind::ALL.into_iter().filter(|kind| seed & (1 << *kind as u8) != 0);
        let all = world.gone(Slim::ALL);
        for (path, _) in world.gone(kinds.collect()) {
            prop_assert!(all.iter().any(|(other, _)| *other == path));
        }
    }
}
