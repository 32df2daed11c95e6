//! Index servers that are Python programs, installed once below the target directory.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

use super::{
    ca::htpasswd,
    process::{Running, free_port},
    program::run,
};

/// What the servers are tried with; another list makes another environment.
const REQUIREMENTS: [&str; 5] =
    ["pypiserver==2.4.2", "passlib==1.7.4", "devpi-server==6.20.0", "keyring==25.7.0", "keyrings.alt==5.0.2"];

/// The directory of the servers' programs.
fn programs() -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(root).expect("a directory");
    let lock = File::create(root.join("index-servers.lock")).expect("a lock file");
    lock.lock().expect("the lock");
    let environment = root.join("index-servers");
    let bin = environment.join("bin");
    let stamp = environment.join("installed");
    let wanted = REQUIREMENTS.join("\n");
    if fs::read_to_string(&stamp).is_ok_and(|text| text == wanted) {
        return bin;
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment), "python3-venv");
    run(Command::new(bin.join("pip")).args(["install", "-q"]).args(REQUIREMENTS), "pip");
    fs::write(&stamp, wanted).expect("written");
    bin
}

/// A running index server.
pub struct Index {
    pub port: u16,
    directory: TempDir,
    _running: Running,
}

/// pypiserver with these files; with a user, it asks for the password of everything. What it does not have
/// it forwards to `fallback`.
pub fn pypiserver(files: &[(&str, &[u8])], login: Option<(&str, &str)>, fallback: &str) -> Index {
    let directory = TempDir::new().expect("a directory");
    let packages = directory.path().join("packages");
    fs::create_dir(&packages).expect("a directory");
    for (name, bytes) in files {
        fs::write(packages.join(name), bytes).expect("written");
    }
    let port = free_port();
    let mut command = Command::new(programs().join("pypi-server"));
    command.args(["run", "-i", "127.0.0.1", "-p", &port.to_string(), "--fallback-url", fallback]);
    match login {
        None => command.args(["-P", ".", "-a", "."]),
        Some((user, password)) => {
            let users = directory.path().join("users");
            fs::write(&users, htpasswd(user, password)).expect("written");
            command.arg("-P").arg(users).args(["-a", "list,download,update"])
        }
    };
    command.arg(&packages);
    start(command, port, directory, "pypiserver")
}

/// pip, as the servers' environment has it.
pub fn pip() -> Command {
    Command::new(programs().join("pip"))
}

/// The `keyring` command. [`PLAINTEXT`] as PYTHON_KEYRING_BACKEND lets it keep passwords below the home directory.
pub fn keyring() -> PathBuf {
    programs().join("keyring")
}

/// A backend that needs no desktop.
pub const PLAINTEXT: &str = "keyrings.alt.file.PlaintextKeyring";

/// devpi-server with one index, `root/dev`, that has these files. devpi counts and stores uploads itself, so
/// they go in over HTTP.
pub fn devpi(files: &[(&str, &[u8])]) -> Index {
    devpi_above(files, None)
}

/// The same; what `root/dev` does not have, it gets from its base `root/mirror`, a mirror of this index.
pub fn devpi_above(files: &[(&str, &[u8])], mirrored: Option<&str>) -> Index {
    const UPLOAD: &str = r#"
import base64, json, pathlib, sys, urllib.request
base, mirrored, names = sys.argv[1], sys.argv[2], sys.argv[3:]
def ask(method, path, data=None, kind="application/json", token=None):
    headers = {"Content-Type": kind, "Accept": "application/json"}
    if token:
        headers["X-Devpi-Auth"] = base64.b64encode(f"root:{token}".encode()).decode()
    request = urllib.request.Request(base + path, data=data, method=method, headers=headers)
    return urllib.request.urlopen(request).read()
login = json.dumps({"user": "root", "password": ""}).encode()
token = json.loads(ask("POST", "/+login", login))["result"]["password"]
bases = ["root/mirror"] if mirrored else []
if mirrored:
    mirror = {"type": "mirror", "mirror_url": mirrored, "mirror_no_project_list": True, "volatile": True}
    ask("PUT", "/root/mirror", json.dumps(mirror).encode(), token=token)
ask("PUT", "/root/dev", json.dumps({"type": "stage", "bases": bases, "volatile": True}).encode(), token=token)
for name in map(pathlib.Path, names):
    project, version = name.name.split("-")[:2]
    fields = {":action": "file_upload", "name": project, "version": version}
    parts = [f'--b\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in fields.items()]
    parts += [f'--b\r\nContent-Disposition: form-data; name="content"; filename="{name.name}"\r\n\r\n'.encode(),
              name.read_bytes(), b"\r\n--b--\r\n"]
    ask("POST", "/root/dev/", b"".join(parts), "multipart/form-data; boundary=b", token)
"#;
    let directory = TempDir::new().expect("a directory");
    let bin = programs();
    let server = directory.path().join("server");
    run(
        Command::new(bin.join("devpi-init")).arg("--no-root-pypi").arg("--serverdir").arg(&server),
        "devpi-server",
    );
    let port = free_port();
    let mut command = Command::new(bin.join("devpi-server"));
    command.args(["--host", "127.0.0.1", "--port", &port.to_string(), "--serverdir"]).arg(&server);
    let index = start(command, port, directory, "devpi-server");
    let paths = files.iter().map(|(name, bytes)| {
        let path = index.directory.path().join(name);
        fs::write(&path, bytes).expect("written");
        path
    });
    let base = format!("http://127.0.0.1:{port}");
    run(
        Command::new("python3").args(["-c", UPLOAD, &base, mirrored.unwrap_or_default()]).args(paths),
        "python3",
    );
    index
}

fn start(mut command: Command, port: u16, directory: TempDir, package: &str) -> Index {
    let log = File::create(directory.path().join("log")).expect("a log");
    let errors = log.try_clone().expect("a log");
    command.stdout(log).stderr(errors).stdin(Stdio::null());
    let running = Running::start(&mut command, port, package);
    Index { port, directory, _running: running }
}

impl Index {
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}
