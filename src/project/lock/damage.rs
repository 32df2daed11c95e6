//! What damaged a lock, in words that a person can act on.

use crate::words::error::{Error, Kind, Result};

/// The text of a lock's bytes.
///
/// # Errors
/// [`Kind::Lock`] for an empty file, merge conflict markers, zero bytes and what is not UTF-8.
pub(super) fn text_of<'a>(bytes: &'a [u8], label: &str) -> Result<&'a str> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Error::new(Kind::Lock, format!("{label} is empty")).help(RESTORE));
    }
    if let Some(at) = memchr::memchr(0, bytes) {
        let line = line_of(bytes, at);
        return Err(Error::new(
            Kind::Lock,
            format!("{label} is damaged: a zero byte in line {line}; expected text in UTF-8"),
        )
        .help(RESTORE));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = line_of(bytes, error.valid_up_to());
        Error::new(Kind::Lock, format!("{label} is damaged: line {line} is not UTF-8")).help(RESTORE)
    })?;
    let marker =
        |line: &str| ["<<<<<<< ", ">>>>>>> ", "||||||| "].iter().any(|marker| line.starts_with(marker));
    if let Some(position) = text.lines().position(marker) {
        return Err(Error::new(Kind::Lock, format!("{label} has a merge conflict in line {}", position + 1))
            .help("resolve the conflict in the Pipfile, then make the lock anew with `pipenv lock`"));
    }
    Ok(text)
}

const RESTORE: &str = "restore it from version control, or make it anew with `pipenv lock`";

fn line_of(bytes: &[u8], at: usize) -> usize {
    1 + memchr::memchr_iter(b'\n', &bytes[..at]).count()
}

/// The error for text that is no JSON.
pub(super) fn json(text: &str, label: &str, error: &serde_json::Error) -> Error {
    let what = if error.is_eof() {
        "it ends too early".to_owned()
    } else {
        let all = error.to_string();
        let message = all.split(" at line ").next().unwrap_or(&all);
        if error.column() == 0 && message.starts_with("control character") {
            // Only a line break takes the position to the start of a line: what is wrong is the line before.
            let line = error.line().saturating_sub(1);
            let length = text.split('\n').nth(line.saturating_sub(1)).map_or(0, |line| line.trim_end().len());
            format!("a string is broken off in line {line}, after column {length}")
        } else {
            format!("{message} in line {}, column {}", error.line(), error.column())
        }
    };
    let cut = if text.trim_end().ends_with('}') { "" } else { " (the file seems to be cut short)" };
    Error::new(Kind::Lock, format!("{label} is not JSON: {what}{cut}")).help(RESTORE)
}
