//! `requirements`: the lock, or the Pipfile, for pip.

use crate::{
    project::lock::{
        Pipfile,
        requirements::{Requirements, Wanted, of_lock, of_pipfile},
    },
    run::{
        inputs,
        options::{Common, LockFile, category_names},
    },
    words::{
        args::RequirementsArgs,
        error::{Error, Kind, Result},
    },
};

/// The lines of a requirements file.
///
/// # Errors
/// [`Kind::Lock`] where the lock or Pipfile is missing or wrong, or has no such category.
pub(crate) fn requirements(common: &Common, args: &RequirementsArgs) -> Result<Requirements> {
    let project = &common.project;
    let named = args.categories.as_deref().map(category_names).unwrap_or_default();
    let categories = if named.is_empty() {
        // The order is pipenv's: a package of both stands where develop has it, as default locks it.
        let develop = (args.dev || args.dev_only).then_some("develop");
        let default = (!args.dev_only).then_some("default");
        develop.into_iter().chain(default).map(str::to_owned).collect()
    } else {
        named
    };
    let wanted = Wanted {
        categories,
        hashes: args.hash,
        markers: !args.exclude_markers,
        sources: !args.exclude_index,
        mirror: args
            .pypi_mirror
            .as_deref()
            .or_else(|| common.env.get("PIPENV_PYPI_MIRROR"))
            .filter(|url| !url.is_empty()),
        is_directory: &|path| project.dir.join(path).is_dir(),
    };
    let pipfile = || {
        let path = project.pipfile()?;
        let bytes = inputs::read(path, "correct its permissions")?;
        Ok::<_, Error>((Pipfile::parse(&bytes, &inputs::label(path), &common.env)?.0, inputs::label(path)))
    };
    if args.no_lock {
        let (pipfile, label) = pipfile()?;
        return of_pipfile(&pipfile, &label, &wanted);
    }
    let listed = args.from_pipfile.then(|| pipfile().map(|(pipfile, _)| pipfile)).transpose()?;
    let lock = match project.lock()? {
        LockFile::Pipenv(lock) => lock,
        LockFile::Pylock(lock) => {
            let label = inputs::label(lock);
            return Err(Error::new(Kind::Lock, format!("{label} is for pip as it is, and no Pipfile.lock"))
                .help(format!("install it with `pip install -r {label}` (pip 25.1 and later)")));
        }
    };
    of_lock(&inputs::read(lock, "correct its permissions")?, &inputs::label(lock), listed.as_ref(), &wanted)
}
