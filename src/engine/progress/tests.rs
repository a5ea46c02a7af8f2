use super::*;

fn split(resource: &str) -> Split {
    Split { id: resource.to_owned(), resource: resource.to_owned(), group: None }
}

fn at(positions: &[(&str, Position)]) -> Acknowledged {
    Acknowledged { opened: true, positions: positions.iter().map(|(r, p)| ((*r).to_owned(), *p)).collect() }
}

#[test]
fn a_record_passes_when_the_writer_has_it_acknowledged() {
    assert_eq!(lets_pass(&at(&[("k/t/0", 5)]), &split("k/t/0"), 5), Pass::Yes);
    assert_eq!(lets_pass(&at(&[("k/t/0", 4)]), &split("k/t/0"), 5), Pass::Wait);
}

#[test]
fn a_writer_that_has_not_opened_its_splits_holds_back_and_one_of_another_topic_does_not() {
    assert_eq!(lets_pass(&Acknowledged::default(), &split("k/t/0"), 1), Pass::Wait);
    assert_eq!(lets_pass(&at(&[("k/other/0", 0)]), &split("k/t/0"), 1), Pass::Yes);
    assert_eq!(lets_pass(&at(&[("k/t/1", 9)]), &split("k/t/0"), 1), Pass::Wait);
}

#[tokio::test]
async fn waiting_ends_by_progress_and_by_the_writers_removal() {
    let board = Arc::new(ProgressBoard::default());
    let writer = board.register("writer", vec!["d/detail".to_owned()]);
    let gate = ReadBehind::new(Arc::clone(&board), "reader", vec!["d/detail".to_owned()]);

    let waiting = tokio::spawn({
        let gate = gate.clone();
        async move { gate.wait(&split("k/t/0"), 3, &Waits::default()).await }
    });
    writer.advance([("k/t/0".to_owned(), 2)]);
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    writer.advance([("k/t/0".to_owned(), 3)]);
    waiting.await.unwrap();

    let waiting = tokio::spawn(async move { gate.wait(&split("k/t/0"), 4, &Waits::default()).await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    board.remove("writer");
    waiting.await.unwrap();
}
