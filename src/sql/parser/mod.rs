//! Text to syntax: statements of a message, tokens of both dialects, the cursor that statements are read with, and how large all of it
//! may be. Knows nothing of what names mean.

pub mod balance;
pub mod dialect;
pub mod function_declaration;
mod repetition;
pub mod secret_options;
pub mod splitter;
pub mod statement_size;
