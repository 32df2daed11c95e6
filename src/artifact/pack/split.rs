//! A plan's files by layer.

use std::collections::{BTreeMap, HashSet};

use super::{
    archive::Items,
    layers::{Unit, group},
    pieces::Pieces,
};

/// A layer's items and what it is called in `history`.
pub(crate) struct Part<'p> {
    /// What it holds.
    pub items: Items<'p>,
    /// In words.
    pub holds: String,
}

/// Divides an environment at `place` into at most `budget` layers. First distributions, the largest alone; then what the
/// lock does not decide (`pyvenv.cfg`, activators, links, the manifest); last what comes from the project itself (`local`
/// says of which distribution that is so). With a budget of one everything is in one.
///
/// A distribution's scripts, its bytecode and its dist-info lie with its files: its RECORD lists them, and scanners look
/// at layers singly.
pub(crate) fn split<'p>(pieces: &'p Pieces<'_>, place: &str, budget: usize, local: &[bool]) -> Vec<Part<'p>> {
    let plan = &*pieces.plan;
    let own = || "the environment's own files".to_owned();
    if budget <= 1 {
        let items = Items::environment(pieces, place);
        return vec![Part { items, holds: "all packages".to_owned() }];
    }
    // Distributions that share a path are in one layer.
    let mut leader: Vec<usize> = (0..plan.dists.len()).collect();
    let find = |leader: &[usize], mut dist: usize| {
        while leader[dist] != dist {
            dist = leader[dist];
        }
        dist
    };
    for &(dist, at) in &plan.shared {
        if let Some(other) = plan.files[at].dist {
            let (a, b) = (find(&leader, dist), find(&leader, other));
            leader[a.max(b)] = a.min(b);
        }
    }
    let mut files: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut environment = Vec::new();
    for (at, file) in plan.files.iter().enumerate() {
        match file.dist {
            Some(dist) => files.entry(find(&leader, dist)).or_default().push(at),
            None => environment.push(at),
        }
    }
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for dist in 0..plan.dists.len() {
        members.entry(find(&leader, dist)).or_default().push(dist);
    }
    // The plan's order is that of installation; what layers are called hangs on names alone.
    for unit in members.values_mut() {
        unit.sort_by(|&a, &b| plan.dists[a].name.cmp(&plan.dists[b].name));
    }
    let members = |unit: usize| members.get(&unit).into_iter().flatten().copied();
    let members = &members;
    let (locals, locked): (Vec<usize>, Vec<usize>) =
        files.keys().partition(|&&unit| members(unit).any(|dist| local.get(dist) == Some(&true)));
    let units: Vec<Unit> = locked
        .iter()
        .map(|unit| Unit {
            name: members(*unit).map(|dist| plan.dists[dist].name.to_string()).next().unwrap_or_default(),
            // The blocks of tar are counted, as they are what many small files take.
            bytes: files[unit].iter().map(|&at| pieces.files[at].compressed() + 64).sum(),
        })
        .collect();
    let extra = 1 + usize::from(!locals.is_empty());
    let names = |units: &[usize]| {
        let all: Vec<String> = units
            .iter()
            .flat_map(|&unit| members(unit))
            .map(|dist| format!("{} {}", plan.dists[dist].name, plan.dists[dist].version))
            .collect();
        match all.len() {
            0..=4 => all.join(", "),
            n => format!("{} and {} more", all[..3].join(", "), n - 3),
        }
    };
    let names = &names;
    let layer = &|units: &[usize]| {
        let mut items = Items::default();
        for at in units.iter().flat_map(|unit| &files[unit]) {
            items.add_file(pieces, place, *at);
        }
        Part { items, holds: names(units) }
    };
    let mut parts = Vec::new();
    if budget > extra {
        for positions in group(&units, budget - extra) {
            let units: Vec<usize> = positions.into_iter().map(|position| locked[position]).collect();
            parts.push(layer(&units));
        }
    }
    let mut top = Items::default();
    if budget <= extra {
        // No room for packages of their own: they are with the environment's files.
        for at in locked.iter().flat_map(|unit| &files[unit]) {
            top.add_file(pieces, place, *at);
        }
    }
    let full: HashSet<String> = plan
        .files
        .iter()
        .flat_map(|file| std::iter::successors(file.path.parent(), crate::words::vocab::RelPath::parent))
        .map(|dir| dir.to_string())
        .collect();
    top.add_own(pieces, place, |dir| !full.contains(dir));
    for at in environment {
        top.add_file(pieces, place, at);
    }
    parts.push(Part { items: top, holds: own() });
    if !locals.is_empty() {
        parts.push(layer(&locals));
    }
    parts
}
