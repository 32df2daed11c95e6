//! `graph`: which distribution of an environment requires which.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde::Serialize;

use crate::{
    environment::installed::{Installed, requirements},
    words::{
        error::Result,
        vocab::{Extra, PackageName},
    },
};

/// What every environment may have, and nobody asked for.
const SEEDS: [&str; 5] = ["distribute", "pip", "pkg-resources", "setuptools", "wheel"];

/// The distributions of an environment and what they require.
#[derive(Debug, Clone, Default)]
pub(crate) struct Graph {
    nodes: BTreeMap<PackageName, Node>,
}

#[derive(Debug, Clone)]
struct Node {
    /// As its makers write its name.
    written: String,
    version: String,
    /// Names with specifiers.
    requires: Vec<(PackageName, String)>,
}

/// A distribution with those below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Tree {
    /// The normalised name.
    pub key: String,
    /// The name as its makers write it.
    pub package_name: String,
    /// The version that is there; `None` where it is missing.
    pub installed_version: Option<String>,
    /// The versions that are asked for: by the one above, or, seen from below, of the one above.
    pub required_version: String,
    /// What it requires, or who requires it.
    pub dependencies: Vec<Tree>,
}

/// A distribution beside what it requires itself.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Flat {
    package: FlatPackage,
    dependencies: Vec<FlatRequirement>,
}

#[derive(Debug, Clone, Serialize)]
struct FlatPackage {
    key: String,
    package_name: String,
    installed_version: String,
}

#[derive(Debug, Clone, Serialize)]
struct FlatRequirement {
    key: String,
    package_name: String,
    installed_version: Option<String>,
    required_version: String,
}

fn any(specifier: &str) -> String {
    if specifier.is_empty() { "Any".to_owned() } else { specifier.to_owned() }
}

impl Graph {
    /// Reads the metadata of an environment; `asked` are the extras that its lock asks for.
    ///
    /// # Errors
    /// [`crate::words::error::Kind::Destination`] for what is no environment, or cannot be read.
    pub(crate) fn read(venv: &Path, asked: BTreeMap<PackageName, Vec<Extra>>) -> Result<Self> {
        let installed = Installed::read(venv)?;
        let nodes = requirements(&installed, asked)?
            .into_iter()
            .map(|(name, (metadata, requires))| {
                let node = Node {
                    written: metadata.name.unwrap_or_else(|| name.to_string()),
                    version: installed.distributions[&name].written.clone(),
                    requires: requires.into_iter().map(|one| (one.name, one.specifier)).collect(),
                };
                (name, node)
            })
            .collect();
        Ok(Graph { nodes })
    }

    /// The version of a distribution that is there.
    pub(crate) fn version(&self, name: &PackageName) -> Option<&str> {
        self.nodes.get(name).map(|node| node.version.as_str())
    }

    /// Every distribution with what it requires itself; with `seeds` also pip and its kind.
    pub(crate) fn flat(&self, seeds: bool) -> Vec<Flat> {
        let shown = self.nodes.iter().filter(|(name, _)| seeds || !is_seed(name));
        shown
            .map(|(name, node)| Flat {
                package: FlatPackage {
                    key: name.to_string(),
                    package_name: node.written.clone(),
                    installed_version: node.version.clone(),
                },
                dependencies: node
                    .requires
                    .iter()
                    .map(|(name, specifier)| {
                        let node = self.nodes.get(name);
                        FlatRequirement {
                            key: name.to_string(),
                            package_name: node.map_or_else(|| name.to_string(), |node| node.written.clone()),
                            installed_version: node.map(|node| node.version.clone()),
                            required_version: any(specifier),
                        }
                    })
                    .collect(),
            })
            .collect()
    }

    /// From those that nobody requires down to what they require; with `seeds` also pip and its kind.
    pub(crate) fn trees(&self, seeds: bool) -> Vec<Tree> {
        let required: BTreeSet<&PackageName> =
            self.nodes.values().flat_map(|node| &node.requires).map(|(name, _)| name).collect();
        let below =
            |name: &PackageName| self.nodes.get(name).map(|node| node.requires.clone()).unwrap_or_default();
        let mut roots: Vec<&PackageName> =
            self.nodes.keys().filter(|name| !required.contains(name)).collect();
        // Those that require each other in a circle have nobody above them.
        let mut reached = BTreeSet::new();
        for root in &roots {
            reach(root, &below, &mut reached);
        }
        for name in self.nodes.keys() {
            if !reached.contains(name) {
                roots.push(name);
                reach(name, &below, &mut reached);
            }
        }
        roots.sort();
        self.forest(&roots, seeds, &below)
    }

    /// From what is required up to who requires it.
    pub(crate) fn reversed(&self, seeds: bool) -> Vec<Tree> {
        let requirers = self.requirers();
        let above = |name: &PackageName| requirers.get(name).cloned().unwrap_or_default();
        let mut roots: Vec<&PackageName> =
            self.nodes.iter().filter(|(_, node)| node.requires.is_empty()).map(|(name, _)| name).collect();
        let mut reached = BTreeSet::new();
        for root in &roots {
            reach(root, &above, &mut reached);
        }
        for name in self.nodes.keys() {
            if !reached.contains(name) {
                roots.push(name);
                reach(name, &above, &mut reached);
            }
        }
        roots.sort();
        self.forest(&roots, seeds, &above)
    }

    /// Who requires this distribution, and who requires those.
    pub(crate) fn above(&self, name: &PackageName) -> Tree {
        let requirers = self.requirers();
        let above = |name: &PackageName| requirers.get(name).cloned().unwrap_or_default();
        self.tree(name, None, &above, &mut Vec::new())
    }

    fn requirers(&self) -> BTreeMap<PackageName, Vec<(PackageName, String)>> {
        let mut requirers: BTreeMap<PackageName, Vec<(PackageName, String)>> = BTreeMap::new();
        for (name, node) in &self.nodes {
            for (required, specifier) in &node.requires {
                requirers.entry(required.clone()).or_default().push((name.clone(), specifier.clone()));
            }
        }
        requirers
    }

    fn forest(&self, roots: &[&PackageName], seeds: bool, next: &Next<'_>) -> Vec<Tree> {
        let shown = roots.iter().filter(|name| seeds || !is_seed(name));
        shown.map(|name| self.tree(name, None, next, &mut Vec::new())).collect()
    }

    fn tree(
        &self,
        name: &PackageName,
        specifier: Option<&str>,
        next: &Next<'_>,
        way: &mut Vec<PackageName>,
    ) -> Tree {
        let node = self.nodes.get(name);
        way.push(name.clone());
        let mut dependencies = Vec::new();
        for (other, specifier) in next(name) {
            // A circle is followed once.
            if !way.contains(&other) {
                dependencies.push(self.tree(&other, Some(&specifier), next, way));
            }
        }
        way.pop();
        let installed_version = node.map(|node| node.version.clone());
        Tree {
            key: name.to_string(),
            package_name: node.map_or_else(|| name.to_string(), |node| node.written.clone()),
            required_version: match specifier {
                Some(specifier) => any(specifier),
                None => installed_version.clone().unwrap_or_default(),
            },
            installed_version,
            dependencies,
        }
    }
}

type Next<'a> = dyn Fn(&PackageName) -> Vec<(PackageName, String)> + 'a;

fn reach(name: &PackageName, next: &Next<'_>, reached: &mut BTreeSet<PackageName>) {
    if reached.insert(name.clone()) {
        for (other, _) in next(name) {
            reach(&other, next, reached);
        }
    }
}

fn is_seed(name: &PackageName) -> bool {
    SEEDS.contains(&name.as_str())
}

impl Tree {
    /// The tree as lines; `reversed` says which way it goes.
    pub(crate) fn lines(&self, reversed: bool) -> Vec<String> {
        let mut lines =
            vec![format!("{}=={}", self.package_name, self.installed_version.as_deref().unwrap_or("?"))];
        self.branches("", reversed, &mut lines);
        lines
    }

    fn branches(&self, indent: &str, reversed: bool, lines: &mut Vec<String>) {
        for (position, below) in self.dependencies.iter().enumerate() {
            let last = position + 1 == self.dependencies.len();
            let (branch, deeper) = if last { ("└── ", "    ") } else { ("├── ", "│   ") };
            let installed = below.installed_version.as_deref().unwrap_or("?");
            lines.push(if reversed {
                let specifier = if below.required_version == "Any" { "" } else { &below.required_version };
                format!(
                    "{indent}{branch}{}=={installed} [requires: {}{specifier}]",
                    below.package_name, self.package_name
                )
            } else {
                let required = &below.required_version;
                format!(
                    "{indent}{branch}{} [required: {required}, installed: {installed}]",
                    below.package_name
                )
            });
            below.branches(&format!("{indent}{deeper}"), reversed, lines);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(nodes: &[(&str, &[(&str, &str)])]) -> Graph {
        let name = |text: &str| text.parse::<PackageName>().expect(text);
        let node = |(written, requires): &(&str, &[(&str, &str)])| {
            let requires =
                requires.iter().map(|(other, specifier)| (name(other), (*specifier).to_owned())).collect();
            (name(written), Node { written: (*written).to_owned(), version: "1".into(), requires })
        };
        Graph { nodes: nodes.iter().map(node).collect() }
    }

    fn text(trees: &[Tree], reversed: bool) -> Vec<String> {
        trees.iter().flat_map(|tree| tree.lines(reversed)).collect()
    }

    #[test]
    fn a_tree_is_drawn_as_pipenv_draws_it() {
        let graph =
            graph(&[("A", &[("b", ">=1"), ("gone", "")]), ("b", &[("c", "")]), ("c", &[]), ("pip", &[])]);
        assert_eq!(
            text(&graph.trees(false), false),
            [
                "A==1",
                "├── b [required: >=1, installed: 1]",
                "│   └── c [required: Any, installed: 1]",
                "└── gone [required: Any, installed: ?]",
            ]
        );
        assert_eq!(text(&graph.trees(true), false).last().map(String::as_str), Some("pip==1"));
        assert_eq!(
            text(&graph.reversed(false), true),
            ["c==1", "└── b==1 [requires: c]", "    └── A==1 [requires: b>=1]"]
        );
    }

    #[test]
    fn circles_end_and_are_shown() {
        let graph = graph(&[("a", &[("b", "")]), ("b", &[("a", "")]), ("c", &[("c", "")])]);
        let expected = ["a==1", "└── b [required: Any, installed: 1]", "c==1"];
        assert_eq!(text(&graph.trees(false), false), expected);
        assert_eq!(text(&graph.reversed(false), true), ["a==1", "└── b==1 [requires: a]", "c==1"]);
    }
}
