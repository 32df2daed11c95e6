//! Wheels made in test code: valid ones by default, and every hostile shape by changing one field.
//!
//! Unit tests use it, too, as `crate::wheel::testing`. It knows nothing of venvoy, so it cannot share its mistakes.

#![allow(dead_code, missing_docs, clippy::pedantic, reason = "unit tests and the suite each use a part")]

use std::path::{Path, PathBuf};

/// A wheel in the making: `METADATA`, `WHEEL` and `RECORD` are generated unless given.
#[derive(Debug, Clone)]
pub struct WheelBuilder {
    name: String,
    version: String,
    tag: String,
    purelib: bool,
    members: Vec<Member>,
    metadata_lines: Vec<String>,
    without: Vec<String>,
    record: Option<String>,
    record_rows: Vec<String>,
    zip: Zip,
}

impl WheelBuilder {
    /// A pure `py3-none-any` wheel without files; name and version are used as spelled.
    pub fn new(name: &str, version: &str) -> Self {
        WheelBuilder {
            name: name.into(),
            version: version.into(),
            tag: "py3-none-any".into(),
            purelib: true,
            members: Vec::new(),
            metadata_lines: Vec::new(),
            without: Vec::new(),
            record: None,
            record_rows: Vec::new(),
            zip: Zip::default(),
        }
    }

    /// Another tag than `py3-none-any`.
    pub fn tag(mut self, tag: &str) -> Self {
        self.tag = tag.into();
        self
    }

    /// `Root-Is-Purelib: false`.
    pub fn platlib(mut self) -> Self {
        self.purelib = false;
        self
    }

    /// A deflated file.
    pub fn file(self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.member(Member::deflated(path, bytes.as_ref()))
    }

    /// A file stored without compression.
    pub fn stored(self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.member(Member::stored(path, bytes.as_ref()))
    }

    /// A deflated file with mode 0755.
    pub fn executable(self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        let mut member = Member::deflated(path, bytes.as_ref());
        member.mode = 0o100_755;
        self.member(member)
    }

    /// Any member; RECORD gets a row for it, except for directories.
    pub fn member(mut self, member: Member) -> Self {
        self.members.push(member);
        self
    }

    /// A file of `.dist-info`, in place of a generated one if there is one of that name.
    pub fn dist_info(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        let path = format!("{}/{name}", self.dist_info_dir());
        self.file(&path, bytes)
    }

    /// A file below `.data`, such as `scripts/run`.
    pub fn data(self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        let path = format!("{}-{}.data/{path}", self.name, self.version);
        self.file(&path, bytes)
    }

    /// `entry_points.txt`.
    pub fn entry_points(self, text: &str) -> Self {
        self.dist_info("entry_points.txt", text)
    }

    /// One console script, `name = module:function`.
    pub fn console_script(self, line: &str) -> Self {
        self.entry_points(&format!("[console_scripts]\n{line}\n"))
    }

    /// A further header of METADATA, such as `Requires-Dist: other`.
    pub fn metadata_line(mut self, line: &str) -> Self {
        self.metadata_lines.push(line.into());
        self
    }

    /// Leaves out a generated file of `.dist-info`: `METADATA`, `WHEEL` or `RECORD`.
    pub fn without(mut self, name: &str) -> Self {
        self.without.push(name.into());
        self
    }

    /// RECORD as given instead of the generated one.
    pub fn record(mut self, text: &str) -> Self {
        self.record = Some(text.into());
        self
    }

    /// One more line in the generated RECORD.
    pub fn record_row(mut self, line: &str) -> Self {
        self.record_rows.push(line.into());
        self
    }

    /// Changes the archive around the members: prefix, suffix, comment, zip64, counts.
    pub fn zip(mut self, change: impl FnOnce(&mut Zip)) -> Self {
        change(&mut self.zip);
        self
    }

    /// `NAME-VERSION.dist-info`.
    pub fn dist_info_dir(&self) -> String {
        format!("{}-{}.dist-info", self.name, self.version)
    }

    /// The wheel's file name.
    pub fn file_name(&self) -> String {
        format!("{}-{}-{}.whl", self.name, self.version, self.tag)
    }

    /// The archive's bytes: always the same for the same calls.
    pub fn build(&self) -> Vec<u8> {
        let dist_info = self.dist_info_dir();
        let mut zip = self.zip.clone();
        zip.members = self.members.clone();
        let generate = |zip: &mut Zip, name: &str, text: String| {
            let path = format!("{dist_info}/{name}");
            let given = zip.members.iter().any(|m| m.name == path.as_bytes());
            if !given && !self.without.iter().any(|w| w == name) {
                zip.members.push(Member::deflated(&path, text.as_bytes()));
            }
        };
        let mut metadata = format!("Metadata-Version: 2.1\nName: {}\nVersion: {}\n", self.name, self.version);
        for line in &self.metadata_lines {
            metadata += line;
            metadata.push('\n');
        }
        generate(&mut zip, "METADATA", metadata);
        generate(
            &mut zip,
            "WHEEL",
            format!(
                "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: {}\nTag: {}\n",
                self.purelib, self.tag
            ),
        );
        let record = self.record.clone().unwrap_or_else(|| {
            let mut record = String::new();
            for member in zip.members.iter().filter(|m| !m.name.ends_with(b"/")) {
                let name = String::from_utf8_lossy(&member.name);
                let quoted = if name.contains([',', '"', '\n', '\r']) {
                    format!("\"{}\"", name.replace('"', "\"\""))
                } else {
                    name.into_owned()
                };
                record += &format!("{quoted},{},{}\n", record_digest(&member.content), member.content.len());
            }
            for row in &self.record_rows {
                record += row;
                record.push('\n');
            }
            record + &format!("{dist_info}/RECORD,,\n")
        });
        generate(&mut zip, "RECORD", record);
        zip.build()
    }

    /// Writes the wheel below `dir` under its name and gives its path.
    pub fn write_to(&self, dir: &Path) -> PathBuf {
        let path = dir.join(self.file_name());
        std::fs::write(&path, self.build()).expect("the test's directory is writable");
        path
    }
}

/// `sha256=...` as RECORD has it.
pub fn record_digest(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digest: [u8; 32] = sha2::Sha256::digest(bytes).into();
    let bits: Vec<u8> = digest.iter().flat_map(|byte| (0..8).rev().map(move |i| byte >> i & 1)).collect();
    let text: String = bits
        .chunks(6)
        .map(|six| (0..6).fold(0, |value, i| value << 1 | six.get(i).copied().unwrap_or(0)))
        .map(|value: u8| char::from(ALPHABET[usize::from(value)]))
        .collect();
    format!("sha256={text}")
}

/// One member of an archive. The fields that both headers hold are in `local` and `central`.
#[derive(Debug, Clone)]
pub struct Member {
    pub name: Vec<u8>,
    /// What it inflates to: RECORD's digest is of this.
    pub content: Vec<u8>,
    /// The bytes as stored.
    pub data: Vec<u8>,
    pub local: Header,
    pub central: Header,
    /// The Unix mode with its file type, upper half of the external attributes.
    pub mode: u32,
    /// Bytes after the data: a data descriptor, or a gap.
    pub after: Vec<u8>,
    /// Another local header's offset than the true one.
    pub offset: Option<u32>,
}

/// What the local and the central header both say.
#[derive(Debug, Clone, Default)]
pub struct Header {
    /// Another name than the member's.
    pub name: Option<Vec<u8>>,
    pub flags: u16,
    pub method: u16,
    pub crc32: u32,
    pub compressed_size: u32,
    pub size: u32,
    pub extra: Vec<u8>,
}

impl Member {
    pub fn deflated(path: &str, content: &[u8]) -> Self {
        let mut compressor =
            libdeflater::Compressor::new(libdeflater::CompressionLvl::new(6).expect("a level"));
        let mut data = vec![0; compressor.deflate_compress_bound(content.len())];
        let len = compressor.deflate_compress(content, &mut data).expect("the bound is enough");
        data.truncate(len);
        Member::with(path, content, data, 8)
    }

    pub fn stored(path: &str, content: &[u8]) -> Self {
        Member::with(path, content, content.to_vec(), 0)
    }

    pub fn directory(path: &str) -> Self {
        let mut member = Member::stored(path, b"");
        member.mode = 0o040_755;
        member
    }

    pub fn symlink(path: &str, target: &str) -> Self {
        let mut member = Member::stored(path, target.as_bytes());
        member.mode = 0o120_777;
        member
    }

    fn with(path: &str, content: &[u8], data: Vec<u8>, method: u16) -> Self {
        let header = Header {
            name: None,
            flags: if path.is_ascii() { 0 } else { 1 << 11 },
            method,
            crc32: libdeflater::crc32(content),
            compressed_size: data.len() as u32,
            size: content.len() as u32,
            extra: Vec::new(),
        };
        Member {
            name: path.into(),
            content: content.to_vec(),
            data,
            local: header.clone(),
            central: header,
            mode: 0o100_644,
            after: Vec::new(),
            offset: None,
        }
    }

    /// Changes both headers alike.
    pub fn both(mut self, change: impl Fn(&mut Header)) -> Self {
        change(&mut self.local);
        change(&mut self.central);
        self
    }

    /// Changes the local header alone.
    pub fn local(mut self, change: impl FnOnce(&mut Header)) -> Self {
        change(&mut self.local);
        self
    }

    /// Changes the central header alone.
    pub fn central(mut self, change: impl FnOnce(&mut Header)) -> Self {
        change(&mut self.central);
        self
    }

    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// As a writer that cannot seek leaves it: zeros in the local header, a descriptor after the data.
    pub fn streamed(mut self, with_signature: bool) -> Self {
        let header = self.central.clone();
        self = self.both(|h| h.flags |= 1 << 3);
        self.local.crc32 = 0;
        self.local.size = 0;
        self.local.compressed_size = 0;
        if with_signature {
            self.after.extend(b"PK\x07\x08");
        }
        for value in [header.crc32, header.compressed_size, header.size] {
            self.after.extend(value.to_le_bytes());
        }
        self
    }

    /// With its sizes in zip64 extra fields.
    pub fn zip64(self) -> Self {
        self.both(|h| {
            h.extra.extend([1, 0, 16, 0]);
            h.extra.extend(u64::from(h.size).to_le_bytes());
            h.extra.extend(u64::from(h.compressed_size).to_le_bytes());
            h.size = u32::MAX;
            h.compressed_size = u32::MAX;
        })
    }
}

/// An archive around members.
#[derive(Debug, Clone, Default)]
pub struct Zip {
    pub members: Vec<Member>,
    /// Bytes before the first local header.
    pub prefix: Vec<u8>,
    /// Bytes between the members and the central directory.
    pub middle: Vec<u8>,
    /// Bytes after everything.
    pub suffix: Vec<u8>,
    pub comment: Vec<u8>,
    /// With zip64 end records and saturated classic ones.
    pub zip64: bool,
    /// Added to the entry count of the end record.
    pub count_off_by: i32,
    /// Added to the central directory's offset in the end record.
    pub offset_off_by: i32,
}

impl Zip {
    pub fn build(&self) -> Vec<u8> {
        let mut out = self.prefix.clone();
        let mut central = Vec::new();
        for member in &self.members {
            let offset = member.offset.unwrap_or(out.len() as u32);
            out.extend(b"PK\x03\x04\x14\x00");
            let name = put_header(&mut out, &member.local, &member.name);
            out.extend(name);
            out.extend(&member.local.extra);
            out.extend(&member.data);
            out.extend(&member.after);

            central.extend(b"PK\x01\x02\x14\x03\x14\x00");
            let name = put_header(&mut central, &member.central, &member.name);
            central.extend([0; 2 + 2 + 2]); // comment, disk, internal attributes
            central.extend((member.mode << 16).to_le_bytes());
            central.extend(offset.to_le_bytes());
            central.extend(name);
            central.extend(&member.central.extra);
        }
        out.extend(&self.middle);
        let start = (out.len() as i64 + i64::from(self.offset_off_by)) as u64;
        let count = (self.members.len() as i64 + i64::from(self.count_off_by)) as u64;
        out.extend(&central);
        if self.zip64 {
            let at = out.len() as u64;
            out.extend(b"PK\x06\x06");
            out.extend(44_u64.to_le_bytes());
            out.extend([45, 3, 45, 0]);
            out.extend([0; 8]);
            for value in [count, count, central.len() as u64, start] {
                out.extend(value.to_le_bytes());
            }
            out.extend(b"PK\x06\x07\0\0\0\0");
            out.extend(at.to_le_bytes());
            out.extend(1_u32.to_le_bytes());
        }
        out.extend(b"PK\x05\x06\0\0\0\0");
        let (short, size, start) = if self.zip64 {
            (u16::MAX, u32::MAX, u32::MAX)
        } else {
            (count as u16, central.len() as u32, start as u32)
        };
        out.extend(short.to_le_bytes());
        out.extend(short.to_le_bytes());
        out.extend(size.to_le_bytes());
        out.extend(start.to_le_bytes());
        out.extend((self.comment.len() as u16).to_le_bytes());
        out.extend(&self.comment);
        out.extend(&self.suffix);
        out
    }
}

/// The part both headers share, from the flags to the extra field's length; gives the name to put.
fn put_header<'a>(out: &mut Vec<u8>, header: &'a Header, name: &'a [u8]) -> &'a [u8] {
    let name = header.name.as_deref().unwrap_or(name);
    out.extend(header.flags.to_le_bytes());
    out.extend(header.method.to_le_bytes());
    out.extend([0, 0, 0x21, 0]); // 1980-01-01
    out.extend(header.crc32.to_le_bytes());
    out.extend(header.compressed_size.to_le_bytes());
    out.extend(header.size.to_le_bytes());
    out.extend((name.len() as u16).to_le_bytes());
    out.extend((header.extra.len() as u16).to_le_bytes());
    name
}
