//! What the tests in `tests/suite` use without the command, because it needs servers, shells or interpreters and a
//! question closer than a whole run, and what `examples/sbom.rs` needs for releases: no promise to anybody else. All that is
//! not named here is seen by this crate alone.

pub mod words {
    pub mod args {
        pub use crate::words::args::Cli;
        pub mod pipenv {
            pub use crate::words::args::pipenv::{Answer, OTHERS, Other, with_others};
        }
    }
    pub mod choices {
        pub use crate::words::choices::Invalidation;
    }
    pub mod env {
        pub use crate::words::env::Env;
    }
    pub mod error {
        pub use crate::words::error::{Error, Kind, Result};
    }
    pub mod progress {
        pub use crate::words::progress::Progress;
    }
    pub mod vocab {
        pub use crate::words::vocab::{Concealed, Credentials, Realm, Secret, Sha256, SourceUrl, size};
    }
}

pub mod project {
    pub mod auth {
        pub use crate::project::auth::{AuthOptions, CredentialStore};
    }
    pub mod lock {
        pub use crate::project::lock::{Entry, EntryOrigin, Hashes, Lock, Pin, Pipfile, Vcs, VcsKind};
    }
    pub mod python {
        pub use crate::project::python::{Description, InterpreterRequest, Target, find};
    }
}

pub mod packages {
    pub mod cache {
        pub use crate::packages::cache::{Cache, Options};
    }
    pub mod fetch {
        pub use crate::packages::fetch::{Answer, Page, Sink};
    }
    pub mod http {
        pub use crate::packages::http::{CaPaths, Client, FetchOptions, Proxies};
    }
    pub mod sdist {
        pub use crate::packages::sdist::{
            BuildRecord, BuildSource, BuildStore, Built, Context, DirStore, IndexSource, Installed, Job,
            Limits, build, relativise, relativise_hook, unpack,
        };
    }
    pub mod wheel {
        pub use crate::packages::wheel::EntryPoint;
    }
}

pub mod environment {
    pub mod bytecode {
        pub use crate::environment::bytecode::{Compiler, Kept};
    }
    pub mod script {
        pub use crate::environment::script::{LauncherStyle, Place, environment, launcher, rewrite_script};
    }
    pub mod strip {
        pub use crate::environment::strip::{Verdict, look};
    }
}

pub mod run {
    pub mod supply {
        pub mod workshop {
            pub use crate::run::supply::workshop::Workshop;
        }
    }
}

pub mod artifact {
    pub mod sbom {
        pub use crate::artifact::sbom::of_binary;
    }
}
