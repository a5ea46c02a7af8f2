//! What a checkpoint holds, without reading the rows.

use std::collections::BTreeSet;

use super::{CheckpointStore, Manifest};
use crate::error::Result;

impl CheckpointStore {
    /// Ids of the operators that have state in a checkpoint.
    ///
    /// # Errors
    /// A state file is damaged or the place does not answer.
    pub async fn operators(&self, manifest: &Manifest) -> Result<BTreeSet<String>> {
        let mut operators = BTreeSet::new();
        for file in &manifest.files {
            operators.extend(self.index(file).await?.into_iter().map(|part| part.operator));
        }
        Ok(operators)
    }
}
