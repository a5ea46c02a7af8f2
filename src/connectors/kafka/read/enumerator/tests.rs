use rdkafka::mocking::MockCluster;
use serde_json::json;

use super::*;
use crate::connectors::kafka::tests::{COLUMNS, open};

fn enumerator(servers: &str, options: &[(&str, &str)], restored: Restored<'_>) -> Result<Box<dyn SplitEnumerator>> {
    open(servers, COLUMNS, options).source.unwrap().enumerator(restored)
}

async fn found(enumerator: &mut Box<dyn SplitEnumerator>) -> (Vec<String>, Vec<String>) {
    let Discovery { splits, awaited } = enumerator.discover().await.unwrap();
    assert!(splits.iter().all(|found| found.parents.is_empty()));
    (
        splits.into_iter().map(|found| found.split.id).collect(),
        awaited.into_iter().map(|awaited| awaited.what).collect(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_was_never_there_is_awaited_and_one_that_was_is_missed() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("orders", 2, 1).unwrap();
    let servers = cluster.bootstrap_servers();
    // The mock broker makes topics that are asked for, unless told what to say of them.
    let gone = rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    cluster.topic_error("refunds", gone).unwrap();
    let both = [("topic", "orders;refunds")];
    let mut fresh = enumerator(&servers, &both, Restored::default()).unwrap();
    let (splits, awaited) = found(&mut fresh).await;
    assert_eq!(
        (splits, awaited),
        (vec!["orders/0".to_owned(), "orders/1".to_owned()], vec!["topic \"refunds\"".to_owned()])
    );
    assert_eq!(fresh.state(), Some(json!({"topics": ["orders"]})));
    assert!(!fresh.is_over("orders/7"), "one that is missing is missed");

    // By the state, or by the positions of former versions.
    let state = json!({"topics": ["orders", "refunds"]});
    let by_state = Restored { state: Some(&state), splits: Vec::new() };
    for restored in [by_state, Restored { state: None, splits: vec!["orders/0", "refunds/0"] }] {
        let mut enumerator = enumerator(&servers, &both, restored).unwrap();
        let error = enumerator.discover().await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::NotFound, "topic \"refunds\" does not exist"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_source_does_not_read_is_over() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("orders", 3, 1).unwrap();
    let servers = cluster.bootstrap_servers();
    let options =
        [("scan.bounded.mode", "specific-offsets"), ("scan.bounded.specific-offsets", "partition:1,offset:5")];
    let restored = Restored { state: None, splits: vec!["orders/1", "refunds/0"] };
    let mut enumerator = enumerator(&servers, &options, restored).unwrap();
    assert_eq!(found(&mut enumerator).await.0, ["orders/1"]);
    assert!(!enumerator.is_over("orders/1") && enumerator.is_over("orders/0") && enumerator.is_over("refunds/0"));
    assert_eq!(enumerator.state(), Some(json!({"topics": ["orders"]})));
}

#[test]
fn what_was_stored_for_another_source_is_refused() {
    for (state, splits) in [(Some(json!({"over": []})), vec![]), (Some(json!(7)), vec![]), (None, vec!["0"])] {
        let restored = Restored { state: state.as_ref(), splits };
        let error = enumerator("localhost:9", &[], restored).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    }
}
