use object_store::memory::InMemory;

use super::*;

fn places() -> (tempfile::TempDir, Vec<Storage>) {
    let folder = tempfile::tempdir().unwrap();
    let local = Storage::Local(folder.path().join("jobs").join("a").into());
    let object = Storage::object(Arc::new(InMemory::new()), "some/prefix", "s3://bucket/some/prefix").inside("a");
    (folder, vec![local, object])
}

async fn write_pieces(place: &Storage, name: &str, pieces: &'static [&'static str]) -> Result<usize> {
    let write = move |write: &mut dyn FnMut(&[u8]) -> Result<()>| {
        pieces.iter().try_for_each(|piece| write(piece.as_bytes()))?;
        Ok(pieces.len())
    };
    place.write_file(name, write).await
}

#[tokio::test]
async fn a_file_is_written_listed_read_and_removed() {
    let (_folder, places) = places();
    for place in places {
        assert_eq!(place.list().await.unwrap(), Vec::<String>::new());
        assert_eq!(write_pieces(&place, "b", &["he", "l", "lo"]).await.unwrap(), 3);
        assert_eq!(place.publish("m", b"manifest".to_vec()).await.unwrap(), Published::Done);
        let mut names = place.list().await.unwrap();
        names.sort();
        assert_eq!(names, ["b", "m"]);
        assert_eq!(*place.read("b").await.unwrap(), *b"hello");
        assert_eq!(*place.read_range("b", 1..4).await.unwrap(), *b"ell");
        assert!(place.read_range("b", 2..2).await.unwrap().is_empty());
        assert!(is_damage(&place.read_range("b", 2..9).await.unwrap_err()));
        assert_eq!(place.read("c").await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(place.read_range("c", 0..1).await.unwrap_err().kind(), ErrorKind::NotFound);
        place.delete("b").await.unwrap();
        place.delete("b").await.unwrap();
        assert_eq!(place.list().await.unwrap(), ["m"]);
        place.delete_all().await.unwrap();
        place.delete_all().await.unwrap();
        assert_eq!(place.list().await.unwrap(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn an_object_store_keeps_the_first_of_two_manifests() {
    let (_folder, places) = places();
    let object = &places[1];
    assert_eq!(object.publish("m", b"one".to_vec()).await.unwrap(), Published::Done);
    assert_eq!(object.publish("m", b"two".to_vec()).await.unwrap(), Published::Exists);
    assert_eq!(*object.read("m").await.unwrap(), *b"one");
}

#[tokio::test]
async fn a_file_whose_bytes_fail_is_not_there() {
    let (_folder, places) = places();
    for place in places {
        let written = place.write_file::<(), _>("b", |write| {
            write(b"half of it")?;
            Err(Error::internal("the rest"))
        });
        assert_eq!(written.await.unwrap_err().message(), "the rest");
        assert_eq!(place.list().await.unwrap(), Vec::<String>::new());
    }
}

#[test]
fn places_are_named_by_paths_and_urls() {
    let url = |text: &str| Storage::at(text).map(|place| place.inside("job").url()).map_err(|error| error.to_string());
    assert_eq!(url("/var/state").as_deref(), Ok("file:///var/state/job"));
    assert_eq!(url("file:///var/state").as_deref(), Ok("file:///var/state/job"));
    assert_eq!(url("file:/var/state").as_deref(), Ok("file:///var/state/job"));
    assert!(url("state").unwrap().ends_with("/state/job"));
    assert_eq!(url("hdfs://host/x").unwrap_err(), "\"hdfs://host/x\" is no place for checkpoints");
    assert_eq!(url("s3:///prefix").unwrap_err(), "\"s3:///prefix\" names no bucket");
    assert_eq!(url("").unwrap_err(), "the place for checkpoints is empty");
    assert_eq!(url("s3://bucket/some/prefix").as_deref(), Ok("s3://bucket/some/prefix/job"));
    assert_eq!(url("s3a://bucket/").as_deref(), Ok("s3://bucket/job"));
}
