//! A system that is poorer than it is, for tests.
//!
//! `TICKOFF_POOR_SYSTEM=tmpfile,exchange,lease,fallocate,clone`, any of these or `all`, takes O_TMPFILE,
//! RENAME_EXCHANGE, F_SETLEASE, fallocate and FICLONE away: the functions of this room then answer as on
//! a filesystem that never had them, without asking the system. So the other ways, which are taken on
//! FUSE, FAT or macOS, meet the same tests as the usual ones, on the machine that the tests run on.

use std::sync::LazyLock;

/// What can be taken away. Its place in the list is its bit.
#[derive(Debug, Clone, Copy)]
pub(super) enum Gift {
    Tmpfile,
    Exchange,
    Lease,
    Fallocate,
    Clone,
}

const WORDS: [(&str, Gift); 5] = [
    ("tmpfile", Gift::Tmpfile),
    ("exchange", Gift::Exchange),
    ("lease", Gift::Lease),
    ("fallocate", Gift::Fallocate),
    ("clone", Gift::Clone),
];

/// Read once: the world does not change under a process.
static LACKING: LazyLock<u8> = LazyLock::new(|| {
    let words = std::env::var("TICKOFF_POOR_SYSTEM").unwrap_or_default();
    parse(&words).unwrap_or_else(|word| {
        panic!("TICKOFF_POOR_SYSTEM takes tmpfile, exchange, lease, fallocate, clone and all, not {word:?}")
    })
});

/// Whether something is taken away.
pub(super) fn lacks(gift: Gift) -> bool {
    *LACKING & bit(gift) != 0
}

fn bit(gift: Gift) -> u8 {
    1 << gift as u8
}

/// The bits of what the words take away, or the word that is none: a test that asks for something else
/// would otherwise pass in a rich world.
fn parse(words: &str) -> Result<u8, &str> {
    let all = WORDS.iter().fold(0, |bits, &(_, gift)| bits | bit(gift));
    words
        .split(',')
        .filter(|word| !word.is_empty())
        .try_fold(0, |bits, word| {
            match WORDS.iter().find(|(known, _)| *known == word) {
                Some(&(_, gift)) => Ok(bits | bit(gift)),
                None if word == "all" => Ok(all),
                None => Err(word),
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_takes_its_own_away_and_all_takes_everything() {
        assert_eq!(parse(""), Ok(0));
        let single: Vec<u8> = WORDS.iter().map(|(word, _)| parse(word).unwrap()).collect();
        assert_eq!(single, [1, 2, 4, 8, 16]);
        assert_eq!(parse("tmpfile,clone"), Ok(17));
        assert_eq!(parse("all"), Ok(31));
        assert_eq!(parse("lease,tmpfiles"), Err("tmpfiles"));
    }
}
