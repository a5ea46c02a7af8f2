//! The signs that this process leaves while it may be about to die: of want of memory, which a thread watches while a job is in
//! danger, and of an abort (an allocation that cannot be had, a stack that overflows), which a signal handler notes. Linux only:
//! elsewhere no death counts.

use std::path::Path;

use super::deaths::{self, Memory};
use super::starts::{SIGN, Starts};

/// Leaves signs from now on, for the jobs of `starts`.
pub fn watch(folder: &Path, starts: &Starts) {
    #[cfg(target_os = "linux")]
    linux::watch(folder.join(SIGN), starts.clone());
    #[cfg(not(target_os = "linux"))]
    let _ = (folder, starts, SIGN, deaths::memory_sign as fn(Memory) -> _);
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::os::fd::IntoRawFd;
    use std::os::unix::fs::FileExt;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicI32, Ordering};

    use super::{Memory, Starts, deaths};

    const ABORTED: &[u8] = b"it was aborted: memory that it could not get, or a stack that was too small\n";

    /// Where an abort is noted; -1: nowhere.
    static SIGN_FILE: AtomicI32 = AtomicI32::new(-1);

    pub fn watch(path: PathBuf, starts: Starts) {
        note_aborts(&path);
        let thread = std::thread::Builder::new().name("memory-watch".to_owned());
        let spawned = thread.spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else { return };
            runtime.block_on(look(path, starts));
        });
        if let Err(error) = spawned {
            tracing::warn!(%error, "nobody watches the memory: deaths for want of it will not be counted");
        }
    }

    async fn look(path: PathBuf, starts: Starts) {
        let mut in_danger = starts.in_danger();
        drop(starts);
        let limit = limit();
        let mut left = String::new();
        loop {
            if in_danger.wait_for(|jobs| !jobs.is_empty()).await.is_err() {
                return;
            }
            while !in_danger.borrow().is_empty() {
                let memory = memory(limit);
                // What cannot be read now, for want of file descriptors, can be later: the sign stays as it is until then.
                if let Some(memory) = memory {
                    let sign = deaths::memory_sign(memory).map(|sign| format!("{sign}\n")).unwrap_or_default();
                    if sign != left {
                        leave(&path, &sign);
                        left = sign;
                    }
                }
                tokio::time::sleep(deaths::next_look(memory)).await;
            }
            if !std::mem::take(&mut left).is_empty() {
                leave(&path, "");
            }
        }
    }

    /// Written over, not beside: the handler's file stays the same. Never emptied first: death may come in between. Best effort.
    fn leave(path: &PathBuf, sign: &str) {
        let write = |file: File| {
            file.write_all_at(sign.as_bytes(), 0)?;
            file.set_len(sign.len() as u64)
        };
        let _ = File::options().write(true).open(path).and_then(write);
    }

    /// Opens the file for the handler, once, and installs it.
    fn note_aborts(path: &PathBuf) {
        if SIGN_FILE.load(Ordering::Relaxed) >= 0 {
            return;
        }
        if let Some(folder) = path.parent() {
            let _ = std::fs::create_dir_all(folder);
        }
        let Ok(file) = File::options().create(true).append(true).open(path) else { return };
        SIGN_FILE.store(file.into_raw_fd(), Ordering::Relaxed);
        // SAFETY: the handler only writes constant bytes to an open file, which is allowed in a signal handler; the struct is filled
        // as sigaction(2) says, and the handler is reset when it runs, so that the process ends by the signal as before.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_abort as *const () as libc::sighandler_t;
            action.sa_flags = libc::SA_RESETHAND | libc::SA_ONSTACK;
            libc::sigemptyset(&raw mut action.sa_mask);
            libc::sigaction(libc::SIGABRT, &raw const action, std::ptr::null_mut());
        }
    }

    extern "C" fn on_abort(_signal: libc::c_int) {
        let file = SIGN_FILE.load(Ordering::Relaxed);
        // SAFETY: as above; a file that cannot be written leaves no sign.
        let _ = unsafe { libc::write(file, ABORTED.as_ptr().cast(), ABORTED.len()) };
    }

    fn memory(limit: Option<u64>) -> Option<Memory> {
        let own = std::fs::read_to_string("/proc/self/status").ok()?;
        let machine = std::fs::read_to_string("/proc/meminfo").ok()?;
        let total = bytes(&machine, "MemTotal:")?;
        Some(Memory {
            resident: bytes(&own, "VmRSS:")?,
            limit: limit.unwrap_or(u64::MAX).min(total),
            available: bytes(&machine, "MemAvailable:")?,
            total,
        })
    }

    /// Of a line such as `VmRSS:    123 kB`.
    fn bytes(text: &str, name: &str) -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().split(' ').next()?.parse::<u64>().ok().map(|kib| kib * 1024)
    }

    /// What the container may hold, if it is one.
    fn limit() -> Option<u64> {
        let places = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
        let read = |place: &&str| std::fs::read_to_string(place).ok()?.trim().parse::<u64>().ok();
        crate::fault::memory_limit().or_else(|| places.iter().find_map(read))
    }
}
