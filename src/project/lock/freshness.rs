//! The hash of a Pipfile that its lock carries, in the three ways pipenv has computed it.

use std::{collections::BTreeMap, fmt::Write as _};

use toml::{Table, Value};

use crate::words::vocab::{PackageName, Sha256};

/// Tables of a Pipfile that are no category of packages, and names that would collide in a lock.
pub(super) const NO_CATEGORY: [&str; 9] =
    ["source", "packages", "dev-packages", "requires", "scripts", "pipfile", "pipenv", "default", "develop"];

/// The hashes: without custom categories (the first pipenvs), with them, and with normalised package
/// names (since 2026.4). `None` for values JSON does not have: pipenv cannot lock such a file either.
pub(super) fn hashes(pipfile: &Table) -> Option<[String; 3]> {
    Some([hash(pipfile, false, false)?, hash(pipfile, true, false)?, hash(pipfile, true, true)?])
}

fn hash(pipfile: &Table, custom: bool, normalise: bool) -> Option<String> {
    let empty = Value::Table(Table::new());
    let get = |key: &str| pipfile.get(key).unwrap_or(&empty);
    let packages = |value: &Value| match value {
        Value::Table(table) if normalise => Value::Table(normalised(table)),
        other => other.clone(),
    };
    let meta = Table::from_iter([
        ("sources".to_owned(), get("source").clone()),
        ("requires".to_owned(), get("requires").clone()),
    ]);
    let mut root = Table::from_iter([
        ("_meta".to_owned(), Value::Table(meta)),
        ("default".to_owned(), packages(get("packages"))),
        ("develop".to_owned(), packages(get("dev-packages"))),
    ]);
    if custom {
        for (name, value) in pipfile.iter().filter(|(name, _)| !NO_CATEGORY.contains(&name.as_str())) {
            root.insert(name.clone(), packages(value));
        }
    }
    let mut out = String::new();
    write(&Value::Table(root), &mut out)?;
    Some(Sha256::of(out.as_bytes()).to_string())
}

/// Of two spellings of one name the later counts, as in Python's dictionary comprehension.
fn normalised(table: &Table) -> Table {
    let name =
        |key: &str| key.parse::<PackageName>().map_or_else(|_| canonical(key), |name| name.to_string());
    table.iter().map(|(key, value)| (name(key), value.clone())).collect()
}

/// `canonicalize_name` of what is no name at all.
fn canonical(key: &str) -> String {
    let mut out = String::new();
    for c in key.chars() {
        match c {
            '-' | '_' | '.' if out.ends_with('-') => {}
            '-' | '_' | '.' => out.push('-'),
            c => out.push(c),
        }
    }
    // As a whole: the last sigma of a word has a form of its own.
    out.to_lowercase()
}

/// `json.dumps(value, sort_keys=True, separators=(",", ":"))`.
fn write(value: &Value, out: &mut String) -> Option<()> {
    match value {
        Value::String(text) => quote(text, out),
        Value::Integer(number) => drop(write!(out, "{number}")),
        Value::Float(number) => float(*number, out),
        Value::Boolean(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Datetime(_) => return None,
        Value::Array(items) => {
            out.push('[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                write(item, out)?;
            }
            out.push(']');
        }
        Value::Table(table) => {
            // By code points, which is the order of UTF-8's bytes.
            let sorted: BTreeMap<&String, &Value> = table.iter().collect();
            out.push('{');
            for (position, (key, value)) in sorted.into_iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                quote(key, out);
                out.push(':');
                write(value, out)?;
            }
            out.push('}');
        }
    }
    Some(())
}

/// `repr` of a float, which has an exponent from 1e16 on and below 1e-4, with a sign and two digits at
/// least; and the words JSON does not have but Python writes.
fn float(number: f64, out: &mut String) {
    let text = format!("{number:e}");
    let _ = match text.split_once('e').and_then(|(digits, power)| Some((digits, power.parse::<i32>().ok()?)))
    {
        None if number.is_nan() => write!(out, "NaN"),
        None => write!(out, "{}Infinity", if number < 0.0 { "-" } else { "" }),
        Some((_, -4..16)) => write!(out, "{number:?}"),
        Some((digits, power)) => write!(out, "{digits}e{power:+03}"),
    };
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> [String; 3] {
        hashes(&text.parse::<Table>().expect("TOML")).expect("hashes")
    }

    #[test]
    fn the_text_that_is_hashed_is_what_python_writes() {
        let table: Table =
            "b = ['x', 1, true, 1.5]\na = \"\u{e9}\u{1f600}\\n\\u007f\\\"\"".parse().expect("TOML");
        let mut out = String::new();
        write(&Value::Table(table), &mut out).expect("JSON");
        assert_eq!(out, r#"{"a":"\u00e9\ud83d\ude00\n\u007f\"","b":["x",1,true,1.5]}"#);
    }

    // The expected values are pipenv's own: `plette` of 2018 and 2022, and pipenv 2026.10.3.
    #[test]
    fn categories_and_normalised_names_make_three_hashes() {
        let [first, categories, normalised] = of(PIPFILE);
        assert_eq!(first, EXPECTED[0]);
        assert_eq!(categories, EXPECTED[1]);
        assert_eq!(normalised, EXPECTED[2]);
    }

    #[test]
    fn without_categories_and_with_plain_names_all_three_are_one() {
        let [first, categories, normalised] =
            of("[[source]]\nurl='https://index.example/simple'\n[packages]\na='*'\n");
        assert_eq!(first, categories);
        assert_eq!(categories, normalised);
    }

    proptest::proptest! {
        /// Whatever stands in a Pipfile, the text hashed is ASCII and means the same.
        #[test]
        fn the_text_that_is_hashed_is_json(key in "[\0-\u{10ffff}]*", text in "[\0-\u{10ffff}]*") {
            let mut out = String::new();
            write(&Value::Table(Table::from_iter([(key.clone(), Value::String(text.clone()))])), &mut out);
            proptest::prop_assert!(out.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            let read: serde_json::Value = serde_json::from_str(&out).expect("JSON");
            proptest::prop_assert_eq!(read, serde_json::json!({ key: text }));
        }

        #[test]
        fn floats_keep_their_value(number in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL) {
            let mut out = String::new();
            float(number, &mut out);
            proptest::prop_assert_eq!(out.parse::<f64>(), Ok(number));
        }
    }

    #[test]
    fn floats_are_written_as_python_writes_them() {
        let written = |number| {
            let mut out = String::new();
            float(number, &mut out);
            out
        };
        for (number, expected) in [
            (3.10, "3.1"),
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (0.0001, "0.0001"),
            (0.00005, "5e-05"),
            (-1.25e-10, "-1.25e-10"),
            (1.5e100, "1.5e+100"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(written(number), expected);
        }
    }

    #[test]
    fn a_date_cannot_be_hashed() {
        assert_eq!(hashes(&"[packages]\na = 2020-01-01\n".parse::<Table>().expect("TOML")), None);
    }

    const PIPFILE: &str = "[[source]]\nname = 'main'\nurl = 'https://${USER}:${PASS}@index.example/simple'\nverify_ssl = true\n\n[packages]\nZope_Interface = '*'\nrequests = {version = '>=2', extras = ['socks', 'b']}\n\n[dev-packages]\n\"b.c\" = {git = 'https://git.example/b.git', ref = '\u{e9}'}\n\n[docs]\nSphinx = '~=7.0'\n\n[scripts]\nx = 'y'\n\n[requires]\npython_version = '3.11'\n\n[pipenv]\nallow_prereleases = true\n";
    const EXPECTED: [&str; 3] = [
        "77fa29a777c053a14784725aca847449c5a22794bef2530d5255e90f5cf6f98a",
        "49169f3c9b8ab8ce90b2e865458e0d555be6fcdf6d3917e3816c9d4fec69206e",
        "4072ea218c2224cb1871cc85d9a65817693d1ef8115486f077edeaf16bb8c1c5",
    ];
}
