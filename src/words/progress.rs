//! Whoever watches a run.

/// Whoever watches a run.
pub trait Progress: Sync {
    /// Something the user should hear that stops nothing. The same text is said once.
    fn warn(&self, warning: &str);
    /// A detail, for those who asked for them.
    fn detail(&self, message: &str);
    /// A server is about to be asked.
    fn request(&self, url: &url::Url);
    /// So many of the stage's packages are there.
    fn packages(&self, done: usize, of: usize);
    /// A new stage begins, with so many bytes to go through.
    fn stage(&self, name: &str, total_bytes: u64);
    /// The stage turns out to have more bytes to go through.
    fn expect(&self, bytes: u64);
    /// So many bytes of the stage are done.
    fn advance(&self, bytes: u64);
    /// A package is being built from now on: `what` names it.
    fn build_begins(&self, what: &str);
    /// It is no longer being built.
    fn build_ends(&self, what: &str);
    /// Time passes while a build runs: called several times a second.
    fn tick(&self);
}
