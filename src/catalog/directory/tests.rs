use tempfile::TempDir;

use super::*;
use crate::catalog::Catalog;
use crate::error::ErrorKind;

#[test]
fn a_catalog_that_is_gone_is_missed() {
    let folder = TempDir::new().unwrap();
    let instance = Catalog::open(folder.path()).unwrap().marker();
    assert_eq!(Catalog::open(folder.path()).unwrap().marker(), instance, "the same gateway");
    fs::remove_file(folder.path().join("catalog.json")).unwrap();
    let error = Catalog::open(folder.path()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("is gone"), "{error}");
    fs::remove_file(folder.path().join(MARKER_FILE)).unwrap();
    assert_ne!(Catalog::open(folder.path()).unwrap().marker(), instance);
}

#[test]
fn a_catalog_of_before_the_marker_gets_one() {
    let folder = TempDir::new().unwrap();
    drop(Catalog::open(folder.path()).unwrap());
    fs::remove_file(folder.path().join(MARKER_FILE)).unwrap();
    drop(Catalog::open(folder.path()).unwrap());
    assert!(folder.path().join(MARKER_FILE).exists());
}

#[test]
fn a_directory_that_was_replaced_is_noticed_and_nothing_is_written_into_it() {
    let root = TempDir::new().unwrap();
    let folder = root.path().join("catalog");
    let catalog = Catalog::open(&folder).unwrap();
    catalog.check_directory().unwrap();
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(catalog.check_directory().unwrap_err().kind(), ErrorKind::Corrupt);
    let other = Catalog::open(&folder).unwrap();
    assert!(catalog.commit(&[]).is_err());
    other.commit(&[]).unwrap();
}

#[test]
fn a_copy_is_told_from_its_original_until_it_is_adopted() {
    let root = TempDir::new().unwrap();
    let (original, copy) = (root.path().join("original"), root.path().join("copy"));
    let instance = Catalog::open(&original).unwrap().marker().instance;
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(&original).unwrap().flatten() {
        fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    assert!(!Catalog::open(&original).unwrap().is_copy().unwrap());
    let catalog = Catalog::open(&copy).unwrap();
    assert!(catalog.is_copy().unwrap());
    catalog.adopt().unwrap();
    assert!(!catalog.is_copy().unwrap());
    drop(catalog);
    let catalog = Catalog::open(&copy).unwrap();
    assert!(!catalog.is_copy().unwrap());
    assert_ne!(catalog.marker().instance, instance);
}
