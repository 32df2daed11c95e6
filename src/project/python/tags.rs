//! Compatibility tags: an ordered set that is asked many thousand times.

use std::{collections::HashMap, fmt};

use crate::words::vocab::WheelName;

/// One `python-abi-platform` triple (PEP 425).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub struct Tag {
    pub python: String,
    pub abi: String,
    pub platform: String,
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.python, self.abi, self.platform)
    }
}

/// Compatibility tags, best first. A rank is a position: 0 is the best.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tags {
    ordered: Vec<Tag>,
    /// Every word of every tag, numbered: triples of numbers are cheaper to look up than text.
    words: HashMap<String, u32>,
    ranks: HashMap<(u32, u32, u32), usize>,
}

impl FromIterator<Tag> for Tags {
    /// Takes tags in order of preference; of repeated ones the first counts.
    fn from_iter<I: IntoIterator<Item = Tag>>(tags: I) -> Self {
        let mut set = Tags { ordered: Vec::new(), words: HashMap::new(), ranks: HashMap::new() };
        for tag in tags {
            let key = (set.number(&tag.python), set.number(&tag.abi), set.number(&tag.platform));
            let next = set.ordered.len();
            if *set.ranks.entry(key).or_insert(next) == next {
                set.ordered.push(tag);
            }
        }
        set
    }
}

impl Tags {
    fn number(&mut self, word: &str) -> u32 {
        if let Some(number) = self.words.get(word) {
            return *number;
        }
        let next = u32::try_from(self.words.len()).unwrap_or(u32::MAX);
        self.words.insert(word.to_owned(), next);
        next
    }

    /// All tags, best first.
    pub fn iter(&self) -> impl Iterator<Item = &Tag> {
        self.ordered.iter()
    }

    /// The best rank among a wheel's tags; `None` where the target cannot use it.
    pub fn best(&self, wheel: &WheelName) -> Option<usize> {
        let numbers = |texts: &[String]| -> Vec<u32> {
            texts.iter().filter_map(|text| self.words.get(text).copied()).collect()
        };
        let (abis, platforms) = (numbers(&wheel.abi), numbers(&wheel.platform));
        let mut best = None::<usize>;
        for python in numbers(&wheel.python) {
            for abi in &abis {
                for platform in &platforms {
                    if let Some(rank) = self.ranks.get(&(python, *abi, *platform)) {
                        best = Some(best.map_or(*rank, |known| known.min(*rank)));
                    }
                }
            }
        }
        best
    }

    /// Why a wheel does not fit; `None` where it does.
    pub fn explain(&self, wheel: &WheelName) -> Option<Mismatch> {
        if self.best(wheel).is_some() {
            return None;
        }
        let fits = |python: &str, abi: Option<&str>| {
            self.ordered.iter().any(|tag| tag.python == python && abi.is_none_or(|abi| tag.abi == abi))
        };
        // `cp310-cp310` fails on 3.11 for its Python, though `cp310-abi3` would be fine there.
        let own = self.ordered.first().map_or("", |tag| &tag.python);
        let any_pair = wheel.python.iter().any(|python| wheel.abi.iter().any(|abi| fits(python, Some(abi))));
        // A free-threaded Python takes `abi3t` (PEP 803): what is wrong with `cp39-abi3` there is the ABI.
        let other_abi = wheel.abi.iter().any(|abi| abi == "abi3")
            && self.ordered.iter().all(|tag| tag.abi != "abi3")
            && wheel.python.iter().any(|python| minor_of(python) <= minor_of(own));
        let python_fits = other_abi
            || wheel
                .python
                .iter()
                .any(|python| python == own || python.starts_with("py") && fits(python, None));
        let (part, got) = if any_pair {
            (TagPart::Platform, &wheel.platform)
        } else if python_fits {
            (TagPart::Abi, &wheel.abi)
        } else {
            (TagPart::Python, &wheel.python)
        };
        let mut accepted: Vec<&str> = Vec::new();
        // `cp310` stands among the tags for `cp310-abi3` alone: to a wheel of another ABI it says nothing.
        let counts =
            |tag: &&Tag| part != TagPart::Python || tag.abi != "abi3" || wheel.abi.contains(&tag.abi);
        for tag in self.ordered.iter().filter(counts) {
            let word = match part {
                TagPart::Python => &tag.python,
                TagPart::Abi => &tag.abi,
                TagPart::Platform => &tag.platform,
            };
            if !accepted.contains(&word.as_str()) {
                accepted.push(word);
            }
        }
        let accepted = accepted.into_iter().map(str::to_owned).collect();
        Some(Mismatch { part, got: got.clone(), accepted })
    }
}

/// The `10` of `cp310`, for what is a CPython 3.
fn minor_of(python: &str) -> Option<u32> {
    python.strip_prefix("cp3")?.parse().ok()
}

/// A part of a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub enum TagPart {
    Python,
    Abi,
    Platform,
}

impl fmt::Display for TagPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TagPart::Python => "Python",
            TagPart::Abi => "ABI",
            TagPart::Platform => "platform",
        })
    }
}

/// The first part of a wheel's tags that the target cannot use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Which part.
    pub part: TagPart,
    /// What the wheel has there.
    pub got: Vec<String>,
    /// What the target accepts there, best first.
    pub accepted: Vec<String>,
}

impl fmt::Display for Mismatch {
    /// One line, such as `platform tag win_amd64; this target accepts linux_x86_64, ... (39 in all)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 4;
        let plural = if self.got.len() == 1 { "" } else { "s" };
        write!(f, "{} tag{plural} {}; this target accepts ", self.part, self.got.join(", "))?;
        let shown = self.accepted.len().min(SHOWN);
        f.write_str(&self.accepted[..shown].join(", "))?;
        if self.accepted.len() > shown {
            write!(f, ", ... ({} in all)", self.accepted.len())?;
        }
        Ok(())
    }
}
