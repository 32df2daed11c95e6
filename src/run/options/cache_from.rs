//! Caches that are only read from: `--cache-from`.

use std::path::{Path, PathBuf};

use super::absolute;
use crate::{
    artifact::registry::Reference,
    words::{
        env::Env,
        error::{Error, Kind, Result},
    },
};

/// A cache that is only read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CacheFrom {
    /// A cache's directory.
    Directory(PathBuf),
    /// A cache in a tar.
    Bundle(PathBuf),
    /// A repository of wheels.
    Registry(Reference),
}

impl CacheFrom {
    /// What was typed, else what VENVOY_CACHE_FROM says: several are separated by white space.
    pub(crate) fn all(typed: &[String], env: &Env) -> Result<Vec<Self>> {
        let of_env = env.get("VENVOY_CACHE_FROM").unwrap_or_default().split_whitespace();
        let of_env = of_env.filter(|_| typed.is_empty());
        typed.iter().map(String::as_str).chain(of_env).map(Self::parse).collect()
    }

    fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Err(Error::new(Kind::Usage, "--cache-from is empty")
                .help("expected DIR, FILE.tar or oci://REGISTRY/REPOSITORY"));
        }
        if text.starts_with("oci://") {
            return Reference::repository(text).map(CacheFrom::Registry);
        }
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(Error::new(Kind::Usage, format!("--cache-from takes no {scheme:?} URL"))
                .help("expected DIR, FILE.tar or oci://REGISTRY/REPOSITORY"));
        }
        let path = absolute(Path::new(text))?;
        let is_tar = path.extension().is_some_and(|end| end == "tar") && !path.is_dir();
        Ok(if is_tar { CacheFrom::Bundle(path) } else { CacheFrom::Directory(path) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_outweighs_the_variable() {
        let env = Env::of([("VENVOY_CACHE_FROM", " /a /b.tar\n")]);
        let both = [CacheFrom::Directory("/a".into()), CacheFrom::Bundle("/b.tar".into())];
        assert_eq!(CacheFrom::all(&[], &env).expect("both"), both);
        let typed = CacheFrom::all(&["/c".to_owned()], &env).expect("one");
        assert_eq!(typed, [CacheFrom::Directory("/c".into())]);
        assert!(CacheFrom::all(&["ftp://x/y".to_owned()], &env).is_err());
    }
}
