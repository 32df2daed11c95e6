//! What lies between an environment that is there and the one that is wanted.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Changes, named};
use crate::{
    artifact::write::{Ahead, Previous, Report},
    environment::layout::{DistInput, Plan, PlanKey},
    project::lock::{Entry, EntryOrigin},
    run::{
        assemble::key::{self, Keys},
        commands::sync::{Outcome, Run, Summary, local_digest},
        options::Local,
        supply::{
            builder::Builder,
            obtain::{Obtained, place_checkout},
            work::obtain_all,
        },
    },
    words::{
        error::Result,
        vocab::{RelPath, Sha256},
    },
};

/// What lies between the distributions that are there and a lock's entries.
pub(in crate::run::commands) struct Difference {
    /// Of each entry the distribution as which it is there already.
    places: Vec<Option<usize>>,
    /// The others, each with its position among the entries.
    coming: Vec<(usize, Obtained)>,
    /// How many of the places are not of entries, but of what is there before them.
    first: usize,
    /// Of what comes the distributions that are there as they are wanted, but depend on others that change.
    again: HashSet<usize>,
    /// What is known of those that are there already, by position among the places: of the first ones always, of the entries
    /// with `--slim` or once they are to come again.
    rest: HashMap<usize, Obtained>,
    summary: Summary,
    local: Local,
}

/// What becomes of what is there.
pub(in crate::run::commands) struct LaidOut {
    /// The plan of what comes; its key is that of all of it.
    pub(in crate::run::commands) plan: Plan,
    /// All distributions in the order in which they are installed.
    pub(in crate::run::commands) dists: Vec<(Sha256, RelPath)>,
    /// Positions of those that stay.
    pub(in crate::run::commands) kept: HashSet<usize>,
    /// Positions of those that go, or come again.
    pub(in crate::run::commands) leaving: HashSet<usize>,
}

impl Difference {
    /// Finds out which entries are there (`whole`), and gets the wheels of the others; `ahead` unpacks them while others
    /// come.
    pub(in crate::run::commands) fn find(
        run: &Run<'_>,
        builder: &Builder<'_>,
        entries: &[Entry],
        keys: &Keys,
        whole: &HashMap<Sha256, usize>,
        ahead: Option<&Ahead>,
    ) -> Result<Self> {
        let session = run.session;
        let local = session.request.lock.local;
        // Which entries are as they were, as far as the lock tells; the others' wheels are needed.
        let mut places: Vec<Option<usize>> =
            keys.entries.iter().map(|key| key.and_then(|key| whole.get(&key).copied())).collect();
        let is_wanted = |at: &usize| places[*at].is_none() && local.leaves_out(&entries[*at]).is_none();
        let wanted: Vec<usize> = (0..entries.len()).filter(is_wanted).collect();
        let obtained = if wanted.is_empty() {
            Vec::new()
        } else {
            session.progress.stage("Fetching", 0);
            obtain_all(session, builder, entries, &wanted, ahead, run.place.threads)?
        };
        let mut summary = Summary { packages: entries.len(), ..Summary::default() };
        let mut coming = Vec::new();
        for (&at, mut one) in wanted.iter().zip(obtained) {
            // A first build tells what it read, which counts from then on.
            let local = matches!(entries[at].origin, EntryOrigin::Path(_)) && keys.entries[at].is_some();
            let key = if local {
                key::of_entry(&entries[at], local_digest(&entries[at], session.request)?)
            } else {
                keys.entries[at]
            };
            one.input.key = key.unwrap_or_else(|| key::of_wheel(&one.input));
            summary.count(one.came);
            match whole.get(&one.input.key) {
                // The entry did not say it, the wheel does: it is the same.
                Some(&position) if one.checkout.is_none() => places[at] = Some(position),
                _ => coming.push((at, one)),
            }
        }
        Ok(Difference {
            places,
            coming,
            first: 0,
            again: HashSet::new(),
            rest: HashMap::new(),
            summary,
            local,
        })
    }

    /// Lets distributions that could stay come again, and gets their wheels; whether that is possible.
    pub(super) fn again(
        &mut self,
        run: &Run<'_>,
        builder: &Builder<'_>,
        entries: &[Entry],
        previous: &[(Sha256, RelPath)],
        entangled: &HashSet<usize>,
        ahead: Option<&Ahead>,
    ) -> Result<bool> {
        let is_entangled = |at: &usize| self.places[*at].is_some_and(|place| entangled.contains(&place));
        let places: Vec<usize> = (0..self.places.len()).filter(is_entangled).collect();
        // Where only local projects are installed, others cannot come again.
        if self.local == Local::Only || places.len() < entangled.len() {
            return Ok(false);
        }
        self.know(run, builder, entries, &places, ahead)?;
        self.come_again(places, previous);
        Ok(true)
    }

    /// Gets the wheels of what is at these places, where they are not known yet.
    fn know(
        &mut self,
        run: &Run<'_>,
        builder: &Builder<'_>,
        entries: &[Entry],
        places: &[usize],
        ahead: Option<&Ahead>,
    ) -> Result<()> {
        let unknown: Vec<usize> = places.iter().filter(|at| !self.rest.contains_key(at)).copied().collect();
        let wanted: Vec<usize> = unknown.iter().map(|at| at - self.first).collect();
        let obtained = obtain_all(run.session, builder, entries, &wanted, ahead, run.place.threads)?;
        self.rest.extend(unknown.into_iter().zip(obtained));
        Ok(())
    }

    /// Lets what is at these places come again; what is known of it is in `rest`.
    fn come_again(&mut self, places: Vec<usize>, previous: &[(Sha256, RelPath)]) {
        for at in places {
            let Some(mut one) = self.rest.remove(&at) else { continue };
            if let Some(position) = self.places[at].take() {
                one.input.key = previous[position].0;
                self.again.insert(position);
            }
            self.coming.push((at, one));
        }
        self.coming.sort_by_key(|(at, _)| *at);
    }

    /// Decides what is left out of each distribution. Those that stay and of which something else is left out than before, as
    /// others came or went, come again. Whether that is possible.
    pub(in crate::run::commands) fn slim(
        &mut self,
        run: &Run<'_>,
        builder: &Builder<'_>,
        entries: &[Entry],
        previous: &Previous<'_>,
    ) -> Result<bool> {
        // To look at the working tree of an editable repository, another one would have to be made.
        let has_checkouts = entries.iter().any(|entry| builder.has_checkout(entry));
        if has_checkouts && self.local != Local::Only {
            return Ok(false);
        }
        let is_unseen =
            |at: usize| at.checked_sub(self.first).is_some_and(|at| builder.has_checkout(&entries[at]));
        let is_seen = |at: &usize| self.places[*at].is_some() && !is_unseen(*at);
        let staying: Vec<usize> = (0..self.places.len()).filter(is_seen).collect();
        self.know(run, builder, entries, &staying, None)?;
        let mut all: BTreeMap<usize, &mut DistInput> =
            self.rest.iter_mut().map(|(at, one)| (*at, &mut one.input)).collect();
        all.extend(self.coming.iter_mut().map(|(at, one)| (*at, &mut one.input)));
        let mut inputs: Vec<DistInput> = all.values().map(|input| (**input).clone()).collect();
        run.frame.cut(&mut inputs, run.session.progress)?;
        let listed = run.frame.listed(&inputs)?;
        let listed: HashMap<usize, HashSet<RelPath>> = all.keys().copied().zip(listed).collect();
        for (input, cut) in all.into_values().zip(inputs) {
            *input = cut;
        }
        // Where only local projects are installed, something that is there may be unknown here: then all of it is left alone.
        if self.local == Local::Only && (has_checkouts || self.leaves_others(previous.dists())) {
            return Ok(true);
        }
        let differs = |at: &usize| {
            let Some(position) = self.places[*at] else { return false };
            let there = previous.listed(position).map(|paths| paths.into_iter().collect::<HashSet<_>>());
            there.as_ref() != listed.get(at)
        };
        let again = staying.into_iter().filter(differs).collect();
        self.come_again(again, previous.dists());
        Ok(true)
    }

    /// Whether something stays that is neither an entry as the lock has it nor replaced by one.
    fn leaves_others(&self, previous: &[(Sha256, RelPath)]) -> bool {
        let staying: HashSet<usize> = self.places.iter().flatten().copied().collect();
        let names: HashSet<String> =
            self.coming.iter().map(|(_, one)| one.input.wheel.name.name.to_string()).collect();
        let is_known = |at: usize| staying.contains(&at) || names.contains(&named(&previous[at].1).0);
        !(0..previous.len()).all(is_known)
    }

    /// Lets these wheels be there before all entries, as a virtual environment has them before anything is installed
    /// into it.
    pub(super) fn install_first(&mut self, wheels: Vec<DistInput>, whole: &HashMap<Sha256, usize>) {
        let places: Vec<_> = wheels.iter().map(|input| whole.get(&input.key).copied()).collect();
        let wheels = wheels.into_iter().map(Obtained::there).enumerate();
        let (there, first): (Vec<_>, Vec<_>) = wheels.partition(|(at, _)| places[*at].is_some());
        self.rest = there.into_iter().collect();
        let coming = std::mem::take(&mut self.coming);
        let coming = coming.into_iter().map(|(at, one)| (at + places.len(), one));
        self.coming = first.into_iter().chain(coming).collect();
        self.summary.packages += places.len();
        self.first = places.len();
        self.places.splice(0..0, places);
    }

    /// Whether those that stay are wanted in the order in which they were installed.
    pub(in crate::run::commands) fn keeps_order(&self) -> bool {
        self.local == Local::Only || self.places.iter().flatten().is_sorted()
    }

    /// How much is written, in bytes.
    pub(in crate::run::commands) fn bytes(&self) -> u64 {
        self.coming.iter().flat_map(|(_, one)| &one.input.wheel.entries).map(|entry| entry.size).sum()
    }

    /// The wheels that come.
    pub(in crate::run::commands) fn inputs(&self) -> Vec<DistInput> {
        self.coming.iter().map(|(_, one)| one.input.clone()).collect()
    }

    /// Lays out what comes, beside the distributions that are there.
    pub(in crate::run::commands) fn lay_out(
        &self,
        run: &Run<'_>,
        previous: &[(Sha256, RelPath)],
    ) -> Result<LaidOut> {
        let mut plan = run.frame.plan_part(&self.inputs(), run.session.progress)?;
        let kept: HashSet<usize> = match self.local {
            // Whatever is there stays, but for what comes again.
            Local::Only => {
                let again: HashSet<&str> = plan.dists.iter().map(|dist| dist.name.as_str()).collect();
                let comes = |at: &usize| again.contains(&*named(&previous[*at].1).0);
                (0..previous.len()).filter(|at| !comes(at)).collect()
            }
            _ => self.places.iter().flatten().copied().collect(),
        };
        let positions = self.coming.iter().map(|(at, _)| *at);
        let came = positions.zip(&plan.dists).map(|(at, dist)| (at, (dist.key, dist.dist_info.clone())));
        let dists = in_order(previous, &kept, &self.places, came.collect());
        plan.key = PlanKey(key::whole(run.frame.common, dists.iter().map(|(key, _)| *key)));
        let leaving = (0..previous.len()).filter(|at| !kept.contains(at)).collect();
        Ok(LaidOut { plan, dists, kept, leaving })
    }

    /// Name and version of each distribution that goes, or that another takes the place of.
    pub(in crate::run::commands) fn gone(
        &self,
        previous: &[(Sha256, RelPath)],
        leaving: &HashSet<usize>,
    ) -> Vec<(String, String)> {
        leaving.iter().filter(|at| !self.again.contains(at)).map(|&at| named(&previous[at].1)).collect()
    }

    /// What is left to do once all is in its place: tells, and gives the result.
    pub(in crate::run::commands) fn done(
        mut self,
        run: &Run<'_>,
        plan: &Plan,
        previous: &[(Sha256, RelPath)],
        gone: Vec<(String, String)>,
        kept: usize,
        report: &Report,
    ) -> Result<Outcome> {
        run.tell(report);
        plan.dists.iter().for_each(|dist| dist.wheel.settle(&run.session.cache));
        for (_, one) in &self.coming {
            if let Some((from, to)) = &one.checkout {
                place_checkout(from, to)?;
            }
        }
        // What came again only since it shares a path is what it was.
        let again: HashSet<Sha256> = self.again.iter().map(|&at| previous[at].0).collect();
        let came = plan.dists.iter().filter(|dist| !again.contains(&dist.key));
        let came = came.map(|dist| named(&dist.dist_info));
        let came = came.map(|(name, version)| (name, Some(version)));
        let changes = Changes::between(gone.into_iter(), came, kept + again.len());
        self.summary.files = report.files;
        self.summary.bytes = report.bytes;
        Ok(Outcome::Changed(changes, self.summary))
    }
}

/// The distributions of the new environment in the order in which they are installed: those of `previous` that stay, and
/// those that come, each with its position among the entries, before the next entry that stays. `places` says which
/// entries stay, and as what.
fn in_order(
    previous: &[(Sha256, RelPath)],
    kept: &HashSet<usize>,
    places: &[Option<usize>],
    came: Vec<(usize, (Sha256, RelPath))>,
) -> Vec<(Sha256, RelPath)> {
    let entry_of: HashMap<usize, usize> =
        places.iter().enumerate().filter_map(|(at, place)| Some(((*place)?, at))).collect();
    let mut came = came.into_iter().peekable();
    let mut dists = Vec::new();
    for position in (0..previous.len()).filter(|position| kept.contains(position)) {
        if let Some(entry) = entry_of.get(&position) {
            while let Some((_, dist)) = came.next_if(|(at, _)| at < entry) {
                dists.push(dist);
            }
        }
        dists.push(previous[position].clone());
    }
    dists.extend(came.map(|(_, dist)| dist));
    dists
}
