//! The zip crate as a second opinion, and wheels of any bytes.

use super::*;

#[test]
fn the_zip_crate_reads_the_same_entries() {
    let wheel = demo()
        .stored("demo/s", "stored")
        .executable("demo/t", vec![b'z'; 5000])
        .member(Member::deflated("demo/d", b"described").streamed(true))
        .member(Member::deflated("demo/w", b"wide").zip64());
    let bytes = wheel.build();
    let (opened, _) = open(&wheel).expect("good");
    let mut theirs = zip::ZipArchive::new(std::io::Cursor::new(&bytes)).expect("a zip");
    assert_eq!(theirs.len(), opened.entries.len() + 1, "RECORD is the one more");
    for entry in &opened.entries {
        let mut file = theirs.by_name(entry.path.as_str()).expect("there");
        assert_eq!(
            (file.size(), file.compressed_size(), file.crc32(), file.header_start()),
            (entry.size, entry.compressed_size, entry.crc32, entry.header_offset)
        );
        let mut content = Vec::new();
        file.read_to_end(&mut content).expect("readable");
        assert_eq!(read(&opened, entry.path.as_str()).expect("good"), content);
    }
}

#[test]
fn what_the_zip_crate_writes_is_read() {
    use std::io::Write as _;
    use zip::write::SimpleFileOptions;
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().unix_permissions(0o755);
    let good = demo();
    for (name, content, options) in [
        ("demo/a.py", "a = 1\n", options),
        ("demo/b.py", "b = 2\n", options.large_file(true)),
        ("demo/c", "c", options.compression_method(zip::CompressionMethod::Stored)),
        ("demo-1.0.dist-info/METADATA", "Name: demo\nVersion: 1.0\n", options),
        ("demo-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\n", options),
        ("demo-1.0.dist-info/RECORD", "", options),
    ] {
        writer.start_file(name, options).expect("start");
        writer.write_all(content.as_bytes()).expect("write");
    }
    let bytes = writer.finish().expect("finish").into_inner();
    let dir = tempfile::tempdir().expect("a directory");
    let (opened, _) = open_bytes(dir.path(), &good.file_name(), &bytes, Strictness::Warn).expect("good");
    assert_eq!(read(&opened, "demo/b.py").expect("good"), b"b = 2\n");
    assert!(opened.entries.iter().all(|e| e.executable));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// However a wheel is damaged, nothing panics, and what still opens holds safe paths and bytes of
    /// the declared size and CRC-32 only.
    #[test]
    fn damaged_wheels_never_panic_and_never_escape(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in proptest::option::weighted(0.1, any::<prop::sample::Index>()),
        zip64 in any::<bool>(),
    ) {
        let wheel = demo()
            .member(Member::deflated("demo/d", b"described").streamed(true))
            .member(Member::stored("demo/w", b"wide").zip64())
            .console_script("demo = demo:main")
            .zip(|z| z.zip64 = zip64);
        let mut bytes = wheel.build();
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let dir = tempfile::tempdir().expect("a directory");
        if let Ok((opened, _)) = open_bytes(dir.path(), &wheel.file_name(), &bytes, Strictness::Warn) {
            for (at, entry) in opened.entries.iter().enumerate() {
                prop_assert!(entry.path.as_str().split('/').all(|c| !matches!(c, "" | "." | "..")));
                prop_assert!(entry.header_offset + entry.span <= bytes.len() as u64);
                with_scratch(|scratch| {
                    if let Ok(content) = opened.inflate(at, scratch) {
                        assert_eq!(content.bytes.len() as u64, entry.size);
                        assert_eq!(libdeflater::crc32(content.bytes), entry.crc32);
                    }
                });
                let _ = opened.stream(at, &mut |_| Ok(()));
            }
        }
    }
}

proptest! {
    /// What is read of entry points becomes Python source: it is identifiers, whatever stands in the file.
    #[test]
    fn entry_points_are_identifiers_or_refused(
        value in r"([ab_.:\[\]()#;= \t]|demo|main|é|\PC){0,20}",
        name in r"([ab./ -]|é|\PC){1,8}",
    ) {
        let text = format!("[console_scripts]\n{name} = {value}\n");
        if let Ok((scripts, _)) = crate::packages::wheel::entry_points::parse(text.as_bytes()) {
            for script in scripts {
                for part in [&script.module, &script.function] {
                    let is_word = |word: &str| {
                        !word.is_empty() && word.chars().all(|c| c == '_' || c.is_alphanumeric())
                    };
                    prop_assert!(part.split('.').all(is_word), "{part:?} of {text:?}");
                }
                prop_assert!(!script.name.as_str().contains('/'), "{text:?}");
            }
        }
    }
}
