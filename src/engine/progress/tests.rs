use super::*;

fn split(resource: &str) -> Split {
    Split { id: resource.to_owned(), resource: resource.to_owned(), group: None }
}

fn at(positions: &[(&str, i64)]) -> Acknowledged {
    let positions = positions.iter().map(|(resource, offset)| ((*resource).to_owned(), Position::Offset(*offset)));
    Acknowledged { opened: true, positions: positions.collect(), ..Acknowledged::default() }
}

fn pass(writer: &Acknowledged, resource: &str, offset: i64) -> Pass {
    lets_pass(writer, &split(resource), &Position::Offset(offset)).unwrap()
}

#[test]
fn a_record_passes_when_the_writer_has_it_acknowledged() {
    assert_eq!(pass(&at(&[("k/t/0", 5)]), "k/t/0", 5), Pass::Yes);
    assert_eq!(pass(&at(&[("k/t/0", 4)]), "k/t/0", 5), Pass::Wait);
}

#[test]
fn a_writer_that_has_not_opened_its_splits_holds_back_and_one_of_another_topic_does_not() {
    assert_eq!(pass(&Acknowledged::default(), "k/t/0", 1), Pass::Wait);
    assert_eq!(pass(&at(&[("k/other/0", 0)]), "k/t/0", 1), Pass::Yes);
    assert_eq!(pass(&at(&[("k/t/1", 9)]), "k/t/0", 1), Pass::Wait);
}

#[tokio::test]
async fn waiting_ends_by_progress_and_by_the_writers_removal() {
    let registry = Arc::new(ReadBehindRegistry::default());
    let writer = registry.register("writer", vec!["d/detail".to_owned()]);
    let gate = ReadBehind::new(registry.clone(), "reader", vec!["d/detail".to_owned()]);

    let waiting = tokio::spawn({
        let gate = gate.clone();
        async move { gate.wait(&split("k/t/0"), &Position::Offset(3), &Waits::default()).await }
    });
    writer.advance([("k/t/0".to_owned(), Position::Offset(2))]);
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    writer.advance([("k/t/0".to_owned(), Position::Offset(3))]);
    waiting.await.unwrap().unwrap();

    let waiting =
        tokio::spawn(async move { gate.wait(&split("k/t/0"), &Position::Offset(4), &Waits::default()).await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    registry.remove("writer");
    waiting.await.unwrap().unwrap();
}

#[test]
fn a_topic_that_is_awaited_is_waited_for_and_a_split_that_has_ended_is_not() {
    let registry = ReadBehindRegistry::default();
    let writer = registry.register("writer", Vec::new());
    writer.advance([]);
    assert_eq!(pass(&writer.now(), "k/t/0", 1), Pass::Yes, "it does not read the topic");
    writer.expect("k/t");
    assert_eq!(pass(&writer.now(), "k/t/0", 1), Pass::Wait);

    writer.advance([("k/s/0".to_owned(), Position::Offset(3))]);
    writer.end("k/s/0");
    assert_eq!(pass(&writer.now(), "k/s/0", 99), Pass::Yes);
    assert_eq!(pass(&writer.now(), "k/s/1", 1), Pass::Wait, "not discovered yet");
    writer.have_ended(["k/s/1".to_owned()]);
    assert_eq!(pass(&writer.now(), "k/s/1", 1), Pass::Yes, "a checkpoint has its end");
}

#[test]
fn positions_of_another_kind_are_an_error_and_not_a_wait() {
    let error = lets_pass(&at(&[("k/t/0", 5)]), &split("k/t/0"), &Position::in_file("a", 1)).unwrap_err();
    assert!(error.message().starts_with("k/t/0: offset 5 and place 1"), "{error}");
}

/// Writers that somebody else tells of, not a registry here.
#[derive(Debug)]
struct Told {
    names: RwLock<Vec<&'static str>>,
    acknowledged: watch::Sender<Acknowledged>,
    changes: watch::Sender<u64>,
}

impl Writers for Told {
    fn of(&self, _reader: &str, _tables: &[String]) -> Vec<Writer> {
        let writer = |job: &&str| Writer { job: (*job).to_owned(), acknowledged: self.acknowledged.subscribe() };
        self.names.read().iter().map(writer).collect()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

#[tokio::test]
async fn a_reader_does_not_care_who_tells_of_the_writers() {
    let told = Arc::new(Told {
        names: RwLock::new(vec!["far"]),
        acknowledged: watch::Sender::new(at(&[("k/t/0", 2)])),
        changes: watch::Sender::new(0),
    });
    let gate = ReadBehind::new(told.clone(), "reader", vec!["d/detail".to_owned()]);
    assert_eq!(gate.writers(), ["far"]);
    let wait = |offset: i64| {
        let gate = gate.clone();
        tokio::spawn(async move { gate.wait(&split("k/t/0"), &Position::Offset(offset), &Waits::default()).await })
    };
    let waiting = wait(3);
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    told.acknowledged.send_replace(at(&[("k/t/0", 3)]));
    waiting.await.unwrap().unwrap();

    let waiting = wait(4);
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    told.names.write().clear();
    told.changes.send_modify(|count| *count += 1);
    waiting.await.unwrap().unwrap();
}
