//! Bytecode of what was written, and what is left out of the plan as it does not compile.

use std::{borrow::Cow, collections::HashSet};

use rustix::fs::AtFlags;

use super::tree::Fill;
use crate::{
    environment::{content, layout::Written},
    words::error::Result,
};

impl Fill<'_> {
    /// Puts the bytecode of every module in place, and takes from the plan what does not compile; says which
    /// modules those are.
    pub(super) fn compile(&mut self, written: &mut Vec<Option<Written>>) -> Result<Vec<String>> {
        let uncompiled = content::put_bytecode(&self.plan, written, self.options.compiler, &self.top())?;
        if !uncompiled.left_out.is_empty() {
            self.leave_out(&uncompiled.left_out)?;
        }
        Ok(uncompiled.reasons)
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
