//! `.env` files as python-dotenv reads them, which is what pipenv loads them with.

use std::collections::BTreeMap;

use crate::words::env::Env;

/// What a `.env` file sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Dotenv {
    /// Names and values in the file's order. A name without `=` sets nothing, and takes back what an
    /// earlier line set.
    pub variables: Vec<(String, String)>,
    /// Lines, from 1, that cannot be read; they are passed over, as python-dotenv does.
    pub unreadable: Vec<usize>,
}

/// Reads a file's text. `${NAME}` and `${NAME:-default}` are replaced, by earlier lines of the file first,
/// then by `env`.
pub(crate) fn parse(text: &str, env: &Env) -> Dotenv {
    let mut found = Dotenv::default();
    // Python reads text files so: every kind of line end is one line feed, inside quotes too.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n").replace('\r', "\n");
    let mut set: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut reader = Reader { text: &text, at: 0 };
    loop {
        reader.skip(is_space);
        if reader.rest().is_empty() {
            return found;
        }
        let line = 1 + text[..reader.at].matches('\n').count();
        match reader.binding() {
            Ok(Some((name, Some(value)))) => {
                let value = interpolate(&value, &set, env);
                set.insert(name.clone(), Some(value.clone()));
                found.variables.push((name, value));
            }
            Ok(Some((name, None))) => {
                found.variables.retain(|(earlier, _)| *earlier != name);
                set.insert(name, None);
            }
            Ok(None) => {}
            Err(Unreadable) => {
                found.unreadable.push(line);
                reader.skip(|c| c != '\n');
            }
        }
    }
}

/// White space as Python has it: Unicode's, and the four separators of ASCII.
fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

fn is_blank(c: char) -> bool {
    is_space(c) && c != '\n'
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

    fn blanks(&mut self) -> &'a str {
        self.skip(is_blank)
    }

    fn take(&mut self, wanted: char) -> bool {
        let there = self.rest().starts_with(wanted);
        if there {
            self.at += wanted.len_utf8();
        }
        there
    }

    /// One statement: a comment, a name, or a name with a value.
    fn binding(&mut self) -> Result<Option<(String, Option<String>)>, Unreadable> {
        if let Some(after) = self.rest().strip_prefix("export")
            && after.starts_with(is_blank)
        {
            self.at += "export".len();
            self.blanks();
        }
        if self.rest().starts_with('#') {
            return self.end_of_line().map(|()| None);
        }
        let name = self.name()?;
        self.blanks();
        if !self.take('=') {
            return self.end_of_line().map(|()| Some((name.to_owned(), None)));
        }
        let blanks = self.blanks();
        let value = match self.rest().chars().next() {
            // A `#` right after `=` belongs to the value.
            Some('#') if !blanks.is_empty() => String::new(),
            Some(quote @ ('\'' | '"')) => self.quoted(quote)?,
            None | Some('\n') => String::new(),
            Some(_) => unquoted(self.skip(|c| c != '\n')),
        };
        self.end_of_line()?;
        Ok(Some((name.to_owned(), Some(value))))
    }

    /// A name, which single quotes let hold anything. Moves on only when there is one, so that an open
    /// quote spoils its own line and none after.
    fn name(&mut self) -> Result<&'a str, Unreadable> {
        let rest = self.rest();
        let (name, length) = if let Some(inner) = rest.strip_prefix('\'') {
            let name = &inner[..inner.find('\'').ok_or(Unreadable)?];
            (name, name.len() + 2)
        } else {
            let name = &rest[..rest.find(|c| is_space(c) || matches!(c, '=' | '#')).unwrap_or(rest.len())];
            (name, name.len())
        };
        if name.is_empty() {
            return Err(Unreadable);
        }
        self.at += length;
        Ok(name)
    }

    fn end_of_line(&mut self) -> Result<(), Unreadable> {
        self.blanks();
        if self.rest().starts_with('#') {
            self.skip(|c| c != '\n');
        }
        let rest = self.rest();
        if rest.is_empty() || rest.starts_with('\n') { Ok(()) } else { Err(Unreadable) }
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
        .find(|(at, c)| *c == '#' && text[..*at].ends_with(is_space))
        .map_or(text.len(), |(at, _)| at);
    text[..comment].trim_end_matches(is_space).to_owned()
}

/// The default stands in only for what is not there at all; a name alone on a line is there, and empty.
fn interpolate(value: &str, set: &BTreeMap<String, Option<String>>, env: &Env) -> String {
    let mut out = String::new();
    let mut rest = value;
    while let Some(at) = rest.find("${") {
        out.push_str(&rest[..at]);
        let inner = &rest[at + 2..];
        let Some((name, default, length)) = variable(inner) else {
            out.push_str("${");
            rest = inner;
            continue;
        };
        out.push_str(match set.get(name) {
            Some(value) => value.as_deref().unwrap_or_default(),
            None => env.get_raw(name).unwrap_or(default),
        });
        rest = &inner[length..];
    }
    out.push_str(rest);
    out
}

/// The inside of `${...}`: name, default, and the length with the brace.
fn variable(inner: &str) -> Option<(&str, &str, usize)> {
    let end = inner.find('}')?;
    let (name, default) = match inner[..end].split_once(':') {
        Some((name, rest)) => (name, rest.strip_prefix('-')?),
        None => (&inner[..end], ""),
    };
    Some((name, default, end + 1))
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

    /// What python-dotenv reads (made by `tests/expected/env_files.py`).
    #[test]
    fn files_are_read_as_python_dotenv_reads_them() {
        type Case = (String, BTreeMap<String, String>, usize);
        let cases: Vec<Case> = serde_json::from_str(include_str!("expected_dotenv.json")).expect("JSON");
        let env = Env::of([("OUT", "outer"), ("EMPTY", ""), ("A", "around")]);
        assert!(cases.len() > 300);
        for (text, expected, unreadable) in cases {
            let found = parse(&text, &env);
            // The last of several lines counts, as it does in an environment.
            assert_eq!(found.variables.into_iter().collect::<BTreeMap<_, _>>(), expected, "{text:?}");
            assert_eq!(found.unreadable.len(), unreadable, "{text:?}");
        }
    }

    #[test]
    fn lines_are_counted_by_every_kind_of_line_end() {
        assert_eq!(parse("A=1\r\n\r\n=x\rB=\"2\n3\"\n='", &Env::default()).unreadable, [3, 6]);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in r#"([AB='"\\\\$\{\}:# \n\r\u{1c}é-]|export |\PC){0,40}"#) {
            let found = parse(&text, &Env::default());
            proptest::prop_assert!(found.variables.iter().all(|(name, _)| !name.is_empty()));
            let lines = 1 + text.matches(['\n', '\r']).count();
            proptest::prop_assert!(found.unreadable.iter().all(|line| (1..=lines).contains(line)));
        }
    }

    #[test]
    fn a_name_alone_sets_nothing_and_bad_lines_are_passed_over_by_number() {
        let found = parse("A\n=x\nB='open\nC=d", &Env::default());
        assert_eq!(found.variables, [("C".to_owned(), "d".to_owned())]);
        assert_eq!(found.unreadable, [2, 3]);
    }
}
