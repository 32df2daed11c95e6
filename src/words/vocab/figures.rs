//! Figures as people read and write them.

use std::time::Duration;

/// `1 file`, `2 files`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// A size in the unit that reads best (powers of 1000).
#[allow(clippy::cast_precision_loss, reason = "shown with one decimal")]
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

/// Reads a size: a number of bytes, or of `kB`, `MB`, `GB` (powers of 1000), `KiB`, `MiB`, `GiB` (of 1024), in either case;
/// `2G` is `2GB`.
///
/// # Errors
/// What is expected, for whoever typed it.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let (number, unit) = number_and_unit(text);
    let factor: f64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        _ => f64::NAN,
    };
    let bytes = number.parse::<f64>().unwrap_or(f64::NAN) * factor;
    if !(bytes.is_finite() && bytes >= 0.0) {
        return Err(format!("{text:?} is no size; expected something like 2GB, 500MB or 1.5GiB"));
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast saturates")]
    Ok(bytes as u64)
}

/// Reads an age: a number of days, or of `s`, `m`, `h`, `d`, `w`.
///
/// # Errors
/// What is expected, for whoever typed it.
pub(crate) fn parse_age(text: &str) -> Result<Duration, String> {
    let (number, unit) = number_and_unit(text);
    let seconds: Option<u64> = match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(60 * 60),
        "" | "d" => Some(24 * 60 * 60),
        "w" => Some(7 * 24 * 60 * 60),
        _ => None,
    };
    let age = number.parse::<u64>().ok().zip(seconds).and_then(|(number, unit)| number.checked_mul(unit));
    age.map(Duration::from_secs)
        .ok_or_else(|| format!("{text:?} is no age; expected something like 30d, 12h or 2w"))
}

fn number_and_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_counts_read_well() {
        assert_eq!([size(999), size(1_500), size(651_000_000)], ["999 B", "1.5 kB", "651.0 MB"]);
        assert_eq!([count(1, "file"), count(0, "file")], ["1 file", "0 files"]);
    }

    #[test]
    fn sizes_and_ages_are_read_as_people_write_them() {
        let sizes = ["0", "12", "2GB", "2g", "500 MB", "1.5GiB", "1KiB"]
            .map(|text| parse_size(text).expect("a size"));
        assert_eq!(sizes, [0, 12, 2_000_000_000, 2_000_000_000, 500_000_000, 1_610_612_736, 1024]);
        let ages = ["30", "30d", "2w", "12h", "90s"].map(|text| parse_age(text).expect("an age").as_secs());
        assert_eq!(ages, [2_592_000, 2_592_000, 1_209_600, 43_200, 90]);
        for odd in ["", "d", "-1d", "1.5d", "many", "1y", "99999999999999999999w", "18446744073709551615w"] {
            assert!(parse_age(odd).is_err(), "{odd}");
        }
        for odd in ["", "GB", "-1", "1.2.3GB", "2 apples", "1e400"] {
            assert!(parse_size(odd).is_err(), "{odd}");
        }
        assert_eq!(
            parse_size("x").expect_err("no size"),
            "\"x\" is no size; expected something like 2GB, 500MB or 1.5GiB"
        );
    }
}
