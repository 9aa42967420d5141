//! How time, latency and memory grow with the sheet: `cargo bench --bench growth [-- ROWS...]`.
//!
//! Measures sheets of 10,000, 100,000 and 1,000,000 rows, or of the sizes given, prints what it found,
//! and draws it into benches/plots/*.svg, ours beside what a user would pick instead. 10,000,000 rows
//! take 2.4 GB, five times, on the disk, and some minutes.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use plotters::prelude::*;
use plotters::style::full_palette::{BLUE_700, ORANGE_800};
use tickoff::{CsvHandler, Until, Updates};

mod peers;
mod sheet;

/// Acknowledgements that are timed.
const UPDATES: usize = 4_000;
/// How often everything else is; the median counts.
const ROUNDS: usize = 3;

/// One line of a plot: its name, whether it is ours, and a value for each size.
struct Series {
    name: String,
    is_ours: bool,
    points: Vec<(f64, f64)>,
}

struct Plot {
    file: &'static str,
    title: &'static str,
    unit: &'static str,
    series: Vec<Series>,
}

impl Plot {
    fn new(file: &'static str, title: &'static str, unit: &'static str) -> Plot {
        Plot {
            file,
            title,
            unit,
            series: Vec::new(),
        }
    }

    fn add(&mut self, name: &str, is_ours: bool, rows: usize, value: f64) {
        println!("{rows:>10} rows  {:<28} {value:>12.3} {}", name, self.unit);
        let point = (rows as f64, value);
        match self.series.iter_mut().find(|series| series.name == name) {
            Some(series) => series.points.push(point),
            None => self.series.push(Series {
                name: name.to_owned(),
                is_ours,
                points: vec![point],
            }),
        }
    }

    fn draw(&self, folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
        let path = folder.join(self.file);
        let root = SVGBackend::new(&path, (720, 420)).into_drawing_area();
        root.fill(&WHITE)?;
        let points = || self.series.iter().flat_map(|series| &series.points);
        let range = |of: fn(&(f64, f64)) -> f64, below: f64, above: f64| {
            let values = points().map(of);
            let least = values.clone().fold(f64::INFINITY, f64::min);
            (least * below..values.fold(0.0, f64::max) * above).log_scale()
        };
        let mut chart = ChartBuilder::on(&root)
            .caption(self.title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(70)
            .build_cartesian_2d(range(|p| p.0, 0.8, 1.25), range(|p| p.1, 0.5, 20.0))?;
        let number = |value: &f64| match *value {
            value if value >= 1e6 => format!("{} M", value / 1e6),
            value if value >= 1e3 => format!("{},000", value / 1e3),
            value => format!("{}", (value * 1e6).round() / 1e6),
        };
        chart
            .configure_mesh()
            .x_desc("rows in the sheet")
            .y_desc(self.unit)
            .x_label_formatter(&number)
            .y_label_formatter(&number)
            .light_line_style(WHITE)
            .draw()?;
        let of_kind = |is_ours| {
            self.series
                .iter()
                .filter(move |series| series.is_ours == is_ours)
        };
        for (color, kind) in [(BLUE_700, true), (ORANGE_800, false)] {
            for (i, series) in of_kind(kind).enumerate() {
                // Later lines of a kind are lighter.
                let style = color.mix(1.0 - 0.3 * i as f64).stroke_width(2);
                chart
                    .draw_series(LineSeries::new(series.points.iter().copied(), style))?
                    .label(&series.name)
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], style));
                chart.draw_series(
                    series
                        .points
                        .iter()
                        .map(|&point| Circle::new(point, 3, style.filled())),
                )?;
            }
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .legend_area_size(30)
            .background_style(WHITE.mix(0.9))
            .border_style(WHITE)
            .draw()?;
        root.present()?;
        println!("drawn: {}", path.display());
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let given: Vec<usize> = std::env::args()
        .skip(1)
        .filter_map(|word| word.parse().ok())
        .collect();
    let sizes = match given.is_empty() {
        true => vec![10_000, 100_000, 1_000_000],
        false => given,
    };
    let folder = tempfile::tempdir_in(".")?;
    let folder = folder.path();
    let mut open = Plot::new("open.svg", "Reading and indexing a sheet", "ms");
    let mut row = Plot::new("row.svg", "One row changed, durable and visible", "ms");
    let mut acknowledged = Plot::new(
        "acknowledged.svg",
        "From submitting to the acknowledgement, 4 workers",
        "ms",
    );
    let mut memory = Plot::new("memory.svg", "Memory of a run", "MB");
    let has_polars = peers::has_dataframes("polars");
    for rows in sizes {
        let path = sheet::write(folder, rows);
        let bytes = std::fs::read(&path)?;
        let size = bytes.len() as f64 / 1e6;

        let options = tickoff::Options::default();
        open.add(
            "tickoff",
            true,
            rows,
            median(|| {
                black_box(tickoff::Sheet::read(&path, &options).expect("it is one"));
            }),
        );
        open.add(
            "csv-core, no index",
            false,
            rows,
            median(|| {
                let bytes = std::fs::read(&path).expect("it was just written");
                black_box(peers::csv_core_fields(&bytes));
            }),
        );
        if has_polars {
            open.add(
                "polars, no index",
                false,
                rows,
                peers::dataframes(&["polars", "read"], &path).as_secs_f64() * 1e3,
            );
        }
        open.add(
            "reading alone",
            false,
            rows,
            median(|| {
                drop(black_box(std::fs::read(&path)));
            }),
        );

        memory.add("tickoff, beyond the file's pages", true, rows, {
            sheet::anonymous_memory(&path) as f64 / 1e6
        });
        memory.add("the file's size", false, rows, size);

        let handler = CsvHandler::open(&path, folder.join("backup"))?;
        let pos = handler.pending_pos();
        let mut turn = 0;
        row.add(
            "tickoff",
            true,
            rows,
            median(|| {
                turn += 1;
                let updates = Updates::new().set("ATTACHMENTS_FOUND", turn.to_string());
                handler
                    .update_record(&pos[turn * 7], updates)
                    .expect("it is written");
            }),
        );
        row.add(
            "a synced, atomic write of the file",
            false,
            rows,
            median(|| {
                sheet::write_once(folder, &bytes);
            }),
        );
        drop(bytes);

        drop(handler);
        let (session, pos) = sheet::open_file(&path);
        let some: Vec<String> = pos.iter().skip(100).take(UPDATES).cloned().collect();
        let ours = sheet::update_all(session.handler(), &some, Some(Until::Durable));
        add_percentiles(&mut acknowledged, "tickoff", true, rows, ours);
        session.finish()?;
        let theirs = peers::sqlite_a_commit_each(folder, rows, UPDATES).0;
        add_percentiles(&mut acknowledged, "SQLite", false, rows, theirs);
    }
    let plots = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/plots");
    std::fs::create_dir_all(&plots)?;
    for plot in [open, row, acknowledged, memory] {
        plot.draw(&plots)?;
    }
    Ok(())
}

/// In milliseconds.
fn median(mut work: impl FnMut()) -> f64 {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[ROUNDS / 2].as_secs_f64() * 1e3
}

fn add_percentiles(
    plot: &mut Plot,
    who: &str,
    is_ours: bool,
    rows: usize,
    mut latencies: Vec<Duration>,
) {
    latencies.sort();
    for (name, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
        let at = ((latencies.len() - 1) as f64 * share).ceil() as usize;
        let milliseconds = latencies[at].as_secs_f64() * 1e3;
        plot.add(&format!("{who} {name}"), is_ours, rows, milliseconds);
    }
}
