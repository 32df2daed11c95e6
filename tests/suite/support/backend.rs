//! Build backends of the tests' own, so that nothing has to be fetched, and projects that have them.

use super::{archive::tar_gz, package::Package};

/// The files of a project: names below its directory, and their text.
pub type Files = Vec<(String, String)>;

/// What every backend here has: `wheel(out, name, version, **files)` writes a wheel and gives its name.
const WHEEL: &str = r#"
import os, sys, zipfile

def wheel(out, name="demo", version="1.0", **files):
    stem = "{}-{}".format(name.replace("-", "_"), version)
    info = stem + ".dist-info/"
    files[info + "METADATA"] = "Metadata-Version: 2.1\nName: {}\nVersion: {}\n".format(name, version)
    files[info + "WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[info + "RECORD"] = "".join(path + ",,\n" for path in [*files, info + "RECORD"])
    with zipfile.ZipFile(os.path.join(out, stem + "-py3-none-any.whl"), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return stem + "-py3-none-any.whl"
"#;

/// A backend's module; `body` is the body of `build_wheel`, which may call `wheel(out, name, version, **files)`.
pub fn module(body: &str) -> String {
    format!("{WHEEL}{}", hook("build_wheel", body))
}

fn hook(name: &str, body: &str) -> String {
    let head = format!("\ndef {name}(out, config_settings=None, metadata_directory=None):\n");
    body.lines().fold(head, |text, line| text + "    " + line + "\n")
}

/// A project whose backend lies inside it and needs nothing, with that `build_wheel`.
pub fn in_tree(body: &str) -> Files {
    inside("", module(body))
}

fn inside(project: &str, backend: String) -> Files {
    let system = "[build-system]\nrequires = []\nbuild-backend = 'own'\nbackend-path = ['backend']\n";
    vec![("pyproject.toml".into(), format!("{system}{project}")), ("backend/own.py".into(), backend)]
}

/// A project whose distribution has one module and, with `main = Some(script)`, a script that calls its `main`; it
/// can be built as editable, too.
pub fn of_module(name: &str, version: &str, module: &str, text: &str, script: Option<&str>) -> Files {
    let points = script.map(|script| format!("[console_scripts]\n{script} = {module}:main\n"));
    let points = points.map_or("{}".into(), |points| {
        format!("{{'{}-{version}.dist-info/entry_points.txt': {points:?}}}", name.replace('-', "_"))
    });
    let build = |file: &str, content: &str| {
        format!("return wheel(out, {name:?}, {version:?}, **{{{file:?}: {content}}}, **{points})")
    };
    let file = format!("{module}.py");
    let backend = self::module(&build(&file, &format!("open({file:?}).read()")))
        + &hook("build_editable", &build(&format!("_{module}.pth"), "os.getcwd() + '\\n'"));
    let mut files = inside(&format!("[project]\nname = {name:?}\nversion = {version:?}\n"), backend);
    files.push((file, text.into()));
    files
}

/// The project `lib` 1.0, whose script of the same name prints this.
pub fn lib(prints: &str) -> Files {
    of_module("lib", "1.0", "lib", &format!("def main():\n    print('{prints}')\n"), Some("lib"))
}

/// The source distribution of a project's version 1.0.
pub fn sdist(name: &str, mut files: Files) -> Package {
    files.push(("PKG-INFO".into(), format!("Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")));
    let stem = format!("{name}-1.0");
    Package::of(&format!("{stem}.tar.gz"), tar_gz(&stem, &files))
}

/// The source distribution of a project that a backend of the index builds.
pub fn sdist_built_by(backend: &str, name: &str) -> Package {
    let system = format!("[build-system]\nrequires = ['{backend}']\nbuild-backend = '{backend}'\n");
    sdist(name, vec![("pyproject.toml".into(), system)])
}
