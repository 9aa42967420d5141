//! All that happens in a run, as JSON objects, one a line; `docs/events.md` says what each field is.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use serde_json::{Value, json};
use tickoff::{Change, Control, Error, Event, Job, JobResult, Rights, Session, Summary, Verdict};

use super::lines::Lines;
use super::{Beginning, Observer};
use crate::exit::Failure;
use crate::stdout::json_line;

/// With what every line begins.
const MARK: &[u8] = b"{\"time\":\"";

/// The events of one run. Clones add to the same.
#[derive(Clone)]
pub struct EventLog(Arc<Log>);

struct Log {
    lines: Lines,
    session: String,
}

impl EventLog {
    /// Goes on with a file of events, or begins one.
    pub fn open(path: &Path, session: &Session) -> Result<EventLog, Failure> {
        let session_id = session.id().to_owned();
        let rights = Rights::of(session.handler().path())?;
        let lines = Lines::open(path, rights, "events", b"", MARK)?;
        let lost = session_id.clone();
        Ok(EventLog(Arc::new(Log {
            lines: lines
                .counting(move |count| line("events_lost", &lost, json!({ "count": count }))),
            session: session_id,
        })))
    }

    /// What jobs print waits for a reader that does not read, and they wait with it.
    pub fn output_unread(&self) {
        self.add("output_unread", json!({}));
    }

    fn add(&self, event: &str, fields: Value) {
        let Log { lines, session } = &*self.0;
        lines.add(&line(event, session, fields));
    }

    fn controlled(&self, change: &Change) {
        let by = &change.by;
        match change.control {
            Control::Pause => self.add("run_paused", json!({ "by": by })),
            Control::Continue => self.add("run_continued", json!({ "by": by })),
            Control::Workers(workers) => {
                self.add("workers_changed", json!({ "workers": workers, "by": by }));
            }
        }
    }
}

fn line(event: &str, session: &str, fields: Value) -> Vec<u8> {
    let time = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
    let head = json!({ "time": time, "event": event, "session": session });
    let mut line = Vec::new();
    json_line(&mut line, &and(head, fields)).expect("memory takes what is written to it");
    line
}

impl Observer for EventLog {
    fn began(&mut self, run: &Beginning<'_>) {
        self.add(
            "run_started",
            json!({
                "sheet": run.session.handler().path().to_string_lossy(),
                "recovered": run.session.recovered().results,
                "continued": run.session.recovered().continued,
                "total": run.total,
                "workers": run.workers,
                "stage": run.session.handler().stage().name(),
                "seed": run.seed,
            }),
        );
    }

    fn take(&self, event: &Event<'_>) {
        match event {
            Event::Started(job) => self.add("attempt_started", of(job)),
            Event::Reported { job, text } => {
                self.add("attempt_reported", and(of(job), json!({ "text": text })));
            }
            Event::Postponed {
                job,
                reason,
                duration,
                wait,
                for_all,
            } => {
                let more = json!({
                    "reason": reason,
                    "duration_ms": ms(*duration),
                    "wait_ms": ms(*wait),
                    "for_all": for_all,
                });
                self.add("attempt_postponed", and(of(job), more));
            }
            Event::BrokenOff(job) => self.add("attempt_broken_off", of(job)),
            Event::Finished(result) => self.add("po_finished", finished(result)),
            Event::Controlled(change) => self.controlled(change),
            Event::ProcessEnded { .. } | Event::Retired(_) => {}
        }
    }

    fn ended(&mut self, ran: Result<&Summary, &Error>) {
        self.add(
            "run_ended",
            match ran {
                Ok(summary) => counts(summary),
                Err(error) => json!({ "error": error.chain() }),
            },
        );
    }
}

fn of(job: &Job<'_>) -> Value {
    json!({ "po": job.po, "key": job.po, "attempt": job.attempt, "worker": job.worker })
}

fn finished(result: &JobResult<'_>) -> Value {
    let status = match result.verdict {
        Verdict::Other | Verdict::Skipped => None,
        _ => result.updates.new_status(),
    };
    json!({
        "po": result.po,
        "key": result.po,
        "attempts": result.attempts,
        "worker": result.worker,
        "status": status,
        "skipped": result.verdict == Verdict::Skipped,
        "message": result.updates.get("ERROR_MESSAGE"),
        "duration_ms": ms(result.duration),
        "persisted": result.persisted.is_ok(),
        "error": result.persisted.as_ref().err().map(Error::chain),
        "processed": result.processed,
        "total": result.total,
    })
}

fn counts(summary: &Summary) -> Value {
    let pool = &summary.pool;
    json!({
        "completed": pool.completed,
        "errors": pool.errors,
        "no_attachments": pool.no_attachments,
        "other": pool.other,
        "skipped": pool.skipped,
        "not_run": pool.not_run,
        "retried": pool.retried,
        "not_persisted": pool.unpersisted.len(),
        "halted": pool.halted,
        "duration_ms": ms(summary.elapsed),
        "error": summary.not_visible.as_ref().map(Error::chain),
    })
}

fn and(mut object: Value, more: Value) -> Value {
    if let (Value::Object(fields), Value::Object(more)) = (&mut object, more) {
        fields.extend(more);
    }
    object
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
