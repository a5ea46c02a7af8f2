//! What Linux says of this process: memory, time on processors, open files. Elsewhere nothing is said. Reads files: not for threads that
//! answer clients.

use std::fs;

use super::metrics::{Samples, list};

/// Puts what the system says now.
pub fn sample(samples: &mut Samples) {
    if let Some(stat) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(Stat::read) {
        samples.put(&list::PROCESS_CPU, &[], stat.cpu_ticks as f64 / ticks_per_second());
        samples.put_count(&list::PROCESS_VIRTUAL_MEMORY, &[], stat.virtual_bytes);
        samples.put_count(&list::PROCESS_RESIDENT_MEMORY, &[], stat.resident_pages.saturating_mul(page_bytes()));
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        // One of them is the folder itself.
        samples.put_count(&list::PROCESS_OPEN_FILES, &[], files.count().saturating_sub(1) as u64);
    }
}

/// Of `/proc/self/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Stat {
    fn read(text: &str) -> Option<Self> {
        // The name, in brackets, may have blanks and brackets of its own. What follows begins with field 3.
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: field(14)?.checked_add(field(15)?)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

fn ticks_per_second() -> f64 {
    // SAFETY: asks for a number.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    if ticks > 0 { ticks as f64 } else { 100.0 }
}

fn page_bytes() -> u64 {
    // SAFETY: asks for a number.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(bytes).ok().filter(|bytes| *bytes > 0).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_have_brackets_and_blanks() {
        let text = "7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 150 50 13 14 15 16 17 18 19 4096 3 22";
        assert_eq!(Stat::read(text), Some(Stat { cpu_ticks: 200, virtual_bytes: 4096, resident_pages: 3 }));
        assert_eq!(Stat::read("7 (short) S 1"), None);
    }
}
