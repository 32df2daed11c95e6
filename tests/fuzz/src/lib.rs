//! What the targets share: a reader by its name.

pub use libfuzzer_sys;

/// Gives bytes to the reader of this name.
pub fn read(name: &str, bytes: &[u8]) {
    let reader = venvoy::fuzzing::READERS.iter().find(|reader| reader.name == name);
    let _ = reader.unwrap_or_else(|| panic!("there is no reader {name}")).read(bytes);
}

/// A target for the reader of this name.
#[macro_export]
macro_rules! target {
    ($name:literal) => {
        $crate::libfuzzer_sys::fuzz_target!(|bytes: &[u8]| $crate::read($name, bytes));
    };
}
