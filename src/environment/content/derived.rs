//! What is made from files that were put: bytecode, and RECORDs, which come last.

use std::collections::HashSet;

use rayon::prelude::*;

use super::Medium;
use crate::{
    environment::{
        bytecode::{Compiler, Module, Modules},
        layout::{ContentOrigin, Plan, render_record},
    },
    words::error::{Error, Kind, Result},
};

/// Modules without bytecode, as they do not compile.
#[derive(Debug, Default)]
pub(crate) struct Uncompiled {
    /// The positions of their bytecode in the plan: to be left out of it.
    pub left_out: HashSet<usize>,
    /// Which they are, each with the reason, sorted.
    pub reasons: Vec<String>,
}

/// Puts the bytecode of every module into `medium`, and takes from `made` what there is none of.
///
/// # Errors
/// Those of the medium and of the compiler; a module that does not compile is none.
pub(crate) fn put_bytecode<M: Medium>(
    plan: &Plan,
    made: &mut Vec<Option<M::Made>>,
    compiler: Option<&Compiler<'_>>,
    medium: &M,
) -> Result<Uncompiled> {
    let mut targets = Vec::new();
    let mut modules = Vec::new();
    for (at, file) in plan.files.iter().enumerate() {
        let ContentOrigin::Bytecode { source } = file.origin else { continue };
        let from = &plan.files[source];
        let wheel = match from.origin {
            ContentOrigin::Entry { dist, entry } => Some((plan.dists[dist].wheel.file.sha256(), entry)),
            _ => None,
        };
        let size = made[source].as_ref().map_or(0, |made| M::written(made).size);
        targets.push((at, source));
        modules.push(Module { path: from.path.as_str(), size, wheel });
    }
    if modules.is_empty() {
        return Ok(Uncompiled::default());
    }
    let compiler = compiler.ok_or_else(|| {
        Error::new(Kind::Io, "the plan has bytecode, and there is nothing to compile it with")
    })?;
    medium.compiling(modules.iter().map(|module| module.size).sum());
    let batch = Batch { plan, targets: &targets, modules: &modules, made, medium };
    let outcomes = compiler.compile_all(&modules, &batch)?;
    let mut uncompiled = Uncompiled::default();
    for (module, outcome) in outcomes {
        match outcome {
            Ok(one) => made[targets[module].0] = Some(one),
            Err(reason) => {
                uncompiled.left_out.insert(targets[module].0);
                uncompiled.reasons.push(format!("{} does not compile: {reason}", modules[module].path));
            }
        }
    }
    if !uncompiled.left_out.is_empty() {
        let mut positions = 0..;
        made.retain(|_| positions.next().is_some_and(|at| !uncompiled.left_out.contains(&at)));
    }
    uncompiled.reasons.sort();
    Ok(uncompiled)
}

/// The modules of a plan, whose sources were put into a medium and whose bytecode goes there.
struct Batch<'a, M: Medium> {
    plan: &'a Plan,
    /// The positions of bytecode and source in the plan's files.
    targets: &'a [(usize, usize)],
    modules: &'a [Module<'a>],
    made: &'a [Option<M::Made>],
    medium: &'a M,
}

impl<M: Medium> Modules for Batch<'_, M> {
    type Put = M::Made;

    fn check(&self) -> Result<()> {
        self.medium.check()
    }

    fn source(&self, module: usize) -> Result<Vec<u8>> {
        let source = self.targets[module].1;
        match &self.made[source] {
            Some(made) => self.medium.read(&self.plan.files[source], made),
            None => Ok(Vec::new()),
        }
    }

    fn put(&self, module: usize, bytecode: &[u8]) -> Result<M::Made> {
        self.medium.put(&self.plan.files[self.targets[module].0], bytecode)
    }

    fn read(&self, module: usize, put: &M::Made) -> Result<Vec<u8>> {
        self.medium.read(&self.plan.files[self.targets[module].0], put)
    }

    fn done(&self, module: usize) {
        self.medium.compiled(self.modules[module].size);
    }
}

/// Puts the RECORDs into `medium`, which list all else that was put there.
///
/// # Errors
/// Those of the medium.
pub(crate) fn put_records<M: Medium>(plan: &Plan, made: &mut [Option<M::Made>], medium: &M) -> Result<()> {
    let listed = plan.listed();
    let so_far = &*made;
    let records = plan
        .files
        .par_iter()
        .enumerate()
        .filter_map(|(at, file)| match file.origin {
            ContentOrigin::Record { dist } => Some((at, file, dist)),
            _ => None,
        })
        .map(|(at, file, dist)| {
            let rows = listed[dist].iter().map(|&at| {
                let file = &plan.files[at];
                // As pip's: the interpreter may replace bytecode, so its digest is nobody's business.
                let made =
                    so_far[at].as_ref().filter(|_| !matches!(file.origin, ContentOrigin::Bytecode { .. }));
                (&file.path, made.map(M::written))
            });
            let dist_info = &plan.dists[dist].dist_info;
            let site_packages = dist_info.parent().unwrap_or_else(|| dist_info.clone());
            Ok((at, medium.put(file, &render_record(rows, &site_packages))?))
        })
        .collect::<Result<Vec<_>>>()?;
    for (at, record) in records {
        made[at] = Some(record);
    }
    Ok(())
}

/// What is known of each of the plan's files, once all were put.
///
/// # Errors
/// [`Kind::Io`] where one was not.
pub(crate) fn complete<T>(plan: &Plan, made: Vec<Option<T>>) -> Result<Vec<T>> {
    let missing = |path: &crate::words::vocab::RelPath| Error::new(Kind::Io, format!("{path}: was not made"));
    made.into_iter().zip(&plan.files).map(|(made, file)| made.ok_or_else(|| missing(&file.path))).collect()
}
