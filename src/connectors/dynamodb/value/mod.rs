//! Values as DynamoDB has them and as Arrow has them, both ways and without loss. Knows no requests and no tables.

pub(super) mod encode;
pub(super) mod item;
pub(super) mod number;
pub(super) mod text_time;
