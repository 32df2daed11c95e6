//! Where the time of a run went: heard from what a run tells its watchers, shown as a page or as JSON.

mod html;

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

pub(crate) use html::page;
use serde::Serialize;

use crate::words::progress::{Part, Progress};

/// Bytes are summed up over this long.
const TICK: Duration = Duration::from_millis(20);

/// A watcher that passes on what it hears, and writes down when.
pub(crate) struct Timings<'a> {
    inner: &'a dyn Progress,
    start: Instant,
    noted: parking_lot::Mutex<Noted>,
}

#[derive(Default)]
struct Noted {
    parts: Vec<(String, Part, usize, Instant, Instant, u64)>,
    stages: Vec<(String, Instant)>,
    /// Bytes by tick and stage.
    bytes: BTreeMap<(u64, usize), u64>,
}

/// A number for each thread, in the order in which they first say something.
fn thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed));
    NUMBER.with(|number| *number)
}

/// Where the time of a run went. Times are milliseconds; those that say when are counted from the run's start.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    /// venvoy's version.
    pub venvoy: &'static str,
    /// How the run ended.
    pub outcome: String,
    /// All of it.
    pub total_ms: f64,
    /// Threads that worked on packages.
    pub threads: usize,
    /// What was done one after the other.
    pub stages: Vec<Stage>,
    /// What was done for each package, in the order in which it was begun.
    pub parts: Vec<PartOf>,
    /// The milliseconds of each kind of part together.
    pub totals: BTreeMap<Part, f64>,
    /// What the run would have been shorter without, from the end back to the start.
    pub critical_path: Vec<Step>,
    /// Bytes by stage: when, and how many since the time before.
    pub bytes: Vec<Flow>,
}

/// A stage of the run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Stage {
    /// Its name.
    pub name: String,
    /// When it began.
    pub start_ms: f64,
    /// How long it took.
    pub ms: f64,
}

/// A part of the work on a package.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct PartOf {
    /// Which package.
    pub package: String,
    /// What was done.
    pub part: Part,
    /// By which thread.
    pub thread: usize,
    /// When it began.
    pub start_ms: f64,
    /// How long it took.
    pub ms: f64,
    /// How many bytes it was about.
    pub bytes: u64,
}

impl PartOf {
    fn end(&self) -> f64 {
        self.start_ms + self.ms
    }
}

/// A step of the critical path.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Step {
    /// What was done, and for which package.
    pub what: String,
    /// When it began.
    pub start_ms: f64,
    /// How long it took.
    pub ms: f64,
}

/// Bytes that went through a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Flow {
    /// The stage.
    pub stage: String,
    /// Until when, in milliseconds, and how many bytes since the one before.
    pub ticks: Vec<(u64, u64)>,
}

fn ms(duration: Duration) -> f64 {
    // A thousandth of a millisecond is as fine as anyone reads.
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

impl<'a> Timings<'a> {
    /// Begins to listen, now.
    pub(crate) fn new(inner: &'a dyn Progress) -> Self {
        Timings { inner, start: Instant::now(), noted: parking_lot::Mutex::default() }
    }

    fn note(&self, add: impl FnOnce(&mut Noted)) {
        add(&mut self.noted.lock());
    }

    /// Where the time went until now.
    pub(crate) fn report(self, outcome: String) -> Report {
        let end = Instant::now();
        let since = |at: Instant| ms(at.saturating_duration_since(self.start));
        let noted = self.noted.into_inner();
        let first = noted.stages.first().map_or(end, |(_, at)| *at);
        let mut stages = vec![Stage { name: "Reading".into(), start_ms: 0.0, ms: since(first) }];
        for (position, (name, at)) in noted.stages.iter().enumerate() {
            let until = noted.stages.get(position + 1).map_or(end, |(_, next)| *next);
            stages.push(Stage {
                name: name.clone(),
                start_ms: since(*at),
                ms: ms(until.saturating_duration_since(*at)),
            });
        }
        let mut threads: Vec<usize> = Vec::new();
        let mut parts: Vec<PartOf> = noted
            .parts
            .into_iter()
            .map(|(package, part, thread, began, ended, bytes)| {
                let position = threads.iter().position(|known| *known == thread).unwrap_or_else(|| {
                    threads.push(thread);
                    threads.len() - 1
                });
                let took = ms(ended.saturating_duration_since(began));
                PartOf { package, part, thread: position, start_ms: since(began), ms: took, bytes }
            })
            .collect();
        parts.sort_by(|a, b| a.start_ms.total_cmp(&b.start_ms).then_with(|| a.package.cmp(&b.package)));
        let mut totals: BTreeMap<Part, f64> = BTreeMap::new();
        for part in &parts {
            *totals.entry(part.part).or_default() += part.ms;
        }
        let mut bytes: Vec<Flow> = Vec::new();
        for (number, (name, _)) in noted.stages.iter().enumerate() {
            let ticks: Vec<(u64, u64)> = noted
                .bytes
                .iter()
                .filter(|((_, of), _)| *of == number + 1)
                .map(|((at, _), sum)| (*at, *sum))
                .collect();
            if !ticks.is_empty() {
                bytes.push(Flow { stage: name.clone(), ticks });
            }
        }
        Report {
            venvoy: env!("CARGO_PKG_VERSION"),
            outcome,
            total_ms: since(end),
            threads: threads.len(),
            critical_path: critical_path(&stages, &parts),
            stages,
            parts,
            totals,
            bytes,
        }
    }
}

/// From the end back: what the last stages did one after the other; before them what the fetching ended with; before
/// that, what that package or its thread was busy with until then.
fn critical_path(stages: &[Stage], parts: &[PartOf]) -> Vec<Step> {
    let mut path: Vec<Step> = Vec::new();
    let fetching = stages.iter().position(|stage| stage.name == "Fetching");
    for (number, stage) in stages.iter().enumerate().rev() {
        if Some(number) != fetching || parts.is_empty() {
            path.push(Step { what: stage.name.clone(), start_ms: stage.start_ms, ms: stage.ms });
            continue;
        }
        let until = stage.start_ms + stage.ms;
        // What unpacks ahead ends with the fetching whether it is done or not.
        let mut now = parts
            .iter()
            .filter(|part| part.part != Part::Unpack && part.end() <= until)
            .max_by(|a, b| a.end().total_cmp(&b.end()));
        while let Some(part) = now {
            path.push(Step {
                what: format!("{} {}", part.part.word(), part.package),
                start_ms: part.start_ms,
                ms: part.ms,
            });
            let before = |other: &&PartOf| {
                other.end() <= part.start_ms + 0.05
                    && other.start_ms < part.start_ms
                    && (other.package == part.package || other.thread == part.thread)
            };
            now = parts.iter().filter(before).max_by(|a, b| a.end().total_cmp(&b.end()));
        }
    }
    path.reverse();
    path
}

impl Progress for Timings<'_> {
    fn warn(&self, warning: &str) {
        self.inner.warn(warning);
    }

    fn detail(&self, message: &str) {
        self.inner.detail(message);
    }

    fn request(&self, url: &url::Url) {
        self.inner.request(url);
    }

    fn packages(&self, done: usize, of: usize) {
        self.inner.packages(done, of);
    }

    fn stage(&self, name: &str, total_bytes: u64) {
        self.note(|noted| noted.stages.push((name.to_owned(), Instant::now())));
        self.inner.stage(name, total_bytes);
    }

    fn expect(&self, bytes: u64) {
        self.inner.expect(bytes);
    }

    fn advance(&self, bytes: u64) {
        let tick = u64::try_from(TICK.as_millis()).unwrap_or(1);
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let at = (now / tick).saturating_add(1).saturating_mul(tick);
        self.note(|noted| *noted.bytes.entry((at, noted.stages.len())).or_default() += bytes);
        self.inner.advance(bytes);
    }

    fn build_begins(&self, what: &str) {
        self.inner.build_begins(what);
    }

    fn build_ends(&self, what: &str) {
        self.inner.build_ends(what);
    }

    fn tick(&self) {
        self.inner.tick();
    }

    fn part(&self, package: &str, part: Part, began: Instant, bytes: u64) {
        let ended = Instant::now();
        self.note(|noted| noted.parts.push((package.to_owned(), part, thread(), began, ended, bytes)));
        self.inner.part(package, part, began, bytes);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn part(package: &str, part: Part, thread: usize, start_ms: f64, ms: f64) -> PartOf {
        PartOf { package: package.into(), part, thread, start_ms, ms, bytes: 1_000 }
    }

    /// A run of three packages by two threads.
    pub(in crate::run::timings) fn example() -> Report {
        let stage = |name: &str, start_ms, ms| Stage { name: name.into(), start_ms, ms };
        let stages =
            vec![stage("Reading", 0.0, 10.0), stage("Fetching", 10.0, 90.0), stage("Writing", 100.0, 50.0)];
        let parts = vec![
            part("a", Part::Index, 0, 10.0, 20.0),
            part("b", Part::Index, 1, 10.0, 30.0),
            part("a", Part::Download, 0, 30.0, 40.0),
            part("b", Part::Open, 1, 40.0, 5.0),
            part("<c>&", Part::Index, 1, 45.0, 5.0),
            part("<c>&", Part::Download, 0, 70.0, 30.0),
            part("a", Part::Unpack, 2, 70.0, 30.0),
        ];
        let totals = BTreeMap::from([
            (Part::Index, 55.0),
            (Part::Download, 70.0),
            (Part::Open, 5.0),
            (Part::Unpack, 30.0),
        ]);
        let bytes = vec![Flow { stage: "Fetching".into(), ticks: vec![(40, 500), (80, 1_500)] }];
        let critical_path = critical_path(&stages, &parts);
        Report {
            venvoy: "0",
            outcome: "made".into(),
            total_ms: 150.0,
            threads: 3,
            stages,
            parts,
            totals,
            critical_path,
            bytes,
        }
    }

    #[test]
    fn the_critical_path_goes_back_over_package_and_thread() {
        let path: Vec<String> = example().critical_path.into_iter().map(|step| step.what).collect();
        assert_eq!(path, ["Reading", "index a", "download a", "download <c>&", "Writing"]);
    }

    #[test]
    fn stages_follow_each_other_and_add_up_to_the_run() {
        let silent = crate::run::timings::html::tests::Silent;
        let timings = Timings::new(&silent);
        timings.stage("Fetching", 0);
        let began = Instant::now();
        std::thread::sleep(Duration::from_millis(3));
        timings.part("a", Part::Download, began, 7);
        timings.advance(7);
        timings.stage("Writing", 0);
        let report = timings.report("made".into());
        let sum: f64 = report.stages.iter().map(|stage| stage.ms).sum();
        assert!((sum - report.total_ms).abs() < 0.01, "{report:?}");
        assert!(report.parts[0].ms >= 3.0 && report.parts[0].bytes == 7, "{report:?}");
        assert_eq!((report.bytes.len(), report.bytes[0].ticks[0].1, report.threads), (1, 7, 1));
    }
}
