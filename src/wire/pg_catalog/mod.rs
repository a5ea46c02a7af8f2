//! Stub.
/// v
pub const SERVER_VERSION: &str = "15.18";
/// n
pub fn procedure_name(oid: u32) -> String {
    oid.to_string()
}
