//! Shares of a whole in percent that add up to 100 %.
//!
//! They are rounded by the largest remainder method (Hamilton's): each share is rounded down, and what is missing
//! from 100 % goes to those that lost most by it. What is there is never 0 % and what is not all is never 100 %: such
//! shares read `<1` and `>99`, and count as 0 and 100 in the sum.

use std::cmp::Reverse;

/// A share of a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Percent {
    /// As it was rounded; 1 is all.
    pub fraction: f64,
    /// For people, without the sign.
    pub text: String,
}

/// Which share of their sum each of these counts is, with so many decimals.
pub fn percents(counts: &[usize], decimals: usize) -> Vec<Percent> {
    let scale = 10_usize.pow(decimals as u32);
    let all = 100 * scale;
    let shares = apportioned(counts, all);
    let sum: usize = counts.iter().sum();
    let percent = |(&count, &share): (&usize, &usize)| {
        let text = |share: usize| format!("{:.decimals$}", share as f64 / scale as f64);
        Percent {
            fraction: share as f64 / all as f64,
            text: match share {
                0 if count > 0 => format!("<{}", text(1)),
                _ if share == all && count < sum => format!(">{}", text(all - 1)),
                _ => text(share),
            },
        }
    };
    counts.iter().zip(&shares).map(percent).collect()
}

/// So many parts, given to the counts by the largest remainder method; none if all counts are 0.
fn apportioned(counts: &[usize], parts: usize) -> Vec<usize> {
    let sum = counts.iter().map(|&count| count as u128).sum::<u128>();
    if sum == 0 {
        return vec![0; counts.len()];
    }
    let quota = |count: usize| count as u128 * parts as u128;
    let whole = |count: usize| (quota(count) / sum) as usize;
    let mut shares: Vec<usize> = counts.iter().map(|&count| whole(count)).collect();
    let missing = parts - shares.iter().sum::<usize>();
    let mut by_remainder: Vec<usize> = (0..counts.len()).collect();
    by_remainder.sort_by_key(|&at| Reverse(quota(counts[at]) % sum));
    for at in by_remainder.into_iter().take(missing) {
        shares[at] += 1;
    }
    shares
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(counts: &[usize], decimals: usize, want: &[&str]) {
        let texts = percents(counts, decimals).into_iter();
        assert_eq!(texts.map(|percent| percent.text).collect::<Vec<_>>(), want);
    }

    #[test]
    fn what_is_missing_goes_to_those_that_lost_most_by_rounding() {
        check(&[120, 300, 20, 5, 1], 0, &["27", "67", "5", "1", "<1"]);
        check(&[2, 0, 1], 0, &["67", "0", "33"]);
        check(&[1, 1, 1], 0, &["34", "33", "33"]);
        check(&[1, 1, 1], 1, &["33.4", "33.3", "33.3"]);
    }

    #[test]
    fn something_is_never_nothing_and_a_part_never_all() {
        check(&[445, 1], 0, &[">99", "<1"]);
        check(&[0, 446], 0, &["0", "100"]);
        check(&[999_999, 1], 1, &[">99.9", "<0.1"]);
        check(&[7], 1, &["100.0"]);
        check(&[0, 0], 0, &["0", "0"]);
    }

    proptest! {
        #[test]
        fn they_add_up_and_none_is_off_by_a_whole_part(counts in prop::collection::vec(0usize..2_000_000, 1..8)) {
            let sum: usize = counts.iter().sum();
            prop_assume!(sum > 0);
            let shares = apportioned(&counts, 1000);
            prop_assert_eq!(shares.iter().sum::<usize>(), 1000);
            for (&count, &share) in counts.iter().zip(&shares) {
                let exact = count as f64 * 1000.0 / sum as f64;
                prop_assert!((exact - share as f64).abs() < 1.0, "{} of {}: {}", count, sum, share);
            }
        }
    }
}
