//! `entry_points.txt` (entry points specification), read as `importlib.metadata` does. What is read here
//! becomes Python source in a script, so names are checked character by character.

use super::{EntryPoint, refused};
use crate::words::{
    error::{Context as _, Error, Kind, Result},
    vocab::RelPath,
};

/// The console and gui scripts. The last of several of one name counts, gui after console, as in pip.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<EntryPoint>> {
    let text = std::str::from_utf8(bytes).map_err(|e| refused("it is not UTF-8").because(e))?;
    let mut found: Vec<EntryPoint> = Vec::new();
    let mut bad: Vec<Error> = Vec::new();
    for wanted_gui in [false, true] {
        let wanted = if wanted_gui { "gui_scripts" } else { "console_scripts" };
        let mut section = "";
        for line in text.trim_start_matches('\u{feff}').lines().map(str::trim) {
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                section = name.trim();
            } else if section == wanted {
                match entry_point(line, wanted_gui).context(|| format!("{wanted} line {line:?} is refused")) {
                    Ok(entry) => {
                        found.retain(|other| other.name != entry.name);
                        found.push(entry);
                    }
                    Err(error) => bad.push(error),
                }
            }
        }
    }
    match bad.len() {
        0 => Ok(found),
        1 => Err(bad.remove(0)),
        n => Err(Error::all(Kind::Integrity, format!("{n} lines are refused"), bad)),
    }
}

/// `name = module:object [extra]`; extras are ignored, as by pip.
fn entry_point(line: &str, gui: bool) -> Result<EntryPoint> {
    let (name, value) =
        line.split_once('=').ok_or_else(|| refused("there is no '='; expected NAME = MODULE:FUNCTION"))?;
    let (name, value) = (name.trim(), value.trim());
    let path: RelPath = name.parse().context(|| "its name cannot be a script's")?;
    if name.contains('/') || name.chars().any(char::is_control) {
        return Err(refused(format!("its name {name:?} cannot be a script's: expected one path component")));
    }
    let object = match value.split_once('[') {
        Some((object, extras)) if extras.trim_end().ends_with(']') => object.trim_end(),
        Some(_) => return Err(refused("its extras do not end in ']'")),
        None => value,
    };
    let (module, function) = object
        .split_once(':')
        .ok_or_else(|| refused(format!("{object:?} names no function; expected MODULE:FUNCTION")))?;
    let (module, function) = (module.trim(), function.trim());
    for part in [module, function] {
        if !part.split('.').all(is_identifier) {
            return Err(refused(format!("{part:?} is not a Python name; expected identifiers with dots")));
        }
    }
    Ok(EntryPoint { name: path, module: module.into(), function: function.into(), gui })
}

/// No more than Python's identifiers in what matters here: nothing that ends a name.
fn is_identifier(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_numeric())
        && !text.is_empty()
        && text.chars().all(|c| c == '_' || c.is_alphanumeric())
}
