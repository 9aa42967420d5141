//! One line of `apply`, as far as it can be understood.
//!
//! It uses nothing else of the program, because the fuzz target `apply_line` takes it in as it is.

use serde_json::value::RawValue;
use tickoff::{JsonObject, Updates, escape};

/// A line that asks for updates of one row.
pub struct Request {
    /// As it came; `None` if there was none.
    pub operation_id: Option<Box<RawValue>>,
    /// `None` if the line does not name one, or it cannot be read.
    pub po_number: Option<String>,
    /// The updates, or why the line is refused; without a key it always is.
    pub updates: Result<Updates, String>,
    /// What a person should know of the line besides.
    pub notes: Vec<String>,
}

impl Request {
    /// Keeps as much as can be understood, so that a refusal can be answered by its id and its key.
    pub fn parse(line: &[u8]) -> Request {
        let (mut object, problem) = JsonObject::read(line);
        let operation_id = object.take("operation_id");
        let po_number = match (object.take_text("po_number"), object.take_text("key")) {
            (Ok(Some(po)), Ok(Some(key))) if po.trim() != key.trim() => {
                Err("po_number and key are not the same")
            }
            (Ok(Some(po)), Ok(_)) | (Ok(None), Ok(Some(po))) => Ok(po),
            _ => Err(
                "po_number, or key, must be a text or a number; of several columns it is one text, 'A1;2'",
            ),
        };
        let updates = match (&po_number, problem) {
            (_, Some(problem)) => Err(format!("not a JSON object: {}", escape(&problem))),
            (Err(problem), None) => Err((*problem).to_owned()),
            (Ok(_), None) => object.take_result().map_err(|problem| escape(&problem)),
        };
        Request {
            operation_id,
            po_number: po_number.ok(),
            updates,
            notes: object.notes,
        }
    }

    /// A line that is refused whatever it asks for, of which this is the beginning.
    pub fn refused(beginning: &[u8], message: String) -> Request {
        Request {
            updates: Err(message),
            ..Request::parse(beginning)
        }
    }
}
