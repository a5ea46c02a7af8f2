//! What monotonic writes put into items beside the columns of the table: readers pass over it, and no column may have such a name.

/// Attribute that marks the item of a deleted key.
pub(crate) const DELETED_ATTRIBUTE: &str = "_deleted";
/// What version and origin add to an item at most.
pub(crate) const VERSION_BYTES_MAX: usize = 256;

/// Name of the attribute that says where a version comes from.
pub(crate) fn origin_attribute(version_attribute: &str) -> String {
    format!("{version_attribute}_by")
}
