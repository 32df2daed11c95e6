//! Nothing but the lock's sources is asked, each for its own packages: not what the environment, pip's files or
//! words inside of strings name.

use crate::support::{
    backend::{module, sdist_built_by},
    index::{answer, index},
    lock::Lock,
    package::Package,
    project::Project,
    server::{Server, reply},
    wheel::WheelBuilder,
};
use serde_json::{Value, json};

/// An index that has every package of the tests, made by somebody else.
fn evil() -> Server {
    index(&[&Package::by("evil", "ours"), &helper("evil")])
}

/// A build backend that says who published it.
fn backend(publisher: &str) -> String {
    module(&format!("return wheel(out, 'built', **{{'built.py': 'by = {publisher:?}\\n'}})"))
}

fn helper(publisher: &str) -> Package {
    // Somebody else's is always the newer one.
    let version = if publisher == "us" { "1.0" } else { "9.0" };
    let wheel = WheelBuilder::new("helper", version).file("helper.py", backend(publisher));
    Package::new(&wheel)
}

/// A source distribution that `helper` builds.
fn built() -> Package {
    sdist_built_by("helper", "built")
}

#[test]
fn options_hidden_in_the_strings_of_a_lock_do_nothing() {
    let ours = Package::by("us", "ours");
    let good = index(&[&ours]);
    let evil = evil();
    let (there, touched) = (evil.url("/simple"), tempfile::TempDir::new().expect("a directory"));
    let touch = touched.path().join("it").display().to_string();
    let option = format!("--index-url {there}");
    let lock = |source: Value, name: &str, entry: Value| {
        Project::of(&Lock::bare().any_source(source).entry("default", name, entry))
    };
    let source = || json!({ "name": "good", "url": good.url("/simple"), "verify_ssl": true });
    let with = |key: &str, value: Value| {
        let mut entry = ours.entry_from("good");
        entry[key] = value;
        lock(source(), "ours", entry)
    };
    let mut unhashed = ours.entry_from("good");
    unhashed.as_object_mut().expect("an entry").remove("hashes");
    for (place, project) in [
        ("a version", with("version", json!(format!("==1.0 {option}")))),
        ("a version's lines", with("version", json!(format!("==1.0\n{option}")))),
        ("a hash", with("hashes", json!([format!("sha256:{} {option}", ours.sha256)]))),
        ("a marker", with("markers", json!(format!("python_version >= '3' {option}")))),
        ("an index", with("index", json!(format!("good {option}")))),
        ("an extra", with("extras", json!([format!("x] {option}")]))),
        ("a name", lock(source(), &format!("ours {option}"), ours.entry_from("good"))),
        ("a name's lines", lock(source(), &format!("ours\n{option}"), ours.entry())),
        (
            "a source",
            lock(
                json!({ "name": "good", "url": format!("{} {option}", good.url("/simple")) }),
                "ours",
                unhashed,
            ),
        ),
        (
            "a file",
            lock(
                source(),
                "ours",
                json!({ "file": format!("{}/simple/files/x.whl {option}", good.url("")) }),
            ),
        ),
        (
            "a reference",
            lock(
                source(),
                "ours",
                json!({ "git": good.url("/ours.git"), "ref": format!("--upload-pack=touch {touch}") }),
            ),
        ),
        (
            "a repository",
            lock(source(), "ours", json!({ "git": format!("ext::touch {touch}"), "ref": "main" })),
        ),
        ("a path", lock(source(), "ours", json!({ "path": format!("--index-url={there}") }))),
        ("pip's arguments", with("pip_args", json!([format!("--extra-index={there}")]))),
    ] {
        let ran = project.run(&["sync", "-v"]);
        let installed = project.site_file("ours.py");
        assert!(installed.is_empty() || installed.contains("us"), "{place}: {installed}");
        assert_ne!(ran.code == Some(0), installed.is_empty(), "{place}: {}", ran.stderr);
        assert!(evil.log().is_empty(), "{place}: {:?}", evil.log());
        assert!(!touched.path().join("it").exists(), "{place}");
    }
    // A Pipfile's comments and strings are nobody's options either.
    let text = format!(
        "# {option}\n[[source]]\nname = \"good\"\nurl = \"{}\"\nverify_ssl = true\n# --extra-index-url {there}\n\
         [packages]\nours = \"*\" # {option}\n[scripts]\nx = \"pip install {option}\"\n",
        good.url("/simple")
    );
    let project = with("version", json!("==1.0")).file("project/Pipfile", &text);
    project.run(&["sync"]).ends_with(0);
    assert!(evil.log().is_empty(), "{:?}", evil.log());
}

#[test]
fn neither_variables_nor_pips_files_add_an_index() {
    let (ours, built) = (Package::by("us", "ours"), built());
    let good = index(&[&ours, &built, &helper("us")]);
    let evil = evil();
    let there = evil.url("/simple");
    let settings = format!(
        "[global]\nindex-url = {there}\nextra-index-url = {there}\n[install]\nextra-index-url = {there}\n"
    );
    let lock = Lock::bare().source("good", &good.url("/simple")).package(&ours).package(&built);
    let project = Project::of(&lock)
        .file("home/.config/pip/pip.conf", &settings)
        .file("home/.pip/pip.conf", &settings)
        .file("given.conf", &settings);
    let given = project.path("given.conf").display().to_string();
    let project = project.variable("PIP_CONFIG_FILE", given);
    let names =
        ["PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL", "PIPENV_DEFAULT_INDEX", "UV_INDEX", "UV_EXTRA_INDEX_URL"];
    let project = names.iter().fold(project, |project, name| project.variable(name, there.clone()));
    project.run(&["sync"]).ends_with(0);
    assert_eq!(project.site_file("ours.py"), "publisher = \"us\"\n");
    assert_eq!(project.site_file("built.py"), "by = \"us\"\n");
    assert!(evil.log().is_empty(), "{:?}", evil.log());
    for words in [format!("--extra-index-url {there}"), format!("--extra-ind={there}"), format!("-qi{there}")]
    {
        let ran = project.forget().run(&["sync", "--extra-pip-args", &words]);
        ran.ends_with(2).mentions(&["cannot be passed on to pip"]);
    }
    assert!(evil.log().is_empty(), "{:?}", evil.log());
}

#[test]
fn a_build_requirement_that_the_packages_own_index_has_is_asked_for_nowhere_else() {
    let evil = evil();
    let (ours, built) = (Package::by("us", "ours"), built());
    let lock = |company: &Server| {
        Lock::bare()
            .source("open", &evil.url("/simple"))
            .source("company", &company.url("/simple"))
            .package_from("company", &built)
    };
    let company = index(&[&ours, &built, &helper("us")]);
    let project = Project::of(&lock(&company));
    project.run(&["sync"]).ends_with(0);
    assert_eq!(project.site_file("built.py"), "by = \"us\"\n");
    assert!(evil.log().is_empty(), "{:?}", evil.log());

    // What it needs itself is on another: that is asked for, and only that.
    let needy = {
        let wheel = WheelBuilder::new("helper", "1.0")
            .file("helper.py", backend("us"))
            .metadata_line("Requires-Dist: ours");
        Package::new(&wheel)
    };
    let company = index(&[&built, &needy]);
    let project = Project::of(&lock(&company));
    project.run(&["sync"]).ends_with(0);
    assert_eq!(project.site_file("built.py"), "by = \"us\"\n");
    assert!(evil.log().iter().all(|request| !request.path.contains("helper")), "{:?}", evil.log());
    assert!(evil.log().iter().any(|request| request.path == "/simple/ours/"));

    // What the own index does not have at all comes from the others; an index that fails is not passed over.
    let asked = evil.log().len();
    let company = index(&[&built]);
    Project::of(&lock(&company)).run(&["sync"]).ends_with(0);
    assert!(evil.log().len() > asked);
    let asked = evil.log().len();
    let served = built.clone();
    let company = Server::start(move |request| {
        if request.path.contains("helper") {
            return reply("403 Forbidden", &[], b"");
        }
        answer(&[&served], request)
    });
    Project::of(&lock(&company)).run(&["sync"]).ends_with(6).mentions(&["helper"]);
    assert_eq!(evil.log().len(), asked);
}

#[test]
fn a_lock_is_a_file() {
    let ours = Package::by("us", "ours");
    let server = index(&[&ours]);
    let project = Project::of(&Lock::bare().source("good", &server.url("/simple")).package(&ours));
    for url in [server.url("/Pipfile.lock"), "file:///etc/Pipfile.lock".to_owned()] {
        project
            .run(&["sync", "--lock", &url])
            .ends_with(2)
            .mentions(&["--lock names a URL", "fetch the lock first"]);
    }
    assert!(server.log().is_empty());
}
