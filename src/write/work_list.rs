//! What workers take one after the other: large files alone, then small ones by their directory.

use std::{collections::HashMap, ops::Range};

use crate::layout::{Origin, Plan};

/// Files at least this large (bytes) are runs of their own, largest first, so that none becomes the tail.
pub(super) const LARGE: u64 = 256 << 10;

/// At most so many small files are one run.
const RUN: usize = 256;

/// Files that one worker puts in place one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run<'w> {
    /// The directory they all lie in, relative to the environment; empty for the environment itself.
    pub(super) dir: &'w str,
    /// Positions in `Plan::files`.
    pub(super) files: &'w [usize],
}

/// The runs of a plan. A run keeps to one directory: two workers that create files in one directory wait for
/// each other in the kernel, and one that stays there can open it once and name what is in it directly.
pub(super) struct WorkList<'p> {
    order: Vec<usize>,
    runs: Vec<(&'p str, Range<usize>)>,
}

impl<'p> WorkList<'p> {
    /// All files but those that are made from what was written.
    pub(super) fn new(plan: &'p Plan) -> Self {
        let mut large = Vec::new();
        let mut positions: HashMap<&str, usize> = HashMap::with_capacity(plan.dirs.len() + 1);
        let mut small: Vec<(&str, Vec<usize>)> = Vec::with_capacity(plan.dirs.len() + 1);
        let mut last: Option<usize> = None;
        for (position, file) in plan.files.iter().enumerate() {
            let size = match &file.origin {
                Origin::Record { .. } | Origin::Bytecode { .. } => continue,
                Origin::Bytes(bytes) => bytes.len() as u64,
                Origin::Entry { dist, entry }
                | Origin::Stripped { dist, entry }
                | Origin::Script { dist, entry, .. } => plan.dists[*dist].wheel.entries[*entry].size,
            };
            let dir = file.path.as_str().rsplit_once('/').map_or("", |(dir, _)| dir);
            if size >= LARGE {
                large.push((size, position, dir));
                continue;
            }
            let at = match last {
                Some(at) if small[at].0 == dir => at,
                _ => *positions.entry(dir).or_insert_with(|| {
                    small.push((dir, Vec::new()));
                    small.len() - 1
                }),
            };
            small[at].1.push(position);
            last = Some(at);
        }
        large.sort_unstable_by_key(|&(size, position, _)| (std::cmp::Reverse(size), position));

        let mut list = WorkList {
            order: Vec::with_capacity(plan.files.len()),
            runs: Vec::with_capacity(large.len() + small.len()),
        };
        for (_, position, dir) in large {
            list.push(dir, &[position]);
        }
        for (dir, files) in small {
            files.chunks(RUN).for_each(|files| list.push(dir, files));
        }
        list
    }

    fn push(&mut self, dir: &'p str, files: &[usize]) {
        let start = self.order.len();
        self.order.extend_from_slice(files);
        self.runs.push((dir, start..self.order.len()));
    }

    /// The run at this position, if there are so many.
    pub(super) fn get(&self, position: usize) -> Option<Run<'_>> {
        let (dir, range) = self.runs.get(position)?;
        Some(Run { dir, files: &self.order[range.clone()] })
    }
}
