//! Where a request is on its way, and where redirects lead it.

use reqwest::{
    Method, StatusCode,
    header::{HeaderMap, LOCATION},
};
use url::Url;

use crate::words::{
    error::{Error, Kind, Result},
    vocab::{Realm, shown_url},
};

/// Where a request is on its way.
pub(super) struct Hop {
    /// What is asked now.
    pub(super) url: Url,
    /// How.
    pub(super) method: Method,
    /// Whether the request's body goes along.
    pub(super) with_body: bool,
}

impl Hop {
    /// Goes on to where a redirect leads (RFC 9110, 15.4): what is asked for stays, but after 303, and with POST after
    /// 301 and 302 as everybody does it, it is a plain GET.
    pub(super) fn follow(&mut self, to: Url, status: StatusCode) {
        let plain = match status.as_u16() {
            303 => self.method != Method::HEAD,
            301 | 302 => self.method == Method::POST,
            _ => false,
        };
        if plain {
            self.method = Method::GET;
            self.with_body = false;
        }
        self.url = to;
    }
}

/// Where a redirect leads; `None` if the status is none.
pub(super) fn redirect(status: StatusCode, headers: &HeaderMap, from: &Url) -> Result<Option<Url>> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let wrong = |what: &str| Error::new(Kind::Network, format!("{} redirects {what}", shown_url(from)));
    let location = headers.get(LOCATION).ok_or_else(|| wrong("without saying where"))?;
    let mut next = std::str::from_utf8(location.as_bytes())
        .ok()
        .and_then(|location| from.join(location).ok())
        .ok_or_else(|| wrong("to something that is not a URL"))?;
    // Credentials that a server puts into a URL are not ours to send.
    let _ = next.set_username("");
    let _ = next.set_password(None);
    match (from.scheme(), next.scheme()) {
        ("https", "http") => Err(wrong(&format!(
            "from https to http ({}); refused, because anyone on the way could read and change it",
            shown_url(&next)
        ))
        .help("the server may sit behind a TLS proxy without knowing: set its external URL to https")),
        (_, "http" | "https") if next.has_host() => Ok(Some(next)),
        (_, scheme) => Err(wrong(&format!("to a {scheme}: URL; expected https"))),
    }
}

/// Whether a page's redirect leads to another server. The same host over https instead of http is the same.
pub(super) fn leaves(from: &Url, to: &Url) -> bool {
    let upgraded = from.scheme() == "http" && to.scheme() == "https" && from.host() == to.host();
    Realm::of(from) != Realm::of(to) && !upgraded
}

/// Whether the query carries a signature (S3, Google, Azure, CloudFront): such a URL is its own credential,
/// and servers refuse it with a second one.
pub(super) fn is_presigned(url: &Url) -> bool {
    let signature = |key: &str| {
        ["X-Amz-Signature", "X-Goog-Signature", "Signature", "sig"]
            .iter()
            .any(|s| key.eq_ignore_ascii_case(s))
    };
    url.query_pairs().any(|(key, _)| signature(&key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect(text)
    }

    fn hop(from: &str, location: &str) -> Result<Option<Url>> {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, location.parse().expect("a header"));
        redirect(StatusCode::FOUND, &headers, &url(from))
    }

    #[test]
    fn redirects_are_relative_to_their_url_and_lose_userinfo() {
        let to = |from, location| hop(from, location).expect("fine").expect("a redirect").to_string();
        assert_eq!(to("https://a.example/simple/x", "/simple/x/"), "https://a.example/simple/x/");
        assert_eq!(to("https://a.example/x", "https://u:p@b.example/y"), "https://b.example/y");
        // Decoded once at most: the escaped escape stays what it is.
        assert_eq!(to("https://a.example/x/", "%252e%252e%252fy"), "https://a.example/x/%252e%252e%252fy");
    }

    #[test]
    fn redirects_to_plain_http_and_to_files_are_refused() {
        for location in ["http://a.example/", "file:///etc/passwd", "ftp://a.example/", "data:,x"] {
            let report = hop("https://a.example/x?sig=canary", location).expect_err(location).report();
            assert!(report.starts_with("https://a.example/x redirects"), "{report}");
        }
    }

    #[test]
    fn another_port_or_host_is_another_server_and_https_of_the_same_host_is_not() {
        assert!(leaves(&url("https://a.example/"), &url("https://b.example/")));
        assert!(leaves(&url("https://a.example/"), &url("https://a.example:8443/")));
        assert!(!leaves(&url("http://a.example/"), &url("https://a.example/")));
        assert!(!leaves(&url("https://a.example/x"), &url("https://a.example:443/y")));
    }

    #[test]
    fn signed_urls_are_recognised() {
        assert!(is_presigned(&url("https://s.example/f?X-Amz-Algorithm=A&X-Amz-Signature=1")));
        assert!(is_presigned(&url("https://s.example/f?sv=1&sig=abc")));
        assert!(!is_presigned(&url("https://s.example/f?name=signature")));
    }
}
