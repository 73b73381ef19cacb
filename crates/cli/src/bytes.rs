//! Amounts of bytes as people write them: `64MiB`, `1GiB`. Strict: a unit is always named, nothing is clamped.

use std::fmt;

/// The units, longest first, in bytes.
const UNITS: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
];

/// The least and the most an amount may be, both taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The least, in bytes.
    pub min: u64,
    /// The most, in bytes.
    pub max: u64,
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", show(self.min), show(self.max))
    }
}

/// Why an amount was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBytes {
    /// Not a number followed by a unit.
    #[error(
        "not an amount of bytes, which is a whole number with a unit (KiB, MiB, GiB, TiB), as in 64MiB; {bounds} is taken"
    )]
    Form {
        /// What is taken.
        bounds: Bounds,
    },
    /// Below the least or above the most.
    #[error("out of bounds, {bounds} is taken")]
    Bounds {
        /// What is taken.
        bounds: Bounds,
    },
}

/// Parses an amount within its bounds.
///
/// # Errors
/// [`InvalidBytes`], which names the bounds.
pub fn parse(text: &str, bounds: Bounds) -> Result<u64, InvalidBytes> {
    let form = InvalidBytes::Form { bounds };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = UNITS.iter().find(|(name, _)| *name == unit).ok_or(form.clone())?;
    if number.is_empty() {
        return Err(form);
    }
    let amount = number.parse::<u64>().ok().and_then(|n| n.checked_mul(unit.1));
    amount
        .filter(|amount| (bounds.min..=bounds.max).contains(amount))
        .ok_or(InvalidBytes::Bounds { bounds })
}

/// Writes an amount as [`parse`] reads it, in the largest unit that is whole: `64MiB`, `1536KiB`.
#[must_use]
pub fn show(amount: u64) -> String {
    let unit = UNITS
        .iter()
        .find(|(_, size)| amount >= *size && amount.is_multiple_of(*size));
    unit.map_or_else(
        || format!("{amount} bytes"),
        |(name, size)| format!("{}{name}", amount / size),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: Bounds = Bounds {
        min: 1,
        max: u64::MAX,
    };

    #[test]
    fn an_amount_is_read_as_it_is_shown() {
        for (text, amount) in [
            ("64MiB", 64 << 20),
            ("1GiB", 1 << 30),
            ("1536KiB", 1536 << 10),
            ("3TiB", 3 << 40),
        ] {
            assert_eq!(parse(text, ANY), Ok(amount));
            assert_eq!(show(amount), text);
        }
    }

    #[test]
    fn what_is_no_amount_or_out_of_bounds_is_refused_with_the_bounds() {
        let bounds = Bounds {
            min: 1 << 20,
            max: 1 << 30,
        };
        for bad in [
            "",
            "64",
            "MiB",
            "64MB",
            "64 MiB",
            "-1MiB",
            "1.5MiB",
            "0MiB",
            "1023KiB",
            "2GiB",
            "99999999999TiB",
        ] {
            let refused = parse(bad, bounds).expect_err(bad).to_string();
            assert!(refused.contains("1MiB to 1GiB is taken"), "{bad}: {refused}");
        }
    }
}
