//! What workers take one after the other: parts of the tree, then large files.

use std::collections::{HashMap, HashSet};

use crate::{
    environment::layout::{ContentOrigin, Plan},
    words::vocab::RelPath,
};

/// Files at least this large (bytes) are taken one by one, largest first, so that none becomes the tail.
pub(super) const LARGE: u64 = 256 << 10;

/// So many small files of one directory are shared among workers, in runs of this length.
const RUN: usize = 256;

/// How many parts each worker gets at least, so that they end together.
const PARTS: usize = 64;

/// A directory and files in it, which one worker puts in place one after the other.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Run<'p> {
    /// `None` for the environment itself.
    pub(super) dir: Option<&'p RelPath>,
    /// Whether the directory is to be made first.
    pub(super) make: bool,
    /// Positions in `Plan::files`.
    pub(super) files: Vec<usize>,
}

/// The work of a plan, in the order in which it is to be done.
///
/// Two workers that create something in one directory wait for each other in the kernel. So each takes a part
/// of the tree: a directory, what is in it, and all below.
#[derive(Debug, Default)]
pub(super) struct WorkList<'p> {
    /// Directories that have more than one part, parents first.
    pub(super) shared: Vec<&'p RelPath>,
    /// What workers take, the heaviest first; nothing in one depends on another.
    pub(super) parts: Vec<Vec<Run<'p>>>,
    /// Large files, the largest first, in directories that the parts make.
    pub(super) large: Vec<Vec<Run<'p>>>,
    /// Directories that are not made: all in them is in its place already.
    pub(super) left_out: HashSet<&'p str>,
}

#[derive(Default)]
struct Node<'p> {
    dir: Option<&'p RelPath>,
    children: Vec<usize>,
    files: Vec<usize>,
    /// How many files and directories are here and below; without bound where files must be shared.
    weight: usize,
    /// Whether something here or below is in its place already.
    is_there: bool,
    /// Whether something is put here or below, now or later.
    is_needed: bool,
}

impl<'p> WorkList<'p> {
    /// All directories, and all files but those that are made from what was written and those that are in their place
    /// already (positions in `Plan::files`).
    pub(super) fn new(plan: &'p Plan, workers: usize, there: &HashSet<usize>) -> Self {
        let mut list = WorkList::default();
        let mut nodes = vec![Node::default()];
        let mut positions = HashMap::with_capacity(plan.dirs.len());
        // A parent stands before its children.
        for dir in &plan.dirs {
            let at = nodes.len();
            let above = dir.as_str().rsplit_once('/').and_then(|(above, _)| positions.get(above));
            nodes[above.copied().unwrap_or(0)].children.push(at);
            positions.insert(dir.as_str(), at);
            nodes.push(Node { dir: Some(dir), ..Node::default() });
        }
        let mut large = Vec::new();
        let mut last = 0;
        for (position, file) in plan.files.iter().enumerate() {
            let size = match &file.origin {
                ContentOrigin::Record { .. } | ContentOrigin::Bytecode { .. } => None,
                ContentOrigin::Bytes(bytes) => Some(bytes.len() as u64),
                ContentOrigin::Entry { dist, entry }
                | ContentOrigin::Stripped { dist, entry }
                | ContentOrigin::Script { dist, entry, .. } => {
                    Some(plan.dists[*dist].wheel.entries[*entry].size)
                }
            };
            let dir = file.path.as_str().rsplit_once('/').map(|(dir, _)| dir);
            if nodes[last].dir.map(RelPath::as_str) != dir {
                last = dir.and_then(|dir| positions.get(dir)).copied().unwrap_or(0);
            }
            if there.contains(&position) {
                nodes[last].is_there = true;
                continue;
            }
            nodes[last].is_needed = true;
            let Some(size) = size else { continue };
            if size >= LARGE {
                large.push((size, position, last));
            } else {
                nodes[last].files.push(position);
            }
        }
        large.sort_unstable_by_key(|&(size, position, _)| (std::cmp::Reverse(size), position));
        for (_, position, at) in large {
            list.large.push(vec![Run { dir: nodes[at].dir, make: false, files: vec![position] }]);
        }

        for at in (0..nodes.len()).rev() {
            let here = if nodes[at].files.len() > RUN { usize::MAX } else { nodes[at].files.len() + 1 };
            let below = nodes[at].children.iter().map(|&child| nodes[child].weight);
            nodes[at].weight = below.fold(here, usize::saturating_add);
            let is_any = |of: fn(&Node<'_>) -> bool| {
                of(&nodes[at]) || nodes[at].children.iter().any(|&child| of(&nodes[child]))
            };
            // An empty one is wanted for itself.
            let (is_there, is_needed) = (is_any(|node| node.is_there), is_any(|node| node.is_needed));
            nodes[at].is_there = is_there;
            nodes[at].is_needed = is_needed || !is_there;
        }
        let limit = (plan.files.len() + plan.dirs.len()) / (workers * PARTS);
        list.divide(&mut nodes, limit.max(1));
        list
    }

    /// Divides what is heavier than `limit`.
    fn divide(&mut self, nodes: &mut [Node<'p>], limit: usize) {
        let mut parts = Vec::new();
        let mut todo = vec![0];
        while let Some(at) = todo.pop() {
            let Node { dir, weight, .. } = nodes[at];
            if self.leaves_out(&nodes[at]) {
                todo.extend(&nodes[at].children);
                continue;
            }
            if at != 0 && weight <= limit {
                let mut part = Vec::new();
                let mut below = vec![at];
                while let Some(at) = below.pop() {
                    below.extend(nodes[at].children.iter().rev());
                    if self.leaves_out(&nodes[at]) {
                        continue;
                    }
                    let files = std::mem::take(&mut nodes[at].files);
                    part.push(Run { dir: nodes[at].dir, make: true, files });
                }
                parts.push((weight, part));
                continue;
            }
            self.shared.extend(dir);
            for files in nodes[at].files.chunks(RUN) {
                parts.push((files.len(), vec![Run { dir, make: false, files: files.to_vec() }]));
            }
            todo.extend(nodes[at].children.iter().rev());
        }
        // Stable: what is equally heavy stays in the tree's order.
        parts.sort_by_key(|&(weight, _)| std::cmp::Reverse(weight));
        self.parts = parts.into_iter().map(|(_, part)| part).collect();
    }

    /// Whether a directory need not be made; notes it then.
    fn leaves_out(&mut self, node: &Node<'p>) -> bool {
        let Some(dir) = node.dir.filter(|_| !node.is_needed) else { return false };
        self.left_out.insert(dir.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::environment::layout::PlanFile;

    fn plan(dirs: &[&str], files: &[(String, usize)]) -> Plan {
        let path = |text: &str| text.parse::<RelPath>().expect(text);
        let mut plan = Plan {
            dirs: dirs.iter().map(|dir| path(dir)).collect(),
            files: files
                .iter()
                .map(|(name, size)| PlanFile {
                    path: path(name),
                    dist: None,
                    origin: ContentOrigin::Bytes(Arc::from(vec![0; *size])),
                    executable: false,
                })
                .collect(),
            ..Plan::default()
        };
        plan.dirs.sort();
        plan.files.sort_by(|a, b| a.path.cmp(&b.path));
        plan
    }

    /// Every directory is made once and after its parent, every file put once and after its directory,
    /// whatever order the parts are done in.
    fn check(plan: &Plan, list: &WorkList<'_>) {
        let shared: HashSet<&str> = list.shared.iter().map(|dir| dir.as_str()).collect();
        assert_eq!(shared.len(), list.shared.len());
        let parent = |path: &str| path.rsplit_once('/').map_or("", |(parent, _)| parent).to_owned();
        let mut made: HashSet<String> = HashSet::from([String::new()]);
        for dir in &list.shared {
            assert!(made.contains(&parent(dir.as_str())), "{dir} before its parent");
            made.insert(dir.as_str().to_owned());
        }
        let before = made.clone();
        let mut put = HashSet::new();
        for part in &list.parts {
            let mut here = before.clone();
            for run in part {
                let dir = run.dir.map_or("", RelPath::as_str);
                if run.make {
                    assert!(here.contains(&parent(dir)), "{dir} before its parent");
                    assert!(here.insert(dir.to_owned()) && made.insert(dir.to_owned()), "{dir} twice");
                }
                assert!(here.contains(dir), "files before {dir}");
                for &at in &run.files {
                    assert_eq!(parent(plan.files[at].path.as_str()), dir);
                    assert!(put.insert(at));
                }
            }
        }
        for run in list.large.iter().flatten() {
            assert!(!run.make && made.contains(run.dir.map_or("", RelPath::as_str)));
            put.extend(&run.files);
        }
        assert_eq!(made.len(), plan.dirs.len() + 1);
        assert_eq!(put.len(), plan.files.len());
    }

    #[test]
    fn parts_of_a_tree_depend_on_nothing_but_the_shared_directories() {
        let mut files: Vec<(String, usize)> =
            (0..2000).map(|i| (format!("lib/a/{}/f{i}", i % 40), 1)).collect();
        files.extend([("top".to_owned(), 1), ("lib/big".to_owned(), 1 << 20), ("lib/a-b".to_owned(), 1)]);
        let mut dirs: Vec<String> = (0..40).map(|i| format!("lib/a/{i}")).collect();
        dirs.extend(["lib", "lib/a", "lib/empty", "lib/empty/inner"].map(str::to_owned));
        let dirs: Vec<&str> = dirs.iter().map(String::as_str).collect();
        let plan = plan(&dirs, &files);
        for workers in [1, 2, 64] {
            let list = WorkList::new(&plan, workers, &HashSet::new());
            check(&plan, &list);
            assert!(list.parts.len() > 40, "{}", list.parts.len());
        }
        let list = WorkList::new(&plan, 1, &HashSet::new());
        let shared: Vec<&str> = list.shared.iter().map(|dir| dir.as_str()).collect();
        assert_eq!(shared[..2], ["lib", "lib/a"]);
        assert_eq!(list.large.len(), 1);
    }

    #[test]
    fn a_directory_of_many_files_is_shared_among_workers() {
        let files: Vec<(String, usize)> = (0..=RUN * 3).map(|i| (format!("a/b/f{i:04}"), 1)).collect();
        let plan = plan(&["a", "a/b", "a/b/c"], &files);
        let list = WorkList::new(&plan, 1, &HashSet::new());
        check(&plan, &list);
        let shared: Vec<&str> = list.shared.iter().map(|dir| dir.as_str()).collect();
        assert_eq!(shared[..2], ["a", "a/b"]);
        assert_eq!(list.parts.iter().flatten().filter(|run| run.files.len() == RUN).count(), 3);
    }

    #[test]
    fn what_is_in_its_place_is_not_put_and_its_directory_not_made() {
        let files: Vec<(String, usize)> =
            ["a/x", "a/b/y", "a/b/c/z", "d/e/v", "d/w"].iter().map(|path| ((*path).to_owned(), 1)).collect();
        let plan = plan(&["a", "a/b", "a/b/c", "a/empty", "d", "d/e"], &files);
        let at = |path: &str| plan.files.iter().position(|file| file.path.as_str() == path).expect(path);
        // All below `a/b` and `d`, but of `a` itself a file is missing.
        let there = HashSet::from(["a/b/y", "a/b/c/z", "d/e/v", "d/w"].map(at));
        for workers in [1, 64] {
            let list = WorkList::new(&plan, workers, &there);
            let runs = || list.parts.iter().chain(&list.large).flatten();
            let put: Vec<usize> = runs().flat_map(|run| run.files.iter().copied()).collect();
            assert_eq!(put, [at("a/x")]);
            let made = runs().filter(|run| run.make).filter_map(|run| run.dir);
            let mut made: Vec<&str> = made.chain(list.shared.iter().copied()).map(RelPath::as_str).collect();
            made.sort_unstable();
            assert_eq!(made, ["a", "a/empty"]);
            assert_eq!(list.left_out, HashSet::from(["a/b", "a/b/c", "d", "d/e"]));
        }
    }

    #[test]
    fn nothing_to_do_is_no_work() {
        let plan = Plan::default();
        check(&plan, &WorkList::new(&plan, 2, &HashSet::new()));
    }
}
