//! How far a consumer group has come in one partition, as the group says it and as it is kept.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupOffset {
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: String,
}
