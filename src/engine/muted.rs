//! The writer of a job that computes again what was decided: takes what would be written and writes nothing.

use async_trait::async_trait;
use tokio::sync::watch;

use crate::changelog::ChangeBatch;
use crate::connectors::SinkWriter;
use crate::error::Result;

/// Takes what would be written and writes nothing: everything up to the decided epoch is written already.
pub(super) struct Muted {
    acknowledged: watch::Sender<u64>,
}

impl Default for Muted {
    fn default() -> Self {
        Self { acknowledged: watch::Sender::new(0) }
    }
}

#[async_trait]
impl SinkWriter for Muted {
    async fn write(&mut self, _batch: ChangeBatch) -> Result<u64> {
        self.acknowledged.send_modify(|sequence| *sequence += 1);
        Ok(*self.acknowledged.borrow())
    }

    fn acknowledged(&self) -> watch::Receiver<u64> {
        self.acknowledged.subscribe()
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
