//! `[scripts]` of a Pipfile: names for commands, as `pipenv run` reads them.

use toml::{Table, Value};

use crate::words::error::{Error, Kind, Result};

/// The scripts of a Pipfile, in its order. Each is read when it is asked for, so that one that is wrong stands
/// in no other's way.
#[derive(Debug, Clone, Default)]
pub struct Scripts(Table);

/// What a script runs: one command, or several in order until one fails. None is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script(pub Vec<Vec<String>>);

impl Scripts {
    /// The table of a Pipfile, where it has one.
    pub(super) fn new(table: Option<&Value>) -> Self {
        Scripts(table.and_then(Value::as_table).cloned().unwrap_or_default())
    }

    /// Names and what they stand for, as a person reads it.
    pub fn iter(&self) -> impl Iterator<Item = (&str, String)> {
        self.0.iter().map(|(name, value)| (name.as_str(), described(value)))
    }

    /// The script of this name.
    ///
    /// # Errors
    /// [`Kind::Lock`] for a script that cannot be run, naming it and what was expected.
    pub fn get(&self, name: &str) -> Result<Option<Script>> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        read(value)
            .map(Some)
            .map_err(|error| error.context(format!("the script {name} of the Pipfile is wrong")))
    }
}

fn described(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new(Kind::Lock, message)
}

fn read(value: &Value) -> Result<Script> {
    match value {
        Value::String(text) => Ok(Script(vec![command(text)?])),
        Value::Array(items) if !items.is_empty() => items
            .iter()
            .map(|item| match item {
                Value::String(text) => command(text),
                other => Err(wrong(format!("it lists {other}, expected commands as strings"))),
            })
            .collect::<Result<_>>()
            .map(Script),
        Value::Array(_) => Err(wrong("its list of commands is empty")),
        Value::Table(table) => match (table.len(), table.get("call")) {
            (1, Some(Value::String(text))) => Ok(Script(vec![call(text)?])),
            _ => Err(wrong(format!("it is {value}, expected {{call = \"package.module:function\"}}"))),
        },
        other => Err(wrong(format!("it is {other}, expected a command as a string"))),
    }
}

fn command(text: &str) -> Result<Vec<String>> {
    let words = split(text).map_err(|why| wrong(format!("{text:?} cannot be split into words: {why}")))?;
    if words.is_empty() { Err(wrong("its command is empty")) } else { Ok(words) }
}

/// `package.module:function`, or with arguments: `package.module:function('x', 1)`.
fn call(text: &str) -> Result<Vec<String>> {
    let (module, function) = text
        .split_once(':')
        .filter(|(module, function)| !module.is_empty() && !function.is_empty())
        .ok_or_else(|| {
            wrong(format!("call is {text:?}, expected something like \"package.module:function('arg')\""))
        })?;
    let with_arguments = function.find('(').is_some_and(|open| function[open..].contains(')'));
    let call = if with_arguments { "" } else { "()" };
    Ok(["python".to_owned(), "-c".to_owned(), format!("import {module} as _m; _m.{function}{call}")].into())
}

/// Splits a text into words as Python's `shlex.split` does: quotes and backslashes count, comments do not.
fn split(text: &str) -> std::result::Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    // A word may be empty (`''`), which is other than no word.
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\\' => {
                let escaped = chars.next().ok_or("it ends after a backslash")?;
                word.get_or_insert_default().push(escaped);
            }
            '\'' | '"' => quoted(c, &mut chars, word.get_or_insert_default())?,
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

/// What stands before the closing quote. In double quotes a backslash takes its meaning from a quote or a
/// backslash that follows, and stays otherwise.
fn quoted(
    quote: char,
    chars: &mut std::str::Chars<'_>,
    word: &mut String,
) -> std::result::Result<(), &'static str> {
    const OPEN: &str = "a quote is not closed";
    loop {
        match chars.next().ok_or(OPEN)? {
            c if c == quote => return Ok(()),
            '\\' if quote == '"' => {
                let escaped = chars.next().ok_or("it ends after a backslash")?;
                if !matches!(escaped, '"' | '\\') {
                    word.push('\\');
                }
                word.push(escaped);
            }
            c => word.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scripts(text: &str) -> Scripts {
        let table: Table = text.parse().expect("TOML");
        Scripts::new(table.get("scripts"))
    }

    fn get(text: &str) -> Result<Vec<Vec<String>>> {
        scripts(&format!("[scripts]\ns = {text}")).get("s").map(|script| script.expect("there").0)
    }

    /// What `shlex.split` makes of them (made by `tests/expected/words.py`).
    #[test]
    fn words_are_split_as_python_splits_them() {
        let cases: Vec<(String, Option<Vec<String>>)> =
            serde_json::from_str(include_str!("expected_words.json")).expect("JSON");
        assert!(cases.len() > 300);
        for (text, expected) in cases {
            assert_eq!(split(&text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_script_is_a_command_a_sequence_or_a_call() {
        assert_eq!(
            get(r#""bash -c \"cd docs && make html\"""#).expect("read"),
            [["bash", "-c", "cd docs && make html"]]
        );
        assert_eq!(get("['a b', 'c']").expect("read"), [vec!["a", "b"], vec!["c"]]);
        let python = |code: &str| vec![vec!["python".to_owned(), "-c".to_owned(), code.to_owned()]];
        assert_eq!(get("{call = 'pkg.mod:run'}").expect("read"), python("import pkg.mod as _m; _m.run()"));
        assert_eq!(
            get(r#"{call = "pkg.mod:run('a b', 1)"}"#).expect("read"),
            python("import pkg.mod as _m; _m.run('a b', 1)")
        );
        let table = scripts("[scripts.s]\ncall = 'a:b'").get("s").expect("read");
        assert_eq!(table, Some(Script(python("import a as _m; _m.b()"))));
        assert_eq!(scripts("[packages]").get("s").expect("none"), None);
    }

    #[test]
    fn a_script_that_cannot_be_run_says_why() {
        for (text, why) in [
            ("''", "its command is empty"),
            ("'  '", "its command is empty"),
            ("[]", "its list of commands is empty"),
            ("['a', '']", "its command is empty"),
            ("['a', 1]", "it lists 1, expected commands as strings"),
            ("1", "it is 1, expected a command as a string"),
            ("\"a 'b\"", "\"a 'b\" cannot be split into words: a quote is not closed"),
            ("{call = 'a'}", "call is \"a\", expected something like \"package.module:function('arg')\""),
            (
                "{call = 'a:b', x = 1}",
                "it is { call = \"a:b\", x = 1 }, expected {call = \"package.module:function\"}",
            ),
        ] {
            let report = get(text).expect_err(text).report();
            assert_eq!(report, format!("the script s of the Pipfile is wrong\n  because: {why}"), "{text}");
        }
    }

    #[test]
    fn a_wrong_script_stands_in_no_others_way() {
        let scripts = scripts("[scripts]\na = 1\nb = 'c'");
        assert!(scripts.get("a").is_err());
        assert_eq!(scripts.get("b").expect("read"), Some(Script(vec![vec!["c".into()]])));
        assert_eq!(scripts.iter().collect::<Vec<_>>(), [("a", "1".to_owned()), ("b", "c".to_owned())]);
    }
}
