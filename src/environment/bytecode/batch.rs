//! Many modules at once: from the cache where they were compiled before, else from interpreters.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use rayon::prelude::*;

use super::{Compiled, Compiler};
use crate::words::{error::Result, interrupt, vocab::Sha256};

/// A module to compile.
#[derive(Debug, Clone, Copy)]
pub struct Module<'a> {
    /// Where its source lies, relative to the environment.
    pub path: &'a str,
    /// How large the source is: the largest are compiled first.
    pub size: u64,
    /// The wheel it comes from unchanged, and its position among that one's entries.
    pub wheel: Option<(Sha256, usize)>,
}

impl Compiler<'_> {
    /// Compiles modules; `source` gives the bytes of one by its position, and `take` gets what became of it. Both are
    /// called from any thread.
    pub fn compile_all(
        &self,
        modules: &[Module<'_>],
        source: &(dyn Fn(usize) -> Result<Vec<u8>> + Sync),
        take: &(dyn Fn(usize, &Compiled) -> Result<()> + Sync),
    ) -> Result<()> {
        let mut by_wheel: BTreeMap<Sha256, Vec<usize>> = BTreeMap::new();
        let mut todo = Vec::new();
        for (at, module) in modules.iter().enumerate() {
            match module.wheel {
                Some((wheel, _)) => by_wheel.entry(wheel).or_default().push(at),
                None => todo.push(at),
            }
        }
        let wheels = by_wheel
            .into_par_iter()
            .map(|(wheel, positions)| {
                let kept = self.kept(&wheel).unwrap_or_default();
                let known = |at: usize| kept.0.get(&modules[at].wheel?.1);
                let (there, missing): (Vec<usize>, Vec<usize>) =
                    positions.into_iter().partition(|&at| known(at).is_some());
                there.par_iter().try_for_each(|&at| match known(at) {
                    Some(compiled) => interrupt::check().and_then(|()| take(at, compiled)),
                    None => Ok(()),
                })?;
                Ok((wheel, kept, missing))
            })
            .collect::<Result<Vec<_>>>()?;
        todo.extend(wheels.iter().flat_map(|(_, _, missing)| missing));
        todo.sort_by_key(|&at| std::cmp::Reverse(modules[at].size));
        let mut compiled = self.run(modules, &todo, source, take)?;
        for (wheel, mut kept, missing) in wheels {
            if missing.is_empty() {
                continue;
            }
            for at in missing {
                if let (Some((_, entry)), Some(one)) = (modules[at].wheel, compiled.remove(&at)) {
                    kept.0.insert(entry, one);
                }
            }
            self.keep(&wheel, &kept);
        }
        Ok(())
    }

    /// Compiles these, the first first; an interpreter for each thread, but no more than there are cores.
    fn run(
        &self,
        modules: &[Module<'_>],
        todo: &[usize],
        source: &(dyn Fn(usize) -> Result<Vec<u8>> + Sync),
        take: &(dyn Fn(usize, &Compiled) -> Result<()> + Sync),
    ) -> Result<BTreeMap<usize, Compiled>> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let next = AtomicUsize::new(0);
        let stop = AtomicBool::new(false);
        let work = || {
            let mut worker = None;
            let mut done = Vec::new();
            while let Some(&at) = todo.get(next.fetch_add(1, Ordering::Relaxed)) {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                interrupt::check()?;
                if worker.is_none() {
                    worker = Some(self.start()?);
                }
                let Some(worker) = &mut worker else { break };
                let compiled = worker.compile(modules[at].path, &source(at)?)?;
                take(at, &compiled)?;
                done.push((at, compiled));
            }
            Ok(done)
        };
        let results = rayon::broadcast(|context| {
            if context.index() >= cores {
                return Ok(Vec::new());
            }
            let result = work();
            stop.fetch_or(result.is_err(), Ordering::Relaxed);
            result
        });
        let mut all = BTreeMap::new();
        for result in results {
            all.extend(result?);
        }
        Ok(all)
    }
}
