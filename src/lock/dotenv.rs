//! `.env` files as python-dotenv reads them, which is what pipenv loads them with.

use std::collections::BTreeMap;

use crate::options::Env;

/// What a `.env` file sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dotenv {
    /// Names and values in the file's order; a name without `=` sets nothing.
    pub variables: Vec<(String, String)>,
    /// Lines, from 1, that cannot be read; they are passed over, as python-dotenv does.
    pub unreadable: Vec<usize>,
}

/// Reads a file's text. `${NAME}` and `${NAME:-default}` are replaced, by earlier lines of the file first,
/// then by `env`.
pub fn parse(text: &str, env: &Env) -> Dotenv {
    let mut found = Dotenv::default();
    let mut set: BTreeMap<String, String> = BTreeMap::new();
    let mut reader = Reader { text, at: 0 };
    loop {
        reader.skip(char::is_whitespace);
        if reader.rest().is_empty() {
            return found;
        }
        let line = 1 + text[..reader.at].matches('\n').count();
        match reader.binding() {
            Ok(Some((name, value))) => {
                let value = interpolate(&value, &set, env);
                set.insert(name.clone(), value.clone());
                found.variables.push((name, value));
            }
            Ok(None) => {}
            Err(Unreadable) => {
                found.unreadable.push(line);
                reader.skip(|c| !matches!(c, '\n' | '\r'));
            }
        }
    }
}

struct Unreadable;

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn blanks(&mut self) {
        self.skip(|c| c.is_whitespace() && !matches!(c, '\n' | '\r'));
    }

    fn take(&mut self, wanted: char) -> bool {
        let there = self.rest().starts_with(wanted);
        if there {
            self.at += wanted.len_utf8();
        }
        there
    }

    /// One statement: a comment, a name, or a name with a value.
    fn binding(&mut self) -> Result<Option<(String, String)>, Unreadable> {
        if self.rest().starts_with('#') {
            return self.end_of_line().map(|()| None);
        }
        if let Some(after) = self.rest().strip_prefix("export")
            && after.starts_with(|c: char| c.is_whitespace() && !matches!(c, '\n' | '\r'))
        {
            self.at += "export".len();
            self.blanks();
        }
        let name = if self.take('\'') {
            let name = self.skip(|c| c != '\'');
            if name.is_empty() || !self.take('\'') {
                return Err(Unreadable);
            }
            name
        } else {
            self.skip(|c| !c.is_whitespace() && !matches!(c, '=' | '#'))
        };
        if name.is_empty() {
            return Err(Unreadable);
        }
        self.blanks();
        if !self.take('=') {
            return self.end_of_line().map(|()| None);
        }
        self.blanks();
        let value = match self.rest().chars().next() {
            Some(quote @ ('\'' | '"')) => self.quoted(quote)?,
            None | Some('\n' | '\r') => String::new(),
            Some(_) => unquoted(self.skip(|c| !matches!(c, '\n' | '\r'))),
        };
        self.end_of_line()?;
        Ok(Some((name.to_owned(), value)))
    }

    fn end_of_line(&mut self) -> Result<(), Unreadable> {
        self.blanks();
        if self.rest().starts_with('#') {
            self.skip(|c| !matches!(c, '\n' | '\r'));
        }
        let rest = self.rest();
        if rest.is_empty() || rest.starts_with(['\n', '\r']) { Ok(()) } else { Err(Unreadable) }
    }

    /// A quoted value, which may span lines.
    fn quoted(&mut self, quote: char) -> Result<String, Unreadable> {
        let body = &self.rest()[1..];
        let mut value = String::new();
        let mut chars = body.char_indices();
        while let Some((at, c)) = chars.next() {
            if c == quote {
                self.at += 1 + at + 1;
                return Ok(value);
            }
            if c != '\\' {
                value.push(c);
                continue;
            }
            let Some((_, escaped)) = chars.next() else { break };
            let meaning = match (quote, escaped) {
                (_, '\\' | '\'') | ('"', '"') => Some(escaped),
                ('"', 'a') => Some('\u{7}'),
                ('"', 'b') => Some('\u{8}'),
                ('"', 'f') => Some('\u{c}'),
                ('"', 'n') => Some('\n'),
                ('"', 'r') => Some('\r'),
                ('"', 't') => Some('\t'),
                ('"', 'v') => Some('\u{b}'),
                _ => None,
            };
            match meaning {
                Some(meaning) => value.push(meaning),
                None => value.extend(['\\', escaped]),
            }
        }
        Err(Unreadable)
    }
}

/// An unquoted value ends at a `#` after a blank.
fn unquoted(text: &str) -> String {
    let comment = text
        .char_indices()
        .find(|(at, c)| *c == '#' && text[..*at].ends_with(char::is_whitespace))
        .map_or(text.len(), |(at, _)| at);
    text[..comment].trim_end().to_owned()
}

fn interpolate(value: &str, set: &BTreeMap<String, String>, env: &Env) -> String {
    let mut out = String::new();
    let mut rest = value;
    while let Some(at) = rest.find("${") {
        let inner = &rest[at + 2..];
        let Some(end) = inner.find('}') else { break };
        let (name, default) = inner[..end].split_once(":-").unwrap_or((&inner[..end], ""));
        out.push_str(&rest[..at]);
        if name.contains(':') {
            out.push_str(&rest[at..=at + 2 + end]);
        } else {
            out.push_str(set.get(name).map(String::as_str).or_else(|| env.get_raw(name)).unwrap_or(default));
        }
        rest = &inner[end + 1..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> String {
        let env = Env::of([("HOST", "h.example"), ("EMPTY", "")]);
        let found = parse(text, &env);
        assert_eq!(found.unreadable, [0; 0], "{text}");
        found.variables.last().map(|(_, value)| value.clone()).expect(text)
    }

    #[test]
    fn values_are_read_as_python_dotenv_reads_them() {
        for (text, expected) in [
            ("A=b", "b"),
            ("export A = b  # comment", "b"),
            ("A=b#c", "b#c"),
            ("A='b # \\' c' # d", "b # ' c"),
            ("A=\"b\\n\\\"c\\x\"", "b\n\"c\\x"),
            ("A='b\\nc'", "b\\nc"),
            ("A=\"two\nlines\"", "two\nlines"),
            ("A=", ""),
            ("\r\n# c\r\nA=b\r\n", "b"),
            ("'A B'=c", "c"),
            ("A=${HOST}/x", "h.example/x"),
            ("A=${NONE:-d}${EMPTY:-e}", "d"),
            ("HOST=own\nA=${HOST}", "own"),
            ("A=${unclosed", "${unclosed"),
            ("A=$HOST", "$HOST"),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
    }

    #[test]
    fn a_name_alone_sets_nothing_and_bad_lines_are_passed_over_by_number() {
        let found = parse("A\n=x\nB='open\nC=d", &Env::default());
        assert_eq!(found.variables, [("C".to_owned(), "d".to_owned())]);
        assert_eq!(found.unreadable, [2, 3]);
    }
}
