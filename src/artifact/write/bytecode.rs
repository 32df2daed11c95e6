//! Bytecode of what was written: from the cache where it was compiled before, else from interpreters.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet},
    fs::File,
    io::Read as _,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use rayon::prelude::*;
use rustix::fs::{AtFlags, Mode, OFlags};

use super::tree::Fill;
use crate::{
    environment::{
        bytecode::{Compiled, Compiler, Kept},
        layout::{ContentOrigin, Written},
    },
    words::error::{Error, Kind, Result},
};

/// A module to compile: where its bytecode goes, and where it comes from.
#[derive(Clone, Copy)]
struct Module {
    /// Position of the bytecode in the plan's files.
    at: usize,
    /// Position of the source there.
    source: usize,
    /// Position of the source among its wheel's entries, if it comes from one unchanged.
    entry: Option<usize>,
}

/// What became of a module: its bytecode's digest and size, or the reason why there is none.
type Outcome = Result<Written, String>;

impl Fill<'_> {
    /// Puts the bytecode of every module in place, and takes from the plan what does not compile; says which
    /// modules those are.
    pub(super) fn compile(&mut self, written: &mut Vec<Option<Written>>) -> Result<Vec<String>> {
        // By the distribution whose wheel the source comes from; `None` for sources that were made.
        let mut modules: BTreeMap<Option<usize>, Vec<Module>> = BTreeMap::new();
        for (at, file) in self.plan.files.iter().enumerate() {
            if let ContentOrigin::Bytecode { source } = file.origin {
                let from = self.entry(&self.plan.files[source]).map(|(dist, entry, _)| (dist, entry));
                let module = Module { at, source, entry: from.map(|(_, entry)| entry) };
                modules.entry(from.map(|(dist, _)| dist)).or_default().push(module);
            }
        }
        if modules.is_empty() {
            return Ok(Vec::new());
        }
        let compiler = self.options.compiler.ok_or_else(|| {
            Error::new(Kind::Io, "the plan has bytecode, and there is nothing to compile it with")
        })?;
        let size = |module: &Module| written[module.source].map_or(0, |written| written.size);
        if let Some(begin) = self.options.compiling {
            begin(modules.values().flatten().map(size).sum());
        }
        let (mut outcomes, missing) = self.put_kept(compiler, &modules, &size)?;
        let mut todo: Vec<Module> = missing.iter().flat_map(|(_, modules)| modules).copied().collect();
        todo.sort_by_key(|module| std::cmp::Reverse(size(module)));
        outcomes.extend(self.compile_all(compiler, &todo, &size)?);
        self.keep(compiler, &modules, &missing, &outcomes)?;

        let mut left_out = HashSet::new();
        let mut uncompiled = Vec::new();
        for (at, outcome) in outcomes {
            match outcome {
                Ok(one) => written[at] = Some(one),
                Err(reason) => {
                    left_out.insert(at);
                    let ContentOrigin::Bytecode { source } = self.plan.files[at].origin else { continue };
                    uncompiled.push(format!("{} does not compile: {reason}", self.plan.files[source].path));
                }
            }
        }
        if !left_out.is_empty() {
            self.leave_out(&left_out)?;
            let mut at = 0;
            written.retain(|_| {
                at += 1;
                !left_out.contains(&(at - 1))
            });
        }
        uncompiled.sort();
        Ok(uncompiled)
    }

    /// Puts what the cache knows in place, and says what it does not know, by distribution.
    #[allow(clippy::type_complexity, reason = "two lists")]
    fn put_kept(
        &self,
        compiler: &Compiler<'_>,
        modules: &BTreeMap<Option<usize>, Vec<Module>>,
        size: &(dyn Fn(&Module) -> u64 + Sync),
    ) -> Result<(BTreeMap<usize, Outcome>, Vec<(Option<usize>, Vec<Module>)>)> {
        let parts = modules
            .par_iter()
            .map(|(dist, modules)| {
                let kept = dist.and_then(|dist| compiler.kept(&self.plan.dists[dist].wheel.file.sha256()));
                let Kept(kept) = kept.unwrap_or_default();
                let known = |module: &Module| kept.get(&module.entry?);
                let done = modules
                    .par_iter()
                    .with_min_len(16)
                    .filter_map(|module| Some((module, known(module)?)))
                    .map(|(module, compiled)| {
                        self.options.check_interrupted()?;
                        Ok((module.at, self.put_compiled(module, compiled, size(module))?))
                    })
                    .collect::<Result<Vec<_>>>()?;
                let missing: Vec<Module> =
                    modules.iter().filter(|module| known(module).is_none()).copied().collect();
                Ok((done, (*dist, missing)))
            })
            .collect::<Result<Vec<_>>>()?;
        let mut outcomes = BTreeMap::new();
        let mut missing = Vec::new();
        for (done, one) in parts {
            outcomes.extend(done);
            if !one.1.is_empty() {
                missing.push(one);
            }
        }
        Ok((outcomes, missing))
    }

    /// Compiles these, the first first; an interpreter for each thread, but no more than there are cores.
    fn compile_all(
        &self,
        compiler: &Compiler<'_>,
        todo: &[Module],
        size: &(dyn Fn(&Module) -> u64 + Sync),
    ) -> Result<Vec<(usize, Outcome)>> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let next = AtomicUsize::new(0);
        let stop = AtomicBool::new(false);
        let work = || {
            let mut worker = None;
            let mut done = Vec::new();
            while let Some(module) = todo.get(next.fetch_add(1, Ordering::Relaxed)) {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                self.options.check_interrupted()?;
                let path = self.plan.files[module.source].path.as_str();
                let source = self.read(path)?;
                if worker.is_none() {
                    worker = Some(compiler.start()?);
                }
                let Some(worker) = &mut worker else { break };
                let compiled = worker.compile(path, &source)?;
                done.push((module.at, self.put_compiled(module, &compiled, size(module))?));
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
        let mut all = Vec::with_capacity(todo.len());
        for result in results {
            all.extend(result?);
        }
        Ok(all)
    }

    fn put_compiled(&self, module: &Module, compiled: &Compiled, size: u64) -> Result<Outcome> {
        if let Some(progress) = self.options.progress {
            progress(size);
        }
        match compiled {
            Ok(bytes) => {
                let spot = self.spot(self.plan.files[module.at].path.as_str(), false);
                Ok(Ok(self.put_bytes(&spot, bytes)?))
            }
            Err(reason) => Ok(Err(reason.clone())),
        }
    }

    /// Gives the cache everything about the wheels of which something was compiled.
    fn keep(
        &self,
        compiler: &Compiler<'_>,
        modules: &BTreeMap<Option<usize>, Vec<Module>>,
        missing: &[(Option<usize>, Vec<Module>)],
        outcomes: &BTreeMap<usize, Outcome>,
    ) -> Result<()> {
        missing.par_iter().filter_map(|(dist, _)| *dist).try_for_each(|dist| {
            let mut kept = Kept::default();
            for module in modules.get(&Some(dist)).into_iter().flatten() {
                let Some(entry) = module.entry else { continue };
                let compiled = match outcomes.get(&module.at) {
                    Some(Ok(_)) => Ok(self.read(self.plan.files[module.at].path.as_str())?),
                    Some(Err(reason)) => Err(reason.clone()),
                    None => continue,
                };
                kept.0.insert(entry, compiled);
            }
            compiler.keep(&self.plan.dists[dist].wheel.file.sha256(), &kept);
            Ok(())
        })
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut bytes = Vec::new();
        rustix::fs::openat(self.root, path, flags, Mode::empty())
            .map_err(std::io::Error::from)
            .and_then(|file| File::from(file).read_to_end(&mut bytes))
            .map_err(|error| self.failed("read", path, error))?;
        Ok(bytes)
    }

    /// Takes bytecode that there is none of from the plan, and the directories that were made for it alone.
    fn leave_out(&mut self, left_out: &HashSet<usize>) -> Result<()> {
        let plan = std::mem::take(&mut self.plan).into_owned();
        let dirs = plan.dirs.clone();
        let plan = plan.without(left_out);
        let kept: HashSet<_> = plan.dirs.iter().collect();
        for dir in dirs.iter().filter(|dir| !kept.contains(dir)) {
            rustix::fs::unlinkat(self.root, dir.as_str(), AtFlags::REMOVEDIR)
                .map_err(|error| self.failed("remove the directory", dir.as_str(), error))?;
        }
        self.plan = Cow::Owned(plan);
        Ok(())
    }
}
