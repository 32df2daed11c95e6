//! Entries that several threads inflate at once.

use std::{fs::File, path::PathBuf};

use super::{
    super::{
        access::{APART, HEAD, Points, parse, render},
        deflate::AccessPoint,
    },
    *,
};

type Change = fn(&mut Vec<AccessPoint>);

const NAME: &str = "demo-1.0-py3-none-any.whl";

/// A wheel with a large entry, in a cache.
struct Place {
    dir: tempfile::TempDir,
    large: Vec<u8>,
    built: Vec<u8>,
}

impl Place {
    fn new() -> Self {
        // Words that come again at many distances, so that windows matter, and in several blocks.
        let mut state = 1_u32;
        let large: Vec<u8> = (0..1_500_000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                b"abcdefghijklmnop"[(state >> 28) as usize]
            })
            .collect();
        let built = demo().file("demo/large.bin", &large).build();
        Place { dir: tempfile::tempdir().expect("a directory"), large, built }
    }

    fn cache(&self) -> Cache {
        Cache::open(&self.dir.path().join("cache"), cache::Options::default())
    }

    /// The wheel as a new run finds it.
    fn wheel(&self) -> (Wheel, usize) {
        let cache = self.cache();
        let file = cache
            .file_or(&Sha256::of(&self.built), NAME, |pending| {
                std::io::Write::write_all(pending, &self.built)
                    .map_err(|e| Error::io("cannot write", self.dir.path(), e))
            })
            .expect("a file");
        let mut wheel =
            Wheel::open(file, NAME.parse().expect("a name"), Strictness::Refuse).expect("a wheel").0;
        wheel.rely_on(&cache);
        let at = wheel.entries.iter().position(|entry| entry.path.as_str() == "demo/large.bin").expect("it");
        (wheel, at)
    }

    /// What a run that inflates all of it leaves in the cache.
    fn unpack_once(&self) {
        let (wheel, _) = self.wheel();
        for at in 0..wheel.entries.len() {
            let got = wheel.stream(at, &mut |_| Ok(())).expect("bytes").sha256;
            assert!(wheel.contradiction(at, got).is_none());
        }
        wheel.settle(&self.cache());
    }

    /// What several threads write, if they do.
    fn at_once(&self) -> Option<Vec<u8>> {
        let (wheel, at) = self.wheel();
        let path = self.dir.path().join("out");
        let out = File::create(&path).expect("a file");
        let unwritable = |error| Error::io("cannot write", &path, error);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("threads");
        let sha256 = pool.install(|| wheel.write_at_once(at, &out, &unwritable)).expect("written")?;
        assert_eq!(Some(sha256), wheel.entries[at].sha256);
        Some(std::fs::read(&path).expect("a file"))
    }

    fn record(&self) -> PathBuf {
        let (wheel, _) = self.wheel();
        let digest = wheel.file.sha256().to_string();
        let dir = self.dir.path().join("cache/v1/points").join(&digest[..2]).join(&digest[2..]);
        let mut names = std::fs::read_dir(dir).expect("a directory");
        names.next().expect("a record").expect("a record").path()
    }

    fn points(&self) -> Points {
        parse(&std::fs::read(self.record()).expect("a record"), &self.wheel().0.entries).expect("points")
    }
}

#[test]
fn an_entry_that_was_inflated_before_is_inflated_by_several_threads() {
    let place = Place::new();
    assert_eq!(place.at_once(), None, "nothing is known of it yet");
    place.unpack_once();
    let points = place.points();
    assert!(points.values().all(|points| points.len() > 2), "{points:?}");
    assert!(place.at_once().expect("it is known") == place.large);
    // One that is known already is not noted again.
    let written = std::fs::metadata(place.record()).expect("a record").modified().expect("a time");
    place.unpack_once();
    assert_eq!(std::fs::metadata(place.record()).expect("a record").modified().expect("a time"), written);
}

#[test]
fn points_that_lead_elsewhere_leave_the_entry_to_one_thread() {
    let place = Place::new();
    place.unpack_once();
    let right = place.points();
    let (wheel, at) = place.wheel();
    let cache = place.cache();
    let changes: [(&str, Change); 5] = [
        ("a window of other bytes", |points| points[1].window.iter_mut().for_each(|byte| *byte ^= 1)),
        ("a bit more", |points| points[2].bit += 1),
        ("a byte more", |points| points[2].at += 1),
        ("a byte less", |points| points[3].at -= 1),
        ("none but the last", |points| drop(points.drain(..points.len() - 1))),
    ];
    for (what, change) in changes {
        let mut points = right.clone();
        points.values_mut().for_each(change);
        let bytes = render(&points).expect("rendered");
        cache.derived("points", &wheel.file.sha256(), &Sha256::of(HEAD)).publish(&bytes).expect("published");
        match place.at_once() {
            // Fewer points are as right.
            Some(bytes) => assert!(what == "none but the last" && bytes == place.large, "{what}"),
            None => assert_ne!(what, "none but the last"),
        }
    }
    let mut failing = right.clone();
    failing.get_mut(&at).expect("points").truncate(1);
    let (bytes, entries) = (render(&failing).expect("rendered"), &wheel.entries);
    assert_eq!(parse(&bytes, entries), Some(failing.clone()));
    for broken in [&bytes[..bytes.len() - 1], &bytes[1..], &[]] {
        assert_eq!(parse(broken, entries), None);
    }
    let refused: [(&str, Change); 4] = [
        ("behind the end", |points| points[0].at = u64::MAX),
        ("behind the stream", |points| points[0].bit = u64::MAX),
        ("too near", |points| points[0].at = APART - 1),
        ("twice", |points| points.push(points[0].clone())),
    ];
    for (what, change) in refused {
        let mut points = failing.clone();
        points.values_mut().for_each(change);
        assert_eq!(parse(&render(&points).expect("rendered"), entries), None, "{what}");
    }
    let stray = Points::from([(at + 1, right[&at].clone())]);
    assert_eq!(parse(&render(&stray).expect("rendered"), entries), None, "of an entry that has none");
}

#[test]
fn points_that_somebody_else_wrote_are_not_taken() {
    let place = Place::new();
    place.unpack_once();
    let record = place.record();
    let bytes = std::fs::read(&record).expect("a record");
    std::fs::remove_file(&record).expect("removed");
    std::fs::write(&record, bytes).expect("written");
    assert_eq!(place.at_once(), None);
    // The next run that inflates it notes them anew.
    place.unpack_once();
    assert!(place.at_once().is_some());
}
