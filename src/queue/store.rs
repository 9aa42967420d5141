//! What stands behind the queue: the sheet's writer, or in tests a model of it.

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::sheet::WriteOperation;
use crate::store::{Checkpoint, CsvHandler, Writes};

/// Makes operations durable, and what is durable visible.
pub(super) trait Store: Clone + Send + 'static {
    /// Makes operations durable and answers each of them.
    fn commit(&self, operations: &[&WriteOperation]) -> Vec<Result<()>>;
    /// Makes visible what is durable when it begins.
    fn checkpoint(&self) -> Result<Checkpoint>;
    /// What is said when another program did not let go of the sheet for as long as patience lasts.
    fn busy(&self) -> Error;
    fn writes(&self) -> Writes;
}

impl Store for Arc<CsvHandler> {
    fn commit(&self, operations: &[&WriteOperation]) -> Vec<Result<()>> {
        match self.writer() {
            Ok(mut writer) => writer.commit(operations),
            Err(error) => operations.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    fn checkpoint(&self) -> Result<Checkpoint> {
        CsvHandler::checkpoint(self).map_err(|error| not_visible(&self.path(), error))
    }

    fn busy(&self) -> Error {
        let path = self.path();
        not_visible(&path.clone(), Error::Busy { path })
    }

    fn writes(&self) -> Writes {
        CsvHandler::writes(self)
    }
}

fn not_visible(path: &Path, source: Error) -> Error {
    Error::NotVisible {
        path: path.to_owned(),
        source: Box::new(source),
    }
}
