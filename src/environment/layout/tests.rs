//! Plans from wheels made here.

use std::sync::Arc;

use super::*;
use crate::{
    packages::{
        cache::VerifiedFile,
        wheel::{
            Strictness,
            testing::{Member, WheelBuilder},
            with_scratch,
        },
    },
    project::python::{Description, Target},
    words::error::{Result, Warnings},
};

fn target() -> Target {
    let python_home = std::path::Path::new("/usr/bin");
    let described = Description { python_version: "3.11.7", platform: "linux/amd64", python_home };
    described.target().expect("a target")
}

fn path(text: &str) -> RelPath {
    text.parse().expect(text)
}

fn env() -> EnvFiles {
    let file =
        |at: &str, executable| GivenFile { path: path(at), bytes: Arc::from(&b"env\n"[..]), executable };
    let link = |at: &str, target: &str| PlanLink { path: path(at), target: target.into() };
    EnvFiles {
        files: vec![
            file("pyvenv.cfg", false),
            file("bin/activate", false),
            file("bin/Own.ps1", false),
            file("lib/python3.11/site-packages/_own.pth", false),
        ],
        links: vec![
            link("lib64", "lib"),
            link("bin/python", "/usr/bin/python3.11"),
            link("bin/pypy3", "python"),
        ],
    }
}

fn dist(wheel: &WheelBuilder) -> DistInput {
    let dir = tempfile::tempdir().expect("a directory");
    let path = wheel.write_to(dir.path());
    let bytes = wheel.build();
    let file = VerifiedFile::vouch(path, Sha256::of(&bytes), bytes.len() as u64);
    let name = wheel.file_name().parse().expect("a name");
    let (wheel, _) = Wheel::open(file, name, Strictness::Warn).unwrap_or_else(|e| panic!("{}", e.report()));
    DistInput { requested: false, ..DistInput::new(Arc::new(wheel)) }
}

fn laid_out(wheels: &[&WheelBuilder]) -> Result<(Plan, Warnings)> {
    plan(&wheels.iter().map(|w| dist(w)).collect::<Vec<_>>(), &target(), env(), &LauncherStyle::Relative)
}

#[track_caller]
fn good(wheels: &[&WheelBuilder]) -> Plan {
    let (plan, warnings) = laid_out(wheels).unwrap_or_else(|e| panic!("{}", e.report()));
    assert_eq!(warnings, Warnings::default());
    plan
}

#[track_caller]
fn refusal(wheel: &WheelBuilder) -> String {
    laid_out(&[wheel]).expect_err("it should be refused").report()
}

/// What a plan would write, in the words of the tests: `path`, `*` if executable, and where from.
fn described(plan: &Plan) -> Vec<String> {
    let describe = |file: &PlanFile| {
        let from = match &file.origin {
            ContentOrigin::Entry { dist, entry } => plan.dists[*dist].wheel.entries[*entry].path.to_string(),
            ContentOrigin::Script { dist, entry, .. } => {
                format!("script {}", plan.dists[*dist].wheel.entries[*entry].path)
            }
            ContentOrigin::Stripped { dist, entry } => {
                format!("stripped {}", plan.dists[*dist].wheel.entries[*entry].path)
            }
            ContentOrigin::Bytes(bytes) => format!("{} bytes", bytes.len()),
            ContentOrigin::Bytecode { source } => format!("bytecode of {}", plan.files[*source].path),
            ContentOrigin::Record { dist } => format!("record of {}", plan.dists[*dist].name.as_str()),
        };
        let star = if file.executable { "*" } else { "" };
        format!("{}{star} <- {from}", file.path.as_str().replace("lib/python3.11/site-packages", "SITE"))
    };
    plan.files.iter().filter(|file| file.dist.is_some()).map(describe).collect()
}

fn file<'p>(plan: &'p Plan, at: &str) -> &'p PlanFile {
    plan.files.iter().find(|file| file.path.as_str() == at).unwrap_or_else(|| panic!("no {at}"))
}

fn demo() -> WheelBuilder {
    WheelBuilder::new("Demo", "1.0").file("demo/__init__.py", "x = 1\n")
}

#[test]
fn every_part_of_a_wheel_has_its_place() {
    let wheel = demo()
        .executable("demo/tool", "")
        .data("purelib/pure.py", "")
        .data("platlib/plat/x.so", "")
        .data("headers/sub/demo.h", "")
        .data("scripts/run", "#!python\n")
        .data("scripts/sub/deep", "")
        .data("data/share/demo/x", "")
        .data("data/lib64/python3.11/y", "")
        .dist_info("INSTALLER", "pip")
        .dist_info("REQUESTED", "")
        .dist_info("direct_url.json", "{}")
        .dist_info("RECORD.jws", "")
        .dist_info("licenses/LICENSE", "")
        .console_script("demo = demo:main");
    let launcher =
        crate::environment::script::launcher(&dist(&wheel).wheel.scripts[0], &LauncherStyle::Relative).len();
    let plan = good(&[&wheel]);
    assert_eq!(
        described(&plan),
        [
            &*format!("bin/demo* <- {launcher} bytes"),
            "bin/run* <- script Demo-1.0.data/scripts/run",
            "bin/sub/deep* <- script Demo-1.0.data/scripts/sub/deep",
            "include/site/python3.11/demo/sub/demo.h <- Demo-1.0.data/headers/sub/demo.h",
            "SITE/Demo-1.0.dist-info/INSTALLER <- 7 bytes",
            "SITE/Demo-1.0.dist-info/METADATA <- Demo-1.0.dist-info/METADATA",
            "SITE/Demo-1.0.dist-info/RECORD <- record of demo",
            "SITE/Demo-1.0.dist-info/WHEEL <- Demo-1.0.dist-info/WHEEL",
            "SITE/Demo-1.0.dist-info/entry_points.txt <- Demo-1.0.dist-info/entry_points.txt",
            "SITE/Demo-1.0.dist-info/licenses/LICENSE <- Demo-1.0.dist-info/licenses/LICENSE",
            "SITE/demo/__init__.py <- demo/__init__.py",
            "SITE/demo/tool* <- demo/tool",
            "SITE/plat/x.so <- Demo-1.0.data/platlib/plat/x.so",
            "SITE/pure.py <- Demo-1.0.data/purelib/pure.py",
            "lib/python3.11/y <- Demo-1.0.data/data/lib64/python3.11/y",
            "share/demo/x <- Demo-1.0.data/data/share/demo/x",
        ]
    );
    assert_eq!(plan.dists[0].dist_info.as_str(), "lib/python3.11/site-packages/Demo-1.0.dist-info");
    let listed = plan.listed();
    assert_eq!(listed[0].len(), 16);
}

#[test]
fn what_is_cut_is_not_planned_and_what_is_stripped_says_so() {
    let wheel = demo()
        .file("demo/tests/test_demo.py", "x")
        .file("demo/ext.so", "")
        .file("demo/ext.so.txt", "")
        .data("scripts/tool.so", "");
    let mut input = dist(&wheel);
    let places = places(std::slice::from_ref(&input), &target()).expect("places");
    let at = |end: &str| {
        let ends =
            |place: &Option<RelPath>| place.as_ref().is_some_and(|place| place.as_str().ends_with(end));
        places[0].iter().position(ends).expect(end)
    };
    input.cut.strip = true;
    input.cut.dropped = vec![None; input.wheel.entries.len()];
    input.cut.dropped[at("tests/test_demo.py")] = Some(SlimKind::Tests);
    let (plan, _) = plan(&[input], &target(), env(), &LauncherStyle::Relative).expect("good");
    assert_eq!(plan.dropped, [Dropped { dist: 0, kind: SlimKind::Tests, size: 1 }]);
    assert!(plan.dirs.iter().all(|dir| !dir.as_str().ends_with("tests")));
    let described = described(&plan);
    for line in [
        "SITE/demo/ext.so <- stripped demo/ext.so",
        "SITE/demo/ext.so.txt <- demo/ext.so.txt",
        "bin/tool.so* <- script Demo-1.0.data/scripts/tool.so",
    ] {
        assert!(described.iter().any(|other| other == line), "{line} in {described:#?}");
    }
}

#[test]
fn what_no_wheel_may_bring_is_refused_even_if_it_would_be_dropped() {
    let mut input = dist(&demo().data("scripts/python", ""));
    input.cut.dropped = vec![Some(SlimKind::Tests); input.wheel.entries.len()];
    let report = plan(&[input], &target(), env(), &LauncherStyle::Relative).expect_err("refused").report();
    assert!(report.contains("environment's own"), "{report}");
}

#[test]
fn directories_are_complete_and_sorted() {
    let plan = good(&[&demo().file("demo-a/x.py", "").file("demo/sub/deep/x.py", "")]);
    let site: Vec<&str> = plan.dirs.iter().map(RelPath::as_str).collect();
    assert_eq!(
        site,
        [
            "bin",
            "lib",
            "lib/python3.11",
            "lib/python3.11/site-packages",
            "lib/python3.11/site-packages/Demo-1.0.dist-info",
            "lib/python3.11/site-packages/demo",
            "lib/python3.11/site-packages/demo-a",
            "lib/python3.11/site-packages/demo/sub",
            "lib/python3.11/site-packages/demo/sub/deep",
        ]
    );
    assert!(plan.files.is_sorted_by(|a, b| a.path < b.path));
    assert!(plan.links.is_sorted_by(|a, b| a.path < b.path));
    let empty = good(&[]);
    assert_eq!(empty.dirs.last().map(RelPath::as_str), Some("lib/python3.11/site-packages"));
}

#[test]
fn what_was_requested_or_came_from_a_url_says_so() {
    let mut input = dist(&demo());
    input.requested = true;
    input.direct_url = Some(b"{\"url\": \"x\"}".to_vec());
    input.extra = vec![GivenFile {
        path: path("lib/python3.11/site-packages/demo.pth"),
        bytes: Arc::from(&b"../src\n"[..]),
        executable: false,
    }];
    let (plan, _) = plan(&[input], &target(), env(), &LauncherStyle::Relative).expect("good");
    let info = "lib/python3.11/site-packages/Demo-1.0.dist-info";
    for (at, expected) in [
        (format!("{info}/REQUESTED"), &b""[..]),
        (format!("{info}/INSTALLER"), b"venvoy\n"),
        (format!("{info}/direct_url.json"), b"{\"url\": \"x\"}"),
        ("lib/python3.11/site-packages/demo.pth".into(), b"../src\n"),
    ] {
        let found = file(&plan, &at);
        assert_eq!(found.dist, Some(0));
        assert!(matches!(&found.origin, ContentOrigin::Bytes(bytes) if **bytes == *expected), "{at}");
    }
}

#[test]
fn of_two_distributions_the_one_installed_later_counts() {
    let (a, b) =
        (WheelBuilder::new("a", "1").file("x.py", "a"), WheelBuilder::new("b", "1").file("x.py", "b"));
    for (wheels, winner) in [([&a, &b], "b"), ([&b, &a], "a")] {
        let (plan, warnings) = laid_out(&wheels).expect("good");
        let file = plan.files.iter().find(|file| file.path.as_str().ends_with("/x.py")).expect("there");
        assert_eq!(plan.dists[file.dist.expect("a distribution's")].name.as_str(), winner);
        assert!(warnings.0[0].contains(&format!("{winner}'s count")), "{warnings:?}");
    }
}

#[test]
fn different_files_of_one_path_warn_and_the_later_counts() {
    let brings = |name: &str, text: &str| {
        (0..5).fold(WheelBuilder::new(name, "1.0"), |w, i| w.file(&format!("shared/{i}.py"), text))
    };
    let (plan, warnings) = laid_out(&[&brings("a", "a"), &brings("b", "b")]).expect("good");
    assert_eq!(
        warnings.0,
        ["a 1.0 and b 1.0 bring different files, b's count: lib/python3.11/site-packages/shared/0.py, \
          lib/python3.11/site-packages/shared/1.py, lib/python3.11/site-packages/shared/2.py and 2 more"]
    );
    let at = |name: &str| plan.files.iter().position(|f| f.path.as_str().ends_with(name)).expect(name);
    assert!(matches!(plan.files[at("shared/0.py")].origin, ContentOrigin::Entry { dist: 1, .. }));
    // Both RECORDs list them.
    let listed = plan.listed();
    assert!(listed.iter().all(|files| files.contains(&at("shared/4.py"))));
    assert!(listed.iter().all(|files| files.is_sorted_by(|a, b| a < b)), "once each, sorted: {listed:?}");
}

#[test]
fn identical_files_of_several_distributions_are_silent_and_listed_by_each() {
    let brings =
        |name: &str| WheelBuilder::new(name, "1.0").file("ns/__init__.py", "same").file("ns/e.py", "");
    let plan = good(&[&brings("a"), &brings("b"), &brings("c")]);
    assert_eq!(plan.files.iter().filter(|f| f.path.as_str().ends_with("ns/__init__.py")).count(), 1);
    let at = plan.files.iter().position(|f| f.path.as_str().ends_with("ns/__init__.py")).expect("there");
    assert_eq!(plan.files[at].dist, Some(2));
    assert!(plan.listed().iter().all(|files| files.iter().filter(|&&f| f == at).count() == 1));
}

#[test]
fn the_same_size_and_crc_without_a_digest_is_not_known_to_be_identical() {
    let a = WheelBuilder::new("a", "1").file("x.py", "same").record("");
    let b = WheelBuilder::new("b", "1").file("x.py", "same");
    assert_eq!(laid_out(&[&a, &b]).expect("good").1.0.len(), 1);
}

#[test]
fn an_entry_point_counts_over_a_script_of_the_same_wheel() {
    let wheel = demo().data("scripts/demo", "#!python\n").console_script("demo = demo:main");
    let (plan, warnings) = laid_out(&[&wheel]).expect("good");
    assert!(matches!(file(&plan, "bin/demo").origin, ContentOrigin::Bytes(_)));
    assert_eq!(warnings.0, [""; 0], "pip says nothing either");
    let both = demo().file("x.py", "1").data("purelib/x.py", "2");
    let (_, warnings) = laid_out(&[&both]).expect("good");
    assert!(warnings.0[0].contains("Demo-1.0-py3-none-any.whl brings twice, the later counts: lib/"));
    assert_eq!(plan.listed()[0].len(), plan.files.len() - 4, "listed once, the environment's own not at all");
}

#[test]
fn two_distributions_may_bring_the_same_script() {
    let brings = |name: &str| WheelBuilder::new(name, "1.0").console_script("tool = tool:main");
    let plan = good(&[&brings("a"), &brings("b")]);
    assert_eq!(plan.shared.len(), 1);
}

#[test]
fn a_path_cannot_be_a_file_and_a_directory() {
    let (a, b) = (WheelBuilder::new("a", "1").file("x", ""), WheelBuilder::new("b", "1").file("x/y.py", ""));
    let report = laid_out(&[&a, &b]).expect_err("conflict").report();
    assert!(
        report.contains(
            "site-packages/x is a file in a-1-py3-none-any.whl and a directory in b-1-py3-none-any.whl"
        ),
        "{report}"
    );
    let report = refusal(&demo().data("data/bin", "a file"));
    assert!(report.contains("bin is a file in Demo-1.0"), "{report}");
    let report = refusal(&demo().data("data/lib", "a file"));
    assert!(report.contains("lib is a file in Demo-1.0"), "{report}");
}

#[test]
fn unknown_data_is_refused() {
    for at in ["other/x", "stray", "Scripts/x"] {
        let report = refusal(&demo().data(at, ""));
        assert!(report.contains(&format!("Demo-1.0.data/{at}")), "{report}");
        assert!(report.contains("expected purelib, platlib, scripts, headers or data"), "{report}");
    }
}

#[test]
fn paths_of_the_environment_are_refused_in_any_letter_case() {
    for at in [
        "scripts/python",
        "scripts/Python",
        "scripts/python3",
        "scripts/PYTHON3.12",
        "scripts/python3.13t",
        "scripts/pythonw.exe",
        "scripts/activate",
        "scripts/Activate",
        "scripts/activate.fish",
        "scripts/Activate.ps1",
        "scripts/activate_this.py",
        "scripts/deactivate.nu",
        "scripts/own.PS1",
        "scripts/PyPy3",
        "scripts/python/x",
        "data/bin/python",
        "data/BIN/python",
        "data/Scripts/activate.bat",
        "data/pyvenv.cfg",
        "data/PyVenv.CFG",
        "data/pyvenv.cfg/x",
        "data/venvoy.manifest",
        "data/Venvoy.Manifest",
        "data/.venvoy-abcd1234/x",
        "data/lib64",
        "data/LIB64",
        "data/LIB64/x",
        "data/lib/python3.11/site-packages/_own.pth",
        "purelib/_own.pth",
    ] {
        let report = refusal(&demo().data(at, ""));
        assert!(report.contains("Demo-1.0-py3-none-any.whl"), "{report}");
        assert!(report.contains(&format!("Demo-1.0.data/{at}")), "{report}");
        assert!(report.contains("environment's own"), "{report}");
    }
    let report = refusal(&demo().console_script("Python3 = demo:main"));
    assert!(report.contains("script \"Python3\""), "{report}");
}

#[test]
fn scripts_that_only_look_reserved_are_installed() {
    for name in [
        "python-argcomplete-check",
        "activate-global-python-argcomplete",
        "pythontex",
        "activated",
        "python3-config",
    ] {
        assert!(
            file(&good(&[&demo().data(&format!("scripts/{name}"), "")]), &format!("bin/{name}")).executable
        );
    }
}

#[test]
fn records_of_what_is_installed_are_refused_to_wheels() {
    for at in [
        "purelib/Demo-1.0.dist-info/RECORD",
        "platlib/Demo-1.0.dist-info/INSTALLER",
        "purelib/other-2.0.dist-info/METADATA",
        "data/lib/python3.11/site-packages/other-2.0.dist-info/RECORD",
        "data/lib64/python3.11/site-packages/other-2.0.dist-info/RECORD",
    ] {
        let report = refusal(&demo().data(at, ""));
        assert!(report.contains(&format!("Demo-1.0.data/{at}")), "{report}");
        assert!(report.contains("not its own record"), "{report}");
    }
    // Deeper down they are a package's own business: setuptools carries its dependencies so.
    good(&[&demo().file("demo/_vendor/other-2.0.dist-info/METADATA", "")]);
}

#[test]
fn all_bad_files_are_told_together() {
    let report = refusal(&demo().data("scripts/python", "").data("data/pyvenv.cfg", ""));
    assert!(report.contains("2 files cannot be installed"), "{report}");
    assert!(report.contains("scripts/python") && report.contains("data/pyvenv.cfg"), "{report}");
}

#[test]
fn one_distribution_twice_is_refused() {
    let other = WheelBuilder::new("demo", "2.0");
    let report = laid_out(&[&demo(), &other]).expect_err("twice").report();
    assert!(report.contains("Demo-1.0-py3-none-any.whl and demo-2.0-py3-none-any.whl"), "{report}");
}

#[test]
fn a_script_too_large_to_hold_is_a_plain_executable() {
    let big = vec![b'x'; usize::try_from(crate::packages::wheel::STREAM_LIMIT).expect("small") + 1];
    let wheel = demo().member(Member::deflated("Demo-1.0.data/scripts/big", &big));
    let plan = good(&[&wheel]);
    let big = file(&plan, "bin/big");
    assert!(big.executable && matches!(big.origin, ContentOrigin::Entry { .. }));
}

#[test]
fn record_is_sorted_quoted_and_relative_to_site_packages() {
    let written = |bytes: &[u8]| Some(Written { sha256: Sha256::of(bytes), size: bytes.len() as u64 });
    let paths = [
        "lib/python3.11/site-packages/demo.py",
        "lib/python3.11/site-packages/a, \"b\".txt",
        "lib/python3.11/site-packages/demo-1.0.dist-info/RECORD",
        "lib/python3.11/site-packages-2/x",
        "bin/demo",
    ]
    .map(path);
    let rows = [written(b"x"), written(b""), None, written(b""), written(b"")];
    let record = render_record(paths.iter().zip(rows), &target().site_packages);
    let empty = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0";
    assert_eq!(
        String::from_utf8(record).expect("UTF-8"),
        format!(
            "../../../bin/demo,{empty}\n../site-packages-2/x,{empty}\n\"a, \"\"b\"\".txt\",{empty}\n\
             demo-1.0.dist-info/RECORD,,\ndemo.py,sha256=LXEWQrcmsEQBYnyp-6wy9chTD7GQPMTbAiWHF5IaSIE,1\n"
        )
    );
}

#[test]
fn a_planned_file_has_the_bytes_of_its_entry() {
    let dir = tempfile::tempdir().expect("a directory");
    let builder = demo();
    let bytes = builder.build();
    let file = VerifiedFile::vouch(builder.write_to(dir.path()), Sha256::of(&bytes), bytes.len() as u64);
    let (wheel, _) =
        Wheel::open(file, builder.file_name().parse().expect("a name"), Strictness::Refuse).expect("good");
    let (plan, _) =
        plan(&[DistInput::new(Arc::new(wheel))], &target(), env(), &LauncherStyle::Relative).expect("good");
    let found = plan.files.iter().find(|f| f.path.as_str().ends_with("demo/__init__.py")).expect("there");
    let ContentOrigin::Entry { dist, entry } = found.origin else { panic!("{:?}", found.origin) };
    with_scratch(|s| assert_eq!(plan.dists[dist].wheel.inflate(entry, s).expect("good").bytes, b"x = 1\n"));
}

#[test]
fn bytecode_has_a_place_beside_each_module_and_leaves_with_its_directory() {
    let long = format!("{}.py", "n".repeat(252));
    let a = WheelBuilder::new("a", "1.0")
        .file("shared/m.py", "m")
        .file("shared/data.txt", "")
        .file("top.py", "")
        .file(".py", "")
        .file(&long, "")
        .data("scripts/tool.py", "#!python\n")
        .data("data/lib/other.py", "");
    let b = WheelBuilder::new("b", "1.0").file("shared/m.py", "m").file("b/__init__.py", "");
    let before = good(&[&a, &b]);
    let plan = before.clone().with_bytecode(&target());
    let bytecode = |plan: &Plan| -> Vec<(String, usize)> {
        let is_bytecode = |file: &&PlanFile| matches!(file.origin, ContentOrigin::Bytecode { .. });
        plan.files
            .iter()
            .filter(is_bytecode)
            .map(|file| (file.path.to_string(), file.dist.expect("one")))
            .collect()
    };
    let inside = |text: &str| format!("lib/python3.11/site-packages/{text}");
    let expected = [
        ("__pycache__/top.cpython-311.pyc", 0),
        ("b/__pycache__/__init__.cpython-311.pyc", 1),
        ("shared/__pycache__/m.cpython-311.pyc", 1),
    ];
    assert_eq!(bytecode(&plan), expected.map(|(path, dist)| (inside(path), dist)));
    for file in &plan.files {
        if let ContentOrigin::Bytecode { source } = file.origin {
            let source = plan.files[source].path.as_str();
            let stem = source.rsplit('/').next().and_then(|name| name.strip_suffix(".py")).expect("a module");
            assert!(file.path.file_name().starts_with(&format!("{stem}.")), "{} from {source}", file.path);
        }
    }
    // Both list what one wrote.
    let at = |plan: &Plan, text: &str| plan.files.iter().position(|file| file.path.as_str() == inside(text));
    for name in ["shared/m.py", "shared/__pycache__/m.cpython-311.pyc"] {
        let at = at(&plan, name).expect(name);
        assert!(plan.listed().iter().all(|files| files.contains(&at)), "{name}");
    }
    assert!(plan.dirs.is_sorted() && plan.files.is_sorted_by_key(|file| file.path.as_str()));
    assert!(plan.dirs.contains(&path(&inside("shared/__pycache__"))));

    let left_out =
        [inside("shared/__pycache__/m.cpython-311.pyc"), inside("__pycache__/top.cpython-311.pyc")]
            .iter()
            .map(|path| plan.files.iter().position(|file| file.path.as_str() == path).expect("it is there"))
            .collect();
    let less = plan.without(&left_out);
    assert_eq!(bytecode(&less), [(inside("b/__pycache__/__init__.cpython-311.pyc"), 1)]);
    assert!(!less.dirs.contains(&path(&inside("shared/__pycache__"))));
    assert!(
        less.dirs.contains(&path(&inside("b/__pycache__"))) && less.dirs.contains(&path(&inside("shared")))
    );
    assert_eq!(less.shared.len(), before.shared.len());
    let all = less
        .files
        .iter()
        .enumerate()
        .filter(|(_, file)| matches!(file.origin, ContentOrigin::Bytecode { .. }));
    let all = all.map(|(at, _)| at).collect();
    assert_eq!(described(&less.without(&all)), described(&before));
}
