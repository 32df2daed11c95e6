//! The registries and the engine that a run speaks to, opened when first needed.

use std::sync::{Arc, OnceLock};

use crate::{
    artifact::{
        engine::Engine,
        registry::{Logins, Reference, Registry},
    },
    packages::http::Client,
    run::{
        options::Options,
        supply::{session::client, sources::Sources},
    },
    words::{
        choices::EngineKind,
        error::{Error, Kind, Result},
        progress::Progress,
    },
};

/// See the module.
pub(in crate::run::commands) struct Doors<'a> {
    options: &'a Options,
    sources: &'a Sources<'a>,
    /// Hears of what takes long.
    pub progress: &'a dyn Progress,
    client: OnceLock<Arc<Client<'a>>>,
}

impl<'a> Doors<'a> {
    /// Of a run; `sources` may bring credentials.
    pub(in crate::run::commands) fn new(
        options: &'a Options,
        sources: &'a Sources<'a>,
        progress: &'a dyn Progress,
    ) -> Self {
        Doors { options, sources, progress, client: OnceLock::new() }
    }

    /// A repository of a registry.
    ///
    /// # Errors
    /// [`Kind::Usage`] with `--offline`.
    pub(super) fn registry(&self, reference: Reference) -> Result<Registry<'a>> {
        let Options { common, index, .. } = self.options;
        if index.offline {
            return Err(Error::new(
                Kind::Usage,
                format!("--offline and an image of a registry ({reference}) exclude each other"),
            ));
        }
        if self.client.get().is_none() {
            let _ = self.client.set(Arc::new(client(common, index, self.sources, &[], self.progress)?));
        }
        let client = self.client.get().ok_or_else(|| Error::new(Kind::Network, "there is no client"))?;
        Registry::new(Arc::clone(client), reference, &Logins::of(&common.env, index.ci_credentials))
    }

    /// The local engine of that kind, or of any.
    pub(super) fn engine(&self, kind: Option<EngineKind>) -> Result<Engine> {
        Engine::find(&self.options.common.env, kind)
    }
}
