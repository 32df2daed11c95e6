//! What is fit to be shown: no text from elsewhere writes to a terminal what it likes, and no URL shows its secrets.

use std::{borrow::Cow, fmt::Write as _};

use url::Url;

use super::userinfo::{Kept, without_userinfo};

/// What stands where a URL or a part of it may be a password.
pub(crate) const NOT_SHOWN: &str = "(not shown: it may hold a password)";

/// The schemes that may be named. Of a URL that lost its own, the first part of a host or a user's name looks like one.
const SCHEMES: [&str; 12] =
    ["http", "https", "file", "ftp", "ssh", "git", "svn", "hg", "bzr", "data", "oci", "socks5"];

/// A text from a lock, an index, a file's name or a program, for a terminal or a log: whatever could move the
/// cursor, colour, hide or reverse text (control characters but line ends and tabs, bidirectional marks, invisible
/// characters) is written out as `\u{...}`. Colours, which programs put into their output, are left out, and so is the
/// userinfo of URLs, wherever they stand.
pub(crate) fn fit_to_show(text: &str) -> Cow<'_, str> {
    fit(text, Kept::Readable, |c, out| {
        let _ = write!(out, "\\u{{{:x}}}", c as u32);
    })
}

/// The same for JSON, which is not changed in its meaning: there these characters stand inside of strings only.
pub(crate) fn fit_to_show_json(text: &str) -> Cow<'_, str> {
    fit(text, Kept::Json, |c, out| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    })
}

/// What is written out is so before URLs are looked for: it does not end one.
fn fit(text: &str, kept: Kept, escape: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if !text.chars().any(is_harmful) {
        return without_userinfo(text, kept);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        rest = match c {
            '\u{1b}' if let Some(length) = colour(after) => &after[length..],
            '\r' if after.starts_with('\n') => after,
            c => {
                if is_harmful(c) {
                    escape(c, &mut out);
                } else {
                    out.push(c);
                }
                after
            }
        };
    }
    Cow::Owned(without_userinfo(&out, kept).into_owned())
}

/// How long the rest of a colour's sequence (`[1;31m`) is that a text begins with.
fn colour(after: &str) -> Option<usize> {
    let rest = after.strip_prefix('[')?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    rest[end..].starts_with('m').then_some(end + 2)
}

/// Whether a character changes how others are shown, or is none that can be seen.
fn is_harmful(c: char) -> bool {
    match c {
        '\n' | '\t' | ' '..='~' => false,
        // Soft hyphen, Arabic letter mark, Mongolian vowel separator, zero widths and marks of direction, line and
        // paragraph separator, embeddings and overrides (U+202E among them), isolates, byte order mark, interlinear
        // annotations, tags.
        '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => true,
        c => c.is_control(),
    }
}

/// A URL without userinfo, query and fragment, where secrets and signatures may be. Of one that has no host or path in
/// the usual sense (`data:`, or `user:password@host` without a scheme) nothing is shown.
pub(crate) fn shown_url(url: &Url) -> String {
    if url.cannot_be_a_base() || !SCHEMES.contains(&url.scheme()) {
        return NOT_SHOWN.to_owned();
    }
    let mut url = url.clone();
    // These fail for URLs that cannot have userinfo, which then have none.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

/// The scheme of a URL, where it may be shown.
pub(crate) fn shown_scheme(url: &Url) -> Option<&str> {
    SCHEMES.contains(&url.scheme()).then(|| url.scheme())
}

/// A text that may be a URL, a path or a name, or wants to be one of these. It is shown as [`shown_url`] does it, or as
/// it is where nothing in it can be a password.
pub(crate) fn shown_text(text: &str) -> Cow<'_, str> {
    if !text.contains("://") && !text.contains('@') && !text.starts_with("data:") {
        return Cow::Borrowed(text);
    }
    // A version control system's prefix (`git+https://...`).
    let (prefix, address) = match text.split_once('+') {
        Some((system, rest)) if matches!(system, "git" | "hg" | "svn" | "bzr") => {
            (&text[..=system.len()], rest)
        }
        _ => ("", text),
    };
    match Url::parse(address) {
        Ok(url) => Cow::Owned(match shown_url(&url).as_str() {
            NOT_SHOWN => NOT_SHOWN.to_owned(),
            shown => format!("{prefix}{shown}"),
        }),
        Err(_) => Cow::Borrowed(NOT_SHOWN),
    }
}

/// Host and, where it is not the scheme's own, port.
pub(crate) fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_write_to_a_terminal_is_written_out() {
        assert_eq!(fit_to_show("a\x1b]0;title\x07b"), "a\\u{1b}]0;title\\u{7}b");
        assert_eq!(fit_to_show("a\x1b[2Kb\rc\x08"), "a\\u{1b}[2Kb\\u{d}c\\u{8}");
        assert_eq!(fit_to_show("safe\u{202e}gnp.exe"), "safe\\u{202e}gnp.exe");
        assert_eq!(
            fit_to_show("\u{9b}31m\u{200b}\u{feff}\u{2066}\u{e0041}"),
            "\\u{9b}31m\\u{200b}\\u{feff}\\u{2066}\\u{e0041}"
        );
        assert_eq!(fit_to_show("\x1b[1;31mred\x1b[0m\r\nnext\tcolumn"), "red\nnext\tcolumn");
        assert!(matches!(fit_to_show("Grüße, 世界 🎉\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn json_keeps_its_meaning() {
        let value = serde_json::json!({ "name": "a\u{202e}b\u{e0041}\u{9b}\x1b" });
        let text = value.to_string();
        let shown = fit_to_show_json(&text);
        assert!(!shown.chars().any(is_harmful), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("JSON"), value);
    }

    #[test]
    fn a_shown_url_has_neither_userinfo_nor_query_nor_fragment() {
        let url =
            Url::parse("https://u:canary@host.example:8443/a?X-Amz-Signature=canary#canary").expect("a URL");
        assert_eq!(shown_url(&url), "https://host.example:8443/a");
        assert_eq!(place(&url), "host.example:8443");
    }

    #[test]
    fn texts_that_may_hold_a_password_are_not_shown() {
        for text in [
            "https://u:canary@h:bad/x",
            "u:canary@host.example/simple",
            "canary:@host.example/simple",
            "canary://host.example/simple",
            "data:text/plain,canary",
            "u:canary@[bad",
        ] {
            assert_eq!(shown_text(text), NOT_SHOWN, "{text}");
        }
        assert_eq!(shown_text("https://u:canary@h.example/x?canary#canary"), "https://h.example/x");
        assert_eq!(shown_text("git+https://canary@h.example/x.git"), "git+https://h.example/x.git");
        for text in ["wheels", "./wheels dir", "~/x", "C", "private"] {
            assert_eq!(shown_text(text), text);
        }
    }
}
