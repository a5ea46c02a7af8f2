//! Documents (`json`, `jsonb`) and `uuid`: texts whose fields say what they are (`data_type::NamedText`). Their casts, operators and functions are
//! those of PostgreSQL's manual, 9.16.
//! A document is read one level at a time, so that asking for a part does not build the whole.

pub(super) mod access;
pub(super) mod build;
mod document;
pub(super) mod edit;
mod function;
pub(super) mod input;
pub(super) mod items;
mod operators;
mod written;

pub(crate) use build::{AS_JSON, AS_JSONB, COLLECTED, Collected, VALUE, collected_as, marked, with_marked_documents};
pub(crate) use input::{call as cast_to, call_plain as cast_to_text, type_of_cast};
pub(super) use operators::Documents;
