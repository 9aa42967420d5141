//! Letters of results that the sheet's encoding lacks, and that are written as `?`: the first of each column is said
//! when it is durable, and how many results there were when no more come.

use crate::domain::Encoding;
use crate::sheet::Lossy;
use crate::text::escape;

/// What was said of each column.
#[derive(Default)]
pub(super) struct Letters(Vec<Told>);

struct Told {
    first: Lossy,
    results: usize,
}

impl Letters {
    pub(super) fn tell(&mut self, lossy: Vec<Lossy>, encoding: Encoding) {
        for lossy in lossy {
            let mut told = self.0.iter_mut();
            if let Some(told) = told.find(|told| told.first.column == lossy.column) {
                told.results += 1;
                continue;
            }
            let Lossy { po, column, letter } = &lossy;
            tracing::warn!(
                key = %escape(po),
                "letters that {} does not have are written as ? ({}), the first is {} (U+{:04X})",
                encoding.name(),
                escape(column),
                escape(&letter.to_string()),
                u32::from(*letter)
            );
            self.0.push(Told {
                first: lossy,
                results: 1,
            });
        }
    }

    /// Says how many they were, where that was not said.
    pub(super) fn count(&mut self, encoding: Encoding) {
        for Told { first, results } in std::mem::take(&mut self.0) {
            if results > 1 {
                tracing::warn!(
                    "{results} results lost letters in {} that {} does not have, the first is that of {}",
                    escape(&first.column),
                    encoding.name(),
                    escape(&first.po)
                );
            }
        }
    }
}
