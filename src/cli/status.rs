//! `tickoff status`: how far the batch has come.

use std::io::{self, Write};

use tickoff::{ProcessingProgress, Sheet};

use super::args::StatusArgs;
use super::exit::{Exit, Failure};
use super::output::{json_line, print};

/// Prints the counts by status.
pub fn run(args: &StatusArgs) -> Result<Exit, Failure> {
    let sheet = Sheet::read(&args.sheet.file, &args.sheet.options())?;
    let progress = sheet.progress();
    print(|out| {
        if args.json {
            json_line(out, &progress)
        } else {
            table(out, &progress)
        }
    })?;
    Ok(Exit::Done)
}

/// One status a line, with its count.
pub fn table(out: &mut (impl Write + ?Sized), progress: &ProcessingProgress) -> io::Result<()> {
    let rows = [
        ("total", progress.total),
        ("completed", progress.completed),
        ("pending", progress.pending),
        ("error", progress.error),
        ("no_attachments", progress.no_attachments),
        ("other", progress.other),
    ];
    let width = progress.total.to_string().len();
    rows.iter()
        .try_for_each(|(name, count)| writeln!(out, "{name:<14}  {count:>width$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRESS: ProcessingProgress = ProcessingProgress {
        total: 446,
        completed: 120,
        pending: 300,
        error: 20,
        no_attachments: 5,
        other: 1,
    };

    #[test]
    fn the_counts_stand_under_each_other() {
        let mut text = Vec::new();
        table(&mut text, &PROGRESS).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "total           446\n\
             completed       120\n\
             pending         300\n\
             error            20\n\
             no_attachments    5\n\
             other             1\n"
        );
    }

    #[test]
    fn the_json_has_exactly_the_six_counts() {
        let mut text = Vec::new();
        json_line(&mut text, &PROGRESS).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "{\"total\":446,\"completed\":120,\"pending\":300,\"error\":20,\"no_attachments\":5,\"other\":1}\n"
        );
    }
}
