//! Shared objects made here, in every class and byte order.

use proptest::prelude::*;

use super::*;

/// A shared object in the making.
#[derive(Clone, Copy)]
struct Sample {
    class: Class,
    /// Where the symbol table is: before the second segment (as patchelf leaves it) or after.
    moved: bool,
    /// Bytes after everything.
    overlay: &'static [u8],
}

const PAGE: u64 = 0x1000;
const TEXT: &[u8] = b"the code";
const DATA: &[u8] = b"the data";
const NAMES: &[u8] = b"\0.text\0.data\0.symtab\0.strtab\0.debug_info\0.shstrtab\0.comment\0";

impl Sample {
    fn new(wide: bool, big: bool) -> Self {
        Sample { class: Class { wide, big }, moved: false, overlay: b"" }
    }

    fn number(self, out: &mut Vec<u8>, value: u64, size: usize) {
        let bytes = value.to_be_bytes();
        let mut bytes = bytes[8 - size..].to_vec();
        if !self.class.big {
            bytes.reverse();
        }
        out.extend(bytes);
    }

    fn numbers(self, out: &mut Vec<u8>, values: &[(u64, usize)]) {
        for &(value, size) in values {
            self.number(out, value, size);
        }
    }

    fn build(self) -> Vec<u8> {
        let word = if self.class.wide { 8 } else { 4 };
        let (head, program, section) = if self.class.wide { (64, 56, 64) } else { (52, 32, 40) };
        let text_at = head + 2 * program;
        let loose = vec![b'd'; 3 * usize::try_from(PAGE).expect("small")];
        // Offsets of what is not loaded, and of the second segment.
        let after_text = text_at + TEXT.len() as u64;
        let data_at =
            if self.moved { (after_text + loose.len() as u64).next_multiple_of(PAGE) } else { 0x1100 };
        let loose_at = if self.moved { after_text } else { data_at + DATA.len() as u64 };
        let names_at = if self.moved { data_at + DATA.len() as u64 } else { loose_at + loose.len() as u64 };
        let comment_at = names_at + NAMES.len() as u64;
        let table_at = (comment_at + 4).next_multiple_of(8);

        let mut out = b"\x7fELF".to_vec();
        out.extend([if self.class.wide { 2 } else { 1 }, if self.class.big { 2 } else { 1 }, 1]);
        out.resize(16, 0);
        self.numbers(&mut out, &[(3, 2), (62, 2), (1, 4), (0, word), (head, word), (table_at, word), (0, 4)]);
        self.numbers(&mut out, &[(head, 2), (program, 2), (2, 2), (section, 2), (7, 2), (5, 2)]);
        let data_address = 0x20_0000 + data_at % PAGE;
        for (at, address, size) in
            [(0, 0, text_at + TEXT.len() as u64), (data_at, data_address, DATA.len() as u64)]
        {
            if self.class.wide {
                self.numbers(&mut out, &[(1, 4), (5, 4), (at, 8), (address, 8), (address, 8), (size, 8)]);
                self.numbers(&mut out, &[(size, 8), (PAGE, 8)]);
            } else {
                self.numbers(&mut out, &[(1, 4), (at, 4), (address, 4), (address, 4), (size, 4), (size, 4)]);
                self.numbers(&mut out, &[(5, 4), (PAGE, 4)]);
            }
        }
        for (at, bytes) in
            [(text_at, TEXT), (data_at, DATA), (loose_at, &loose), (names_at, NAMES), (comment_at, b"gcc\0")]
        {
            let at = usize::try_from(at).expect("small");
            if out.len() < at + bytes.len() {
                out.resize(at + bytes.len(), 0);
            }
            out[at..at + bytes.len()].copy_from_slice(bytes);
        }
        out.resize(usize::try_from(table_at).expect("small"), 0);
        let half = loose.len() as u64 / 2;
        let name = |text: &[u8]| memchr::memmem::find(NAMES, text).expect("a name") as u64;
        // name, type, flags, address, offset, size, link
        let sections: [[u64; 7]; 7] = [
            [0; 7],
            [name(b".text"), 1, 6, text_at, text_at, TEXT.len() as u64, 0],
            [name(b".symtab"), 2, 0, 0, loose_at, half, 3],
            [name(b".strtab"), 3, 0, 0, loose_at + half, half, 0],
            [name(b".data"), 1, 3, data_address, data_at, DATA.len() as u64, 0],
            [name(b".shstrtab"), 3, 0, 0, names_at, NAMES.len() as u64, 0],
            [name(b".comment"), 1, 0, 0, comment_at, 4, 0],
        ];
        for [name, kind, flags, address, at, size, link] in sections {
            self.numbers(&mut out, &[(name, 4), (kind, 4), (flags, word), (address, word), (at, word)]);
            self.numbers(&mut out, &[(size, word), (link, 4), (0, 4), (1, word), (0, word)]);
        }
        out.extend(self.overlay);
        out
    }
}

fn smaller(bytes: &[u8]) -> Vec<u8> {
    match look(&bytes).expect("readable") {
        Verdict::Smaller(recipe) => {
            let out = recipe.apply(bytes);
            assert_eq!(out.len() as u64, recipe.size);
            assert!(out.len() < bytes.len());
            out
        }
        other => panic!("{other:?}"),
    }
}

fn all() -> impl Iterator<Item = Sample> {
    (0..8).map(|i| Sample { moved: i & 4 > 0, ..Sample::new(i & 1 > 0, i & 2 > 0) })
}

#[test]
fn symbols_go_and_everything_loaded_stays() {
    for sample in all() {
        let before = sample.build();
        let after = smaller(&before);
        assert!(memchr::memmem::find(&after, b"ddd").is_none());
        for kept in [TEXT, DATA, NAMES, b"gcc\0"] {
            assert!(memchr::memmem::find(&after, kept).is_some());
        }
        // What is left has nothing more to take out.
        assert_eq!(look(&&*after).expect("readable"), Verdict::Nothing);
        assert!(before.len() - after.len() > 0x2000);
    }
}

#[test]
fn a_segment_moves_by_whole_pages() {
    let sample = Sample { moved: true, ..Sample::new(true, false) };
    let (before, after) = (sample.build(), smaller(&sample.build()));
    let offset = |bytes: &[u8]| u64::from_le_bytes(bytes[64 + 56 + 8..][..8].try_into().expect("eight"));
    assert_eq!((offset(&before) - offset(&after)) % PAGE, 0);
    assert!(offset(&after) < offset(&before));
    let at = usize::try_from(offset(&after)).expect("small");
    assert_eq!(&after[at..][..DATA.len()], DATA);
}

#[test]
fn sections_that_symbols_number_keep_their_numbers() {
    // `.data` is the fourth section, after two that go: their headers stay, empty.
    let after = smaller(&Sample::new(true, false).build());
    let count = u16::from_le_bytes(after[60..62].try_into().expect("two"));
    assert_eq!(count, 7);
    let table = usize::try_from(u64::from_le_bytes(after[40..48].try_into().expect("eight"))).expect("small");
    let header = |at: usize| &after[table + at * 64..][..64];
    assert!(header(2).iter().chain(header(3)).all(|byte| *byte == 0));
    assert_eq!(header(4)[4], 1);
}

#[test]
fn the_file_on_disk_becomes_the_same() {
    for sample in all() {
        let bytes = sample.build();
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&bytes).expect("written");
        let Verdict::Smaller(recipe) = look(&file).expect("readable") else { panic!("it is smaller") };
        recipe.apply_to(&file).expect("written");
        let mut after = vec![0; usize::try_from(file.length().expect("a length")).expect("small")];
        file.read(0, &mut after).expect("read");
        assert!(after == recipe.apply(&bytes));
    }
}

#[test]
fn what_is_unusual_is_left_alone() {
    let verdict = |bytes: &[u8]| look(&bytes).expect("readable");
    assert_eq!(verdict(b"#!/bin/sh\n"), Verdict::Nothing);
    assert_eq!(verdict(&[0; 100]), Verdict::Nothing);
    let overlay = Sample { overlay: b"an archive", ..Sample::new(true, false) }.build();
    assert_eq!(verdict(&overlay), Verdict::Unusual("something follows it in the file"));
    // patchelf leaves zeros.
    smaller(&Sample { overlay: &[0; 9], ..Sample::new(true, false) }.build());
    let good = Sample::new(true, false).build();
    let changed = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        verdict(&bytes)
    };
    assert_eq!(changed(4, 3), Verdict::Unusual("its class or byte order is unknown"));
    assert_eq!(changed(16, 2), Verdict::Unusual("it is no shared object"));
    assert_eq!(changed(54, 9), Verdict::Unusual("its program headers are unusual"));
    assert_eq!(changed(60, 0), Verdict::Unusual("it has no section headers"));
    assert_eq!(changed(62, 99), Verdict::Unusual("its section headers are unusual"));
    assert_eq!(changed(62, 2), Verdict::Unusual("its section names are unusual"));
    assert_eq!(changed(43, 1), Verdict::Unusual("it is cut off"));
    assert_eq!(changed(64 + 56 + 8, 1), Verdict::Unusual("a segment's offset does not fit its address"));
    assert_eq!(verdict(&good[..good.len() - 1]), Verdict::Unusual("it is cut off"));
}

proptest! {
    #[test]
    fn damaged_headers_never_panic(
        which in 0..8_usize,
        changes in proptest::collection::vec((0..1200_usize, any::<u8>()), 1..6),
    ) {
        let mut bytes = all().nth(which).expect("a sample").build();
        let length = bytes.len();
        for (at, byte) in changes {
            // Headers are at the start and at the end.
            let at = if at < 600 { at } else { length - (at - 599) };
            bytes[at] = byte;
        }
        if let Ok(Verdict::Smaller(recipe)) = look(&bytes.as_slice()) {
            prop_assert_eq!(recipe.apply(&bytes).len() as u64, recipe.size);
        }
    }
}
