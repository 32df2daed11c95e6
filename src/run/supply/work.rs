//! All entries of a run at once: pages first, then the largest file that is known, so that none is the tail.

use std::{
    cmp::Ordering,
    collections::BinaryHeap,
    sync::{
        Arc,
        atomic::{self, AtomicBool},
    },
    time::Instant,
};

use parking_lot::{Condvar, Mutex};

use crate::run::supply::{
    builder::Builder,
    obtain::{Came, Obtained, is_built, obtain},
    resolve::{Records, Resolved, What, resolve},
    session::Session,
};
use crate::{
    artifact::write::Ahead,
    packages::{
        sdist::{self, Installed},
        wheel::Wheel,
    },
    project::lock::{Entry, Turn},
    words::{
        error::{Error, Kind, Result},
        gather::gather_by_cause,
        interrupt,
        progress::Part,
    },
};

/// An entry that waits to be fetched.
struct Waiting {
    position: usize,
    /// Bytes; `u64::MAX` for what must be built, which takes longest.
    size: u64,
    resolved: Resolved,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        self.size.cmp(&other.size).then_with(|| other.position.cmp(&self.position))
    }
}

#[derive(Default)]
struct State {
    next: usize,
    resolving: usize,
    waiting: BinaryHeap<Waiting>,
    /// Builds that find installed what comes before them, so they wait for all else.
    late: Vec<Waiting>,
    done: Vec<Option<Obtained>>,
    finished: usize,
    failed: Vec<(usize, Error)>,
}

struct Queue<'a> {
    session: &'a Session<'a>,
    builder: &'a Builder<'a>,
    entries: &'a [Entry],
    /// Those to get, in any order.
    positions: Vec<usize>,
    ahead: Option<&'a Ahead>,
    state: Mutex<State>,
    changed: Condvar,
    /// Nothing comes over the network any more: what is not unpacked yet is left to `write`.
    complete: AtomicBool,
    /// The run will fail.
    failed: AtomicBool,
}

enum Task {
    Resolve(usize),
    Obtain(Box<Waiting>),
}

/// Gets the wheels of the wanted entries, in their order. Every entry that cannot be had is in the error; once
/// one failed, nothing more is fetched, but all are looked up.
///
/// For builds without isolation those of the entries that pipenv would install before are got as well, and then each is
/// built when all of these are there.
///
/// Wheels that came over the network are unpacked `ahead` while others still come, by `threads` (0 for one
/// per core).
pub(crate) fn obtain_all(
    session: &Session<'_>,
    builder: &Builder<'_>,
    entries: &[Entry],
    wanted: &[usize],
    ahead: Option<&Ahead>,
    threads: usize,
) -> Result<Vec<Obtained>> {
    let mut queue = Queue {
        session,
        builder,
        entries,
        positions: wanted.to_vec(),
        ahead,
        state: Mutex::new(State {
            done: std::iter::repeat_with(|| None).take(entries.len()).collect(),
            ..State::default()
        }),
        changed: Condvar::new(),
        complete: AtomicBool::new(false),
        failed: AtomicBool::new(false),
    };
    let mut asked = vec![false; entries.len()];
    while !queue.positions.is_empty() {
        match threads {
            0 => rayon::in_place_scope(|pool| queue.run(pool)),
            threads => rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .map_err(|e| Error::new(Kind::Io, "cannot start worker threads").because(e))?
                .in_place_scope(|pool| queue.run(pool)),
        }
        queue.check()?;
        queue.positions.iter().for_each(|&position| asked[position] = true);
        let state = queue.state.get_mut();
        state.next = 0;
        let turns: Vec<Turn> = state.late.iter().map(|late| entries[late.position].turn).collect();
        let is_needed = |&position: &usize| {
            !asked[position] && turns.iter().any(|turn| entries[position].turn.is_before(*turn))
        };
        queue.positions = (0..entries.len()).filter(is_needed).collect();
        // Nothing of it is written.
        queue.ahead = None;
    }
    queue.build_late()?;
    let mut state = queue.state.into_inner();
    Ok(wanted.iter().filter_map(|&position| state.done[position].take()).collect())
}

/// How messages call an entry.
pub(crate) fn subject(entry: &Entry) -> String {
    let pin = entry.pin.to_string();
    let pin = pin.trim_start_matches('=');
    if pin == "*" {
        format!("{} [{}]", entry.written, entry.category)
    } else {
        format!("{} {pin} [{}]", entry.written, entry.category)
    }
}

impl Queue<'_> {
    fn run<'s>(&'s self, pool: &rayon::Scope<'s>) {
        let threads = self.session.request.index.concurrent_downloads.min(self.positions.len()).max(1);
        std::thread::scope(|scope| {
            for _ in 1..threads {
                let worker = std::thread::Builder::new().name("download".into());
                // With fewer threads than asked for it only takes longer.
                if worker.spawn_scoped(scope, || self.work(pool)).is_err() {
                    break;
                }
            }
            self.work(pool);
        });
        self.complete.store(true, atomic::Ordering::Relaxed);
    }

    fn work<'s>(&'s self, pool: &rayon::Scope<'s>) {
        while let Some(task) = self.task() {
            match task {
                Task::Resolve(position) => {
                    let began = Instant::now();
                    let resolved = interrupt::check()
                        .and_then(|()| resolve(self.session, &self.entries[position], Records::Trust))
                        .and_then(|resolved| self.buildable(position, resolved));
                    self.told(position, Part::Index, began, 0);
                    self.resolved(position, resolved);
                }
                Task::Obtain(waiting) => {
                    let Waiting { position, resolved, .. } = *waiting;
                    let began = Instant::now();
                    let obtained = self.obtain(position, &resolved, &Installed::default());
                    match obtained.as_ref().map(|obtained| obtained.came) {
                        Ok(Came::Downloaded(bytes)) => self.told(position, Part::Download, began, bytes),
                        Ok(Came::Built) => self.told(position, Part::Build, began, 0),
                        Ok(Came::Cached) => self.told(position, Part::Open, began, 0),
                        // What was tried before it failed took its time as well.
                        Err(_) => self.told(position, Part::Download, began, 0),
                    }
                    let mut state = self.state.lock();
                    match obtained {
                        Ok(obtained) => {
                            if let (Some(ahead), Came::Downloaded(_)) = (self.ahead, obtained.came) {
                                let wheel = Arc::clone(&obtained.input.wheel);
                                pool.spawn(move |_| self.unpack(ahead, &wheel));
                            }
                            state.done[position] = Some(obtained);
                            state.finished += 1;
                            self.session.progress.packages(state.finished, self.positions.len());
                        }
                        Err(error) => self.fail(&mut state, position, error),
                    }
                }
            }
        }
    }

    fn obtain(&self, position: usize, resolved: &Resolved, installed: &Installed) -> Result<Obtained> {
        interrupt::check()?;
        obtain(self.session, self.builder, &self.entries[position], resolved, installed)
    }

    /// Fails with all that failed so far.
    fn check(&mut self) -> Result<()> {
        interrupt::check()?;
        let state = self.state.get_mut();
        let failed = state.failed.drain(..);
        let failed = failed.map(|(position, error)| (subject(&self.entries[position]), error));
        gather_by_cause(failed.collect(), self.positions.len())
    }

    /// Builds what is not isolated, each when all that pipenv would install before it is there.
    fn build_late(&mut self) -> Result<()> {
        let state = self.state.get_mut();
        let mut late = std::mem::take(&mut state.late);
        late.sort_by_key(|late| (self.entries[late.position].turn.last, late.position));
        let mut late = late.as_slice();
        while let Some(first) = late.first() {
            let turn = self.entries[first.position].turn;
            let is_later = |late: &Waiting| self.entries[late.position].turn.last > turn.last;
            let (together, rest) = late.split_at(late.iter().position(is_later).unwrap_or(late.len()));
            late = rest;
            self.positions = together.iter().map(|late| late.position).collect();
            let installed = self.installed(turn)?;
            // As many run as there are cores: the builder sees to that.
            std::thread::scope(|scope| {
                for waiting in together {
                    let worker = std::thread::Builder::new().name("build".into());
                    let build = || self.build(waiting, &installed);
                    if worker.spawn_scoped(scope, build).is_err() {
                        self.build(waiting, &installed);
                    }
                }
            });
            self.check()?;
        }
        Ok(())
    }

    fn build(&self, waiting: &Waiting, installed: &Installed) {
        let began = Instant::now();
        let obtained = self.obtain(waiting.position, &waiting.resolved, installed);
        let part = match &obtained {
            Ok(obtained) if obtained.came == Came::Cached => Part::Open,
            _ => Part::Build,
        };
        self.told(waiting.position, part, began, 0);
        let mut state = self.state.lock();
        match obtained {
            Ok(obtained) => state.done[waiting.position] = Some(obtained),
            Err(error) => self.fail(&mut state, waiting.position, error),
        }
    }

    /// What is installed when what has this turn is built.
    fn installed(&mut self, turn: Turn) -> Result<Installed> {
        let state = self.state.get_mut();
        let done = state.done.iter().zip(self.entries);
        let wheels = done
            .filter(|(_, entry)| entry.turn.is_before(turn))
            .filter_map(|(done, _)| done.as_ref())
            .map(|done| {
                let wheel = &done.input.wheel;
                sdist::Requirement { file: wheel.file.clone(), name: wheel.name.clone() }
            });
        let interpreter = self.builder.interpreters(self.session)?.to_vec();
        let requires = self.session.sources.build_requires().to_vec();
        Ok(Installed { wheels: wheels.collect(), interpreter, requires })
    }

    /// Refuses a source distribution that cannot be built already now, while all entries are looked up: so all of them are
    /// named.
    fn buildable(&self, position: usize, resolved: Resolved) -> Result<Resolved> {
        if let What::Sdist(file, _) = &resolved.what {
            let Entry { name, pin, .. } = &self.entries[position];
            let version = pin.to_string();
            let version = version.trim_start_matches('=');
            self.builder.check_target(&format!("{name} {version} from {}", file.filename))?;
        }
        Ok(resolved)
    }

    /// Unpacks a wheel ahead, while others come.
    fn unpack(&self, ahead: &Ahead, wheel: &Wheel) {
        let stop = || interrupt::requested() || self.failed.load(atomic::Ordering::Relaxed);
        if !self.complete.load(atomic::Ordering::Relaxed) && !stop() {
            let began = Instant::now();
            ahead.unpack(wheel, &stop);
            let bytes = wheel.entries.iter().map(|entry| entry.size).sum();
            self.session.progress.part(wheel.name.name.as_str(), Part::Unpack, began, bytes);
        }
    }

    fn told(&self, position: usize, part: Part, began: Instant, bytes: u64) {
        self.session.progress.part(self.entries[position].name.as_str(), part, began, bytes);
    }

    fn task(&self) -> Option<Task> {
        let mut state = self.state.lock();
        loop {
            if let Some(&position) = self.positions.get(state.next) {
                state.next += 1;
                state.resolving += 1;
                return Some(Task::Resolve(position));
            }
            if !state.failed.is_empty() && state.resolving == 0 {
                return None;
            }
            if state.failed.is_empty()
                && let Some(waiting) = state.waiting.pop()
            {
                return Some(Task::Obtain(Box::new(waiting)));
            }
            if state.resolving == 0 {
                return None;
            }
            self.changed.wait(&mut state);
        }
    }

    fn resolved(&self, position: usize, resolved: Result<Resolved>) {
        let mut state = self.state.lock();
        state.resolving -= 1;
        match resolved {
            Ok(resolved) => {
                let size = resolved.file().map_or(u64::MAX, |file| file.size.unwrap_or(0));
                if let Some(file) = resolved.file()
                    && let Some(size) = file.size
                    && file.sha256.is_none_or(|digest| self.session.cache.has(&digest).is_none())
                {
                    self.session.progress.expect(size);
                }
                let entry = &self.entries[position];
                let late = is_built(entry, &resolved) && self.builder.is_unisolated(entry);
                let waiting = Waiting { position, size, resolved };
                if late { state.late.push(waiting) } else { state.waiting.push(waiting) }
            }
            Err(error) => self.fail(&mut state, position, error),
        }
        self.changed.notify_all();
    }

    fn fail(&self, state: &mut State, position: usize, error: Error) {
        self.failed.store(true, atomic::Ordering::Relaxed);
        state.failed.push((position, error));
    }
}
