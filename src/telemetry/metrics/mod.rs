//! The one list of metrics, and how they are written. An entry says of a metric all that can be known before there is a value; whoever
//! has values puts them into [`Samples`] by entry. Knows neither jobs nor sessions, and no HTTP.

mod entry;
mod exposition;
mod histogram;
pub mod list;
mod samples;
mod value;

pub use entry::{MetricEntry, MetricKind};
pub use exposition::Exposition;
pub use histogram::Histogram;
pub use list::METRICS;
pub use samples::Samples;
