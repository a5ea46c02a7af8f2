use super::*;

fn split(id: &str) -> Split {
    Split { id: id.to_owned(), resource: format!("r/{id}"), group: None }
}

#[tokio::test]
async fn fixed_splits_are_found_each_time_and_never_end() {
    let mut enumerator = FixedSplits(vec![split("0"), split("1")]);
    for _ in 0..2 {
        let found = enumerator.discover().await.unwrap();
        assert_eq!(found.splits, [split("0").into(), split("1").into()]);
        assert!(found.awaited.is_empty());
    }
    // Those of a checkpoint that this source has not, as of a generator that had more of them, are not waited for.
    assert!(!enumerator.is_over("1") && enumerator.is_over("2"));
    let error = enumerator.end(&split("0")).unwrap_err();
    assert_eq!(error.message(), "split 0 has ended, but its source's splits do not end");
    assert_eq!(enumerator.state(), None);
}
