//! SHA-256 digests as values.

use std::{fmt, str::FromStr, sync::LazyLock};

use data_encoding::{BASE64URL_NOPAD, Encoding, HEXLOWER, HEXLOWER_PERMISSIVE};

use crate::words::error::{Error, Kind};

/// URL-safe base64 as RECORDs have it: some writers leave bits set behind the last byte.
static RECORD: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = BASE64URL_NOPAD.specification();
    specification.check_trailing_bits = false;
    specification.encoding().unwrap_or(BASE64URL_NOPAD)
});

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
        RECORD.encode(&self.0)
    }

    /// Reads the RECORD form: URL-safe base64, padding tolerated. `None` if it is not 32 bytes.
    pub fn from_record(text: &str) -> Option<Self> {
        let text = text.trim_end_matches('=').as_bytes();
        let mut out = [0; 32];
        let fits = RECORD.decode_len(text.len()) == Ok(out.len());
        (fits && RECORD.decode_mut(text, &mut out).is_ok()).then_some(Sha256(out))
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
        let mut out = [0; 32];
        if text.len() != 64 || HEXLOWER_PERMISSIVE.decode_mut(text.as_bytes(), &mut out).is_err() {
            return Err(wrong());
        }
        Ok(Sha256(out))
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        HEXLOWER.encode_write(&self.0, f)
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
        // Bits behind the last byte are nobody's.
        let odd = Sha256::from_record("47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFV");
        assert_eq!(odd, Some(Sha256::of(b"")));
        assert_eq!(Sha256::from_record("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"), None);
    }
}
