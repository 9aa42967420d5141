//! A command line that can be pasted into a shell, and that no terminal obeys.
//!
//! A word with none of what a shell or a terminal might obey stays as it is; others are in single
//! quotes, in which a shell looks at nothing else. What a terminal might obey is a number inside `$'…'`
//! (POSIX 2024; bash, zsh, ksh, busybox): octal, because that ends after three digits in all of them. There
//! are libraries that quote, but they leave balanced bidirectional controls as they are, or use double
//! quotes, in which an interactive shell looks for `!`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::text::escape::is_dangerous;

/// The words as one line.
pub(crate) fn command_line<'a>(words: impl Iterator<Item = impl AsRef<OsStr> + 'a>) -> String {
    let mut line = String::new();
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        quote(word.as_ref(), &mut line);
    }
    line
}

fn quote(word: &OsStr, line: &mut String) {
    match word.to_str() {
        Some(text) if text.chars().any(is_dangerous) => quote_bytes(word.as_bytes(), line),
        None => quote_bytes(word.as_bytes(), line),
        Some(text) if !text.is_empty() && text.bytes().all(is_plain) => line.push_str(text),
        Some(text) => {
            line.push('\'');
            line.push_str(&text.replace('\'', r"'\''"));
            line.push('\'');
        }
    }
}

/// What means itself in every shell, wherever in a word it stands.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-./:,+@%".contains(&byte)
}

fn quote_bytes(word: &[u8], line: &mut String) {
    line.push_str("$'");
    for chunk in word.utf8_chunks() {
        for c in chunk.valid().chars() {
            if is_dangerous(c) || matches!(c, '\'' | '\\' | '!') {
                octal(c.encode_utf8(&mut [0; 4]).as_bytes(), line);
            } else {
                line.push(c);
            }
        }
        octal(chunk.invalid(), line);
    }
    line.push('\'');
}

fn octal(bytes: &[u8], line: &mut String) {
    for byte in bytes {
        line.push_str(&format!("\\{byte:03o}"));
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    use std::process::Command;

    use super::*;
    use crate::text::escape::escape;

    #[track_caller]
    fn check(words: &[&str], expected: &str) {
        assert_eq!(command_line(words.iter()), expected);
    }

    #[test]
    fn a_word_is_quoted_where_a_shell_would_look_at_it() {
        check(
            &["./fetch.sh", "PO1", "a_b-c:80"],
            "./fetch.sh PO1 a_b-c:80",
        );
        check(&["echo", "", "a b", "it's!"], r"echo '' 'a b' 'it'\''s!'");
        check(
            &["~", "#", "A=b", "{a,b}", "São"],
            "'~' '#' 'A=b' '{a,b}' 'São'",
        );
    }

    #[test]
    fn what_a_terminal_would_obey_is_a_number() {
        check(&["a\nb\u{1b}[31m0'!\\"], r"$'a\012b\033[31m0\047\041\134'");
        check(&["\u{202e}x"], r"$'\342\200\256x'");
    }

    #[test]
    fn bash_reads_the_words_as_they_are() {
        let mut words: Vec<OsString> = (1..=255)
            .map(|byte| OsString::from_vec(vec![byte]))
            .collect();
        let texts = [
            "",
            "a'b",
            "$HOME `id` $(id)",
            "\\",
            "\\\\n",
            "!!",
            "é\u{1b}7",
            "\u{2066}x\u{2069}",
            "*",
            "a\n",
            "-",
            "--",
            "~/x",
            "'",
            "''",
            "\"",
            "日本 \u{e000}",
        ];
        words.extend(texts.map(OsString::from));
        let line = command_line(words.iter());
        assert_eq!(escape(&line), line);
        let said = Command::new("bash")
            .arg("-c")
            .arg(format!("printf '%s\\0' {line}"))
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap();
        let read: Vec<&[u8]> = said.stdout.split_inclusive(|byte| *byte == 0).collect();
        let expected: Vec<Vec<u8>> = words
            .into_iter()
            .map(|word| [word.into_vec(), vec![0]].concat())
            .collect();
        assert_eq!(read, expected);
    }
}
