//! Answers to lines, each given once its result is durable or refused, in the order of the lines.

use std::borrow::Cow;
use std::io::{self, ErrorKind, Write};
use std::sync::mpsc::Receiver;

use serde::Serialize;
use serde_json::value::RawValue;
use tickoff::Error;

use super::request::Request;
use super::room::Place;
use crate::exit::{Exit, Failure, advice};
use crate::stdout::json_line;

/// Where answers go.
pub struct Answers<W, R> {
    /// `None` if nobody asked for them, or nobody reads them any more: the results count, whether
    /// they are acknowledged or not.
    to: Option<W>,
    /// Why answers that were asked for could not be given.
    lost: Option<io::Error>,
    /// Says something on stderr.
    report: R,
    /// What was advised; a thousand lines that fail alike need it once.
    advised: Vec<Cow<'static, str>>,
    /// The most pressing so far.
    exit: Exit,
}

impl<W: Write, R: Fn(String)> Answers<W, R> {
    /// Answers that go there; what else is to be said is reported.
    pub fn new(to: Option<W>, report: R) -> Self {
        Answers {
            to,
            lost: None,
            report,
            advised: Vec::new(),
            exit: Exit::Done,
        }
    }

    /// Answers each line when its time has come, until there are no more.
    pub fn give<O>(
        mut self,
        lines: Receiver<Submitted<O>>,
        wait: impl Fn(&O) -> tickoff::Result<()>,
    ) -> Result<Exit, Failure> {
        for Submitted {
            number,
            line,
            warnings,
            outcome,
            place,
        } in lines
        {
            let outcome = outcome.and_then(|operation| Ok(wait(&operation)?));
            for message in warnings {
                (self.report)(format!("line {number}: {message}"));
            }
            self.answer(number, &line, outcome.err());
            drop(place);
        }
        match self.lost {
            Some(error) => Err(Failure::Output(error)),
            None => Ok(self.exit),
        }
    }

    fn answer(&mut self, number: u64, line: &Request, refusal: Option<Refusal>) {
        if let Some(refusal) = &refusal {
            (self.report)(format!("line {number}: {}", refusal.message));
            self.exit = self.exit.and(refusal.exit);
            if let Some(advice) = &refusal.advice
                && !self.advised.contains(advice)
            {
                (self.report)(advice.to_string());
                self.advised.push(advice.clone());
            }
        }
        let Some(to) = &mut self.to else { return };
        let answer = Answer {
            line: number,
            operation_id: line.operation_id.as_deref(),
            po_number: line.po_number.as_deref(),
            key: line.po_number.as_deref(),
            durable: refusal.is_none(),
            error: refusal.as_ref().map(|refusal| &*refusal.message),
        };
        let mut text = Vec::new();
        let given = json_line(&mut text, &answer)
            .and_then(|()| to.write_all(&text))
            .and_then(|()| to.flush());
        if let Err(error) = given {
            self.to = None;
            self.lost = match error.kind() {
                ErrorKind::BrokenPipe => None,
                ErrorKind::TimedOut => {
                    (self.report)(format!(
                        "nobody reads the answers: that of line {number} and of those behind it are not given"
                    ));
                    None
                }
                _ => Some(error),
            };
        }
    }
}

/// What became of a line so far.
pub struct Submitted<O> {
    /// 1-based.
    pub number: u64,
    /// Its updates are gone from it.
    pub line: Request,
    /// Beside the result, what is to be said of it.
    pub warnings: Vec<String>,
    /// What to wait for.
    pub outcome: Result<O, Refusal>,
    /// Its place among those that wait.
    pub place: Option<Place>,
}

impl<O> Submitted<O> {
    /// How much memory it takes, at most.
    pub fn bytes(&self) -> usize {
        /// Of itself, and of what is waited for.
        const ALONE: usize = 512;
        let id = self
            .line
            .operation_id
            .as_ref()
            .map_or(0, |id| id.get().len());
        let key = self.line.po_number.as_ref().map_or(0, String::capacity);
        let warnings: usize = self.warnings.iter().map(String::capacity).sum();
        let refusal = self.outcome.as_ref().err();
        ALONE + id + key + warnings + refusal.map_or(0, |refusal| refusal.message.capacity())
    }
}

/// Why a line has no result in the sheet.
pub struct Refusal {
    message: String,
    advice: Option<Cow<'static, str>>,
    exit: Exit,
    /// Nothing submitted after this can be written.
    pub is_final: bool,
}

impl Refusal {
    /// Because the line does not look as it must.
    pub fn of_form(message: String) -> Refusal {
        Refusal {
            message,
            advice: Some("tickoff help apply shows what a line must look like".into()),
            exit: Exit::SomeFailed,
            is_final: false,
        }
    }

    /// Because the sheet cannot be made ready for results.
    pub fn of_session(error: Error) -> Refusal {
        Refusal {
            is_final: true,
            ..error.into()
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal {
            message: error.chain(),
            advice: match error {
                Error::NotDurable { .. } => Some(
                    "such results are not lost: they are kept when apply ends, and it says where"
                        .into(),
                ),
                _ => advice(&error),
            },
            exit: Exit::of(&error),
            is_final: matches!(error, Error::QueueStopped | Error::WriterDied { .. }),
        }
    }
}

/// The answer to one line.
#[derive(Serialize)]
struct Answer<'a> {
    line: u64,
    operation_id: Option<&'a RawValue>,
    po_number: Option<&'a str>,
    key: Option<&'a str>,
    durable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}
