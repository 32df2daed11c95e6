//! Simple indexes on the loopback, and the files of a static one.

use std::borrow::Borrow;

use super::{
    package::Package,
    server::{Request, Server, file, reply},
};

/// The HTML page of a package.
pub fn page<P: Borrow<Package>>(packages: &[P], name: &str) -> Option<Vec<u8>> {
    let found = packages.iter().map(Borrow::borrow).filter(|package| package.name == name);
    let links = found.map(Package::link).collect::<Vec<_>>().join("\n");
    let html = format!("<!DOCTYPE html><html><body>{links}</body></html>");
    (!links.is_empty()).then(|| html.into_bytes())
}

/// What a well-behaved index answers: pages and files below `/simple/`.
pub fn answer<P: Borrow<Package>>(packages: &[P], request: &Request) -> Vec<u8> {
    if let Some(package) = packages.iter().map(Borrow::borrow).find(|package| package.path() == request.path)
    {
        return file(request, &package.bytes, "\"tag\"");
    }
    let name = request.path.strip_prefix("/simple/").map(|name| name.trim_end_matches('/'));
    match name.and_then(|name| page(packages, name)) {
        Some(page) => reply("200 OK", &["Content-Type: text/html"], &page),
        None => reply("404 Not Found", &[], b""),
    }
}

fn owned<P: Borrow<Package>>(packages: &[P]) -> Vec<Package> {
    packages.iter().map(|package| package.borrow().clone()).collect()
}

/// An index for everyone.
pub fn index<P: Borrow<Package>>(packages: &[P]) -> Server {
    let packages = owned(packages);
    Server::start(move |request| answer(&packages, request))
}

/// An index for one user: 401 without credentials and for wrong ones, as GitLab answers.
pub fn private<P: Borrow<Package>>(login: &str, packages: &[P]) -> Server {
    let packages = owned(packages);
    Server::private(&basic(login), move |request| answer(&packages, request))
}

/// The files of a static index: `simple/NAME/index.html` and `simple/files/FILE`.
pub fn site<P: Borrow<Package>>(packages: &[P]) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for package in packages.iter().map(Borrow::borrow) {
        let page = page(packages, &package.name).expect("it is one of them");
        files.push((format!("simple/{}/index.html", package.name), page));
        files.push((package.path().trim_start_matches('/').to_owned(), package.bytes.clone()));
    }
    files
}

/// The Authorization header of `user:password`.
pub fn basic(login: &str) -> String {
    format!("Basic {}", base64(login.as_bytes()))
}

pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let number = chunk.iter().fold(0_u32, |n, byte| n << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let value = number >> (18 - 6 * digit) & 63;
            out.push(if digit > chunk.len() { '=' } else { DIGITS[value as usize].into() });
        }
    }
    out
}
