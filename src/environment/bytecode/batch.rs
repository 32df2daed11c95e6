//! Many modules at once: from the cache where they were compiled before, else from interpreters.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use rayon::prelude::*;

use super::{Compiled, Compiler};
use crate::words::{error::Result, threads, vocab::Sha256};

/// A module to compile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Module<'a> {
    /// Where its source lies, relative to the environment.
    pub path: &'a str,
    /// How large the source is: the largest are compiled first.
    pub size: u64,
    /// The wheel it comes from unchanged, and its position among that one's entries.
    pub wheel: Option<(Sha256, usize)>,
}

/// Where sources come from and bytecode goes. Modules are meant by their position; all is called from any thread.
pub(crate) trait Modules: Sync {
    /// What is known of bytecode that was put.
    type Put: Send + Sync;

    /// An error once the user wants to stop.
    fn check(&self) -> Result<()>;

    /// The bytes of a source.
    fn source(&self, module: usize) -> Result<Vec<u8>>;

    /// Takes bytecode.
    fn put(&self, module: usize, bytecode: &[u8]) -> Result<Self::Put>;

    /// Gives bytecode back, so that a run's memory does not grow with all of it.
    fn read(&self, module: usize, put: &Self::Put) -> Result<Vec<u8>>;

    /// Told of each module once it is put, or does not compile.
    fn done(&self, module: usize);
}

/// What became of a module: what is known of its bytecode, or the reason why there is none.
type Outcome<T> = (usize, Result<T, String>);

impl Compiler<'_> {
    /// Compiles modules and puts their bytecode; what was compiled anew is kept by wheel. Gives what became of each, in
    /// no order.
    pub(crate) fn compile_all<M: Modules>(
        &self,
        modules: &[Module<'_>],
        place: &M,
    ) -> Result<Vec<Outcome<M::Put>>> {
        let mut by_wheel: BTreeMap<Sha256, Vec<usize>> = BTreeMap::new();
        let mut todo = Vec::new();
        for (at, module) in modules.iter().enumerate() {
            match module.wheel {
                Some((wheel, _)) => by_wheel.entry(wheel).or_default().push(at),
                None => todo.push(at),
            }
        }
        let parts = by_wheel
            .into_par_iter()
            .map(|(wheel, positions)| {
                let kept = self.kept(&wheel).unwrap_or_default();
                let known = |at: usize| kept.0.get(&modules[at].wheel?.1);
                let (there, missing): (Vec<usize>, Vec<usize>) =
                    positions.into_iter().partition(|&at| known(at).is_some());
                let done = there
                    .into_par_iter()
                    .with_min_len(16)
                    .filter_map(|at| Some((at, known(at)?)))
                    .map(|(at, compiled)| {
                        place.check()?;
                        put(place, at, compiled)
                    })
                    .collect::<Result<Vec<_>>>()?;
                Ok((wheel, done, missing))
            })
            .collect::<Result<Vec<_>>>()?;
        let mut all = Vec::with_capacity(modules.len());
        let mut anew = Vec::new();
        for (wheel, done, missing) in parts {
            all.extend(done);
            if !missing.is_empty() {
                todo.extend(&missing);
                anew.push((wheel, missing));
            }
        }
        todo.sort_by_key(|&at| std::cmp::Reverse(modules[at].size));
        let compiled = self.run(modules, &todo, place)?;
        anew.par_iter().try_for_each(|(wheel, positions)| {
            let mut kept = self.kept(wheel).unwrap_or_default();
            for at in positions {
                let (Some((_, entry)), Some(outcome)) = (modules[*at].wheel, compiled.get(at)) else {
                    continue;
                };
                let one = match outcome {
                    Ok(put) => Ok(place.read(*at, put)?),
                    Err(reason) => Err(reason.clone()),
                };
                kept.0.insert(entry, one);
            }
            self.keep(wheel, &kept);
            Ok(())
        })?;
        all.extend(compiled);
        Ok(all)
    }

    /// Compiles these, the first first; an interpreter for each thread, but no more than there are cores.
    fn run<M: Modules>(
        &self,
        modules: &[Module<'_>],
        todo: &[usize],
        place: &M,
    ) -> Result<BTreeMap<usize, Result<M::Put, String>>> {
        let cores = threads::cores();
        let next = AtomicUsize::new(0);
        let stop = AtomicBool::new(false);
        let work = || {
            let mut worker = None;
            let mut done = Vec::new();
            while let Some(&at) = todo.get(next.fetch_add(1, Ordering::Relaxed)) {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                place.check()?;
                if worker.is_none() {
                    worker = Some(self.start()?);
                }
                let Some(worker) = &mut worker else { break };
                let compiled = worker.compile(modules[at].path, &place.source(at)?)?;
                done.push(put(place, at, &compiled)?);
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

fn put<M: Modules>(place: &M, module: usize, compiled: &Compiled) -> Result<Outcome<M::Put>> {
    let outcome = match compiled {
        Ok(bytecode) => Ok(place.put(module, bytecode)?),
        Err(reason) => Err(reason.clone()),
    };
    place.done(module);
    Ok((module, outcome))
}
