//! Packages as pip's format control names them.

use crate::words::{
    error::{Error, Kind, Result},
    vocab::PackageName,
};

/// Packages by name, or all of them, as pip's format control has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Packages {
    /// None.
    #[default]
    None,
    /// These.
    Named(Vec<PackageName>),
    /// All.
    All,
}

impl Packages {
    /// Whether the package is named, by itself.
    pub(super) fn names(&self, name: &PackageName) -> bool {
        matches!(self, Packages::Named(names) if names.contains(name))
    }

    /// These, less what the environment put there and `other`, typed for the opposite, has; `own` was typed.
    pub(super) fn without(self, own: &Packages, other: &Packages) -> Self {
        match (self, other) {
            (_, Packages::All) => own.clone(),
            (Packages::Named(mut names), Packages::Named(_)) => {
                names.retain(|name| !other.names(name));
                Packages::Named(names)
            }
            (packages, _) => packages,
        }
    }

    /// Whether a package is meant.
    pub(crate) fn contains(&self, name: &PackageName) -> bool {
        match self {
            Packages::None => false,
            Packages::Named(names) => names.contains(name),
            Packages::All => true,
        }
    }

    /// Reads words as pip does, in their order; `option` is for messages.
    pub(super) fn parse<'a>(texts: impl Iterator<Item = &'a str>, option: &str) -> Result<Self> {
        let mut packages = Packages::None;
        for word in
            texts.flat_map(|text| text.split([',', ' '])).map(str::trim).filter(|word| !word.is_empty())
        {
            packages = match (word, packages) {
                (":none:", _) => Packages::None,
                (":all:", _) | (_, Packages::All) => Packages::All,
                (name, packages) => {
                    let name = name.parse().map_err(|e: Error| {
                        e.context(format!("{option} {word} is unusable")).with_kind(Kind::Usage)
                    })?;
                    let mut names = if let Packages::Named(names) = packages { names } else { Vec::new() };
                    names.push(name);
                    Packages::Named(names)
                }
            };
        }
        Ok(packages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Packages {
        Packages::parse(std::iter::once(text), "--no-binary").expect(text)
    }

    #[test]
    fn format_control_reads_words_in_order_as_pip_does() {
        let name: PackageName = "lxml".parse().expect("a name");
        assert!(names("lxml,pillow").contains(&name));
        assert!(names(":all:").contains(&name));
        assert!(!names(":all:,:none:").contains(&name));
        assert!(names(":none: lxml").contains(&name));
        assert!(Packages::parse(std::iter::once("../x"), "--no-binary").is_err());
    }

    #[test]
    fn what_is_typed_takes_packages_from_what_the_environment_says() {
        let (none, all) = (Packages::None, Packages::All);
        assert_eq!(names("lxml,pillow").without(&none, &names("pillow")), names("lxml"));
        assert_eq!(names("lxml").without(&none, &all), none);
        assert_eq!(names("lxml").without(&names("lxml"), &all), names("lxml"), "typed as well");
        assert_eq!(all.clone().without(&none, &names("lxml")), all, "a name outweighs it anyway");
    }
}
