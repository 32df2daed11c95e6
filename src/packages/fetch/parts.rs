//! One file over several connections, where others are idle: parts that come out of order are written where they
//! belong and digested in order as they join.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use reqwest::header::{HeaderValue, IF_RANGE, RANGE};
use url::Url;

use super::{
    Sink,
    file::{cannot_store, content_range, range, refuse_compression, request},
};
use crate::{
    packages::http::{Client, Failure, Lane, Outcome, Reply, Tries},
    words::{
        error::{Error, Kind, Result},
        files::is_full,
        interrupt,
        vocab::{SourceUrl, place, shown_url},
    },
};

/// The smallest file, in bytes, that is worth more than one connection.
pub(super) const SMALLEST: u64 = 8 << 20;

/// How long one part should take: short, so that none of them is the tail, and long enough that asking for it costs
/// little beside it.
const PART_TIME: Duration = Duration::from_millis(500);

/// Bounds of a part, in bytes.
const PART: std::ops::RangeInclusive<u64> = (1 << 20)..=(16 << 20);

/// A connection that brings so many bytes a second is not what a download waits for.
const FAST: f64 = 64e6;

/// Nor are all of them together, where they bring so many: each is slow then because there are others, or because the processors
/// are busy, and more of them would only make more work.
const FAST_TOGETHER: f64 = 256e6;

/// How long a connection is watched before its rate counts.
const WATCHED: Duration = Duration::from_millis(100);

/// After so many that failed, no more connections are made: the one that leads goes on, with all its patience.
const FAILURES: u32 = 3;

/// How long the leading thread waits for others without looking after the progress.
const GLANCE: Duration = Duration::from_millis(100);

/// A file of which everything is known that fetching it in parts needs.
pub(super) struct Whole<'a> {
    /// Where it was asked for.
    pub url: &'a Url,
    /// Where it was found after all redirects.
    pub end_url: Url,
    pub via: Option<&'a SourceUrl>,
    pub size: u64,
    /// What must not change between parts.
    pub validator: HeaderValue,
    /// Where the parts go.
    pub file: File,
}

/// Why a file did not come in parts.
pub(super) enum Stopped {
    Failed(Failure),
    /// The parts are not of one file, the server does not keep its word about ranges, or the parts have no room where they
    /// are to go: in one stream it may come all the same.
    NotInParts(String),
}

impl Stopped {
    pub(super) fn into_failure(self) -> Failure {
        match self {
            Stopped::Failed(failure) => failure,
            Stopped::NotInParts(why) => Failure::passing(why),
        }
    }

    /// What comes cannot be written. A sink that gets all in one stream may find room elsewhere.
    fn unstorable(url: &Url, error: io::Error) -> Self {
        if is_full(&error) {
            return Stopped::NotInParts(format!("there is no room for the parts of {}", shown_url(url)));
        }
        cannot_store(url, error).into()
    }
}

impl<E: Into<Failure>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Stopped::Failed(error.into())
    }
}

/// A part: from its first byte to the one before its end.
type Part = (u64, u64);

struct State {
    /// Where the next part begins that nobody has taken yet.
    next: u64,
    /// Parts that somebody began and could not finish.
    left: Vec<Part>,
    /// Parts that are in place, by their first byte, and not joined yet.
    placed: BTreeMap<u64, u64>,
    /// Why everybody stops.
    changed: Option<String>,
    /// How many helpers failed.
    failures: u32,
}

struct Work<'a> {
    client: &'a Client<'a>,
    whole: &'a Whole<'a>,
    part: u64,
    state: Mutex<State>,
    changed: Condvar,
    /// Bytes that came in parts.
    came: AtomicU64,
}

/// Whether `left` bytes are enough, and come slowly enough, for several connections: seen from what this connection `brought` in
/// a time, and `all` of them did.
pub(super) fn is_worth_parts(left: u64, brought: u64, all: u64, took: Duration) -> bool {
    if took < WATCHED || brought == 0 || rate(all, took) >= FAST_TOGETHER {
        return false;
    }
    let rate = rate(brought, took);
    #[allow(clippy::cast_precision_loss, reason = "a rate")]
    let time = left as f64 / rate;
    left > 2 * PART.start() && rate < FAST && time > PART_TIME.as_secs_f64()
}

#[allow(clippy::cast_precision_loss, reason = "a rate")]
fn rate(bytes: u64, took: Duration) -> f64 {
    bytes as f64 / took.as_secs_f64().max(1e-6)
}

/// Fetches the rest of a file that `reply` has begun to bring, over this connection and every idle one. The caller's
/// thread leads: it alone uses the sink.
#[allow(clippy::too_many_arguments, reason = "one caller, which has all of these")]
pub(super) fn fetch<'a>(
    client: &'a Client<'a>,
    whole: &'a Whole<'a>,
    reply: Box<Reply>,
    sink: &mut dyn Sink,
    progress: &dyn Fn(u64),
    buffer: &mut [u8],
    brought: (u64, Duration),
) -> Result<(), Stopped> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a size, within bounds")]
    let part = (rate(brought.0, brought.1) * PART_TIME.as_secs_f64()) as u64;
    let part = part.clamp(*PART.start(), *PART.end());
    let begun = sink.received();
    let work = Work {
        client,
        whole,
        part,
        state: Mutex::new(State {
            next: (begun + part).min(whole.size),
            left: Vec::new(),
            placed: BTreeMap::new(),
            changed: None,
            failures: 0,
        }),
        changed: Condvar::new(),
        came: AtomicU64::new(0),
    };
    let first = (begun, (begun + part).min(whole.size));
    std::thread::scope(|scope| {
        let work = &work;
        let help = |lane, part| {
            let helper = std::thread::Builder::new().name("part".into());
            // With fewer connections than there could be it only takes longer.
            if helper.spawn_scoped(scope, move || work.help(lane, part)).is_err() {
                let mut state = work.state.lock();
                state.failures += 1;
                state.left.push(part);
            }
        };
        let outcome = work.lead(first, reply, sink, progress, buffer, &help);
        if outcome.is_err() {
            // Those who help look at this between two chunks.
            work.state.lock().changed.get_or_insert_with(String::new);
        }
        outcome
    })
}

impl<'a> Work<'a> {
    fn lead(
        &self,
        first: Part,
        reply: Box<Reply>,
        sink: &mut dyn Sink,
        progress: &dyn Fn(u64),
        buffer: &mut [u8],
        help: &dyn Fn(Lane<'a>, Part),
    ) -> Result<(), Stopped> {
        let begun = first.0;
        let mut tries = Tries::new(&self.client.options);
        match self.stream(first, *reply, sink, progress, buffer, help) {
            Err(Stopped::Failed(failure)) => tries.pause(failure, self.whole.url)?,
            outcome => outcome?,
        }
        // What came in the stream; all else comes in parts.
        let streamed = sink.received() - begun;
        let mut best = 0;
        loop {
            let mut tick = || -> Result<(), Stopped> {
                self.join(sink)?;
                progress(begun + streamed + self.came.load(Ordering::Relaxed));
                self.call(help);
                Ok(())
            };
            tick()?;
            if let Some(part) = self.take()? {
                match self.bring(part, buffer, &mut tick) {
                    Ok(()) => {}
                    Err(Stopped::Failed(failure)) => {
                        let came = self.came.load(Ordering::Relaxed);
                        if came >= best + super::file::PROGRESS {
                            best = came;
                            tries.progressed();
                        }
                        tries.pause(failure, self.whole.url)?;
                    }
                    Err(changed) => return Err(changed),
                }
                continue;
            }
            if sink.received() == self.whole.size {
                return Ok(());
            }
            interrupt::check()?;
            let mut state = self.state.lock();
            if !state.placed.contains_key(&sink.received()) {
                self.changed.wait_for(&mut state, GLANCE);
            }
        }
    }

    /// Reads on in the stream that is running, as long as nobody has taken what comes next.
    fn stream(
        &self,
        (mut at, mut end): Part,
        mut reply: Reply,
        sink: &mut dyn Sink,
        progress: &dyn Fn(u64),
        buffer: &mut [u8],
        help: &dyn Fn(Lane<'a>, Part),
    ) -> Result<(), Stopped> {
        loop {
            if at == end {
                let mut state = self.state.lock();
                if state.next != end || end == self.whole.size || state.changed.is_some() {
                    return Ok(());
                }
                end = (end + self.part).min(self.whole.size);
                state.next = end;
            }
            let wanted = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
            let count = match reply.read(&mut buffer[..wanted]) {
                Ok(0) => Err(short(&reply)),
                other => other,
            };
            let count = match count {
                Ok(count) => count,
                Err(failure) => {
                    self.state.lock().left.push((at, end));
                    return Err(failure.into());
                }
            };
            let written = sink.write_all(&buffer[..count]);
            written.map_err(|error| Stopped::unstorable(self.whole.url, error))?;
            at += count as u64;
            self.client.lanes.bring(count as u64);
            progress(sink.received() + self.came.load(Ordering::Relaxed));
            self.call(help);
        }
    }

    /// Brings parts until there are none, or until somebody needs the lane.
    fn help(&self, lane: Lane<'_>, first: Part) {
        let mut buffer = vec![0; super::file::CHUNK];
        let mut next = Some(first);
        while let Some(part) = next {
            match self.bring(part, &mut buffer, &mut || Ok(())) {
                Ok(()) if self.client.lanes.wanted() => break,
                Ok(()) => next = self.take().unwrap_or(None),
                Err(stopped) => {
                    // Whoever leads meets what is wrong by itself.
                    let mut state = self.state.lock();
                    state.failures += 1;
                    if let Stopped::NotInParts(why) = stopped {
                        state.changed.get_or_insert(why);
                    }
                    break;
                }
            }
        }
        drop(lane);
        self.changed.notify_all();
    }

    /// Has others join in where lanes are spare and parts are left.
    fn call(&self, help: &dyn Fn(Lane<'a>, Part)) {
        while self.state.lock().failures <= FAILURES
            && let Some(lane) = self.client.lanes.spare()
            && let Ok(Some(part)) = self.take()
        {
            help(lane, part);
        }
    }

    /// The next part that nobody has.
    fn take(&self) -> Result<Option<Part>, Stopped> {
        let mut state = self.state.lock();
        if let Some(why) = &state.changed {
            return Err(Stopped::NotInParts(why.clone()));
        }
        if let Some(part) = state.left.pop() {
            return Ok(Some(part));
        }
        let (start, end) = (state.next, (state.next + self.part).min(self.whole.size));
        state.next = end;
        Ok((start < end).then_some((start, end)))
    }

    /// Takes what is in place after what the sink has.
    fn join(&self, sink: &mut dyn Sink) -> Result<()> {
        loop {
            let Some(end) = self.state.lock().placed.remove(&sink.received()) else { return Ok(()) };
            sink.join(end).map_err(|error| cannot_store(self.whole.url, error))?;
        }
    }

    /// Fetches one part. What came of it is in place also where it fails, and the rest is left to others.
    fn bring(
        &self,
        (start, end): Part,
        buffer: &mut [u8],
        each: &mut dyn FnMut() -> Result<(), Stopped>,
    ) -> Result<(), Stopped> {
        let mut at = start;
        let outcome = self.bring_to(&mut at, end, buffer, each);
        let mut state = self.state.lock();
        if at > start {
            state.placed.insert(start, at);
        }
        if at < end {
            state.left.push((at, end));
        }
        drop(state);
        self.changed.notify_all();
        outcome
    }

    fn bring_to(
        &self,
        at: &mut u64,
        end: u64,
        buffer: &mut [u8],
        each: &mut dyn FnMut() -> Result<(), Stopped>,
    ) -> Result<(), Stopped> {
        let mut reply = self.ask(*at, end)?;
        while *at < end {
            let wanted = usize::try_from(end - *at).unwrap_or(usize::MAX).min(buffer.len());
            let count = reply.read(&mut buffer[..wanted])?;
            if count == 0 {
                return Err(short(&reply).into());
            }
            let written = self.whole.file.write_all_at(&buffer[..count], *at);
            written.map_err(|error| Stopped::unstorable(self.whole.url, error))?;
            *at += count as u64;
            self.came.fetch_add(count as u64, Ordering::Relaxed);
            self.client.lanes.bring(count as u64);
            each()?;
            if self.state.lock().changed.is_some() {
                return Err(Stopped::NotInParts(String::new()));
            }
        }
        Ok(())
    }

    /// Asks for a part where the file was found; where that place does not give it any more (signatures expire), where
    /// it was asked for first.
    fn ask(&self, start: u64, end: u64) -> Result<Box<Reply>, Stopped> {
        let whole = self.whole;
        let moved = whole.end_url != *whole.url;
        for url in [&whole.end_url, whole.url] {
            let ask = request(url, whole.via)
                .header(RANGE, range(start, Some(end)))
                .header(IF_RANGE, whole.validator.clone());
            let Outcome::Reply(reply) = self.client.send(&ask)? else { continue };
            let place = place(reply.url());
            match reply.status() {
                206 => {
                    refuse_compression(&reply)?;
                    return match content_range(&reply) {
                        Some((Some(first), size))
                            if first == start && size.is_none_or(|size| size == whole.size) =>
                        {
                            Ok(reply)
                        }
                        _ => Err(Stopped::NotInParts(format!(
                            "{place} sent another part of the file than asked for (from byte {start})"
                        ))),
                    };
                }
                200 | 416 => {
                    return Err(Stopped::NotInParts(format!(
                        "{place} has another file by now, or sends no parts of it"
                    )));
                }
                _ if moved && *url == whole.end_url => {}
                _ => return Err(self.client.refusal(&reply, whole.via).into()),
            }
        }
        Err(Error::new(Kind::Network, format!("{} redirects to another server", place(whole.url))).into())
    }
}

fn short(reply: &Reply) -> Failure {
    Failure::passing(format!("{} ended its answer too early", place(reply.url())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_connections_are_for_what_one_brings_slowly_and_others_do_not_bring_either() {
        let second = Duration::from_secs(1);
        assert!(is_worth_parts(100 << 20, 10_000_000, 10_000_000, second));
        assert!(is_worth_parts(100 << 20, 10_000_000, 200_000_000, second));
        // Twenty at once, on a machine that does no more.
        assert!(!is_worth_parts(100 << 20, 15_000_000, 300_000_000, second));
        assert!(!is_worth_parts(100 << 20, 70_000_000, 70_000_000, second));
        // Too little is left, or known.
        assert!(!is_worth_parts(1 << 20, 1_000_000, 1_000_000, second));
        assert!(!is_worth_parts(100 << 20, 0, 0, second));
        assert!(!is_worth_parts(100 << 20, 1_000_000, 1_000_000, second / 20));
    }
}
