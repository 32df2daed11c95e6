//! Environment markers (PEP 508) with the semantics of `packaging` 26: versions compare as versions
//! only for the variables that hold one, everything else compares as text.

mod parse;
#[cfg(test)]
mod tests;

use std::fmt;

use super::{
    Extra, MarkerEnv,
    specifier::{Clause, Operator as Comparator},
};
use crate::words::error::Result;

/// A parsed marker expression. Displays in `packaging`'s canonical form (double quotes, only the
/// parentheses that matter) and reads back equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker(AnyOf);

/// Alternatives (`or`) of conjunctions (`and`).
#[derive(Debug, Clone, PartialEq, Eq)]
struct AnyOf(Vec<Vec<Term>>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Term {
    Comparison(Comparison),
    Group(AnyOf),
}

/// One comparison of a variable with a literal, in either order.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Comparison {
    variable: Variable,
    operator: Operator,
    literal: String,
    /// The literal stands on the left.
    reversed: bool,
}

/// How a variable is compared: as a version is, or by what is in a text or a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Comparator(Comparator),
    In,
    NotIn,
}

impl Operator {
    fn as_str(self) -> &'static str {
        match self {
            Operator::Comparator(comparator) => comparator.as_str(),
            Operator::In => "in",
            Operator::NotIn => "not in",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variable {
    ImplementationName,
    ImplementationVersion,
    OsName,
    PlatformMachine,
    PlatformPythonImplementation,
    PlatformRelease,
    PlatformSystem,
    PlatformVersion,
    PythonFullVersion,
    PythonVersion,
    SysPlatform,
    Extra,
    Extras,
    DependencyGroups,
}

impl Variable {
    fn as_str(self) -> &'static str {
        match self {
            Variable::ImplementationName => "implementation_name",
            Variable::ImplementationVersion => "implementation_version",
            Variable::OsName => "os_name",
            Variable::PlatformMachine => "platform_machine",
            Variable::PlatformPythonImplementation => "platform_python_implementation",
            Variable::PlatformRelease => "platform_release",
            Variable::PlatformSystem => "platform_system",
            Variable::PlatformVersion => "platform_version",
            Variable::PythonFullVersion => "python_full_version",
            Variable::PythonVersion => "python_version",
            Variable::SysPlatform => "sys_platform",
            Variable::Extra => "extra",
            Variable::Extras => "extras",
            Variable::DependencyGroups => "dependency_groups",
        }
    }

    /// Whether its values are compared as versions where they can be.
    fn is_version(self) -> bool {
        matches!(
            self,
            Variable::ImplementationVersion
                | Variable::PlatformRelease
                | Variable::PythonFullVersion
                | Variable::PythonVersion
        )
    }

    /// Whether it holds a set, of which only membership can be asked.
    fn is_set(self) -> bool {
        matches!(self, Variable::Extras | Variable::DependencyGroups)
    }

    /// Whether its values are names that are compared normalised (PEP 685, PEP 735).
    fn is_name(self) -> bool {
        self == Variable::Extra || self.is_set()
    }
}

impl Marker {
    /// Reads a marker.
    pub fn parse(text: &str) -> Result<Marker> {
        parse::marker(text).map(Marker)
    }

    /// Whether the marker holds in `env`. `extra` takes each of `extras` in turn (the empty name where
    /// there are none) and one that makes the marker true is enough, as pip does it; `extras` and
    /// `dependency_groups` are the sets given.
    pub fn evaluate(&self, env: &MarkerEnv, extras: &[Extra], groups: &[&str]) -> bool {
        let groups: Vec<String> = groups.iter().map(|group| normalise(group)).collect();
        let holds = |extra: &str| self.0.holds(&Scope { env, extra, extras, groups: &groups });
        if extras.is_empty() { holds("") } else { extras.iter().any(|extra| holds(extra.as_str())) }
    }

    /// The marker that holds where both do.
    #[must_use]
    pub fn and(self, other: Marker) -> Marker {
        let mut terms = self.0.into_terms();
        terms.extend(other.0.into_terms());
        Marker(AnyOf(vec![terms]))
    }
}

impl std::str::FromStr for Marker {
    type Err = crate::words::error::Error;

    fn from_str(text: &str) -> Result<Self> {
        Marker::parse(text)
    }
}

/// What an expression is evaluated in.
struct Scope<'a> {
    env: &'a MarkerEnv,
    extra: &'a str,
    extras: &'a [Extra],
    groups: &'a [String],
}

impl Scope<'_> {
    /// The text of a variable that holds one; `None` for a set.
    fn text(&self, variable: Variable) -> Option<&str> {
        Some(match variable {
            Variable::ImplementationName => &self.env.implementation_name,
            Variable::ImplementationVersion => &self.env.implementation_version,
            Variable::OsName => &self.env.os_name,
            Variable::PlatformMachine => &self.env.platform_machine,
            Variable::PlatformPythonImplementation => &self.env.platform_python_implementation,
            Variable::PlatformRelease => &self.env.platform_release,
            Variable::PlatformSystem => &self.env.platform_system,
            Variable::PlatformVersion => &self.env.platform_version,
            Variable::PythonFullVersion => &self.env.python_full_version,
            Variable::PythonVersion => &self.env.python_version,
            Variable::SysPlatform => &self.env.sys_platform,
            Variable::Extra => self.extra,
            Variable::Extras | Variable::DependencyGroups => return None,
        })
    }
}

impl AnyOf {
    fn holds(&self, scope: &Scope) -> bool {
        self.0.iter().any(|terms| {
            terms.iter().all(|term| match term {
                Term::Comparison(comparison) => comparison.holds(scope),
                Term::Group(inner) => inner.holds(scope),
            })
        })
    }

    /// Terms that all must hold: the only alternative there is, or all alternatives as one group.
    fn into_terms(mut self) -> Vec<Term> {
        if self.0.len() == 1 { self.0.pop().unwrap_or_default() } else { vec![Term::Group(self)] }
    }
}

impl Comparison {
    fn holds(&self, scope: &Scope) -> bool {
        let Some(value) = scope.text(self.variable) else {
            let found = match self.variable {
                Variable::Extras => scope.extras.iter().any(|extra| extra.as_str() == self.literal),
                _ => scope.groups.contains(&self.literal),
            };
            return found == (self.operator == Operator::In);
        };
        // An interpreter built from an untagged checkout says `3.13.0+`, which is no PEP 440 version.
        let repaired;
        let value = if self.variable == Variable::PythonFullVersion && value.ends_with('+') {
            repaired = format!("{value}local");
            &repaired
        } else {
            value
        };
        let (left, right) = if self.reversed { (&*self.literal, value) } else { (value, &*self.literal) };
        let comparator = match self.operator {
            Operator::In => return right.contains(left),
            Operator::NotIn => return !right.contains(left),
            Operator::Comparator(comparator) => comparator,
        };
        if self.variable.is_version()
            && let Some(clause) = Clause::parse(comparator, right)
        {
            return clause.contains(left);
        }
        // What is no version has no order: only equality is left of `<=` and `>=`.
        match comparator {
            Comparator::Equal | Comparator::LessEqual | Comparator::GreaterEqual => left == right,
            Comparator::NotEqual => left != right,
            Comparator::Arbitrary => left.to_lowercase() == right.to_lowercase(),
            Comparator::Less | Comparator::Greater | Comparator::Compatible => false,
        }
    }
}

/// A name in lower case with runs of `-`, `_` and `.` as one `-`, whatever else it holds (PEP 503).
fn normalise(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut in_run = false;
    for c in name.chars() {
        let separator = matches!(c, '-' | '_' | '.');
        if separator && !in_run {
            out.push('-');
        } else if !separator {
            out.extend(c.to_lowercase());
        }
        in_run = separator;
    }
    out
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for AnyOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, terms) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(" or ")?;
            }
            for (j, term) in terms.iter().enumerate() {
                if j > 0 {
                    f.write_str(" and ")?;
                }
                match term {
                    Term::Comparison(comparison) => comparison.fmt(f)?,
                    Term::Group(inner) => write!(f, "({inner})")?,
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (variable, operator) = (self.variable.as_str(), self.operator.as_str());
        let literal = Quoted(&self.literal);
        if self.reversed {
            write!(f, "{literal} {operator} {variable}")
        } else {
            write!(f, "{variable} {operator} {literal}")
        }
    }
}

/// A literal as the grammar takes it back: the quote itself cannot stand inside, an escape can.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quote = if self.0.contains('"') && !self.0.contains('\'') { '\'' } else { '"' };
        write!(f, "{quote}")?;
        for c in self.0.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                _ if c == quote || (c.is_ascii() && c.is_ascii_control()) => {
                    write!(f, "\\x{:02x}", u32::from(c))?;
                }
                _ => write!(f, "{c}")?,
            }
        }
        write!(f, "{quote}")
    }
}
