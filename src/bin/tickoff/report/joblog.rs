//! How long commands took, from the joblog of `tickoff run`: GNU parallel's, with the key as its last
//! column.
//!
//! A sheet cannot say it: it holds when a result came, and with several commands at a time that is
//! not how long one took.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tickoff::{Error, Sheet, escape};

use super::suppliers;
use crate::exit::{Exit, Failure};

/// A supplier with fewer commands than this is not ranked: its median says little.
pub const FEWEST: usize = 3;

/// What a joblog says about the sheet's rows.
#[derive(Debug, Default)]
pub struct Joblog {
    /// How long each command took, by supplier.
    by_supplier: HashMap<String, Vec<Duration>>,
    /// Lines that are not one command of a row that the sheet has.
    pub ignored: usize,
}

/// How long a supplier's commands took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slow {
    /// Its name; empty for rows that name none.
    pub name: String,
    /// How many commands.
    pub commands: usize,
    /// Half of them took no longer.
    pub median: Duration,
    /// The longest.
    pub longest: Duration,
    /// All together.
    pub total: Duration,
}

impl Joblog {
    /// Reads a joblog. A line that cannot be used, like one that is being written, is counted.
    pub fn read(path: &Path, sheet: &Sheet) -> Result<Joblog, Failure> {
        let failed = |source| Error::Io {
            action: "read",
            path: path.to_owned(),
            source: Arc::new(source),
        };
        let file = File::open(path).map_err(failed)?;
        Joblog::parse(BufReader::new(file), sheet)
            .map_err(failed)?
            .ok_or_else(|| {
                let path = escape(&path.to_string_lossy());
                Failure::Other(
                    Exit::BadSheet,
                    format!("{path} is no joblog of tickoff run: its first line must name tab-separated columns, JobRuntime among them and Key as the last"),
                )
            })
    }

    /// `None` if the first line is not the header of such a log.
    fn parse(log: impl BufRead, sheet: &Sheet) -> std::io::Result<Option<Joblog>> {
        let mut lines = log.split(b'\n');
        let text = |line: Vec<u8>| {
            String::from_utf8_lossy(&line)
                .trim_end_matches('\r')
                .to_owned()
        };
        let header = text(lines.next().transpose()?.unwrap_or_default());
        let columns: Vec<&str> = header.split('\t').collect();
        let runtime = columns.iter().position(|&column| column == "JobRuntime");
        // PO in an older log.
        let (Some(runtime), Some(&("Key" | "PO"))) = (runtime, columns.last()) else {
            return Ok(None);
        };
        let mut joblog = Joblog::default();
        for line in lines {
            let line = text(line?);
            // A log that was begun anew and appended to has its header once more.
            if line.is_empty() || line == header {
                continue;
            }
            // From both ends: a command may hold tabs.
            let fields: Vec<&str> = line.split('\t').collect();
            let is_whole = fields.len() >= columns.len();
            let took = fields.get(runtime).and_then(|field| seconds(field));
            // A tab may stand between the parts of a key, and the log has none in a field.
            let find = |po: &&str| {
                let found = sheet.record(po);
                found.or_else(|| sheet.record(&po.replace("\\t", "\t")))
            };
            let record = fields.last().and_then(find);
            match (is_whole, took, record) {
                (true, Some(took), Some(record)) => joblog
                    .by_supplier
                    .entry(suppliers::name(&record).to_owned())
                    .or_default()
                    .push(took),
                _ => joblog.ignored += 1,
            }
        }
        Ok(Some(joblog))
    }

    /// The suppliers whose commands took longest by their median, at most `limit`, of those with at
    /// least [`FEWEST`].
    pub fn slowest(&self, limit: usize) -> Vec<Slow> {
        let mut found: Vec<Slow> = self
            .by_supplier
            .iter()
            .filter(|(_, took)| took.len() >= FEWEST)
            .map(|(name, took)| {
                let mut took = took.clone();
                took.sort_unstable();
                Slow {
                    name: name.clone(),
                    commands: took.len(),
                    median: took[(took.len() - 1) / 2],
                    longest: took[took.len() - 1],
                    total: took.iter().sum(),
                }
            })
            .collect();
        found.sort_unstable_by(|a, b| (b.median, &a.name).cmp(&(a.median, &b.name)));
        found.truncate(limit);
        found
    }
}

fn seconds(field: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(field.trim().parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use tickoff::Options;

    use super::*;

    const HEADER: &str =
        "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\tKey\n";

    fn parse(log: &str) -> Option<Joblog> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input.csv");
        std::fs::write(
            &path,
            "PO_NUMBER;SUPPLIER\nP1;Acme\nP2; Acme \nP3;Globex\nP4;\n",
        )
        .unwrap();
        let sheet = Sheet::read(&path, &Options::default()).unwrap();
        Joblog::parse(log.as_bytes(), &sheet).unwrap()
    }

    fn line(po: &str, took: &str) -> String {
        format!("1\t:\t1767607200.000\t{took}\t0\t0\t0\t0\tsh -c 'a\tb' {po}\t{po}\n")
    }

    #[test]
    fn suppliers_are_ranked_by_the_median_of_their_commands() {
        let lines = [
            ("P1", "     1.000"),
            ("P2", "2.5"),
            ("P2", "90"),
            ("P3", "3"),
            ("P3", "3"),
            ("P3", "3.25"),
            ("P4", "500"),
        ];
        let lines: String = lines.iter().map(|(po, took)| line(po, took)).collect();
        let slowest = parse(&(HEADER.to_owned() + &lines)).unwrap().slowest(10);
        let seconds = Duration::from_secs_f64;
        assert_eq!(
            slowest,
            [
                Slow {
                    name: "Globex".into(),
                    commands: 3,
                    median: seconds(3.0),
                    longest: seconds(3.25),
                    total: seconds(9.25)
                },
                Slow {
                    name: "Acme".into(),
                    commands: 3,
                    median: seconds(2.5),
                    longest: seconds(90.0),
                    total: seconds(93.5)
                },
            ],
            "one command of P4 is too few"
        );
    }

    #[test]
    fn a_key_with_a_tab_between_its_parts_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input.csv");
        std::fs::write(&path, "order\tline\tSUPPLIER\nA\t1\tAcme\n").unwrap();
        let options = Options {
            key: tickoff::KeyColumns::new(["order", "line"]).unwrap(),
            ..Options::default()
        };
        let sheet = Sheet::read(&path, &options).unwrap();
        let log = HEADER.to_owned() + &line("A\\t1", "1.000");
        assert_eq!(
            Joblog::parse(log.as_bytes(), &sheet)
                .unwrap()
                .unwrap()
                .ignored,
            0
        );
    }

    #[test]
    fn a_line_that_cannot_be_used_is_counted() {
        let log = [
            HEADER,
            HEADER,
            &line("P9", "1"),
            &line("P1", "-1"),
            "2\t:\t17",
            "\n",
            "\n",
        ];
        let joblog = parse(&log.concat()).unwrap();
        assert_eq!((joblog.ignored, joblog.by_supplier.len()), (3, 0));
    }

    #[test]
    fn a_log_without_keys_is_none() {
        assert!(parse(&HEADER.replace("\tKey", "")).is_none());
        assert!(parse("").is_none());
    }
}
