//! `entry_points.txt` (entry points specification), read as `importlib.metadata` does. What is read here
//! becomes Python source in a script, so names are checked character by character.

use super::{EntryPoint, refused};
use crate::words::{
    error::{Context as _, Error, Result},
    gather::gather,
    vocab::RelPath,
};

/// The console and gui scripts, and what is odd about them. The last of several of one name counts, gui after
/// console, as in pip.
///
/// What decides the odd ones is what pip 23.2 makes of them; uv 0.13.9 is stricter in some and laxer in others:
///
/// | value | pip | uv | here |
/// |---|---|---|---|
/// | `mod:main()`, `mod:main(1)`, `mod:main # comment`, `mod:main --opt`, `mod:main.` | what follows is ignored | refused | as pip, with a warning |
/// | `mod:main [x] # comment` | as before | refused | as pip, with a warning |
/// | `mod: main`, `mod :main`, extras such as `[x.y]` | refused | taken | taken |
/// | `mod`, `mod:main:extra`, `mod-x:main`, `mod:main [x`, `mod:main()[x]` | refused | refused, or a broken script | refused |
/// | `1mod:main`, `mod:1main` | a broken script | a broken script | refused |
pub(super) fn parse(bytes: &[u8]) -> Result<(Vec<EntryPoint>, Vec<String>)> {
    let text = std::str::from_utf8(bytes).map_err(|e| refused("it is not UTF-8").because(e))?;
    let mut found: Vec<EntryPoint> = Vec::new();
    let mut bad: Vec<Error> = Vec::new();
    let mut odd = Vec::new();
    for wanted_gui in [false, true] {
        let wanted = if wanted_gui { "gui_scripts" } else { "console_scripts" };
        let mut section = "";
        for line in text.trim_start_matches('\u{feff}').split(is_line_end).map(str::trim) {
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if line.starts_with('[') && line.ends_with(']') {
                section = line.trim_matches(['[', ']']);
            } else if section == wanted {
                match entry_point(line, wanted_gui).context(|| format!("{wanted} line {line:?} is refused")) {
                    Ok((entry, ignored)) => {
                        if let Some(ignored) = ignored {
                            odd.push(format!(
                                "of its {wanted} line {line:?} {ignored:?} is ignored, as by pip"
                            ));
                        }
                        found.retain(|other| other.name != entry.name);
                        found.push(entry);
                    }
                    Err(error) => bad.push(error),
                }
            }
        }
    }
    gather(bad, |many| format!("{many} lines are refused"))?;
    Ok((found, odd))
}

/// What Python's `splitlines` takes for the end of a line.
fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// `name = module:object [extra]`; extras are ignored, as by pip. Gives what follows and is ignored as well.
fn entry_point(line: &str, gui: bool) -> Result<(EntryPoint, Option<&str>)> {
    let (name, value) =
        line.split_once('=').ok_or_else(|| refused("there is no '='; expected NAME = MODULE:FUNCTION"))?;
    let (name, value) = (name.trim(), value.trim());
    let path: RelPath = name.parse().context(|| "its name cannot be a script's")?;
    if name.contains('/') || name.chars().any(char::is_control) {
        return Err(refused(format!("its name {name:?} cannot be a script's: expected one path component")));
    }
    let (module, rest) = dotted(value);
    let Some(rest) = rest.trim_start().strip_prefix(':') else {
        return Err(refused(format!("{value:?} names no function; expected MODULE:FUNCTION")));
    };
    let (function, rest) = dotted(rest.trim_start());
    for part in [module, function] {
        if !part.split('.').all(is_identifier) {
            return Err(refused(format!("{part:?} is not a Python name; expected identifiers with dots")));
        }
    }
    let mut rest = rest.trim_start();
    if let Some(extras) = rest.strip_prefix('[') {
        let (_, after) = extras.split_once(']').ok_or_else(|| refused("its extras do not end in ']'"))?;
        rest = after.trim_start();
    }
    if rest.starts_with(':') || rest.contains(['[', ']']) {
        return Err(refused(format!(
            "{rest:?} follows its function; expected nothing, or extras in brackets"
        )));
    }
    let entry = EntryPoint { name: path, module: module.into(), function: function.into(), gui };
    Ok((entry, Some(rest).filter(|rest| !rest.is_empty())))
}

/// Splits off the words with dots between them that a text begins with; a dot that nothing follows is not among them.
fn dotted(text: &str) -> (&str, &str) {
    let is_word = |c: char| c == '_' || c.is_alphanumeric();
    let mut end = 0;
    loop {
        let from = if end == 0 { 0 } else { end + 1 };
        let word = text[from..].find(|c| !is_word(c)).unwrap_or(text.len() - from);
        if word == 0 {
            return text.split_at(end);
        }
        end = from + word;
        if !text[end..].starts_with('.') {
            return text.split_at(end);
        }
    }
}

/// No more than Python's identifiers in what matters here: nothing that ends a name.
fn is_identifier(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_numeric())
        && !text.is_empty()
        && text.chars().all(|c| c == '_' || c.is_alphanumeric())
}
