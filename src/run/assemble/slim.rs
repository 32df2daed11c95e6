//! `--slim`: what is left out of each distribution, once its code was read; and what that saved.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::words::progress::Progress;
use crate::{
    environment::{
        content::Stripped,
        layout::{Cut, DistInput, Mentions, Plan, Reading, SlimKind, Survey, places},
    },
    packages::wheel::{STREAM_LIMIT, with_scratch},
    project::python::Target,
    run::options::SlimOptions,
    words::{
        error::Result,
        vocab::{RelPath, size},
    },
};

/// Decides what is left out of each distribution.
pub(crate) fn cut(
    inputs: &mut [DistInput],
    target: &Target,
    options: &SlimOptions,
    progress: &dyn Progress,
) -> Result<()> {
    if options.kinds.is_empty() {
        return Ok(());
    }
    let places = places(inputs, target)?;
    let paths = places.iter().map(|paths| {
        paths.iter().map(|path| path.as_ref().map_or("", RelPath::as_str)).collect::<Vec<&str>>()
    });
    let mut survey = Survey::new(target.site_packages.as_str(), paths.collect());
    let is_whole = |input: &DistInput| options.except.contains(&input.wheel.name.name);
    for (dist, _) in inputs.iter().enumerate().filter(|(_, input)| is_whole(input)) {
        survey.keep(dist);
    }
    while options.kinds.reads_code() {
        let wanted = survey.unread();
        if wanted.is_empty() {
            break;
        }
        let read = |reading: &Reading| mentions(inputs, &survey, *reading);
        let found: Vec<Mentions> = wanted.par_iter().map(read).collect::<Result<_>>()?;
        for (reading, mentions) in wanted.into_iter().zip(found) {
            survey.learn(reading, mentions);
        }
    }
    for dir in survey.kept_tests().filter(|_| options.kinds.contains(SlimKind::Tests)) {
        progress.detail(&format!("slim: {dir} stays, as code names it"));
    }
    for (dist, input) in inputs.iter_mut().enumerate() {
        if !is_whole(input) {
            let dropped = survey.decide(dist, options.kinds);
            input.cut = Cut { dropped, strip: options.kinds.contains(SlimKind::Strip) };
        }
    }
    Ok(())
}

fn mentions(inputs: &[DistInput], survey: &Survey<'_>, reading: Reading) -> Result<Mentions> {
    let wheel = &inputs[reading.dist].wheel;
    let entry = &wheel.entries[reading.file];
    if entry.size.max(entry.compressed_size) > STREAM_LIMIT {
        // No module is that large; a table of data may be.
        return Ok(Mentions::default());
    }
    with_scratch(|scratch| {
        wheel.inflate(reading.file, scratch).map(|text| Mentions::of(survey.path(reading), text.bytes))
    })
}

/// What one kind saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Saved {
    /// The kind.
    pub kind: SlimKind,
    /// How many files were dropped or made smaller.
    pub files: usize,
    /// Their bytes, or those they lost.
    pub bytes: u64,
}

/// What each chosen kind saved, in the order of kinds; details go to `progress` by distribution.
pub(crate) fn saved(
    options: &SlimOptions,
    plan: &Plan,
    stripped: &[Stripped],
    progress: &dyn Progress,
) -> Vec<Saved> {
    let mut by_dist: BTreeMap<usize, Vec<Saved>> = BTreeMap::new();
    let dropped = plan.dropped.iter().map(|one| (one.dist, one.kind, one.size));
    let smaller =
        stripped.iter().filter_map(|one| Some((one.dist, SlimKind::Strip, *one.outcome.as_ref().ok()?)));
    let mut total: Vec<Saved> =
        options.kinds.kinds().map(|kind| Saved { kind, files: 0, bytes: 0 }).collect();
    for (dist, kind, bytes) in dropped.chain(smaller) {
        for list in [&mut total, by_dist.entry(dist).or_default()] {
            add(list, kind, bytes);
        }
    }
    for (dist, mut list) in by_dist {
        list.sort_by_key(|one| one.kind);
        let parts: Vec<String> =
            list.iter().map(|one| format!("{} {}", one.kind.word(), size(one.bytes))).collect();
        progress.detail(&format!("slim: {} without {}", plan.dists[dist].name, parts.join(", ")));
    }
    for one in stripped {
        if let Err(why) = one.outcome {
            progress.detail(&format!("slim: {} is not stripped: {why}", one.path));
        }
    }
    total
}

fn add(list: &mut Vec<Saved>, kind: SlimKind, bytes: u64) {
    match list.iter_mut().find(|one| one.kind == kind) {
        Some(one) => {
            one.files += 1;
            one.bytes += bytes;
        }
        None => list.push(Saved { kind, files: 1, bytes }),
    }
}
