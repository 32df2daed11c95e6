//! Readers of single values (names, versions, markers), and of files of a project.

use std::path::Path;

use serde_json::{Value, json};

use super::{Read, said, shows_secret, target, text_of, variables};
use crate::{
    project::{
        auth::Netrc,
        lock::{Choose, Lock, Pipfile, dotenv as env_file, parse_pylock, requirements, select},
    },
    words::vocab::{
        Marker, NOT_SHOWN, PackageName, SourceUrl, Version, WheelName, fit_to_show, shown_text, shown_url,
    },
};

/// A marker; of one that is read, whether it holds.
pub(super) fn marker(bytes: &[u8]) -> Read {
    let marker = said(Marker::parse(text_of(bytes)?))?;
    let printed = marker.to_string();
    let again = Marker::parse(&printed).unwrap_or_else(|error| panic!("{printed:?}: {}", error.report()));
    assert_eq!(again, marker, "{printed:?} means something else than what was printed");
    Ok(json!(marker.evaluate(&target().markers, &[], &[])))
}

/// A version, a line end, and a clause such as `>=3.8`: whether a marker and a lock's pin admit the version.
pub(super) fn specifier(bytes: &[u8]) -> Read {
    let (version, clause) = text_of(bytes)?.split_once('\n').ok_or("it has one line only")?;
    let operator: String = clause.chars().take_while(|c| "<>=!~".contains(*c)).collect();
    let bound = &clause[operator.len()..];
    let version: Version = version.parse().map_err(|error| format!("{error}"))?;
    let mut markers = target().markers;
    markers.python_full_version = version.to_string();
    let quote = if bound.contains('\'') { '"' } else { '\'' };
    let by_marker = Marker::parse(&format!("python_full_version {operator} {quote}{bound}{quote}"))
        .map(|marker| marker.evaluate(&markers, &[], &[]));
    let digest = "0".repeat(64);
    let lock =
        json!({"_meta": {}, "default": {"a": {"version": clause, "hashes": [format!("sha256:{digest}")]}}});
    let (lock, _) = said(Lock::parse(lock.to_string().as_bytes(), "Pipfile.lock", &variables()))?;
    let pin = &lock.categories[0].1[0].pin;
    Ok(json!({"marker": by_marker.ok(), "pin": pin.accepts(&version, &version.to_string())}))
}

/// A wheel's file name, with its best place among a machine's tags.
pub(super) fn wheel_name(bytes: &[u8]) -> Read {
    let name: WheelName = said(text_of(bytes)?.parse())?;
    let parsed: PackageName = said(name.name.as_str().parse())?;
    assert_eq!(parsed, name.name, "a normalised name changes");
    assert_eq!(name.version.to_string().parse::<Version>().as_ref(), Ok(&name.version), "{}", name.version);
    let mut tags = Vec::new();
    for python in &name.python {
        for abi in &name.abi {
            tags.extend(name.platform.iter().map(|platform| format!("{python}-{abi}-{platform}")));
        }
    }
    tags.sort();
    tags.dedup();
    let tagged = target().tags;
    let (best, why) = (tagged.best(&name), tagged.explain(&name));
    assert_eq!(best.is_none(), why.is_some(), "{name} fits and does not: {best:?}, {why:?}");
    Ok(json!({
        "name": name.name.as_str(),
        "version": name.version.to_string(),
        "build": name.build.map(|build| (build.0, build.1)),
        "tags": tags,
    }))
}

/// Text with URLs: neither it nor a URL shows what is before an `@`.
pub(super) fn url(bytes: &[u8]) -> Read {
    let text = text_of(bytes)?;
    let plain = |text: &str| !text.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\t'));
    for shown in [fit_to_show(text), shown_text(text)] {
        assert!(plain(&fit_to_show(&shown)), "{shown:?} writes to the terminal what it likes");
        assert_eq!(fit_to_show(&fit_to_show(&shown)), fit_to_show(&shown), "{text:?} changes each time");
    }
    let url: SourceUrl = said(text.parse())?;
    let shown = shown_url(url.url());
    if let Ok(parsed) = url::Url::parse(text)
        && let Some(password) = parsed.password().filter(|password| password.len() > 3)
        // What stands elsewhere too, also in a host before its capitals are made small, is shown there.
        && text.matches(password).count() <= 1
        && !parsed.host_str().unwrap_or_default().contains(password)
        && !parsed.path().contains(password)
        && !parsed.query().unwrap_or_default().contains(password)
        && !parsed.fragment().unwrap_or_default().contains(password)
        && !parsed.scheme().contains(password)
    {
        assert!(shown == NOT_SHOWN || !shown.contains(password), "{shown}");
        // A user of that name may be shown, and a field may have it.
        let mut other = parsed.clone();
        let _ = other.set_password(Some("-"));
        let without = format!("{:?}", SourceUrl::from(other));
        assert!(without.contains(password) || !format!("{url:?}").contains(password), "{url:?}");
        // In a text without quotation a space or a mark ends the URL.
        let word =
            !text.contains(|c: char| c.is_whitespace() && !matches!(c, '\t' | '\n' | '\r') || c == '"');
        let quoted = [json!(text).to_string(), format!("{text:?}"), format!("{:?}", json!(text).to_string())];
        for message in quoted.iter().map(String::as_str).chain(word.then_some(text)) {
            let shown = fit_to_show(message);
            assert!(!shown.contains(password) || parsed.host().is_none(), "{message} is shown as {shown}");
        }
    }
    assert!(url.url().username().is_empty() && url.url().password().is_none(), "{shown}");
    Ok(json!(shown))
}

/// A `Pipfile.lock`: read, selected from, printed for pip.
pub(super) fn lock(bytes: &[u8]) -> Read {
    let parsed = Lock::parse(bytes, "Pipfile.lock", &variables());
    let glanced = Lock::glance(bytes, "Pipfile.lock", &variables());
    assert!(parsed.is_err() || glanced.is_ok(), "what can be read cannot be glanced at");
    let wanted = |lock: &Lock| requirements::Wanted {
        categories: lock.categories.iter().map(|(name, _)| name.clone()).collect(),
        hashes: true,
        markers: true,
        sources: true,
        mirror: None,
        is_directory: &|_| false,
    };
    let (lock, _) = said(parsed)?;
    if let Ok(printed) = requirements::of_lock(bytes, "Pipfile.lock", None, &wanted(&lock)) {
        for line in &printed.lines {
            assert!(!line.contains(['\n', '\r']), "one line is two: {line:?}");
            assert!(!shows_secret(line, bytes), "a variable's value is printed: {line:?}");
        }
    }
    selected(&lock)
}

/// The names of a lock's categories, and what is selected of them.
fn selected(lock: &Lock) -> Read {
    let categories: Vec<String> = lock.categories.iter().map(|(name, _)| name.clone()).collect();
    let choose = Choose { categories: &categories, groups: &[], search_all_sources: false };
    let selection = said(select(lock, choose, &target().markers))?;
    let mut names: Vec<&str> = selection.entries.iter().map(|entry| entry.name.as_str()).collect();
    names.sort_unstable();
    let many = names.len();
    names.dedup();
    assert_eq!(names.len(), many, "a package is selected twice");
    let entries: Vec<(&str, Vec<&str>)> = lock
        .categories
        .iter()
        .map(|(name, entries)| (name.as_str(), entries.iter().map(|entry| entry.name.as_str()).collect()))
        .collect();
    Ok(json!({"entries": entries, "selected": names}))
}

/// A `Pipfile`, with its scripts.
pub(super) fn pipfile(bytes: &[u8]) -> Read {
    let (pipfile, _) = said(Pipfile::parse(bytes, "Pipfile", &variables()))?;
    let scripts: Vec<Value> = pipfile
        .scripts
        .iter()
        .map(|(name, _)| match pipfile.scripts.get(name) {
            Ok(script) => {
                let script = script.unwrap_or_else(|| panic!("the script {name} is listed and not there"));
                assert!(script.0.iter().all(|command| !command.is_empty()), "the script {name} runs nothing");
                json!([name, script.0])
            }
            Err(_) => json!([name, null]),
        })
        .collect();
    let listed: Vec<(&str, &str)> = pipfile.listed().collect();
    Ok(json!({"listed": listed, "hash": pipfile.hash(), "scripts": scripts}))
}

/// A `pylock.toml`.
pub(super) fn pylock(bytes: &[u8]) -> Read {
    let (lock, _) = said(parse_pylock(bytes, "pylock.toml", &variables()))?;
    selected(&lock)
}

/// A `.env` file.
pub(super) fn dotenv(bytes: &[u8]) -> Read {
    let found = env_file::parse(text_of(bytes)?, &variables());
    assert!(found.variables.iter().all(|(name, _)| !name.is_empty()), "a variable without a name");
    Ok(json!({"variables": found.variables, "unreadable": found.unreadable}))
}

/// A netrc file: machines with login, account and password.
pub(super) fn netrc(bytes: &[u8]) -> Read {
    let netrc = said(Netrc::parse(text_of(bytes)?, Path::new("netrc")))?;
    let rows = netrc.entries.iter().map(|(machine, entry)| {
        (machine.clone(), json!([entry.login, entry.account, entry.password.expose()]))
    });
    Ok(Value::Object(rows.collect()))
}
