//! nginx with a configuration of the test's own.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{
    ca::htpasswd,
    files,
    process::{Running, free_port},
};

/// A running nginx; its directory holds `root` (what it serves), password files and logs.
pub struct Nginx {
    /// The port `{port}` stood for.
    pub port: u16,
    /// The port `{other}` stood for: a second server of the same nginx.
    pub other: u16,
    directory: TempDir,
    _running: Running,
}

/// A server's directory before nginx runs.
pub struct Setup {
    directory: TempDir,
}

impl Setup {
    pub fn new() -> Self {
        let directory = TempDir::new().expect("a directory");
        fs::create_dir(directory.path().join("root")).expect("a directory");
        // nginx's workers may be another user's.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
        }
        Setup { directory }
    }

    /// Serves these bytes at `/name`.
    pub fn file(self, name: &str, bytes: &[u8]) -> Self {
        files::write(&self.directory.path().join("root"), name, bytes);
        self
    }

    /// A password file beside the configuration.
    pub fn user(self, file: &str, user: &str, password: &str) -> Self {
        files::write(self.directory.path(), file, htpasswd(user, password));
        self
    }

    /// Starts nginx with these `server` blocks; `{port}` and `{other}` are two free ports, `{dir}` is the
    /// server's directory.
    pub fn start(self, servers: &str) -> Nginx {
        let (port, other) = (free_port(), free_port());
        let dir = self.directory.path().display().to_string();
        let servers = servers
            .replace("{port}", &port.to_string())
            .replace("{other}", &other.to_string())
            .replace("{dir}", &dir);
        // The log shows what a server was sent: the credentials too.
        let config = format!(
            "daemon off;\nmaster_process off;\npid {dir}/pid;\nerror_log {dir}/error.log;\n\
             events {{ worker_connections 256; }}\n\
             http {{\n  default_type application/octet-stream;\n  types {{ text/html html; }}\n\
             log_format seen '$server_port $request_uri $status $server_protocol auth=[$http_authorization]';\n\
             access_log {dir}/access.log seen;\n  root {dir}/root;\n\
             client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;\n\
             uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;\n{servers}\n}}\n"
        );
        let path = self.directory.path().join("nginx.conf");
        fs::write(&path, config).expect("written");
        // Debian keeps it where only root's PATH looks.
        let program = ["/usr/sbin/nginx", "/usr/local/sbin/nginx"]
            .iter()
            .map(PathBuf::from)
            .find(|path| path.exists())
            .unwrap_or_else(|| "nginx".into());
        let mut command = Command::new(program);
        command.args(["-p", &dir, "-e"]).arg(format!("{dir}/error.log")).arg("-c").arg(&path);
        let running = Running::start(&mut command, port, "the Debian package nginx-light (or nginx)");
        Nginx { port, other, directory: self.directory, _running: running }
    }
}

impl Nginx {
    /// The access log: port, path, status, protocol and the Authorization header of each request. nginx
    /// writes a line after it has answered, so this waits until there are `requests` of them.
    pub fn log(&self, requests: usize) -> String {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let log = fs::read_to_string(self.directory.path().join("access.log")).expect("a log");
            if log.lines().count() >= requests || Instant::now() > end {
                assert_eq!(log.lines().count(), requests, "{log}");
                return log;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}
