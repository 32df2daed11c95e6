//! The headers of a shared object, and what becomes of them.

use std::{collections::BTreeSet, io};

use super::{ReadAt, Recipe, Span, Verdict};

const TYPE_SHARED: u64 = 3;
const PT_LOAD: u64 = 1;
const PT_INTERP: u64 = 3;
const SHT_NULL: u64 = 0;
const SHT_SYMTAB: u64 = 2;
const SHT_STRTAB: u64 = 3;
const SHT_RELA: u64 = 4;
const SHT_NOBITS: u64 = 8;
const SHT_REL: u64 = 9;
const SHT_GROUP: u64 = 17;
const SHT_SYMTAB_SHNDX: u64 = 18;
const SHF_ALLOC: u64 = 2;
const SHF_INFO_LINK: u64 = 0x40;
/// More headers of a kind than any real library has.
const MOST_HEADERS: u64 = 4096;
const DEBUG: [&[u8]; 5] = [b".debug", b".zdebug", b".stab", b".gdb_index", b".gnu_debugdata"];

/// How integers are stored.
#[derive(Clone, Copy)]
pub(super) struct Class {
    /// 64 bits rather than 32.
    pub(super) wide: bool,
    /// Big-endian.
    pub(super) big: bool,
}

/// Where a field is, in a 64-bit and in a 32-bit structure, and its size in each.
type Field = ((usize, usize), (usize, usize));

const E_TYPE: Field = ((16, 2), (16, 2));
const E_PHOFF: Field = ((32, 8), (28, 4));
const E_SHOFF: Field = ((40, 8), (32, 4));
const E_PHENTSIZE: Field = ((54, 2), (42, 2));
const E_PHNUM: Field = ((56, 2), (44, 2));
const E_SHENTSIZE: Field = ((58, 2), (46, 2));
const E_SHNUM: Field = ((60, 2), (48, 2));
const E_SHSTRNDX: Field = ((62, 2), (50, 2));
const P_TYPE: Field = ((0, 4), (0, 4));
const P_OFFSET: Field = ((8, 8), (4, 4));
const P_VADDR: Field = ((16, 8), (8, 4));
const P_FILESZ: Field = ((32, 8), (16, 4));
const P_ALIGN: Field = ((48, 8), (28, 4));
const SH_NAME: Field = ((0, 4), (0, 4));
const SH_TYPE: Field = ((4, 4), (4, 4));
const SH_FLAGS: Field = ((8, 8), (8, 4));
const SH_OFFSET: Field = ((24, 8), (16, 4));
const SH_SIZE: Field = ((32, 8), (20, 4));
const SH_LINK: Field = ((40, 4), (24, 4));
const SH_INFO: Field = ((44, 4), (28, 4));
const SH_ADDRALIGN: Field = ((48, 8), (32, 4));

impl Class {
    fn place(self, field: Field) -> (usize, usize) {
        if self.wide { field.0 } else { field.1 }
    }

    fn get(self, bytes: &[u8], field: Field) -> u64 {
        let (at, size) = self.place(field);
        let bytes = &bytes[at..at + size];
        let add = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        if self.big { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) }
    }

    /// Values are smaller than those they replace.
    fn set(self, bytes: &mut [u8], field: Field, value: u64) {
        let (at, size) = self.place(field);
        let value = value.to_le_bytes();
        for (i, byte) in bytes[at..at + size].iter_mut().enumerate() {
            *byte = value[if self.big { size - 1 - i } else { i }];
        }
    }

    fn sizes(self) -> (u64, u64, u64) {
        if self.wide { (64, 56, 64) } else { (52, 32, 40) }
    }
}

/// The headers of a file.
pub(super) struct Elf {
    class: Class,
    length: u64,
    /// Where nothing but zeros is left in the file.
    content_end: u64,
    head: Vec<u8>,
    programs: Vec<Vec<u8>>,
    sections: Vec<Vec<u8>>,
    /// Which sections go.
    gone: BTreeSet<u64>,
}

/// How many zeros a file ends with, of its last 64 KiB: patchelf leaves some.
fn trailing_zeros(source: &dyn ReadAt, length: u64) -> io::Result<u64> {
    let mut tail = vec![0; usize::try_from(length.min(64 << 10)).unwrap_or(0)];
    source.read(length - tail.len() as u64, &mut tail)?;
    Ok(tail.iter().rev().take_while(|byte| **byte == 0).count() as u64)
}

impl Elf {
    pub(super) fn read(
        source: &dyn ReadAt,
        class: Class,
        head: &[u8],
        length: u64,
    ) -> io::Result<Result<Self, &'static str>> {
        let get = |field| class.get(head, field);
        let (head_size, program_size, section_size) = class.sizes();
        if get(E_TYPE) != TYPE_SHARED {
            return Ok(Err("it is no shared object"));
        }
        let (programs, sections) = (get(E_PHNUM), get(E_SHNUM));
        if get(E_PHENTSIZE) != program_size || programs == 0 || programs > MOST_HEADERS {
            return Ok(Err("its program headers are unusual"));
        }
        if sections == 0 {
            return Ok(Err("it has no section headers"));
        }
        if get(E_SHENTSIZE) != section_size || sections > MOST_HEADERS || get(E_SHSTRNDX) >= sections {
            return Ok(Err("its section headers are unusual"));
        }
        let table = |offset: u64, count: u64, size: u64| -> io::Result<Option<Vec<Vec<u8>>>> {
            if offset.checked_add(count * size).is_none_or(|end| end > length) {
                return Ok(None);
            }
            let mut bytes = vec![0; usize::try_from(count * size).unwrap_or(0)];
            source.read(offset, &mut bytes)?;
            Ok(Some(bytes.chunks(usize::try_from(size).unwrap_or(1)).map(<[u8]>::to_vec).collect()))
        };
        let (Some(programs), Some(sections)) =
            (table(get(E_PHOFF), programs, program_size)?, table(get(E_SHOFF), sections, section_size)?)
        else {
            return Ok(Err("it is cut off"));
        };
        let mut elf = Elf {
            class,
            length,
            content_end: length - trailing_zeros(source, length)?,
            head: head[..usize::try_from(head_size).unwrap_or(64)].to_vec(),
            programs,
            sections,
            gone: BTreeSet::new(),
        };
        let names = &elf.sections[usize::try_from(get(E_SHSTRNDX)).unwrap_or(0)];
        let (at, size) = (class.get(names, SH_OFFSET), class.get(names, SH_SIZE));
        if size > 1 << 20 || at.checked_add(size).is_none_or(|end| end > length) {
            return Ok(Err("its section names are unusual"));
        }
        let mut names = vec![0; usize::try_from(size).unwrap_or(0)];
        source.read(at, &mut names)?;
        elf.choose(&names);
        Ok(Ok(elf))
    }

    fn section(&self, at: u64, field: Field) -> u64 {
        let section = usize::try_from(at).ok().and_then(|at| self.sections.get(at));
        section.map_or(0, |section| self.class.get(section, field))
    }

    fn indices(&self) -> std::ops::Range<u64> {
        0..self.sections.len() as u64
    }

    /// Whether a section holds bytes of the file.
    fn is_in_file(&self, at: u64) -> bool {
        !matches!(self.section(at, SH_TYPE), SHT_NULL | SHT_NOBITS) && self.section(at, SH_SIZE) > 0
    }

    /// Chooses what goes.
    fn choose(&mut self, names: &[u8]) {
        let loose =
            |at: &u64| self.section(*at, SH_TYPE) != SHT_NULL && self.section(*at, SH_FLAGS) & SHF_ALLOC == 0;
        let kind = |at: u64| self.section(at, SH_TYPE);
        let is_debug = |at: u64| {
            let name = usize::try_from(self.section(at, SH_NAME)).ok().and_then(|at| names.get(at..));
            name.is_some_and(|name| DEBUG.iter().any(|prefix| name.starts_with(prefix)))
        };
        let mut gone: BTreeSet<u64> = self
            .indices()
            .filter(loose)
            .filter(|&at| matches!(kind(at), SHT_SYMTAB | SHT_SYMTAB_SHNDX) || is_debug(at))
            .collect();
        // Relocations of what goes, and those a linker was asked to leave, which name symbols that go.
        let relocations = self.indices().filter(loose).filter(|&at| {
            matches!(kind(at), SHT_REL | SHT_RELA)
                && (gone.contains(&self.section(at, SH_LINK)) || gone.contains(&self.section(at, SH_INFO)))
        });
        let relocations: Vec<u64> = relocations.collect();
        gone.extend(relocations);
        // Names of symbols that go, if nothing else is named there.
        let shared = self.class.get(&self.head, E_SHSTRNDX);
        let names: Vec<u64> = gone
            .iter()
            .filter(|&&at| kind(at) == SHT_SYMTAB)
            .map(|&at| self.section(at, SH_LINK))
            .filter(|names| loose(names) && kind(*names) == SHT_STRTAB && *names != shared)
            .filter(|names| {
                self.indices().all(|other| gone.contains(&other) || self.section(other, SH_LINK) != *names)
            })
            .collect();
        gone.extend(names);
        self.gone = gone;
    }

    /// What stays, as spans with the alignment that each must keep.
    fn spans(&self) -> Result<Vec<(Span, u64)>, &'static str> {
        let (head_size, program_size, _) = self.class.sizes();
        let table = (self.class.get(&self.head, E_PHOFF), program_size * self.programs.len() as u64);
        let mut ranges = vec![(0, head_size, 1), (table.0, table.1, 8)];
        for program in &self.programs {
            let get = |field| self.class.get(program, field);
            let align = get(P_ALIGN).max(1);
            if get(P_TYPE) == PT_LOAD {
                if !align.is_power_of_two() || get(P_OFFSET) % align != get(P_VADDR) % align {
                    return Err("a segment's offset does not fit its address");
                }
                if get(P_FILESZ) == 0 && get(P_VADDR) % align != 0 {
                    return Err("a segment without bytes begins inside a page");
                }
            }
            if get(P_FILESZ) > 0 {
                // A page is the least that can be mapped.
                let align = if get(P_TYPE) == PT_LOAD { align.max(4096) } else { align };
                ranges.push((get(P_OFFSET), get(P_FILESZ), align));
            }
        }
        for at in self.indices().filter(|at| self.is_in_file(*at) && !self.gone.contains(at)) {
            let align = self.section(at, SH_ADDRALIGN).max(1);
            ranges.push((self.section(at, SH_OFFSET), self.section(at, SH_SIZE), align));
        }
        ranges.sort_unstable();
        let mut spans: Vec<(Span, u64)> = Vec::new();
        for (from, length, align) in ranges {
            let end = from.checked_add(length).filter(|end| *end <= self.length).ok_or("it is cut off")?;
            if !align.is_power_of_two() {
                return Err("an alignment is not a power of two");
            }
            match spans.last_mut() {
                Some((span, most)) if from < span.from + span.length => {
                    span.length = span.length.max(end - span.from);
                    *most = align.max(*most);
                }
                _ => spans.push((Span { from, to: from, length }, align)),
            }
        }
        Ok(spans)
    }

    pub(super) fn recipe(mut self) -> Result<Verdict, &'static str> {
        if self.gone.is_empty() {
            return Ok(Verdict::Nothing);
        }
        if self.gone.contains(&self.class.get(&self.head, E_SHSTRNDX)) {
            return Err("its section names are unusual");
        }
        let (_, _, section_size) = self.class.sizes();
        let table = (self.class.get(&self.head, E_SHOFF), section_size * self.sections.len() as u64);
        let gone = self.gone.iter().filter(|at| self.is_in_file(**at));
        let gone_end =
            gone.map(|&at| self.section(at, SH_OFFSET).saturating_add(self.section(at, SH_SIZE))).max();
        let mut spans = self.spans()?;
        let last = spans.last().map_or(0, |(span, _)| span.from + span.length);
        if last.max(table.0 + table.1).max(gone_end.unwrap_or(0)) < self.content_end {
            return Err("something follows it in the file");
        }
        let mut end = 0;
        for (span, align) in &mut spans {
            span.to = span.from - (span.from - end) / *align * *align;
            end = span.to + span.length;
        }
        let copies: Vec<Span> = spans.into_iter().map(|(span, _)| span).collect();
        let moved = |offset: u64| {
            let before = copies.iter().rev().find(|span| span.from <= offset);
            before.map_or(offset, |span| span.to + (offset - span.from).min(span.length))
        };
        let class = self.class;
        let programs_at = class.get(&self.head, E_PHOFF);
        let is_program = self.programs.iter().any(|program| class.get(program, P_TYPE) == PT_INTERP);
        if is_program && moved(programs_at) != programs_at {
            return Err("it is a program whose headers would move");
        }

        let mut patches = Vec::new();
        for program in &mut self.programs {
            // Without bytes there is nothing that could have moved.
            if class.get(program, P_FILESZ) > 0 {
                let offset = moved(class.get(program, P_OFFSET));
                class.set(program, P_OFFSET, offset);
            }
        }
        patches.push((moved(programs_at), self.programs.concat()));
        // Symbols name their sections by position, so what goes before a loaded section leaves an empty header.
        let loaded = self.indices().rev().find(|&at| self.section(at, SH_FLAGS) & SHF_ALLOC != 0);
        let loaded = loaded.unwrap_or(0);
        let mut positions = vec![0; self.sections.len()];
        let mut headers = Vec::new();
        for at in self.indices() {
            let index = usize::try_from(at).unwrap_or(0);
            let gone = self.gone.contains(&at);
            if gone && at > loaded {
                continue;
            }
            positions[index] = headers.len() as u64;
            let mut header = self.sections[index].clone();
            if gone {
                header.fill(0);
            } else if class.get(&header, SH_TYPE) != SHT_NULL {
                class.set(&mut header, SH_OFFSET, moved(class.get(&self.sections[index], SH_OFFSET)));
            }
            headers.push((header, gone));
        }
        for (header, gone) in &mut headers {
            let kind = class.get(header, SH_TYPE);
            if *gone || kind == SHT_NULL {
                continue;
            }
            if kind == SHT_GROUP {
                return Err("it has groups of sections");
            }
            let names_section =
                matches!(kind, SHT_REL | SHT_RELA) || class.get(header, SH_FLAGS) & SHF_INFO_LINK != 0;
            let fields: &[Field] = if names_section { &[SH_LINK, SH_INFO] } else { &[SH_LINK] };
            for &field in fields {
                let named = class.get(header, field);
                if self.gone.contains(&named) {
                    return Err("a section needs one that would go");
                }
                let position = usize::try_from(named).ok().and_then(|at| positions.get(at));
                class.set(header, field, *position.ok_or("a section names one that is not there")?);
            }
        }
        let table_at = end.next_multiple_of(8);
        let names = usize::try_from(class.get(&self.head, E_SHSTRNDX)).unwrap_or(0);
        class.set(&mut self.head, E_PHOFF, moved(programs_at));
        class.set(&mut self.head, E_SHOFF, table_at);
        class.set(&mut self.head, E_SHNUM, headers.len() as u64);
        class.set(&mut self.head, E_SHSTRNDX, positions[names]);
        patches.push((0, self.head));
        let table: Vec<u8> = headers.into_iter().flat_map(|(header, _)| header).collect();
        let size = table_at + table.len() as u64;
        patches.push((table_at, table));
        Ok(if size < self.length {
            Verdict::Smaller(Recipe { size, copies, patches })
        } else {
            Verdict::Nothing
        })
    }
}
