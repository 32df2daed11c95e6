//! A project called `lib` that builds without an index.

use crate::project::Project;

const PYPROJECT: &str = "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n\
                         [project]\nname = \"lib\"\nversion = \"1.0\"\n";

/// A build backend of its own, so that nothing has to be fetched. Editable: a .pth file.
const BACKEND: &str = r#"
import os, zipfile

def _wheel(directory, files):
    info = "lib-1.0.dist-info/"
    files = dict(files)
    files[info + "METADATA"] = "Metadata-Version: 2.1\nName: lib\nVersion: 1.0\n"
    files[info + "WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[info + "entry_points.txt"] = "[console_scripts]\nlib = lib:main\n"
    files[info + "RECORD"] = "".join(name + ",,\n" for name in [*files, info + "RECORD"])
    name = "lib-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, name), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return name

def build_wheel(directory, config_settings=None, metadata_directory=None):
    with open("lib.py") as file:
        return _wheel(directory, {"lib.py": file.read()})

def build_editable(directory, config_settings=None, metadata_directory=None):
    return _wheel(directory, {"_lib.pth": os.getcwd() + "\n"})
"#;

/// Writes the project `lib`, whose script prints this.
pub fn lib(project: &Project, at: &str, prints: &str) {
    project.write(&format!("{at}/pyproject.toml"), PYPROJECT);
    project.write(&format!("{at}/backend.py"), BACKEND);
    project.write(&format!("{at}/lib.py"), format!("def main():\n    print('{prints}')\n"));
}
