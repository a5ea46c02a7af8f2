//! Files in a folder: synced before they count, and removed when that fails. Everything here blocks.

use std::fs::{self, File};
use std::io::{ErrorKind as IoErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{BESIDE, too_short};
use crate::error::{Error, Result};
use crate::fault;

pub(super) fn read_range(path: &Path, range: Range<u64>) -> Result<Bytes> {
    let length = usize::try_from(range.end - range.start)
        .map_err(|_| Error::corrupt(format!("{} has a part that is too large", path.display())))?;
    let read = || -> std::io::Result<Vec<u8>> {
        fault::io("read")?;
        let mut file = File::open(path)?;
        // Asked before so much memory is: a length may be damaged as well.
        if file.metadata()?.len() < range.end {
            return Err(IoErrorKind::UnexpectedEof.into());
        }
        file.seek(SeekFrom::Start(range.start))?;
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Err(error) if error.kind() == IoErrorKind::UnexpectedEof => {
            Err(too_short(&path.parent().unwrap_or(path).display().to_string(), &file_name(path)))
        }
        read => Ok(read.map_err(|error| cannot("read", path, &error))?.into()),
    }
}

pub(super) fn write_file<T>(
    folder: &Path,
    path: &Path,
    produce: impl FnOnce(&mut dyn FnMut(&[u8]) -> Result<()>) -> Result<T>,
) -> Result<T> {
    let failed = |error: std::io::Error| cannot("write", path, &error);
    make_folder(folder).map_err(failed)?;
    let mut file = fault::io("write").and_then(|()| File::create_new(path)).map_err(failed)?;
    let mut pieces = 0;
    let written = produce(&mut |bytes| {
        fault::io("write").and_then(|()| file.write_all(bytes)).map_err(failed)?;
        pieces += 1;
        if pieces == 2 {
            fault::point("K3");
        }
        Ok(())
    })
    .and_then(|produced| {
        fault::io("fsync").and_then(|()| file.sync_all()).map_err(failed)?;
        Ok(produced)
    });
    if written.is_err() {
        // After a failed sync nobody knows what is on the disk; nothing refers to the file, so it may also stay.
        let _ = fs::remove_file(path);
    }
    written
}

pub(super) fn publish(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let (path, beside) = (folder.join(name), folder.join(format!("{name}{BESIDE}")));
    let failed = |error: std::io::Error| cannot("write", &path, &error);
    make_folder(folder).map_err(failed)?;
    let write = || {
        fault::io("write")?;
        let mut file = File::create(&beside)?;
        let (one, other) = bytes.split_at(bytes.len() / 2);
        file.write_all(one)?;
        fault::point("K3");
        fault::io("write")?;
        file.write_all(other)?;
        fault::io("fsync")?;
        file.sync_all()?;
        fault::io("rename")?;
        fs::rename(&beside, &path)
    };
    if let Err(error) = write() {
        let _ = fs::remove_file(&beside);
        return Err(failed(error));
    }
    fault::point("K4");
    fault::io("fsync").and_then(|()| sync_folder(folder)).map_err(|error| {
        // It may or may not outlive a power cut: taken back, and the next attempt writes another one.
        let _ = fs::remove_file(&path);
        failed(error)
    })
}

/// Makes a folder whose entry in its parent is durable as well.
fn make_folder(folder: &Path) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        make_folder(parent)?;
        match fs::create_dir(folder) {
            Err(error) if error.kind() != IoErrorKind::AlreadyExists => return Err(error),
            _ => sync_folder(parent)?,
        }
    }
    Ok(())
}

fn sync_folder(folder: &Path) -> std::io::Result<()> {
    // A relative path's last parent is empty: the working directory.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}

pub(super) fn cannot(doing: &str, path: &Path, error: &std::io::Error) -> Error {
    let text = format!("cannot {doing} {}: {error}", path.display());
    match error.kind() {
        IoErrorKind::NotFound if doing == "read" => Error::not_found(text),
        _ => Error::unavailable(text),
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().map(PathBuf::from).unwrap_or_default().display().to_string()
}
