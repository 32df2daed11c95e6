//! SHA-256 digests as values.

use std::{fmt, str::FromStr};

use crate::words::error::{Error, Kind};

/// Of URL-safe base64.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The value of each byte in [`ALPHABET`], or [`NO_DIGIT`]: every file of every wheel has 43 such digits.
const VALUES: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 64 {
        values[ALPHABET[value as usize] as usize] = value;
        value += 1;
    }
    values
};
const NO_DIGIT: u8 = 64;

/// A SHA-256 digest. Displays as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sha256(pub [u8; 32]);

impl Sha256 {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Sha256(sha2::Sha256::digest(bytes).into())
    }

    /// The digest and number of the bytes in a file, from its beginning; where it is read next is left as it is.
    ///
    /// # Errors
    /// Whatever reading gives.
    pub fn of_file(file: &std::fs::File) -> std::io::Result<(Self, u64)> {
        use std::os::unix::fs::FileExt as _;

        use sha2::Digest as _;
        let mut digest = sha2::Sha256::new();
        // Most files of an environment are small.
        let size = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        let mut buffer = vec![0; size.clamp(4 << 10, 256 << 10)];
        let mut length = 0;
        loop {
            match file.read_at(&mut buffer, length) {
                Ok(0) => return Ok((Sha256(digest.finalize().into()), length)),
                Ok(count) => {
                    digest.update(&buffer[..count]);
                    length += count as u64;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The form RECORD uses (PEP 376/427): URL-safe base64 without padding.
    pub fn to_record(self) -> String {
        let mut out = String::with_capacity(43);
        for chunk in self.0.chunks(3) {
            let word = u32::from(chunk[0]) << 16
                | u32::from(*chunk.get(1).unwrap_or(&0)) << 8
                | u32::from(*chunk.get(2).unwrap_or(&0));
            for i in 0..=chunk.len() {
                out.push(char::from(ALPHABET[(word >> (18 - 6 * i)) as usize & 63]));
            }
        }
        out
    }

    /// Reads the RECORD form: URL-safe base64, padding tolerated. `None` if it is not 32 bytes.
    pub fn from_record(text: &str) -> Option<Self> {
        let text = text.trim_end_matches('=').as_bytes();
        if text.len() != 43 {
            return None;
        }
        let mut out = [0_u8; 32];
        let mut seen = 0;
        for (bytes, digits) in out.chunks_mut(3).zip(text.chunks(4)) {
            let mut word = 0;
            for at in 0..4 {
                let value = digits.get(at).map_or(0, |&digit| VALUES[usize::from(digit)]);
                seen |= value;
                word = word << 6 | u32::from(value & 63);
            }
            bytes.copy_from_slice(&word.to_be_bytes()[1..=bytes.len()]);
        }
        if seen & NO_DIGIT != 0 {
            return None;
        }
        Some(Sha256(out))
    }
}

impl FromStr for Sha256 {
    type Err = Error;

    /// Reads 64 hexadecimal digits, either case.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || {
            Error::new(
                Kind::Lock,
                format!(
                    "{text:?} is not a SHA-256 digest: expected 64 hexadecimal digits, got {}",
                    text.len()
                ),
            )
        };
        let text = text.as_bytes();
        if text.len() != 64 {
            return Err(wrong());
        }
        let mut out = [0_u8; 32];
        for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
            let digit = |c: u8| match c {
                b'0'..=b'9' => Some(c - b'0'),
                b'a'..=b'f' => Some(c - b'a' + 10),
                b'A'..=b'F' => Some(c - b'A' + 10),
                _ => None,
            };
            *byte = match (digit(pair[0]), digit(pair[1])) {
                (Some(high), Some(low)) => high << 4 | low,
                _ => return Err(wrong()),
            };
        }
        Ok(Sha256(out))
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_and_record_forms_give_the_same_digest_back() {
        let digest = Sha256::of(b"");
        assert_eq!(digest.to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(digest.to_record(), "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU");
        assert_eq!(digest.to_string().to_uppercase().parse::<Sha256>().expect("hex"), digest);
        assert_eq!(Sha256::from_record(&digest.to_record()), Some(digest));
        assert_eq!(Sha256::from_record("47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU="), Some(digest));
    }

    #[test]
    fn a_digest_of_the_wrong_length_or_alphabet_is_refused() {
        assert!("abc".parse::<Sha256>().is_err());
        assert!("g".repeat(64).parse::<Sha256>().is_err());
        assert!("é".repeat(32).parse::<Sha256>().is_err());
        assert_eq!(Sha256::from_record("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"), None);
    }
}
