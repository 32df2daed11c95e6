//! `${VAR}`, `$VAR` and `${VAR:-default}` in URLs, as pipenv expands them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::words::{
    env::Env,
    error::{Error, Kind, Result},
};

/// What Python's `urllib.parse.quote(text, safe="")` leaves as it is besides letters and digits.
const USERINFO: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Expands the variables of a URL. Userinfo is percent-encoded after expansion, so that a password may
/// hold any character; one variable may hold `user:password`. Values in what follows the host are noted as
/// [`Env::concealed`].
///
/// # Errors
/// [`Kind::Lock`] naming the first variable that is not set: sent literally it would be a wrong password,
/// and servers ban those who send many.
pub(super) fn expand_url(text: &str, env: &Env) -> Result<String> {
    if !text.contains('$') {
        return Ok(text.to_owned());
    }
    // A URL that is a variable as a whole (`${URL:-https://...}`) is taken as it comes.
    let scheme = text.find("://").filter(|at| !text[..*at].contains('$'));
    let Some(scheme) = scheme else { return expand(text, env) };
    let (scheme, rest) = (&text[..scheme], &text[scheme + 3..]);
    // A default may hold a slash, so the authority's end is looked for outside of braces.
    let end = outside_braces(rest, |c| matches!(c, '/' | '?' | '#')).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let path = expand_each(path, env, |name, value| env.concealed().add(name, value))?;
    let Some((userinfo, host)) = authority.rsplit_once('@') else {
        return Ok(format!("{scheme}://{}{path}", expand(authority, env)?));
    };
    let expanded = expand(userinfo, env)?;
    let userinfo = if expanded == userinfo {
        expanded
    } else {
        let encode = |part: &str| utf8_percent_encode(part, USERINFO).to_string();
        match expanded.split_once(':') {
            Some((user, password)) => format!("{}:{}", encode(user), encode(password)),
            None => encode(&expanded),
        }
    };
    Ok(format!("{scheme}://{userinfo}@{}{path}", expand(host, env)?))
}

/// Where the first character that `wanted` takes stands, none inside `${...}`.
fn outside_braces(text: &str, wanted: impl Fn(char) -> bool) -> Option<usize> {
    let mut depth = 0_usize;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '{' if before == '$' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            c if depth == 0 && wanted(c) => return Some(at),
            _ => {}
        }
        before = c;
    }
    None
}

/// Expands every variable of a text; one in single quotes loses the quotes (an old idiom of Pipfiles).
pub(super) fn expand(text: &str, env: &Env) -> Result<String> {
    expand_each(text, env, |_, _| ())
}

/// The same; `each` hears of every variable that is set, and of its value.
fn expand_each(text: &str, env: &Env, each: impl Fn(&str, &str)) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        let Some((name, default, length)) = variable(from) else {
            out.push_str(before);
            out.push('$');
            rest = &from[1..];
            continue;
        };
        let after = &from[length..];
        let quoted = before.ends_with('\'') && after.starts_with('\'') && from.starts_with("${");
        out.push_str(if quoted { &before[..before.len() - 1] } else { before });
        // `:-` stands in for an empty value too, as in a shell.
        let value = match default {
            None => env.get_raw(name),
            Some(default) => Some(env.get(name).unwrap_or(default)),
        };
        let value = value.ok_or_else(|| unset(name))?;
        if default != Some(value) {
            each(name, value);
        }
        out.push_str(value);
        rest = if quoted { &after[1..] } else { after };
    }
    out.push_str(rest);
    Ok(out)
}

fn unset(name: &str) -> Error {
    Error::new(Kind::Lock, format!("the variable {name} is not set"))
        .help(format!("set {name} (in CI's settings, or in .env beside the Pipfile)"))
}

/// The variable a text begins with: its name, its default, and how many bytes it takes.
fn variable(text: &str) -> Option<(&str, Option<&str>, usize)> {
    if let Some(inner) = text.strip_prefix("${") {
        let end = inner.find('}')?;
        let (name, default) = match inner[..end].split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (&inner[..end], None),
        };
        return is_name(name).then_some((name, default, end + 3));
    }
    let inner = text.strip_prefix('$')?;
    let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
    is_name(&inner[..end]).then_some((&inner[..end], None, end + 1))
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> String {
        let env = Env::of([
            ("USER", "ci"),
            ("PASS", "p@s/s:1"),
            ("BOTH", "ci:a#b"),
            ("EMPTY", ""),
            ("HOST", "h.example"),
        ]);
        expand_url(text, &env).expect(text)
    }

    #[test]
    fn userinfo_is_encoded_after_expansion_and_nothing_else_is() {
        assert_eq!(expanded("https://${USER}:$PASS@$HOST/${USER}"), "https://ci:p%40s%2Fs%3A1@h.example/ci");
        assert_eq!(expanded("https://${BOTH}@h.example/simple"), "https://ci:a%23b@h.example/simple");
        assert_eq!(expanded("https://'${USER}':'${PASS}'@h.example"), "https://ci:p%40s%2Fs%3A1@h.example");
        assert_eq!(expanded("https://a%40b:c@h.example/simple"), "https://a%40b:c@h.example/simple");
    }

    #[test]
    fn values_after_the_host_are_concealed_and_others_are_not() {
        let env = Env::of([("LOGIN", "ci-deployer"), ("HOST", "host.example"), ("KEY", "canary-key")]);
        let url = expand_url("https://${LOGIN}@$HOST/${KEY}/${KIND:-packages}/simple", &env).expect("a URL");
        assert_eq!(url, "https://ci-deployer@host.example/canary-key/packages/simple");
        assert_eq!(env.concealed().hide(&url), "https://ci-deployer@host.example/${KEY}/packages/simple");
    }

    #[test]
    fn defaults_stand_in_for_what_is_unset_or_empty() {
        assert_eq!(expanded("https://${NONE:-h.example/a}/simple"), "https://h.example/a/simple");
        assert_eq!(expanded("https://h.example/${EMPTY:-x}/${EMPTY}y"), "https://h.example/x/y");
        assert_eq!(expanded("${URL:-https://h.example/simple}"), "https://h.example/simple");
    }

    #[test]
    fn what_is_no_variable_stays() {
        assert_eq!(expanded("https://h.example/$1/a$/${}/${a-b}"), "https://h.example/$1/a$/${}/${a-b}");
    }

    #[test]
    fn an_unset_variable_is_named() {
        let error = expand_url("https://u:${NO_TOKEN}@h.example", &Env::default()).expect_err("unset");
        assert_eq!(
            error.report(),
            "the variable NO_TOKEN is not set\n  help: set NO_TOKEN (in CI's settings, or in .env beside the Pipfile)"
        );
    }
}
