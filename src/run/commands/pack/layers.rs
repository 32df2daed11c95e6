//! The layers of one target: those kept of an earlier run, or made of wheels.

use std::collections::BTreeMap;

use crate::{
    artifact::{
        interpreter::Extension,
        pack::{
            archive::{self, FORMAT, Items},
            image::{Base, LAYER_LIMIT, Layer},
            layers::GROUPING,
            pieces::{self, Pieces},
            split::{Part, split},
            store::{self, Record},
            tar::Common,
        },
        sbom::{self, Component},
    },
    environment::layout::{DistInput, PlanKey},
    packages::cache::{Cache, Trust},
    project::{
        lock::{Entry, EntryOrigin},
        python::Target,
    },
    run::{
        assemble::{
            Frame,
            key::{self, Keys},
            prepare::runtime_target,
            slim,
        },
        commands::sync::{Named, local_digest, name},
        options::{Archive, Form, Options, To},
        supply::{builder::Builder, seed::seeds, session::Session, work::obtain_all},
    },
    words::{
        error::{Error, Kind, Result},
        progress,
        vocab::{Extra, PackageName, Sha256},
    },
};

use super::{
    Run,
    deliver::{Delivered, publish},
    python::read_interpreter,
};

/// What the cache calls the layers of an environment.
const IMAGES: &str = "images";

/// And what is inside.
const SBOMS: &str = "sboms";

/// What a target gave.
pub(super) struct Layered {
    /// Its layers, where an image is wanted.
    pub(super) layers: Option<Vec<Layer>>,
    /// What is inside, where somebody asks.
    pub(super) components: Vec<Component>,
}

/// One target being packed.
pub(super) struct Packing<'a> {
    pub(super) run: &'a Run<'a>,
    pub(super) options: &'a Options,
    pub(super) target: &'a Target,
    pub(super) entries: &'a [Entry],
}

impl Packing<'_> {
    /// The layers that go on `base`, where an image is wanted; a tar that is wanted is written and added to `made`.
    pub(super) fn layers(
        &self,
        base: Option<&Base>,
        made: &mut Vec<(String, Option<u64>)>,
    ) -> Result<Layered> {
        let make = &self.run.output.make;
        let runtime = runtime_target(self.target, &self.options.target)?;
        let Named { copied, common, keys } = name(self.options, make, self.target, &runtime, self.entries)?;
        let budget = self.budget(base)?;
        if self.run.pack.archive.is_none()
            && let Some(key) = keys.whole
            && let Some(layers) = self.kept(&self.layers_key(key, budget))
            && let Some(components) = self.kept_components(key)
            && let Some(extensions) = self.kept_extensions(key)
        {
            return self.bring(Layered { layers: Some(layers), components }, &extensions);
        }
        self.run.sources.check(self.entries)?;
        let trust = if make.strict { Trust::Unlinked } else { Trust::Recorded };
        let session = Session::open(
            self.options,
            self.target,
            self.run.sources,
            self.entries,
            trust,
            self.run.progress,
        )?;
        let frame = Frame { runtime: &runtime, make, copied: &copied, common };
        self.make_layers(&session, &frame, budget, made)
    }

    /// How many layers packages and environment may have.
    fn budget(&self, base: Option<&Base>) -> Result<usize> {
        let below = base.map_or(0, |base| base.layers.len());
        let copies = usize::from(!self.run.pack.copies.is_empty()) + usize::from(self.run.pack.with_python);
        let room = LAYER_LIMIT - below;
        let budget = self.run.pack.layers.min(room).saturating_sub(copies);
        if budget == 0 && room <= copies {
            return Err(Error::new(
                Kind::Usage,
                format!("the base has {below} layers, and --copy needs one more than the {LAYER_LIMIT} there may be"),
            )
            .help("squash the base, or use one with fewer layers"));
        }
        Ok(budget.max(1))
    }

    /// What the cache calls the list of what is inside an environment.
    fn components_key(&self, plan: Sha256) -> Sha256 {
        let asked = self.asked();
        Sha256::of(format!("components 1\n{plan}\n{asked:?}\n").as_bytes())
    }

    /// The extras that the lock asks for.
    fn asked(&self) -> BTreeMap<PackageName, Vec<Extra>> {
        self.entries.iter().map(|entry| (entry.name.clone(), entry.extras.clone())).collect()
    }

    /// What is inside, if that was found out before; nothing where nobody asks.
    fn kept_components(&self, plan: Sha256) -> Option<Vec<Component>> {
        if self.run.pack.sboms.is_empty() {
            return Some(Vec::new());
        }
        let bytes = self.run.cache.keyed(SBOMS, &self.components_key(plan)).read_kept()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// What is inside of these, kept for later runs.
    fn components(&self, inputs: &[DistInput], plan: Sha256) -> Result<Vec<Component>> {
        if self.run.pack.sboms.is_empty() {
            return Ok(Vec::new());
        }
        let components = sbom::components(inputs, &self.target.markers, self.asked())?;
        // A cache that cannot be written costs the next run the same again.
        if let Ok(text) = serde_json::to_vec(&components) {
            let _ = self.run.cache.keyed(SBOMS, &self.components_key(plan)).publish(&text);
        }
        Ok(components)
    }

    /// What decides the layers of an environment beside the environment itself.
    fn layers_key(&self, plan: Sha256, budget: usize) -> Sha256 {
        let Common { owner, mtime } = self.run.common;
        let text = format!(
            "image {FORMAT} {GROUPING}\n{plan}\n{}\n{owner:?}\n{mtime}\n{budget}\n{:?}\n",
            self.run.place,
            self.local_names()
        );
        self.run.pack.members.key(Sha256::of(text.as_bytes()))
    }

    /// The layers that were made of this before, if all are still there.
    fn kept(&self, key: &Sha256) -> Option<Vec<Layer>> {
        let cache = self.run.cache;
        let bytes = cache.keyed(IMAGES, key).read_kept()?;
        let records: Vec<Record> = serde_json::from_slice(&bytes).ok()?;
        records.iter().map(|record| record.layer(cache)).collect()
    }

    /// The packages that come from the project itself.
    fn local_names(&self) -> Vec<&str> {
        let local = self.entries.iter().filter(|entry| matches!(entry.origin, EntryOrigin::Path(_)));
        local.map(|entry| entry.name.as_str()).collect()
    }

    /// Gets wheels and makes of them what was asked for.
    fn make_layers(
        &self,
        session: &Session<'_>,
        frame: &Frame<'_>,
        budget: usize,
        made: &mut Vec<(String, Option<u64>)>,
    ) -> Result<Layered> {
        let builder = Builder::new(self.options, self.run.output);
        let mut tries = 0;
        loop {
            self.run.progress.stage("Fetching", 0);
            let all: Vec<usize> = (0..self.entries.len()).collect();
            let threads = self.run.output.place.threads;
            let obtained = obtain_all(session, &builder, self.entries, &all, None, threads)?;
            // A first build tells what it read beside its project, which counts from then on.
            let keys =
                Keys::new(frame.common, self.entries, frame.make.seed, &self.options.build, &|entry| {
                    local_digest(entry, self.options)
                })?;
            let mut inputs = Vec::with_capacity(obtained.len());
            for (mut one, key) in obtained.into_iter().zip(&keys.entries) {
                one.input.key = key.unwrap_or_else(|| key::of_wheel(&one.input));
                inputs.push(one.input);
            }
            if frame.make.seed {
                let locked: Vec<&PackageName> = inputs.iter().map(|input| &input.wheel.name.name).collect();
                inputs.extend(seeds(session, &locked, key::of_wheel)?);
            }
            match self.make(session, frame, &inputs, budget, made) {
                // Bits that went bad in the cache: once they are gone from there, the same run can still succeed.
                Err(error) if error.kind() == Kind::Integrity && tries == 0 => {
                    tries += 1;
                    if !session.forget_damaged(&inputs)? {
                        return Err(error);
                    }
                }
                result => return result,
            }
        }
    }

    fn make(
        &self,
        session: &Session<'_>,
        frame: &Frame<'_>,
        inputs: &[DistInput],
        budget: usize,
        made: &mut Vec<(String, Option<u64>)>,
    ) -> Result<Layered> {
        let cache = &session.cache;
        let plan = frame.plan(inputs.to_vec(), self.run.progress)?;
        let compiler = frame.compiler(self.target, cache)?;
        // What goes to standard output cannot be taken back.
        let straight = matches!(self.run.pack.archive, Some(Archive { to: To::Stdout, .. }));
        let mut trusting = !straight;
        loop {
            self.run.progress.stage("Reading", 0);
            let strict = frame.make.strict;
            let options = pieces::Options { strict, trusting, compiler: compiler.as_ref(), cache };
            let pieces = match Pieces::make(&plan, &options) {
                // What is compiled is read before it is packed.
                Err(error) if trusting && error.kind() == Kind::Integrity => {
                    trusting = false;
                    continue;
                }
                made => made?,
            };
            let packed = self.pack_pieces(cache, inputs, &pieces, budget);
            pieces.keep(cache);
            // Its RECORD says otherwise: once more, with a look at everything first, to say so and to go by what is there.
            if trusting && pieces.contradicted() {
                trusting = false;
                continue;
            }
            let (layered, extensions, archive) = packed?;
            pieces.warnings.iter().for_each(|warning| self.run.progress.warn(warning));
            pieces.uncompiled.iter().for_each(|module| self.run.progress.detail(module));
            // Told by distribution, to those who want details.
            slim::saved(&frame.make.slim, &pieces.plan, &pieces.stripped, self.run.progress);
            made.extend(archive);
            return self.bring(layered, &extensions);
        }
    }

    /// Writes the tar that is wanted, and makes the layers that are.
    fn pack_pieces(
        &self,
        cache: &Cache,
        inputs: &[DistInput],
        pieces: &Pieces<'_>,
        budget: usize,
    ) -> Result<(Layered, Vec<Extension>, Option<Delivered>)> {
        self.run.progress.stage("Packing", 0);
        let PlanKey(key) = pieces.plan.key;
        let extensions = self.extensions(pieces, key)?;
        let archive = self.run.pack.archive.as_ref();
        let archive = archive.map(|archive| self.write_archive(archive, pieces, &extensions)).transpose()?;
        let components = self.components(inputs, key)?;
        if !self.run.pack.wants_image() {
            return Ok((Layered { layers: None, components }, extensions, archive));
        }
        let local = self.local_names();
        let is_local: Vec<bool> =
            pieces.plan.dists.iter().map(|dist| local.contains(&dist.name.as_str())).collect();
        let parts = split(pieces, self.run.place, budget, &is_local);
        let one = |part: &Part<'_>| {
            let began = std::time::Instant::now();
            let wheels = pieces.wheels();
            let members = self.run.pack.members;
            let made =
                store::layer(cache, &part.items, wheels, self.run.common, members, part.holds.clone())?;
            self.run.progress.part(&part.holds, progress::Part::Compress, began, made.0.blob.size);
            Ok(made)
        };
        let (layers, records): (Vec<Layer>, Vec<Record>) = {
            use rayon::prelude::*;
            let both: Vec<(Layer, Record)> = parts.par_iter().map(one).collect::<Result<_>>()?;
            both.into_iter().unzip()
        };
        // A cache that cannot be written costs the next run the same again.
        if let Ok(text) = serde_json::to_vec(&records) {
            let _ = cache.keyed(IMAGES, &self.layers_key(key, budget)).publish(&text);
        }
        Ok((Layered { layers: Some(layers), components }, extensions, archive))
    }

    fn write_archive(
        &self,
        archive: &Archive,
        pieces: &Pieces<'_>,
        extensions: &[Extension],
    ) -> Result<(String, Option<u64>)> {
        let mut items = Items::environment(pieces, self.run.place);
        let temporary = self.run.cache.temporary()?;
        let interpreter = if self.run.pack.with_python {
            Some(read_interpreter(&self.find_interpreter(extensions)?, temporary.path())?)
        } else {
            None
        };
        if let Some(interpreter) = &interpreter {
            items.merge(interpreter.items());
        }
        let wheels = pieces.wheels();
        publish(&archive.to, &mut |out, failed| match archive.form {
            Form::Plain => archive::plain(&items, wheels, self.run.common, out, failed),
            Form::Gzip => archive::gzip(&items, wheels, self.run.common, false, out, failed).map(drop),
            Form::Zstd => {
                let mut encoder = zstd::Encoder::new(out, zstd::DEFAULT_COMPRESSION_LEVEL).map_err(failed)?;
                archive::plain(&items, wheels, self.run.common, &mut encoder, failed)?;
                encoder.finish().map(drop).map_err(failed)
            }
        })
    }
}
