use super::*;

fn checkpoint(epoch: u64) -> Checkpoint {
    let splits = BTreeMap::from([("orders/0".to_owned(), 7)]);
    Checkpoint { epoch, positions: BTreeMap::from([("source-0".to_owned(), splits)]) }
}

#[test]
fn a_checkpoint_comes_back_as_it_was() {
    let bytes = encode("job", &checkpoint(3)).unwrap();
    assert_eq!(decode("job", &bytes).unwrap(), checkpoint(3));
}

#[test]
fn every_torn_or_changed_file_is_noticed() {
    let bytes = encode("job", &checkpoint(3)).unwrap();
    for length in 0..bytes.len() {
        assert!(decode("job", &bytes[..length]).is_err(), "cut to {length}");
    }
    let mut changed = bytes.clone();
    let at = bytes.windows(12).position(|w| w == b"\"orders/0\":7").unwrap() + 11;
    changed[at] = b'8';
    assert!(decode("job", &changed).is_err());
    assert!(decode("another", &bytes).is_err());
}

#[test]
fn a_restart_takes_the_newest_readable_checkpoint_and_never_begins_anew_over_damaged_ones() {
    assert_eq!(resume(Vec::new()), Resume::Fresh);
    assert_eq!(
        resume(vec![Ok(checkpoint(1)), Err(Error::corrupt("torn")), Ok(checkpoint(2))]),
        Resume::At { checkpoint: checkpoint(2), damaged: 1 }
    );
    assert_eq!(resume(vec![Err(Error::corrupt("torn"))]), Resume::Refuse);
}
