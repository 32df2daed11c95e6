//! netrc files, read exactly as Python's `netrc` module (3.11 and later) reads them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::words::{
    error::{Error, Kind, Result},
    vocab::Secret,
};

/// What one `machine` (or `default`) entry says; what it leaves out is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// `login` or `user`.
    pub login: String,
    /// `account`, which stands in where there is no login.
    pub account: String,
    /// `password`.
    pub password: Secret,
    /// The line of the entry's `machine` or `default`, from 1.
    pub line: usize,
}

/// A netrc file's entries by machine; `default` is an entry of that name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Netrc {
    path: PathBuf,
    pub(crate) entries: BTreeMap<String, Entry>,
}

impl Netrc {
    /// Reads the text of a netrc file; `path` is what errors and origins call it.
    ///
    /// Fails exactly where Python's module fails. The error names file and line and never shows
    /// what stands there: it may be a password.
    pub(crate) fn parse(text: &str, path: &Path) -> Result<Self> {
        // Python opens the file as text: all line ends reach its lexer as "\n".
        let text: Vec<char> = text.replace("\r\n", "\n").replace('\r', "\n").chars().collect();
        let mut lexer = Lexer { text: &text, at: 0, token_at: 0 };
        let mut entries = BTreeMap::new();
        let mut pushed = None;
        let wrong = |lexer: &Lexer, what: &str| {
            Err(Error::new(
                Kind::Auth,
                format!("{}, line {}: {what}", path.display(), lexer.line(lexer.token_at)),
            )
            .help("a netrc file holds entries such as: machine HOST login USER password PASSWORD"))
        };
        loop {
            let before = lexer.at;
            let token = pushed.take().unwrap_or_else(|| lexer.token());
            let line = lexer.line(lexer.token_at);
            let machine = match token.as_str() {
                "" => break,
                "machine" => lexer.token(),
                "default" => token,
                "macdef" => {
                    lexer.token();
                    if !lexer.skip_macro() {
                        return wrong(&lexer, "the macro does not end: expected an empty line after it");
                    }
                    continue;
                }
                _ if token.starts_with('#') => {
                    if token == "#" && !lexer.crossed_line(before) {
                        lexer.skip_line();
                    }
                    continue;
                }
                _ => {
                    return wrong(&lexer, "unexpected word: expected machine, default, macdef or a comment");
                }
            };
            if machine.is_empty() {
                return wrong(&lexer, "machine without a name");
            }
            let mut entry =
                Entry { login: String::new(), account: String::new(), password: Secret::new(""), line };
            loop {
                let before = lexer.at;
                let token = lexer.token();
                match token.as_str() {
                    "" | "machine" | "default" | "macdef" => {
                        pushed = Some(token);
                        break;
                    }
                    "login" | "user" => entry.login = lexer.token(),
                    "account" => entry.account = lexer.token(),
                    "password" => entry.password = Secret::new(lexer.token()),
                    _ if token.starts_with('#') => {
                        if !lexer.crossed_line(before) {
                            lexer.skip_line();
                        }
                    }
                    _ => {
                        return wrong(
                            &lexer,
                            "unexpected word: expected login, user, account, password or the next machine",
                        );
                    }
                }
            }
            entries.insert(machine, entry);
        }
        Ok(Netrc { path: path.to_owned(), entries })
    }

    /// The file this was read from.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The entry of a host: `machine HOST:PORT` before `machine HOST`, the exact spelling before
    /// another letter case. IPv6 hosts are found with and without brackets. Never `default`.
    pub(crate) fn machine(&self, host: &str, port: u16) -> Option<&Entry> {
        self.machine_with_port(host, port).or_else(|| self.named(host)).or_else(|| self.named(bare(host)))
    }

    /// The entry `machine HOST:PORT` alone.
    pub(crate) fn machine_with_port(&self, host: &str, port: u16) -> Option<&Entry> {
        self.named(&format!("{host}:{port}"))
    }

    fn named(&self, name: &str) -> Option<&Entry> {
        let in_any_case = || self.entries.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, e)| e);
        self.entries.get(name).or_else(in_any_case)
    }

    /// The `default` entry.
    pub(crate) fn default_entry(&self) -> Option<&Entry> {
        self.entries.get("default")
    }
}

/// An IPv6 host without its brackets.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Splits a netrc text into tokens; a quoted empty token is empty, and so reads as the end.
struct Lexer<'a> {
    text: &'a [char],
    at: usize,
    /// Where the latest token began.
    token_at: usize,
}

impl Lexer<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.text.get(self.at).copied();
        self.at += usize::from(c.is_some());
        c
    }

    fn token(&mut self) -> String {
        let space = |c: char| matches!(c, '\n' | '\t' | '\r' | ' ');
        let mut token = String::new();
        while let Some(first) = self.next() {
            if space(first) {
                continue;
            }
            self.token_at = self.at - 1;
            let quoted = first == '"';
            if !quoted {
                token.extend(if first == '\\' { self.next() } else { Some(first) });
            }
            while let Some(c) = self.next() {
                if if quoted { c == '"' } else { space(c) } {
                    return token;
                }
                token.extend(if c == '\\' { self.next() } else { Some(c) });
            }
            return token;
        }
        self.token_at = self.at;
        token
    }

    /// Whether reading since `before` went over a line end: then a comment was already skipped,
    /// and, as in Python, so it counts if the line end came before the comment.
    fn crossed_line(&self, before: usize) -> bool {
        self.text[before..self.at].contains(&'\n')
    }

    /// Skips the rest of the line; the skipped text, its line end included.
    fn skip_line(&mut self) -> &[char] {
        let start = self.at;
        while self.next().is_some_and(|c| c != '\n') {}
        &self.text[start..self.at]
    }

    /// Skips a macro's lines and the empty line that ends it; false if that is missing.
    fn skip_macro(&mut self) -> bool {
        loop {
            match self.skip_line() {
                [] => return false,
                ['\n'] => return true,
                _ => {}
            }
        }
    }

    /// The line, from 1, that a position is on.
    fn line(&self, at: usize) -> usize {
        1 + self.text[..at].iter().filter(|c| **c == '\n').count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Netrc> {
        Netrc::parse(text, Path::new("netrc"))
    }

    #[test]
    fn keys_come_in_any_order_and_the_last_duplicate_wins() {
        let netrc = parse(
            "machine a.example password one login x\n\
             default login d password dd\n\
             machine a.example\n  user \"y z\"\n  account acc\n  password \"t\\\"wo\"\n",
        )
        .expect("a netrc");
        let entry = netrc.machine("a.example", 443).expect("an entry");
        assert_eq!((entry.login.as_str(), entry.account.as_str()), ("y z", "acc"));
        assert_eq!((entry.password.expose(), entry.line), ("t\"wo", 3));
        assert_eq!(netrc.default_entry().expect("default").login, "d");
        assert_eq!(netrc.machine("b.example", 443), None);
    }

    #[test]
    fn a_machine_with_its_port_comes_before_the_host_alone() {
        let netrc = parse(
            "machine a.example login any password p\nmachine a.example:8443 login port password p\n\
             machine ::1 login six password p\n",
        )
        .expect("a netrc");
        let login = |host, port| netrc.machine(host, port).map(|e| e.login.as_str());
        assert_eq!(login("a.example", 8443), Some("port"));
        assert_eq!(login("a.example", 443), Some("any"));
        assert_eq!(login("[::1]", 443), Some("six"));
    }

    #[test]
    fn errors_name_file_and_line_and_never_the_content() {
        for (text, line) in [
            ("# c\nmachine a login b password c canary\n", 2),
            ("# a comment\n# another\n\ncanary\n", 4),
            ("machine a login b\nmacdef init\ncanary\n", 2),
            ("machine", 1),
            ("machine canary\nlogin b\n pass canary\n", 3),
        ] {
            let report = parse(text).expect_err(text).report();
            assert!(report.starts_with(&format!("netrc, line {line}: ")), "{text:?}: {report}");
            assert!(!report.contains("canary"), "{report}");
        }
    }
}
