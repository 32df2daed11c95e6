//! Pages of indexes that several entries of a run ask for: each is asked for once.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use parking_lot::Mutex;

use url::Url;

use crate::{
    packages::fetch::Answer,
    words::{
        error::{Error, Result},
        vocab::SourceUrl,
    },
};

type Slot = Arc<OnceLock<Result<Arc<Answer>, Error>>>;

/// Answers by page and source. Whoever is done with a page says so, as all of them together may be large.
#[derive(Debug, Default)]
pub(crate) struct Pages(Mutex<HashMap<Url, Vec<(SourceUrl, Slot)>>>);

impl Pages {
    /// The answer for a page of a source; `ask` is called by the first who wants it, and the others wait.
    pub(crate) fn get(
        &self,
        page: &Url,
        source: &SourceUrl,
        ask: impl FnOnce() -> Result<Answer>,
    ) -> Result<Arc<Answer>> {
        let slot = {
            let mut pages = self.0.lock();
            let slots = pages.entry(page.clone()).or_default();
            let known = slots.iter().find(|(known, _)| known == source).map(|(_, slot)| Arc::clone(slot));
            known.unwrap_or_else(|| {
                let slot = Slot::default();
                slots.push((source.clone(), Arc::clone(&slot)));
                slot
            })
        };
        match slot.get_or_init(|| ask().map(Arc::new)) {
            Ok(answer) => Ok(Arc::clone(answer)),
            Err(error) => Err(error.again()),
        }
    }

    /// Forgets a page.
    pub(crate) fn forget(&self, page: &Url) {
        self.0.lock().remove(page);
    }
}
