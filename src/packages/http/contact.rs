//! Which servers answer: one that is not there, and a login that is refused, are found out once and not once per package.
//!
//! The first to ask a server is alone until it has answered; the others wait, as what they would learn is the same.

use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use crate::words::{
    error::{Error, Result},
    interrupt,
};

/// How long a waiting thread goes without looking whether the user wants to stop.
const GLANCE: Duration = Duration::from_millis(100);

/// What is known about each of several things that can be tried.
pub(super) struct Contacts<K> {
    known: Mutex<HashMap<K, Contact>>,
    changed: Condvar,
}

enum Contact {
    /// Nobody got an answer yet, after so many tries; the next one waits until then.
    Unknown { tries: u32, next: Instant },
    /// Somebody is trying.
    Trying,
    /// It works.
    Open,
    /// It does not work: this is why.
    Closed(Error),
}

/// The right to try something. Given back unused, the next one tries.
pub(super) struct Ticket<'a, K: Hash + Eq + Clone> {
    contacts: &'a Contacts<K>,
    key: K,
    /// How many tries there were before, for whoever is alone with it.
    first: Option<u32>,
}

impl<K: Hash + Eq + Clone> Default for Contacts<K> {
    fn default() -> Self {
        Contacts { known: Mutex::default(), changed: Condvar::new() }
    }
}

impl<K: Hash + Eq + Clone> Contacts<K> {
    /// Waits until it is known that `key` works, or until it is this thread's turn to find out.
    ///
    /// # Errors
    /// Why it does not work, or that the user interrupted.
    pub(super) fn enter(&self, key: K) -> Result<Ticket<'_, K>> {
        let mut known = self.known.lock();
        loop {
            interrupt::check()?;
            let contact =
                known.entry(key.clone()).or_insert(Contact::Unknown { tries: 0, next: Instant::now() });
            let wait = match contact {
                Contact::Open => return Ok(Ticket { contacts: self, key, first: None }),
                Contact::Closed(error) => return Err(error.again()),
                Contact::Trying => GLANCE,
                Contact::Unknown { tries, next } => {
                    let left = next.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        let tries = *tries;
                        *contact = Contact::Trying;
                        return Ok(Ticket { contacts: self, key, first: Some(tries) });
                    }
                    left.min(GLANCE)
                }
            };
            self.changed.wait_for(&mut known, wait);
        }
    }
}

impl<K: Hash + Eq + Clone> Ticket<'_, K> {
    /// How many tries failed before this one; `None` where it is known to work.
    pub(super) fn tries_before(&self) -> Option<u32> {
        self.first
    }

    /// It works.
    pub(super) fn works(mut self) {
        self.settle(Contact::Open);
    }

    /// It does not work: all others are told this.
    pub(super) fn never(mut self, why: Error) {
        self.settle(Contact::Closed(why));
    }

    /// This try failed: whoever is next tries again after the pause.
    pub(super) fn later(mut self, pause: Duration) {
        if let Some(tries) = self.first {
            self.settle(Contact::Unknown { tries: tries + 1, next: Instant::now() + pause });
        }
    }

    fn settle(&mut self, contact: Contact) {
        if self.first.take().is_some() || matches!(contact, Contact::Closed(_)) {
            self.contacts.known.lock().insert(self.key.clone(), contact);
            self.contacts.changed.notify_all();
        }
    }
}

impl<K: Hash + Eq + Clone> Drop for Ticket<'_, K> {
    fn drop(&mut self) {
        if let Some(tries) = self.first {
            self.settle(Contact::Unknown { tries, next: Instant::now() });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::words::error::Kind;

    #[test]
    fn one_tries_and_the_others_hear_of_it() {
        let contacts = Contacts::default();
        let tried = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    let why = loop {
                        let ticket = match contacts.enter("host") {
                            Ok(ticket) => ticket,
                            Err(why) => break why,
                        };
                        tried.fetch_add(1, Ordering::SeqCst);
                        match ticket.tries_before().expect("nobody got through") {
                            2 => ticket.never(Error::new(Kind::Network, "gone").help("do this")),
                            _ => ticket.later(Duration::from_millis(5)),
                        }
                    };
                    assert_eq!(why.report(), "gone\n  help: do this");
                });
            }
        });
        assert_eq!(tried.load(Ordering::SeqCst), 3, "tries are counted for all together");
    }

    #[test]
    fn what_works_is_open_to_all_at_once_and_an_unused_turn_passes_on() {
        let contacts = Contacts::default();
        drop(contacts.enter("host").expect("our turn"));
        let ticket = contacts.enter("host").expect("our turn again");
        assert_eq!(ticket.tries_before(), Some(0));
        ticket.works();
        let both = [contacts.enter("host").expect("open"), contacts.enter("host").expect("open")];
        assert!(both.iter().all(|ticket| ticket.tries_before().is_none()));
    }
}
