//! With which exit codes a command asks to be tried again.

use std::ops::RangeInclusive;
use std::str::FromStr;

/// The exit code with which a command asks for it in any case: EX_TEMPFAIL of sysexits.h.
pub(super) const TRY_AGAIN: i32 = 75;

/// The exit codes after which a command is tried again: 75, and those that are named.
///
/// ```
/// use tickoff::RetryOn;
///
/// let codes: RetryOn = "7, 100-120".parse().unwrap();
/// assert!(codes.contains(7) && codes.contains(101) && codes.contains(75));
/// assert!(!codes.contains(1));
/// assert!("any".parse::<RetryOn>().unwrap().contains(1));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RetryOn(Vec<RangeInclusive<i32>>);

impl RetryOn {
    /// Whether a command that exits with this code is tried again.
    pub fn contains(&self, code: i32) -> bool {
        code == TRY_AGAIN || self.0.iter().any(|codes| codes.contains(&code))
    }
}

impl FromStr for RetryOn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim() == "any" {
            return Ok(RetryOn(vec![1..=255]));
        }
        let wrong = "it must be exit codes from 1 to 255 like 7 or 7,100-120, or any";
        let codes = text.split(',').map(|codes| {
            let (first, last) = codes.split_once('-').unwrap_or((codes, codes));
            let codes = code(first)?..=code(last)?;
            (!codes.is_empty()).then_some(codes)
        });
        let codes: Option<Vec<_>> = codes.collect();
        codes.map(RetryOn).ok_or_else(|| wrong.to_owned())
    }
}

fn code(text: &str) -> Option<i32> {
    let code = text.trim().parse::<u8>().ok()?;
    (code > 0).then(|| i32::from(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_listed_or_any_but_zero() {
        let tried = |text: &str| -> Vec<i32> {
            let codes: RetryOn = text.parse().unwrap();
            (0..=255).filter(|&code| codes.contains(code)).collect()
        };
        assert_eq!(tried("7"), [7, 75]);
        assert_eq!(tried("7, 9-11"), [7, 9, 10, 11, 75]);
        assert_eq!(tried("any"), (1..=255).collect::<Vec<_>>());
        assert!(!RetryOn::default().contains(1));
        for bad in ["", "0", "256", "-1", "x", "9-7", "1,", "any,1", "1-", "0-5"] {
            assert!(bad.parse::<RetryOn>().is_err(), "{bad:?}");
        }
    }
}
