//! Whether a role may do what a statement does: a plain decision, asked at the one place that every statement passes. Until there are
//! rights on objects, a superuser may do everything, and any other role reads.

use crate::error::{Error, Result};

/// What a statement does that reading does not cover: `INSERT`, `CREATE TABLE`; absent: it only reads.
pub(in crate::sql) type Wanted = Option<&'static str>;

/// Lets a statement in, or not.
///
/// # Errors
/// 42501: the role may not do that.
pub(in crate::sql) fn decide(is_superuser: bool, wanted: Wanted) -> Result<()> {
    match wanted {
        Some(what) if !is_superuser => Err(Error::denied(format!("permission denied for {what}"))
            .detail("Only roles with the SUPERUSER attribute may change anything; the others read.")),
        _ => Ok(()),
    }
}
