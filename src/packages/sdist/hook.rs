//! Calling a backend's hooks (PEP 517, PEP 660).

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::json;

use super::{
    backend::Backend, hints, isolated::Isolated, process::Step, requirements::Requirement,
    session::BuildSession,
};
use crate::words::{
    error::{Context as _, Error, Kind, Result, Warnings},
    progress::Progress,
    vocab::WheelName,
};

const HOOKS: &str = include_str!("hooks.py");

/// A build that whoever watches is told of as long as this lives.
struct Shown<'a> {
    progress: &'a dyn Progress,
    what: String,
}

impl<'a> Shown<'a> {
    fn new(progress: &'a dyn Progress, what: String) -> Self {
        progress.build_begins(&what);
        Shown { progress, what }
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.progress.build_ends(&self.what);
    }
}

/// What hooks are called with.
#[derive(Clone, Copy)]
struct Call<'a> {
    isolated: &'a Isolated<'a>,
    work: &'a Path,
    project: &'a Path,
    backend: &'a Backend,
    out: &'a Path,
}

/// What `hooks.py` writes down.
#[derive(Deserialize)]
struct Told {
    hook: String,
    /// Nothing is an answer, too, if a wrong one.
    #[serde(default, deserialize_with = "present")]
    answer: Option<serde_json::Value>,
}

fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<serde_json::Value>, D::Error> {
    serde_json::Value::deserialize(from).map(Some)
}

/// What the last hook that was called gave.
struct Answer {
    hook: String,
    value: serde_json::Value,
}

impl BuildSession<'_> {
    /// Calls a backend's hook in an environment of its own, below `work`, and gives the wheel it wrote.
    pub(super) fn hook_wheel(
        &mut self,
        project: &Path,
        work: &Path,
        backend: &Backend,
        hook: &str,
    ) -> Result<PathBuf> {
        let _shown = Shown::new(self.context.progress, self.job.label());
        // What lasts is rebuilt in by whoever imports it; all else is gone after this build.
        let lasting = !work.starts_with(self.context.places);
        let isolated = Isolated::create(self.context, &self.runner, work, &self.settings, lasting)?;
        let mut installed = backend.requires.clone();
        let mut warnings = Warnings::default();
        let mut requirements = if self.settings.no_isolation {
            isolated.share(&installed, &self.settings, &mut warnings)?
        } else {
            isolated.install(&installed, &self.settings, &mut warnings)?
        };
        let out = work.join("out");
        fs::create_dir_all(&out).map_err(|e| Error::io("cannot create", &out, e))?;
        let ask = hook.replace("build_", "get_requires_for_build_");
        let call = Call { isolated: &isolated, work, project, backend, out: &out };
        let mut name = self.hooks(&call, &[&ask, hook], &installed)?;
        if let Answer { value, hook: last } = &name
            && *last == ask
        {
            let further: Vec<String> = serde_json::from_value(value.clone()).map_err(|e| {
                Error::new(Kind::Build, "the backend's further requirements are no list of texts").because(e)
            })?;
            installed.extend(further.into_iter().filter(|one| !backend.requires.contains(one)));
            if !self.settings.no_isolation {
                requirements = isolated.install(&installed, &self.settings, &mut warnings)?;
            }
            name = self.hooks(&call, &[hook], &installed)?;
        }
        let name = name.value;
        self.requirements = requirements.iter().map(Requirement::pin).collect();
        self.warnings.extend(warnings);
        let name = name.as_str().unwrap_or_default();
        name.parse::<WheelName>()
            .context(|| format!("{} gave {name:?} as the wheel's name", backend.object))?;
        let wheel = out.join(name);
        if !fs::symlink_metadata(&wheel).is_ok_and(|meta| meta.is_file()) {
            return Err(Error::new(
                Kind::Build,
                format!("{} said it wrote {name}, but did not", backend.object),
            ));
        }
        Ok(wheel)
    }

    /// Calls hooks one after another, as long as they ask for nothing that is not installed.
    fn hooks(&self, call: &Call, hooks: &[&str], installed: &[String]) -> Result<Answer> {
        let Call { isolated, work, project, backend, out } = *call;
        let config: serde_json::Map<String, serde_json::Value> = self
            .settings
            .config
            .iter()
            .map(|(key, values)| {
                (
                    key.clone(),
                    match values.as_slice() {
                        [one] if !key.starts_with("--") => json!(one),
                        several => json!(several),
                    },
                )
            })
            .collect();
        let request = json!({
            "hooks": hooks,
            "installed": installed,
            "backend": backend.object,
            "backend_path": backend.path,
            "config": config,
            "out": out,
        });
        let place = work.join("hooks");
        fs::create_dir_all(&place).map_err(|e| Error::io("cannot create", &place, e))?;
        let (script, question, answer) =
            (place.join("hooks.py"), place.join("request.json"), place.join("answer.json"));
        for (path, text) in [(&script, HOOKS), (&question, request.to_string().as_str()), (&answer, "")] {
            fs::write(path, text).map_err(|e| Error::io("cannot write", path, e))?;
        }
        let args: Vec<OsString> = vec![script.into(), question.into(), answer.clone().into()];
        let step = Step {
            program: isolated.python.as_os_str(),
            args,
            directory: project,
            environment: &isolated.environment,
            private: Vec::new(),
            writable: isolated.writable.clone(),
        };
        let result = self.runner.run(&step)?;
        let told: Option<Told> = fs::read(&answer).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let last = told.as_ref().map_or(hooks[0], |told| &told.hook).to_owned();
        if let Err(failure) = result {
            let error = failure.error();
            let hint = if self.settings.no_isolation {
                let missing = isolated.missing(installed);
                hints::without_isolation(&failure.output, self.job.name.as_str(), &missing)
            } else {
                None
            };
            let hint = hint.or_else(|| hints::hint(&failure.output, self.job.name.as_str()));
            let error = match hint {
                Some(hint) => error.help(hint),
                None => error,
            };
            return Err(error.context(format!("{last} of {} failed", backend.object)));
        }
        match told.and_then(|told| told.answer) {
            Some(value) => Ok(Answer { hook: last, value }),
            None => {
                Err(Error::new(Kind::Build, format!("{last} of {} ended without an answer", backend.object)))
            }
        }
    }
}
