//! pip and whatever else the interpreter brings for new environments (`--seed`).

use std::{path::PathBuf, sync::Arc};

use crate::run::supply::session::Session;
use crate::{
    environment::layout::DistInput,
    packages::wheel::{Strictness, Wheel},
    project::python::isolated_command,
    words::{
        error::{Context as _, Error, Kind, Result},
        vocab::{PackageName, Sha256, WheelName},
    },
};

/// Prints the wheels that `ensurepip` would install: its own, or the distribution's.
const LIST: &str = "
import os, ensurepip
own = os.path.join(os.path.dirname(ensurepip.__file__), '_bundled')
for place in (own, getattr(ensurepip, '_WHEEL_PKG_DIR', None) or '', '/usr/share/python-wheels'):
    names = sorted(os.listdir(place)) if os.path.isdir(place) else []
    found = [n for n in names if n.split('-')[0] in ('pip', 'setuptools') and n.endswith('.whl')]
    if found:
        print('\\n'.join(os.path.join(place, n) for n in found))
        break
";

/// Whether a package of this name may be one that an interpreter ships for new environments.
pub(crate) fn is_seed(name: &str) -> bool {
    matches!(name, "pip" | "setuptools")
}

/// The wheels bundled with the target's interpreter, except those of packages in `locked`; `key` names each.
pub(crate) fn seeds(
    session: &Session<'_>,
    locked: &[&PackageName],
    key: fn(&DistInput) -> Sha256,
) -> Result<Vec<DistInput>> {
    let python = &session.target.executable;
    let output = isolated_command(python)
        .args(["-I", "-c", LIST])
        .output()
        .map_err(|e| Error::io("cannot run", python, e).with_kind(Kind::Target))?;
    let list = String::from_utf8_lossy(&output.stdout);
    let mut inputs = Vec::new();
    for path in list.lines().map(PathBuf::from) {
        let file_name = path.file_name().unwrap_or_default().to_string_lossy();
        let name: WheelName = file_name.parse()?;
        if locked.contains(&&name.name) {
            continue;
        }
        let file = session.cache.adopt_unpinned(&path)?;
        let (wheel, warnings) = Wheel::open(file, name, Strictness::Warn)
            .context(|| format!("cannot use {} of the interpreter", path.display()))?;
        warnings.0.iter().for_each(|warning| session.progress.warn(warning));
        let mut input = DistInput { requested: false, ..DistInput::new(Arc::new(wheel)) };
        input.key = key(&input);
        inputs.push(input);
    }
    if inputs.is_empty() && !locked.iter().any(|name| name.as_str() == "pip") {
        return Err(Error::new(
            Kind::Target,
            format!("--seed: {} comes without pip (looked in its ensurepip)", python.display()),
        )
        .help("install Debian's python3-venv or the like, lock pip itself, or leave --seed out"));
    }
    Ok(inputs)
}
