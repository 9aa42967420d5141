//! One line of `apply`, as far as it can be understood.
//!
//! It uses nothing else of the program, because the fuzz target `apply_line` takes it in as it is.

use serde_json::Value;
use tickoff::{Updates, escape};

/// A line that asks for updates of one PO.
pub struct Request {
    /// As it came; null if there was none.
    pub operation_id: Value,
    /// `None` if the line did not name one.
    pub po_number: Option<String>,
    /// The updates, or why the line is refused; without a PO it always is.
    pub updates: Result<Updates, String>,
}

impl Request {
    /// Keeps as much as can be understood, so that a refusal can be answered by its id.
    pub fn parse(line: &[u8]) -> Request {
        let mut object: serde_json::Map<String, Value> = match serde_json::from_slice(line) {
            Ok(object) => object,
            Err(error) => {
                return Request::refused(format!(
                    "not a JSON object: {}",
                    escape(&error.to_string())
                ));
            }
        };
        let mut take = |name| object.remove(name);
        let operation_id = take("operation_id").unwrap_or_default();
        let po_number = match take("po_number") {
            Some(Value::String(po)) => Some(po),
            Some(Value::Number(po)) => Some(po.to_string()),
            _ => None,
        };
        let updates = match take("updates") {
            _ if po_number.is_none() => Err("po_number must be a text or a number".into()),
            None => Err("updates is missing".into()),
            Some(updates) => {
                serde_json::from_value(updates).map_err(|error| escape(&error.to_string()))
            }
        };
        Request {
            operation_id,
            po_number,
            updates,
        }
    }

    /// A line of which nothing can be understood.
    pub fn refused(message: String) -> Request {
        Request {
            operation_id: Value::Null,
            po_number: None,
            updates: Err(message),
        }
    }
}
