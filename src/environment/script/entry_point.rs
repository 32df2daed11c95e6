//! The scripts of a distribution: launchers for entry points, and scripts whose first line is `#!python`.
//!
//! A script that is to survive moving its environment cannot name its interpreter in its first line. It
//! is a text that both a POSIX shell and Python read: the shell finds `python` beside the script and
//! starts it on the same file, Python sees a string that does nothing.

use std::borrow::Cow;

use crate::{packages::wheel::EntryPoint, words::vocab::RelPath};

/// How scripts find their interpreter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LauncherStyle {
    /// Beside themselves, through `/bin/sh`: the environment can be moved.
    Relative,
    /// In the environment at this absolute path, where it will live (`--at`), by a plain first line. A
    /// path that no first line can hold gives a shell's line, or a relative script where even that cannot
    /// be written (quotes, backslashes, control characters).
    Absolute(String),
    /// By a plain first line with this interpreter's path, wherever the script is: for packages that are installed
    /// into an interpreter which is there (`--system`).
    Interpreter(String),
}

/// The longest first line that every kernel reads whole: Linux before 5.1 cuts at 127 bytes.
const FIRST_LINE_LIMIT: usize = 127;

/// Between these, the shell runs while Python reads a string. The shell never gets to the last line.
/// Without backslashes (escapes to Python) and three quotes in a row; variables have names that nobody
/// exports. `readlink` and `pwd` are asked only where the script was reached through a link; the `x`
/// keeps line ends that belong to a path from being dropped by `$(...)`.
const RELATIVE: &str = r#"#!/bin/sh
''':'
case $0 in
/* | [!-]*/*) _venvoy_script=$0 ;;
*) _venvoy_script=./$0; [ -e "$_venvoy_script" ] || _venvoy_script=$(command -v "$0") ;;
esac
_venvoy_real=$_venvoy_script
if [ -h "$_venvoy_real" ]; then
while [ -h "$_venvoy_real" ]; do
_venvoy_link=$(readlink "$_venvoy_real"; echo x)
_venvoy_link=${_venvoy_link%??}
case $_venvoy_link in
/*) _venvoy_real=$_venvoy_link ;;
*) _venvoy_real=${_venvoy_real%/*}/$_venvoy_link ;;
esac
done
_venvoy_real=$(CDPATH=; cd -P "${_venvoy_real%/*}/" && pwd -P; echo x)
_venvoy_real=${_venvoy_real%??}/
fi
exec "${_venvoy_real%/*}/python" "$_venvoy_script" "$@"
'''
"#;

/// The text of an entry point's script: what `importlib.metadata` would load and call, with the exit
/// status that pip's scripts have. Console and gui scripts are the same on every system but Windows.
pub fn launcher(entry: &EntryPoint, style: &LauncherStyle) -> Vec<u8> {
    let EntryPoint { module, function, .. } = entry;
    let object = function.split('.').next().unwrap_or(function);
    let body = format!(
        "import sys\n\
         from {module} import {object}\n\
         if __name__ == \"__main__\":\n    \
         if sys.argv[0].endswith(\".exe\"):\n        \
         sys.argv[0] = sys.argv[0][:-4]\n    \
         sys.exit({function}())\n"
    );
    let mut text = head(style, "python").into_owned();
    text.push_str(&body);
    text.into_bytes()
}

/// A script with its first line for this environment, if it begins with `#!python` (also `#!pythonw`,
/// `#!python3`, as for pip); `None` if it is to be installed as it is.
///
/// Python must see the rest as it was written: an encoding declaration stays in the first two lines,
/// the docstring stays `__doc__`, and `from __future__` imports stay where they are allowed.
pub fn rewrite_script(script: &[u8], style: &LauncherStyle) -> Option<Vec<u8>> {
    rewritten(script, &head(style, "python"))
}

/// The same for a script that lies at `path` in the environment, and not with the others.
pub(crate) fn rewrite_script_at(script: &[u8], style: &LauncherStyle, path: &RelPath) -> Option<Vec<u8>> {
    let up = "../".repeat(path.components().count() - 1);
    rewritten(script, &head(style, &format!("{up}bin/python")))
}

fn rewritten(script: &[u8], head: &str) -> Option<Vec<u8>> {
    if !script.starts_with(b"#!python") {
        return None;
    }
    let line_end = script.iter().position(|&byte| byte == b'\n').map_or(script.len(), |at| at + 1);
    let rest = &script[line_end..];
    let (first, shell) = head.split_at(head.find('\n').map_or(head.len(), |at| at + 1));
    let mut out = Vec::with_capacity(head.len() + rest.len() + 16);
    out.extend_from_slice(first.as_bytes());
    if shell.is_empty() {
        out.extend_from_slice(rest);
        return Some(out);
    }
    // The declaration counts in the first two lines only (PEP 263), and the shell's part pushes it down.
    let second = &rest[..rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |at| at + 1)];
    let declares = second.trim_ascii_start().starts_with(b"#")
        && memchr::memmem::find_iter(second, b"coding")
            .any(|at| matches!(second.get(at + 6), Some(b':' | b'=')));
    let rest = if declares {
        out.extend_from_slice(second);
        &rest[second.len()..]
    } else {
        rest
    };
    if !out.ends_with(b"\n") {
        out.push(b'\n');
    }
    out.extend_from_slice(shell.as_bytes());
    put_after_docstring(rest, &mut out);
    Some(out)
}

/// Everything before a script's own text: at least the first line, with its end. `python` is the interpreter's place
/// as seen from the script's directory.
fn head(style: &LauncherStyle, python: &str) -> Cow<'static, str> {
    let relative = || match python {
        "python" => Cow::Borrowed(RELATIVE),
        python => Cow::Owned(RELATIVE.replace("/python\"", &format!("/{python}\""))),
    };
    let python = match style {
        LauncherStyle::Relative => return relative(),
        LauncherStyle::Absolute(environment) => format!("{}/bin/python", environment.trim_end_matches('/')),
        LauncherStyle::Interpreter(python) => python.clone(),
    };
    if python.contains(|c: char| c.is_control() || matches!(c, '\'' | '\\')) || !python.starts_with('/') {
        relative()
    } else if python.len() + 2 > FIRST_LINE_LIMIT || python.contains(char::is_whitespace) {
        Cow::Owned(format!("#!/bin/sh\n'''exec' '{python}' \"$0\" \"$@\"\n'''\n"))
    } else {
        Cow::Owned(format!("#!{python}\n"))
    }
}

/// Puts Python source after a string that Python now takes for the docstring. Where the source has a
/// docstring of its own, it is assigned to `__doc__`, after the `from __future__` imports if there are
/// any (only one string may stand before those).
fn put_after_docstring(source: &[u8], out: &mut Vec<u8>) {
    let start = skip_blank(source, 0);
    let Some((string_end, next_line)) = docstring(source, start) else {
        out.extend_from_slice(source);
        return;
    };
    let (before, string) = (&source[..start], &source[start..string_end]);
    let imports_end = future_imports(source, next_line);
    out.extend_from_slice(before);
    if imports_end > next_line {
        // The string's lines stay, empty, so that the imports keep their line numbers.
        out.extend(string.iter().filter(|&&byte| byte == b'\n'));
        out.extend_from_slice(&source[string_end..imports_end]);
        if !out.ends_with(b"\n") {
            out.push(b'\n');
        }
        out.extend_from_slice(b"__doc__ = ");
        out.extend_from_slice(string);
        out.push(b'\n');
        out.extend_from_slice(&source[imports_end..]);
    } else {
        out.extend_from_slice(b"__doc__ = ");
        out.extend_from_slice(&source[start..]);
    }
}

/// Past lines that are empty or comments.
fn skip_blank(source: &[u8], mut at: usize) -> usize {
    loop {
        let line = line_at(source, at);
        let text = line.trim_ascii_start();
        if line.is_empty() || !(text.is_empty() || text.starts_with(b"#")) {
            return at;
        }
        at += line.len();
    }
}

/// The line that begins at `at`, with its end.
fn line_at(source: &[u8], at: usize) -> &[u8] {
    let rest = &source[at..];
    &rest[..rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |end| end + 1)]
}

/// A string literal alone on its line(s), a docstring: where it ends, and where the next line begins.
fn docstring(source: &[u8], start: usize) -> Option<(usize, usize)> {
    let prefix = usize::from(matches!(source.get(start)?, b'r' | b'R' | b'u' | b'U'));
    let quote = *source.get(start + prefix)?;
    if !matches!(quote, b'"' | b'\'') {
        return None;
    }
    let triple = [quote; 3];
    let delimiter: &[u8] = if source[start + prefix..].starts_with(&triple) { &triple } else { &triple[..1] };
    let mut at = start + prefix + delimiter.len();
    while !source.get(at..)?.starts_with(delimiter) {
        // A raw string's backslash, too, keeps the next quote from ending it.
        match source.get(at)? {
            b'\\' => at += 2,
            b'\n' if delimiter.len() == 1 => return None,
            _ => at += 1,
        }
    }
    let end = at + delimiter.len();
    let rest = line_at(source, end);
    let text = rest.trim_ascii();
    (text.is_empty() || text.starts_with(b"#")).then_some((end, end + rest.len()))
}

/// Where the `from __future__` imports that stand at `from` end; `from` if there are none.
fn future_imports(source: &[u8], from: usize) -> usize {
    let mut end = from;
    loop {
        let mut at = skip_blank(source, end);
        if !line_at(source, at).starts_with(b"from __future__ ") {
            return end;
        }
        let mut open = false;
        loop {
            let line = line_at(source, at);
            at += line.len();
            let code = line.split(|&byte| byte == b'#').next().unwrap_or(line);
            open = (open || code.contains(&b'(')) && !code.contains(&b')');
            if line.is_empty() || !open && !line.trim_ascii_end().ends_with(b"\\") {
                break;
            }
        }
        end = at;
    }
}
