//! Under which licence a distribution says it may be used.

use serde::{Deserialize, Serialize};

use crate::environment::installed::Metadata;

/// Longer texts are the licence itself rather than its name, in bytes.
const NAME: usize = 80;

/// Classifiers that mean one licence of SPDX's list; others leave its version open.
const CLASSIFIERS: [(&str, &str); 13] = [
    ("MIT License", "MIT"),
    ("MIT No Attribution License (MIT-0)", "MIT-0"),
    ("ISC License (ISCL)", "ISC"),
    ("Mozilla Public License 2.0 (MPL 2.0)", "MPL-2.0"),
    ("Mozilla Public License 1.1 (MPL 1.1)", "MPL-1.1"),
    ("GNU Lesser General Public License v3 (LGPLv3)", "LGPL-3.0-only"),
    ("GNU Lesser General Public License v3 or later (LGPLv3+)", "LGPL-3.0-or-later"),
    ("GNU Lesser General Public License v2 or later (LGPLv2+)", "LGPL-2.0-or-later"),
    ("GNU General Public License v3 (GPLv3)", "GPL-3.0-only"),
    ("GNU General Public License v3 or later (GPLv3+)", "GPL-3.0-or-later"),
    ("GNU General Public License v2 or later (GPLv2+)", "GPL-2.0-or-later"),
    ("The Unlicense (Unlicense)", "Unlicense"),
    ("Zope Public License", "ZPL-2.1"),
];

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Licence {
    /// It says nothing.
    Unknown,
    /// An SPDX expression.
    Expression(String),
    /// A name that is no SPDX expression.
    Named(String),
}

impl Licence {
    /// What metadata says: the expression of PEP 639; the old field, if it is an expression; what classifiers say; the old
    /// field's name.
    pub(crate) fn of(metadata: &Metadata) -> Licence {
        let expression =
            |text: &str| spdx::Expression::parse(text).is_ok().then(|| Licence::Expression(text.to_owned()));
        let old = metadata.license.as_deref().filter(|text| !text.is_empty() && *text != "UNKNOWN");
        let said = [metadata.license_expression.as_deref(), old];
        if let Some(found) = said.into_iter().flatten().find_map(expression) {
            return found;
        }
        let names: Vec<&str> = metadata
            .license_classifiers
            .iter()
            .filter_map(|text| text.rsplit(" :: ").next())
            .filter(|name| *name != "OSI Approved" && *name != "License")
            .collect();
        if let [only] = names.as_slice()
            && let Some((_, id)) = CLASSIFIERS.iter().find(|(name, _)| name == only)
        {
            return Licence::Expression((*id).to_owned());
        }
        let short = old.filter(|text| text.len() <= NAME);
        match (short, names.is_empty()) {
            (Some(name), _) => Licence::Named(name.to_owned()),
            (None, false) => Licence::Named(names.join(", ")),
            (None, true) => Licence::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_expressions_where_it_is_clear_which() {
        let of = |text: &str| Licence::of(&Metadata::parse(text));
        let expression = |text: &str| Licence::Expression(text.to_owned());
        let named = |text: &str| Licence::Named(text.to_owned());
        assert_eq!(
            of("License-Expression: MIT AND (Apache-2.0 OR BSD-2-Clause)\n"),
            expression("MIT AND (Apache-2.0 OR BSD-2-Clause)")
        );
        assert_eq!(of("License: BSD-3-Clause\n"), expression("BSD-3-Clause"));
        assert_eq!(
            of("License: Expat license\nClassifier: License :: OSI Approved :: MIT License\n"),
            expression("MIT")
        );
        assert_eq!(
            of("License: Apache 2\nClassifier: License :: OSI Approved :: Apache Software License\n"),
            named("Apache 2")
        );
        assert_eq!(of("Classifier: License :: OSI Approved :: BSD License\n"), named("BSD License"));
        assert_eq!(of("License: UNKNOWN\nClassifier: License :: OSI Approved\n"), Licence::Unknown);
        assert_eq!(of("Name: x\n"), Licence::Unknown);
        let two = "Classifier: License :: OSI Approved :: MIT License\nClassifier: License :: OSI Approved :: BSD License\n";
        assert_eq!(of(two), named("MIT License, BSD License"));
    }
}
