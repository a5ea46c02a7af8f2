//! The place of a job's checkpoints: a folder on a local disk, or a prefix in an object store. Knows names and bytes only.
//! What `write_file` and `publish` have returned from is durable. After a failed write or sync nothing of it is trusted: the
//! file is removed, and a next attempt writes another one. File work is blocking and runs beside the runtime's threads.

mod local;

use std::fs;
use std::io::ErrorKind as IoErrorKind;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, WriteMultipart};

use crate::error::{Error, ErrorKind, Result};
use crate::fault;

/// Ends the names of files that are not yet in place.
pub(super) const BESIDE: &str = ".new";

/// Uploads of one file that may be under way at a time.
const UPLOADS_MAX: usize = 4;

/// Pieces of a file that wait for their upload.
const PIECES_MAX: usize = 4;

/// What became of a file that may exist only once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Published {
    /// It is there, whole and durable.
    Done,
    /// Another one of that name was there before (object store; a folder replaces it).
    Exists,
}

/// A place for files.
#[derive(Debug, Clone)]
pub(super) enum Storage {
    /// A folder; it is made when the first file is written.
    Local(Arc<Path>),
    /// A prefix in an object store.
    Object {
        /// The store.
        store: Arc<dyn ObjectStore>,
        /// What all names begin with.
        prefix: ObjectPath,
        /// As users write it.
        url: String,
    },
}

impl Storage {
    /// A place by its URL: `file:///…`, a plain path, `s3://bucket/prefix` (credentials and region from the environment).
    pub(super) fn at(url: &str) -> Result<Self> {
        let Some((scheme, rest)) = url.split_once("://") else {
            return Self::folder(url.strip_prefix("file:").unwrap_or(url));
        };
        match scheme {
            "file" => Self::folder(rest.strip_prefix("localhost").unwrap_or(rest)),
            "s3" | "s3a" | "s3p" => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                if bucket.is_empty() {
                    return Err(Error::invalid(format!("\"{url}\" names no bucket")).hint("Write s3://bucket/prefix."));
                }
                let builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
                let store = builder
                    .build()
                    .map_err(|error| Error::invalid(format!("\"{url}\" cannot be used for checkpoints: {error}")))?;
                Ok(Self::object(Arc::new(store), prefix, &format!("s3://{bucket}/{prefix}")))
            }
            _ => Err(Error::invalid(format!("\"{url}\" is no place for checkpoints"))
                .hint("Use a path, file:///path or s3://bucket/prefix.")),
        }
    }

    fn folder(path: &str) -> Result<Self> {
        if path.is_empty() {
            return Err(Error::invalid("the place for checkpoints is empty")
                .hint("Use a path, file:///path or s3://bucket/prefix."));
        }
        let path = std::path::absolute(path)
            .map_err(|error| Error::invalid(format!("\"{path}\" is no path for checkpoints: {error}")))?;
        Ok(Storage::Local(path.into()))
    }

    pub(super) fn object(store: Arc<dyn ObjectStore>, prefix: &str, url: &str) -> Self {
        Storage::Object { store, prefix: ObjectPath::from(prefix), url: url.trim_end_matches('/').to_owned() }
    }

    /// The place `name` within this one.
    pub(super) fn inside(&self, name: &str) -> Self {
        match self {
            Storage::Local(folder) => Storage::Local(folder.join(name).into()),
            Storage::Object { store, prefix, url } => Storage::Object {
                store: Arc::clone(store),
                prefix: prefix.clone().join(name),
                url: format!("{url}/{name}"),
            },
        }
    }

    /// As users write it.
    pub(super) fn url(&self) -> String {
        match self {
            Storage::Local(folder) => format!("file://{}", folder.display()),
            Storage::Object { url, .. } => url.clone(),
        }
    }

    /// Whether what was written can come back different without a sign of it: object stores check what they take in.
    pub(super) fn is_local(&self) -> bool {
        matches!(self, Storage::Local(_))
    }

    /// The names of all files; none when the place does not exist.
    pub(super) async fn list(&self) -> Result<Vec<String>> {
        match self {
            Storage::Local(folder) => {
                let folder = Arc::clone(folder);
                blocking(move || {
                    let entries = match fs::read_dir(&folder) {
                        Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(Vec::new()),
                        entries => entries.map_err(|error| local::cannot("read", &folder, &error))?,
                    };
                    let name = |entry: std::io::Result<fs::DirEntry>| Ok(entry?.file_name().into_string().ok());
                    let names: std::io::Result<Vec<_>> = entries.map(name).collect();
                    Ok(names.map_err(|error| local::cannot("read", &folder, &error))?.into_iter().flatten().collect())
                })
                .await
            }
            Storage::Object { store, prefix, .. } => {
                let listed = store.list_with_delimiter(Some(prefix)).await.map_err(|error| self.failed(&error))?;
                Ok(listed.objects.iter().filter_map(|object| object.location.filename()).map(str::to_owned).collect())
            }
        }
    }

    /// A whole file. Its absence is [`ErrorKind::NotFound`].
    pub(super) async fn read(&self, name: &str) -> Result<Bytes> {
        match self {
            Storage::Local(folder) => {
                let path = folder.join(name);
                blocking(move || {
                    let read = fault::io("read").and_then(|()| fs::read(&path));
                    Ok(read.map_err(|error| local::cannot("read", &path, &error))?.into())
                })
                .await
            }
            Storage::Object { store, prefix, .. } => {
                let read = async { store.get(&prefix.clone().join(name)).await?.bytes().await };
                read.await.map_err(|error| self.failed(&error))
            }
        }
    }

    /// A part of a file; one that is too short for it is [`ErrorKind::Corrupt`].
    pub(super) async fn read_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        match self {
            Storage::Local(folder) => {
                let path = folder.join(name);
                blocking(move || local::read_range(&path, range)).await
            }
            Storage::Object { store, prefix, .. } => {
                let length = range.end - range.start;
                let read = store.get_range(&prefix.clone().join(name), range).await;
                let bytes = read.map_err(|error| self.failed(&error))?;
                if bytes.len() as u64 != length { Err(too_short(&self.url(), name)) } else { Ok(bytes) }
            }
        }
    }

    /// Writes a new file: `produce` gives its bytes, piece by piece, on a thread where it may block.
    pub(super) async fn write_file<T, F>(&self, name: &str, produce: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn FnMut(&[u8]) -> Result<()>) -> Result<T> + Send + 'static,
    {
        match self {
            Storage::Local(folder) => {
                let (folder, path) = (Arc::clone(folder), folder.join(name));
                blocking(move || local::write_file(&folder, &path, produce)).await
            }
            Storage::Object { store, prefix, .. } => {
                let upload = store.put_multipart(&prefix.clone().join(name)).await;
                let mut upload = WriteMultipart::new(upload.map_err(|error| self.failed(&error))?);
                let (sender, mut pieces) = tokio::sync::mpsc::channel::<Bytes>(PIECES_MAX);
                let produced = tokio::task::spawn_blocking(move || {
                    produce(&mut |bytes| {
                        let taken = sender.blocking_send(Bytes::copy_from_slice(bytes));
                        taken.map_err(|_| Error::unavailable("the upload of a state file has ended"))
                    })
                });
                let mut failure = None;
                while let Some(piece) = pieces.recv().await {
                    if let Err(error) = upload.wait_for_capacity(UPLOADS_MAX).await {
                        failure = Some(self.failed(&error));
                        break;
                    }
                    upload.put(piece);
                }
                drop(pieces);
                let produced = produced.await.map_err(panicked).and_then(|produced| produced);
                match (failure, produced) {
                    (None, Ok(produced)) => {
                        upload.finish().await.map_err(|error| self.failed(&error))?;
                        Ok(produced)
                    }
                    (failure, produced) => {
                        // What is left of an upload is the bucket's to clean up when this fails as well.
                        let _ = upload.abort().await;
                        Err(failure.or_else(|| produced.err()).unwrap_or_else(|| Error::internal("an upload failed")))
                    }
                }
            }
        }
    }

    /// Puts a small file in place all at once.
    pub(super) async fn publish(&self, name: &str, bytes: Vec<u8>) -> Result<Published> {
        self.put(name, bytes, PutMode::Create).await
    }

    /// As [`Self::publish`], in the place of one that is there.
    pub(super) async fn replace(&self, name: &str, bytes: Vec<u8>) -> Result<()> {
        self.put(name, bytes, PutMode::Overwrite).await.map(drop)
    }

    async fn put(&self, name: &str, bytes: Vec<u8>, mode: PutMode) -> Result<Published> {
        match self {
            Storage::Local(folder) => {
                let (folder, name) = (Arc::clone(folder), name.to_owned());
                blocking(move || local::publish(&folder, &name, &bytes)).await?;
                Ok(Published::Done)
            }
            Storage::Object { store, prefix, .. } => {
                fault::point("K3");
                let options = PutOptions::from(mode);
                let published = match store.put_opts(&prefix.clone().join(name), bytes.into(), options).await {
                    Err(object_store::Error::AlreadyExists { .. }) => Published::Exists,
                    put => {
                        put.map_err(|error| self.failed(&error))?;
                        Published::Done
                    }
                };
                fault::point("K4");
                Ok(published)
            }
        }
    }

    /// Removes a file; one that is not there is removed.
    pub(super) async fn delete(&self, name: &str) -> Result<()> {
        match self {
            Storage::Local(folder) => {
                let path = folder.join(name);
                blocking(move || match fs::remove_file(&path) {
                    Err(error) if error.kind() != IoErrorKind::NotFound => Err(local::cannot("remove", &path, &error)),
                    _ => Ok(()),
                })
                .await
            }
            Storage::Object { store, prefix, .. } => match store.delete(&prefix.clone().join(name)).await {
                Err(object_store::Error::NotFound { .. }) => Ok(()),
                deleted => deleted.map_err(|error| self.failed(&error)),
            },
        }
    }

    /// Removes the place with everything in it.
    pub(super) async fn delete_all(&self) -> Result<()> {
        match self {
            Storage::Local(folder) => {
                let folder = Arc::clone(folder);
                blocking(move || match fs::remove_dir_all(&folder) {
                    Err(error) if error.kind() != IoErrorKind::NotFound => {
                        Err(local::cannot("remove", &folder, &error))
                    }
                    _ => Ok(()),
                })
                .await
            }
            Storage::Object { store, prefix, .. } => {
                let objects = store.list(Some(prefix)).map_ok(|object| object.location);
                let deleted = objects.try_for_each(|location| async move { store.delete(&location).await });
                deleted.await.map_err(|error| self.failed(&error))
            }
        }
    }

    fn failed(&self, error: &object_store::Error) -> Error {
        // A store's answer is not repeated beyond what it is: its first line says that.
        let told: String = error.to_string().lines().next().unwrap_or_default().chars().take(300).collect();
        let text = format!("checkpoints in {}: {told}", self.url());
        match error {
            object_store::Error::NotFound { .. } => Error::not_found(text),
            _ => Error::unavailable(text),
        }
    }
}

fn too_short(place: &str, name: &str) -> Error {
    Error::corrupt(format!("{name} in {place} is shorter than it was"))
}

/// Whether a file is missing or damaged, as opposed to a place that does not answer.
pub(super) fn is_damage(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Corrupt)
}

fn panicked(error: tokio::task::JoinError) -> Error {
    Error::internal(format!("file work ended early: {error}"))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(panicked).and_then(|done| done)
}

#[cfg(test)]
mod tests;
