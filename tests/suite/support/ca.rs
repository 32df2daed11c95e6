//! A certificate authority of the test's own, made with OpenSSL.

use std::{fs, path::PathBuf, process::Command};

use tempfile::TempDir;

use super::program::run;

/// A CA with a server certificate (localhost, 127.0.0.1, ::1) and a client certificate.
pub struct Ca {
    directory: TempDir,
}

impl Ca {
    pub fn new() -> Self {
        let ca = Ca { directory: TempDir::new().expect("a directory") };
        let names = "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1";
        ca.openssl(&[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=Test CA",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
        ]);
        ca.sign("server", &[names, "extendedKeyUsage=serverAuth"]);
        ca.sign("client", &["extendedKeyUsage=clientAuth"]);
        let both = [ca.read("client.pem"), ca.read("client.key")].concat();
        fs::write(ca.path("client-both.pem"), both).expect("written");
        ca
    }

    /// The CA's own certificate.
    pub fn bundle(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// Certificate and key of a client in one file.
    pub fn client(&self) -> PathBuf {
        self.path("client-both.pem")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect(name)
    }

    fn sign(&self, name: &str, extensions: &[&str]) {
        let (key, request, pem) = (format!("{name}.key"), format!("{name}.csr"), format!("{name}.pem"));
        self.openssl(&[
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-subj",
            &format!("/CN=Test {name}"),
            "-keyout",
            &key,
            "-out",
            &request,
        ]);
        fs::write(self.path("extensions"), extensions.join("\n")).expect("written");
        self.openssl(&[
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            "extensions",
            "-out",
            &pem,
        ]);
    }

    fn openssl(&self, args: &[&str]) {
        run(Command::new("openssl").args(args).current_dir(self.directory.path()), "openssl");
    }
}

/// An APR1 password file's line, as nginx reads it.
pub fn htpasswd(user: &str, password: &str) -> String {
    let hash = run(Command::new("openssl").args(["passwd", "-apr1", password]), "openssl");
    format!("{user}:{}", String::from_utf8(hash).expect("a hash"))
}
