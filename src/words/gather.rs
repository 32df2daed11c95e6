//! Several errors as one: none, one or many, and equal causes told once.

use std::collections::HashMap;

use crate::words::error::{Error, Result};

/// How many texts of a list are shown.
const NAMED: usize = 12;

/// Ends with what went wrong: nothing, the one error, or all of them under the message that `many` makes of their
/// number. Their kind is the first one's.
pub(crate) fn gather(mut errors: Vec<Error>, many: impl FnOnce(usize) -> String) -> Result<()> {
    match errors.len() {
        0 => Ok(()),
        1 => Err(errors.remove(0)),
        number => {
            let kind = errors[0].kind();
            Err(Error::all(kind, many(number), errors))
        }
    }
}

/// The same about one subject, such as a lock: `wrong` says after their number what many of its parts are.
pub(crate) fn gather_in(subject: &str, mut errors: Vec<Error>, wrong: &str) -> Result<()> {
    if errors.len() == 1
        && let Some(error) = errors.pop()
    {
        return Err(error.context(subject));
    }
    gather(errors, |many| format!("{subject}: {many} {wrong}"))
}

/// Ends with why packages, of which there are `of` in all, cannot be installed, by name. A cause that several
/// have in common (a server that is not there, a login that is refused) is told once, with their names.
pub(crate) fn gather_by_cause(mut failed: Vec<(String, Error)>, of: usize) -> Result<()> {
    failed.sort_by(|(a, _), (b, _)| a.cmp(b));
    let number = failed.len();
    let mut causes: Vec<(Vec<String>, Error)> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for (subject, error) in failed {
        let at = *known.entry(error.report()).or_insert(causes.len());
        match causes.get_mut(at) {
            Some((subjects, _)) => subjects.push(subject),
            None => causes.push((vec![subject], error)),
        }
    }
    drop(known);
    let one_cause = causes.len() == 1;
    let heading = format!("{number} of {of} packages cannot be installed");
    let errors = causes
        .into_iter()
        .map(|(subjects, error)| match &*subjects {
            [subject] => error.context(format!("cannot install {subject}")),
            subjects if one_cause => error.context(format!("{heading}: {}", listed(subjects))),
            subjects => {
                error.context(format!("cannot install {} packages: {}", subjects.len(), listed(subjects)))
            }
        })
        .collect();
    gather(errors, |_| heading.clone())
}

/// Texts in one line, the last ones of many counted only.
pub(crate) fn listed<T: AsRef<str>>(texts: &[T]) -> String {
    let shown: Vec<&str> = texts.iter().take(NAMED).map(AsRef::as_ref).collect();
    let shown = shown.join(", ");
    match texts.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::error::Kind;

    fn failed(causes: &[&str]) -> Vec<(String, Error)> {
        let error =
            |(at, cause): (usize, &&str)| (format!("p{at}"), Error::new(Kind::Network, *cause).help("look"));
        causes.iter().enumerate().map(error).collect()
    }

    #[test]
    fn one_error_of_a_subject_is_told_as_it_is_and_many_are_counted() {
        let errors = |count: usize| (0..count).map(|_| Error::new(Kind::Lock, "bad")).collect();
        assert!(gather_in("the lock cannot be used", Vec::new(), "entries are wrong").is_ok());
        let of = |count| {
            gather_in("the lock cannot be used", errors(count), "entries are wrong").expect_err("bad")
        };
        assert_eq!(of(1).report(), "the lock cannot be used\n  because: bad");
        assert_eq!(of(2).report(), "the lock cannot be used: 2 entries are wrong\n  - bad\n  - bad");
    }

    #[test]
    fn equal_causes_are_told_once_with_all_their_subjects() {
        let error = gather_by_cause(failed(&["gone", "refused", "gone"]), 9).expect_err("failed");
        assert_eq!(
            error.report(),
            "3 of 9 packages cannot be installed\n  - cannot install 2 packages: p0, p2\n      because: gone\n  \
             - cannot install p1\n      because: refused\n  help: look"
        );
        let error = gather_by_cause(failed(&["gone"; 20]), 20).expect_err("failed");
        assert_eq!(
            error.report(),
            "20 of 20 packages cannot be installed: p0, p1, p10, p11, p12, p13, p14, p15, p16, p17, p18, p19 and 8 more\n  \
             because: gone\n  help: look"
        );
    }

    /// Each was compared with all before it: 200,000 packages of a lock without a network took a minute and a half.
    #[test]
    fn very_many_causes_are_told_apart_at_once() {
        let failed = (0..200_000).map(|at| {
            (format!("p{at:06}"), Error::new(Kind::Network, format!("the index was not asked for p{at:06}")))
        });
        let start = std::time::Instant::now();
        let error = gather_by_cause(failed.collect(), 200_000).expect_err("failed");
        assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
        assert_eq!(error.report().matches("\n  - cannot install p").count(), 200_000);
    }

    #[test]
    fn one_error_stands_for_itself_and_none_is_fine() {
        let error = gather_by_cause(failed(&["gone"]), 3).expect_err("failed");
        assert_eq!(error.report(), "cannot install p0\n  because: gone\n  help: look");
        assert!(gather_by_cause(Vec::new(), 3).is_ok());
    }
}
