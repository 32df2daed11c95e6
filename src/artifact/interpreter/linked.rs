//! What a shared object or program says it is linked with (ELF, System V ABI, "Dynamic Linking").

use object::{
    Endianness, FileKind,
    elf::{DT_NEEDED, DT_NULL, DT_RPATH, DT_RUNPATH, DT_STRSZ, DT_STRTAB, FileHeader32, FileHeader64},
    read::elf::{Dyn as _, FileHeader, ProgramHeader as _},
};
use serde::{Deserialize, Serialize};

/// What a file is linked with.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Linked {
    /// Names of libraries (DT_NEEDED).
    pub needed: Vec<String>,
    /// Where to look for them, and for those of what it loads (DT_RPATH).
    pub rpath: Vec<String>,
    /// Where to look for them (DT_RUNPATH); takes the place of the other.
    pub runpath: Option<Vec<String>>,
    /// What loads it, for programs.
    pub interpreter: Option<String>,
    /// Its machine and class: libraries of others do not count.
    pub machine: (u16, bool),
}

impl Linked {
    /// Reads a file's headers; `None` for what is not ELF, or damaged.
    pub(crate) fn of(bytes: &[u8]) -> Option<Linked> {
        match FileKind::parse(bytes).ok()? {
            FileKind::Elf32 => read::<FileHeader32<Endianness>>(bytes, false),
            FileKind::Elf64 => read::<FileHeader64<Endianness>>(bytes, true),
            _ => None,
        }
    }
}

fn read<Elf: FileHeader<Endian = Endianness>>(bytes: &[u8], wide: bool) -> Option<Linked> {
    let header = Elf::parse(bytes).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, bytes).ok()?;
    let mut linked = Linked { machine: (header.e_machine(endian).0, wide), ..Linked::default() };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    let mut entries = Vec::new();
    for segment in segments {
        if let Ok(Some(name)) = segment.interpreter(endian, bytes) {
            linked.interpreter = text(name);
        }
        if let Ok(Some(found)) = segment.dynamic(endian, bytes) {
            entries.extend(
                found
                    .iter()
                    .map(|entry| (entry.d_tag(endian), entry.d_val(endian).into()))
                    .take_while(|(tag, _)| *tag != DT_NULL),
            );
        }
    }
    let value = |wanted| entries.iter().find(|(tag, _)| *tag == wanted).map(|(_, value)| *value);
    let strings = value(DT_STRTAB).zip(value(DT_STRSZ)).and_then(|(at, size): (u64, u64)| {
        segments.iter().find_map(|segment| segment.data_range(endian, bytes, at, size).ok().flatten())
    });
    let string = |at: u64| {
        let rest = strings?.get(usize::try_from(at).ok()?..)?;
        text(rest.split(|byte| *byte == 0).next()?)
    };
    let paths = |at: u64| -> Vec<String> {
        let all = string(at).unwrap_or_default();
        all.split(':').filter(|path| !path.is_empty()).map(str::to_owned).collect()
    };
    for (tag, value) in &entries {
        match *tag {
            DT_NEEDED => linked.needed.extend(string(*value)),
            DT_RPATH => linked.rpath = paths(*value),
            DT_RUNPATH => linked.runpath = Some(paths(*value)),
            _ => {}
        }
    }
    Some(linked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_this_machine_name_their_libraries_and_loader() {
        let own = std::fs::read("/bin/sh").expect("a program");
        let linked = Linked::of(&own).expect("ELF");
        assert!(linked.needed.iter().any(|name| name.starts_with("libc.")), "{linked:?}");
        assert!(linked.interpreter.is_some_and(|path| path.starts_with('/')));
    }

    #[test]
    fn what_is_not_elf_or_cut_off_is_none() {
        let own = std::fs::read("/bin/sh").expect("a program");
        assert_eq!(Linked::of(b"#!/bin/sh\n"), None);
        assert_eq!(Linked::of(b""), None);
        for length in [4, 20, 63, 64, 100, 1000] {
            // Never a panic, whatever is missing.
            let _ = Linked::of(&own[..length]);
        }
    }
}
