//! What the edits begin with: for each reader a few inputs that it takes, and some that it is known to refuse.

use std::{fs, path::Path, process::Command};

use serde_json::json;

use crate::support::{
    archive, files,
    package::{Package, sha256},
    project::Project,
    wheel::{Member, WheelBuilder},
};

/// The seeds of a reader.
pub fn of(reader: &str) -> Vec<Vec<u8>> {
    match reader {
        "marker" => texts(&MARKERS),
        "specifier" => SPECIFIERS
            .iter()
            .flat_map(|clause| {
                VERSIONS.iter().map(move |version| format!("{version}\n{clause}").into_bytes())
            })
            .collect(),
        "wheel_name" => texts(&[
            "demo-1.0-py3-none-any.whl",
            "Demo.X_y-1.0.post1-1a-py2.py3-none-any.whl",
            "demo-1.0_l.1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            "demo-1!2.0rc1-cp39-abi3-macosx_11_0_arm64.whl",
            "demo-1.0-cp37-cp37m-win_amd64.whl",
        ]),
        "url" => texts(&[
            "https://me:pass4711@index.example:8080/simple/?a=b#c",
            "https://tok4711@index.example/",
            "see https://me:pass4711@h.example/x and ssh://git@h.example/y",
            "file:///a/b%20c",
            "git+ssh://git@h.example:22/a.git@v1",
            "\u{1b}[31mred\u{1b}[0m \u{202e}x",
            "http://[::1]:80/",
            "https://me:pasS4711@pasS4711a=b",
        ]),
        "lock" => project_files("Pipfile.lock").into_iter().chain(texts(&LOCKS)).collect(),
        "pipfile" => project_files("Pipfile").into_iter().chain(texts(&PIPFILES)).collect(),
        "pylock" => texts(&[PYLOCK]),
        "dotenv" => texts(&DOTENVS),
        "netrc" => texts(&[
            "machine h.example login me password p\n",
            "machine h.example\n login \"a b\" account c password \"\\\"q\\\"\"\n# note\ndefault login d password e",
            "machine a login b password c macdef init\ncd /x\n\nmachine d login e password f\n",
            "machine h.example:8080 user me password p#q",
        ]),
        "index_html" => {
            texts(&[HTML, "<a href=demo-1.0.zip>demo-1.0.zip</a>", "<!doctype html><title>none</title>"])
        }
        "index_json" => vec![json_page()],
        "wheel" => wheels(),
        "record" => texts(&[
            "demo/__init__.py,sha256=HlWuL8ZbQnJQ8aHYJ9JjPkdyvBgEHjZNFfTiZFY2tyY,6\ndemo-1.0.dist-info/RECORD,,\n",
            "\"demo/__init__.py\",md5=x,\n../../x,,\n/abs,,\ndemo/__init__.py,,\r\n",
        ]),
        "metadata" => texts(&[
            "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nRequires-Dist: a (>=1); extra == 'x'\n\nText\n",
            "Name: Demo\r\nVersion: 1.0.0\r\nDescription: a\r\n  b\r\n",
        ]),
        "wheel_file" => texts(&[
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "wheel-version: 1.9\nRoot-Is-Purelib: FALSE\n",
        ]),
        "entry_points" => texts(&[
            "[console_scripts]\ndemo = demo:main\ntool=demo.tool:Main.run [x]\n[gui_scripts]\nwin = demo:gui # c\n",
            "[console_scripts]\na = b:c()\n; note\n[other]\nx = y\n[console_scripts]\na = d:e",
        ]),
        "deflate" => streams(),
        "sdist_tar" => vec![sdist_tar()],
        "sdist_zip" => {
            vec![archive::zip("demo-1.0", &[("pyproject.toml", "[build-system]\n"), ("src/a.py", "a = 1\n")])]
        }
        "requirement" => texts(&REQUIREMENTS),
        "manifest" => vec![manifest()],
        "elf" => shared_objects(),
        "marshal" => code_objects(),
        "journal" => texts(&[
            "venvoy journal 1\nstaging .venv.new\nmtime 315532800\n- lib/a\nr lib/b\nm lib/c\n> lib/c/d\\te\nt lib\nend 0\n",
        ]),
        "oci" => vec![image()],
        "layout" => bases(),
        "challenge" => texts(&CHALLENGES),
        "registry_answer" => texts(&ANSWERS),
        "docker_config" => texts(&LOGINS),
        "selection" => texts(&SELECTIONS),
        "ledger" => texts(&[
            "venvoy verified 1 2 3 4\nabc 1 2 3 4 5 6 7\nd/e 18446744073709551615 2 3 -4 5 -6 7\nabc 1 2 3 4 5 6 8\nhalf 1 2",
        ]),
        "proof" => proofs(),
        "bundle" => bundles(),
        other => panic!("{other} has no seeds"),
    }
}

const CHALLENGES: [&str; 4] = [
    "realm=\"https://auth.example/token\",service=\"registry.example\",scope=\"repository:a/b:pull,push\"\n/v2/a/blobs/uploads/1?state=x",
    "Realm=https://auth.example/token, service=r\nhttps://storage.example/upload?sig=1#x",
    "realm=\"http://auth.example/token\"\nhttp://storage.example/",
    "realm=\"https://me:pass4711@auth.example/token\"\nhttps://me:pass4711@storage.example/u",
];

const ANSWERS: [&str; 5] = [
    r#"{"token": "abc", "expires_in": 300}"#,
    r#"{"access_token": "abc.def", "token": null}"#,
    r#"{"errors": [{"code": "DENIED", "message": "no \u001b[2J", "detail": {}}]}"#,
    r#"{"annotations": {"dev.venvoy.selection": "[{\"filename\": \"a.whl\"}]"}}"#,
    "<html>503</html>",
];

const LOGINS: [&str; 3] = [
    r#"{"auths": {"registry.example": {"auth": "bWU6cGFzczp3b3Jk"}, "registry.example/team": {"identitytoken": "t"},
        "https://index.docker.io/v1/": {"auth": "aHViOnBhc3M="}}, "credHelpers": {"registry.example:5000": "pass"}}"#,
    r#"{"auths": {"https://registry.example/v2/": {}}, "credsStore": "desktop"}"#,
    r#"{"credHelpers": {"registry.example": "../evil"}, "credsStore": ""}"#,
];

const SELECTIONS: [&str; 3] = [
    r#"[{"filename": "demo-1.0-py3-none-any.whl", "url": "https://files.example/demo-1.0-py3-none-any.whl",
        "sha256": "0000000000000000000000000000000000000000000000000000000000000000", "requires_python": ">=3.8", "yanked": "bad", "size": 10}]"#,
    r#"[{"filename": "demo-1.0.tar.gz", "url": "https://index.example/${TOKEN}/demo-1.0.tar.gz",
        "sha256": "0000000000000000000000000000000000000000000000000000000000000001"}]"#,
    r#"[{"filename": "../a", "url": "https://evil.example/${TOKEN}",
        "sha256": "0000000000000000000000000000000000000000000000000000000000000000"}]"#,
];

/// Bases in tars: a layout, and what engines save.
fn bases() -> Vec<Vec<u8>> {
    let image = image();
    let at = image.windows(2).position(|pair| pair == b"\0\n").expect("two parts");
    let layer = b"layer".to_vec();
    let config = image[at + 2..].to_vec();
    let manifest = json!({
        "schemaVersion": 2, "config": {"digest": format!("sha256:{}", sha256(&config)), "size": config.len()},
        "layers": vec![json!({"digest": format!("sha256:{}", sha256(&layer)), "size": layer.len(),
            "mediaType": "application/vnd.oci.image.layer.v1.tar"}); 2],
    });
    let manifest = manifest.to_string().into_bytes();
    let index = json!({"schemaVersion": 2, "manifests": [{
        "digest": format!("sha256:{}", sha256(&manifest)), "size": manifest.len(),
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "annotations": {"org.opencontainers.image.ref.name": "1.0"},
    }]});
    let blob = |bytes: &[u8]| (format!("blobs/sha256/{}", sha256(bytes)), bytes.to_vec());
    let layout = [
        ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
        ("index.json".to_owned(), index.to_string().into_bytes()),
        blob(&manifest),
        blob(&config),
        blob(&layer),
    ];
    let saved =
        json!([{"Config": "config.json", "RepoTags": ["demo:1"], "Layers": ["1/layer.tar", "1/layer.tar"]}]);
    let saved = [
        ("manifest.json".to_owned(), saved.to_string().into_bytes()),
        ("config.json".to_owned(), config),
        ("1/layer.tar".to_owned(), layer),
    ];
    vec![tar(&layout), tar(&saved)]
}

fn tar(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = ::tar::Builder::new(Vec::new());
    for (path, bytes) in members {
        let mut header = ::tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, bytes.as_slice()).expect("appended");
    }
    builder.into_inner().expect("a tar")
}

/// Rows of proofs for a wheel of a few entries: streams that fit into any of them, and some that fit into none.
fn proofs() -> Vec<Vec<u8>> {
    let row = |last: u64, end: u64| [&[7; 32][..], &last.to_le_bytes(), &end.to_le_bytes()].concat();
    let all = (2..7).map(|rows| row(0, 40).repeat(rows));
    all.chain([row(0, u64::MAX).repeat(4), row(9, 8).repeat(5)]).collect()
}

/// Caches in tars.
fn bundles() -> Vec<Vec<u8>> {
    let file = b"a file".to_vec();
    let digest = sha256(&file);
    let (shard, rest) = digest.split_at(2);
    vec![tar(&[
        (format!("v1/files/{shard}/{rest}/{}/demo-1.0.whl", file.len()), file.clone()),
        (format!("v1/selections/{shard}/{rest}/{digest}"), b"[]".to_vec()),
        (format!("elsewhere/v1/files/{shard}/{rest}/7/other.whl"), file),
    ])]
}

fn texts(all: &[&str]) -> Vec<Vec<u8>> {
    all.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Those of real projects that are short.
fn project_files(name: &str) -> Vec<Vec<u8>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let named =
        files::below(&corpus).into_iter().filter(|path| path.file_name().is_some_and(|file| file == name));
    named.map(|path| fs::read(path).expect("a file")).filter(|bytes| bytes.len() < 6000).collect()
}

const MARKERS: [&str; 9] = [
    "python_version >= '3.8' and sys_platform == 'linux'",
    "python_version not in '3.0, 3.1, 3.2'",
    "(os_name == \"posix\" or platform_machine != 'x86_64') and extra == 'socks'",
    "'dev' in dependency_groups",
    "python_full_version === '3.11.7' or implementation_version ~= '3.9.0'",
    "platform_release < '5.10.0-x'",
    "'3' < python_version",
    "os.name == 'nt' and python_implementation == 'CPython'",
    "python_version == '3.*' and (((platform_version == '')))",
];

const SPECIFIERS: [&str; 14] = [
    "==1.0",
    "!=1.0.*",
    ">=1.0a1",
    "<2",
    "<=1.0.post1",
    ">1.0",
    "~=1.0.0",
    "===1.0",
    "==1.0+l",
    ">1.0.dev1",
    "<1.0rc1",
    "~=2.2.post3",
    "==1!1.0",
    ">1.0.post1",
];

const VERSIONS: [&str; 8] =
    ["1.0", "1.0a1", "1.0.post1", "1.0+l.2", "1!1.0", "1.0.dev3", "1.0.1", "2.2.4rc1.post2.dev1"];

const LOCKS: [&str; 2] = [
    r#"{"_meta": {"hash": {"sha256": "00"}, "pipfile-spec": 6, "requires": {"python_version": "3.11"}, "sources":
        [{"name": "a", "url": "https://${USER}:${TOKEN}@index.example/${EMPTY:-x}/simple", "verify_ssl": true}]},
      "default": {"demo": {"hashes": ["sha256:0000000000000000000000000000000000000000000000000000000000000000"],
        "index": "a", "markers": "python_version >= '3.8'", "version": "==1.0", "extras": ["x"]}},
      "develop": {"demo": {"version": "==2.0"}, "Tool.x": {"version": "*", "sys_platform": "== 'linux'"}}}"#,
    r#"{"_meta": {"sources": []}, "default": {
        "a": {"git": "https://h.example/a.git", "ref": "0123456789012345678901234567890123456789", "subdirectory": "x/y"},
        "b": {"file": "https://h.example/b-1.0.zip", "hashes": []}, "c": {"path": "./c", "editable": true},
        "d": {"file": "file:///d/e.whl", "markers": null}, "e": {"git": "git@h.example:e/f.git", "ref": null}}}"#,
];

const PIPFILES: [&str; 2] = [
    "[[source]]\nname = \"a\"\nurl = \"https://index.example/simple\"\nverify_ssl = true\n[packages]\ndemo = \"*\"\n\
     lib = {version = \">=1\", extras = [\"x\"], markers = \"os_name == 'nt'\"}\n[dev-packages]\n[docs]\nx = \"==1\"\n\
     [requires]\npython_version = \"3.11\"\n[pipenv]\nallow_prereleases = true\n",
    "[packages]\na = {git = \"https://h.example/a.git\", ref = \"v1\"}\n[scripts]\none = \"echo 'a b' \\\"c\\\"\"\n\
     two = {call = \"a.b:c('x')\"}\nthree = [\"a\", \"b c\"]\n",
];

const PYLOCK: &str = r#"
lock-version = "1.0"
created-by = "x"
requires-python = ">=3.8"
environments = ["sys_platform == 'linux'"]
extras = ["x"]
dependency-groups = ["dev"]
default-groups = ["dev"]

[[packages]]
name = "demo"
version = "1.0"
marker = "'dev' in dependency_groups"
index = "https://index.example/simple"
[[packages.wheels]]
name = "demo-1.0-py3-none-any.whl"
url = "https://index.example/demo-1.0-py3-none-any.whl"
size = 10
hashes = {sha256 = "0000000000000000000000000000000000000000000000000000000000000000"}

[[packages]]
name = "lib"
[packages.vcs]
type = "git"
url = "https://h.example/lib.git"
commit-id = "0123456789012345678901234567890123456789"

[[packages]]
name = "local"
[packages.directory]
path = "sub"
editable = true
"#;

const DOTENVS: [&str; 4] = [
    "A=1\nexport B='two words' # note\nC=\"x\\ny ${A} ${NONE:-d}\"\nD\n",
    "A=${TOKEN}\nB=$A\n'quoted key'=v\nC=\"open\nD='a\nb'\n",
    "\u{feff}A = x #c\r\nB=x#c\rC=\n",
    "A=\"\\u0041\\101\\\"\" junk\n=x\n",
];

const HTML: &str = "<!DOCTYPE html><html><head><meta name=\"pypi:repository-version\" content=\"1.1\">\
    <base href=\"https://index.example/simple/\"></head><body>\
    <a href=\"../../packages/demo-1.0-py3-none-any.whl#sha256=0000000000000000000000000000000000000000000000000000000000000000\" \
    data-requires-python=\"&gt;=3.8\" data-yanked=\"bad\" data-core-metadata=\"true\">demo-1.0-py3-none-any.whl</a>\
    <a href='demo-1.0.tar.gz?x=1&amp;y=2'>demo-1.0.tar.gz</a></body></html>";

fn json_page() -> Vec<u8> {
    let page = json!({
        "meta": {"api-version": "1.1"}, "name": "demo", "versions": ["1.0"],
        "files": [
            {"filename": "demo-1.0-py3-none-any.whl", "url": "../../demo-1.0-py3-none-any.whl", "size": 10,
             "hashes": {"sha256": "0".repeat(64)}, "requires-python": ">=3.8", "yanked": false},
            {"filename": "demo-1.0.tar.gz", "url": "https://files.example/demo-1.0.tar.gz", "hashes": {}, "yanked": "bad"},
        ],
    });
    page.to_string().into_bytes()
}

fn wheels() -> Vec<Vec<u8>> {
    let demo = || {
        WheelBuilder::new("demo", "1.0")
            .file("demo/__init__.py", "x = 1\n")
            .console_script("demo = demo:main")
    };
    vec![
        demo().build(),
        demo()
            .stored("demo/s", "stored")
            .member(Member::directory("demo/dir/"))
            .data("scripts/tool", "#!python\n")
            .build(),
        demo().member(Member::deflated("demo/d", b"described").streamed(true)).build(),
        demo().member(Member::stored("demo/w", b"wide").zip64()).zip(|zip| zip.zip64 = true).build(),
        demo().member(Member::symlink("demo/l", "__init__.py")).executable("demo/x", "#!/bin/sh\n").build(),
        demo().file("demo/é.py", "").file("demo/big", "abc".repeat(3000)).platlib().build(),
    ]
}

fn streams() -> Vec<Vec<u8>> {
    let text = b"abcabcabcabc, and so on, and so on; ".repeat(20);
    let mut all = Vec::new();
    for level in [0, 1, 6, 9] {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(level));
        std::io::Write::write_all(&mut encoder, &text).expect("written");
        all.push(encoder.finish().expect("finished"));
    }
    all.push(vec![3, 0]);
    all
}

fn sdist_tar() -> Vec<u8> {
    use std::io::Read as _;
    let files = [
        ("pyproject.toml", "[build-system]\nrequires = []\n"),
        ("src/a.py", "a = 1\n"),
        ("PKG-INFO", "Name: demo\n"),
    ];
    let packed = archive::tar_gz("demo-1.0", &files);
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut plain).expect("a tar");
    let mut builder = tar::Builder::new(Vec::new());
    for (kind, name, link) in [
        (tar::EntryType::Symlink, "demo-1.0/link", "src/a.py"),
        (tar::EntryType::Link, "demo-1.0/hard", "demo-1.0/PKG-INFO"),
        (tar::EntryType::Symlink, "demo-1.0/up", "src/.."),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_mode(0o644);
        builder.append_link(&mut header, name, link).expect("a link");
    }
    let mut links = builder.into_inner().expect("a tar");
    links.truncate(links.len() - 1024);
    // The hard link is to a file that comes before it.
    plain[..plain.len() - 1024].iter().chain(&links).copied().chain([0; 1024]).collect()
}

const REQUIREMENTS: [&str; 7] = [
    "six",
    "Zope.Interface (>=1.0, <2)",
    "a[x, Y]>=1,!=1.5.* ; python_version >= '3.8'",
    "a @ https://h.example/a;b.zip ; os_name == 'posix'",
    "a~=1.0;extra == 'z'",
    "a [x] ===1.0+L",
    "b <2,>=1.0.dev1",
];

/// The manifest of an environment that venvoy made.
fn manifest() -> Vec<u8> {
    let project = Project::with_wheels(&[Package::simple("demo", "1.0"), Package::simple("lib", "2.0")]);
    project.sync().succeeds();
    fs::read(project.venv().join("venvoy.manifest")).expect("a manifest")
}

fn shared_objects() -> Vec<Vec<u8>> {
    let dir = tempfile::tempdir().expect("a directory");
    let source = dir.path().join("a.c");
    fs::write(&source, "int shared = 7; int twice(int x) { return 2 * x * shared; }\n").expect("written");
    let mut all = Vec::new();
    for flags in [&["-g"][..], &["-g", "-Wl,-z,max-page-size=0x1000", "-Wl,--build-id=none"]] {
        let out = dir.path().join("a.so");
        let mut command = Command::new("cc");
        command.args(["-shared", "-nostdlib", "-fPIC", "-o"]).arg(&out).args(flags).arg(&source);
        let done = command.output().expect("cc: tests/run installs it");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        all.push(fs::read(&out).expect("a shared object"));
    }
    all
}

/// Code of the Python that is there, marshalled.
fn code_objects() -> Vec<Vec<u8>> {
    let program = r#"
import marshal, sys
for text in ["x = 1\ndef f(a, *b, c={}):\n    return [i for i in b if i in {1, 2, 'x'}], 1.5, 2j, 10**30, b'z', 'é', ...",
             "class A:\n    y: int = (1, (2, (3,)))\n    z = lambda self: self.y is None"]:
    code = bytes([sys.version_info[1]]) + marshal.dumps(compile(text, "m.py", "exec"))
    print(code.hex())
"#;
    let done = Command::new("python3").args(["-c", program]).output().expect("python3");
    let text = String::from_utf8(done.stdout).expect("text");
    let found: Vec<Vec<u8>> = text
        .lines()
        .map(|line| {
            let digits: Vec<u8> = (0..line.len() / 2)
                .map(|at| u8::from_str_radix(&line[2 * at..2 * at + 2], 16).expect("digits"))
                .collect();
            digits
        })
        .collect();
    assert_eq!(found.len(), 2, "{}", String::from_utf8_lossy(&done.stderr));
    found
}

fn image() -> Vec<u8> {
    let layer = format!("sha256:{}", sha256(b"layer"));
    let config = json!({
        "architecture": "amd64", "os": "linux", "created": "1980-01-01T00:00:00Z",
        "config": {"Env": ["PATH=/usr/bin", "A=b"], "Cmd": ["python3"], "Labels": {"a": "b"}},
        "rootfs": {"type": "layers", "diff_ids": [layer, layer]},
        "history": [{"created_by": "a"}, {"created_by": "b", "empty_layer": true}, {"created_by": "c"}],
    });
    let row =
        json!({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": layer, "size": 10});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": [row, row],
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": layer, "size": 10},
        "annotations": {"a": "b"},
    });
    [manifest.to_string().as_bytes(), b"\0\n", config.to_string().as_bytes()].concat()
}
