//! Text to syntax: statements of a message, tokens of both dialects, the cursor that statements are read with, and how large all of it
//! may be. Knows nothing of what names mean.

mod balance;
mod command;
mod cursor;
mod dialect;
pub mod function_declaration;
mod hints;
mod numbers;
mod places;
mod repetition;
pub mod secret_options;
pub mod splitter;
pub mod statement_size;

pub use command::command_of;
pub use cursor::{Cursor, fold, option_list, parse_query, words};
pub use hints::{Hints, StateTtl};
pub use places::Places;
