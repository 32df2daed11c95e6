//! How many downloads there are at once, and who may join in.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex};

/// As many lanes as downloads are allowed at once. Every download has one; where one is free, a long download may use
/// it for a part of its own.
#[derive(Debug)]
pub(crate) struct Lanes {
    state: Mutex<State>,
    freed: Condvar,
    /// Bytes that came over all of them.
    brought: AtomicU64,
}

#[derive(Debug)]
struct State {
    free: usize,
    waiting: usize,
}

/// A lane in use; free again when it is dropped.
pub(crate) struct Lane<'a>(&'a Lanes);

impl Lanes {
    /// So many lanes, and at least one.
    pub(crate) fn new(count: usize) -> Self {
        let state = Mutex::new(State { free: count.max(1), waiting: 0 });
        Lanes { state, freed: Condvar::new(), brought: AtomicU64::new(0) }
    }

    /// Waits for a lane.
    pub(crate) fn take(&self) -> Lane<'_> {
        let mut state = self.state.lock();
        state.waiting += 1;
        while state.free == 0 {
            self.freed.wait(&mut state);
        }
        state.waiting -= 1;
        state.free -= 1;
        Lane(self)
    }

    /// A lane that nobody needs at the moment.
    pub(crate) fn spare(&self) -> Option<Lane<'_>> {
        let mut state = self.state.lock();
        if state.free <= state.waiting {
            return None;
        }
        state.free -= 1;
        Some(Lane(self))
    }

    /// Whether there is a lane that nobody needs at the moment.
    pub(crate) fn has_spare(&self) -> bool {
        let state = self.state.lock();
        state.free > state.waiting
    }

    /// So many bytes came over one of them.
    pub(crate) fn bring(&self, bytes: u64) {
        self.brought.fetch_add(bytes, Ordering::Relaxed);
    }

    /// How many bytes came over all of them so far.
    pub(crate) fn brought(&self) -> u64 {
        self.brought.load(Ordering::Relaxed)
    }

    /// Whether somebody waits for a lane: whoever has a spare one gives it back soon.
    pub(crate) fn wanted(&self) -> bool {
        let state = self.state.lock();
        state.waiting > state.free
    }
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        self.0.state.lock().free += 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spare_lanes_are_given_back_to_who_needs_one() {
        let lanes = Lanes::new(2);
        let (own, spare) = (lanes.take(), lanes.spare());
        assert!(spare.is_some() && lanes.spare().is_none() && !lanes.wanted());
        std::thread::scope(|scope| {
            let next = scope.spawn(|| drop(lanes.take()));
            while !lanes.wanted() {
                std::thread::yield_now();
            }
            drop(spare);
            next.join().expect("it got its lane");
        });
        drop(own);
        assert!(lanes.spare().is_some());
    }
}
