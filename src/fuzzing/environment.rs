//! Readers of files in an environment, and of what files are made into there.

use serde_json::json;

use super::{Read, said, target, text_of};
use crate::{
    environment::{
        bytecode::marshal::{Shape, canonical},
        installed::Requirement,
        manifest::text::{Content, Manifest, New, NewItem},
        strip::{Verdict, look},
    },
    words::vocab::PackageName,
};

/// A requirement (PEP 508).
pub(super) fn requirement(bytes: &[u8]) -> Read {
    let found: Requirement = said(text_of(bytes)?.parse())?;
    let mut extras: Vec<&str> = found.extras.iter().map(PackageName::as_str).collect();
    extras.sort_unstable();
    extras.dedup();
    Ok(json!({
        "name": found.name.as_str(),
        "extras": extras,
        "specifier": found.specifier,
        "holds": found.holds(&target().markers, &[]),
    }))
}

/// A manifest: what is read is written again.
pub(super) fn manifest(bytes: &[u8]) -> Read {
    let manifest = Manifest::parse(text_of(bytes)?).ok_or("it is no manifest of this version")?;
    let mut rows = Vec::new();
    for dir in &manifest.dirs {
        for item in dir.items() {
            let item = item.ok_or("a line is damaged")?;
            let mut again = String::new();
            NewItem { name: &item.name, content: New::Known(&item.content) }.render(&mut again);
            assert!(again.ends_with('\n') && again.matches('\n').count() == 1, "{again:?} is not one line");
            let what = match item.content {
                Content::File { size, executable, .. } => json!([size, executable]),
                Content::Link(target) => json!(target),
            };
            rows.push(json!([dir.path, item.name, what]));
        }
    }
    Ok(json!(rows))
}

/// A shared object: what is taken out of it leaves no more than it had.
pub(super) fn elf(bytes: &[u8]) -> Read {
    match look(&bytes).map_err(|error| error.to_string())? {
        Verdict::Smaller(recipe) => {
            let smaller = recipe.apply(bytes);
            assert!(smaller.len() as u64 == recipe.size && smaller.len() < bytes.len(), "{recipe:?}");
            let again = look(&smaller.as_slice()).map_err(|error| error.to_string())?;
            assert!(!matches!(again, Verdict::Smaller(_)), "there is more to take out of {recipe:?}");
            Ok(json!(recipe.size))
        }
        Verdict::Nothing => Ok(json!(null)),
        Verdict::Unusual(why) => Err(why.to_owned()),
    }
}

/// Marshalled code after a byte that says which Python's: its one form is read as itself.
pub(super) fn marshal(bytes: &[u8]) -> Read {
    let (minor, stream) = bytes.split_first().ok_or("it is empty")?;
    let shape = Shape::of(*minor).ok_or("no such Python")?;
    let one = canonical(stream, shape)?;
    let again = canonical(&one, shape).unwrap_or_else(|error| panic!("its one form is refused: {error}"));
    assert!(one == again, "its one form has another");
    Ok(json!(one.len()))
}
