use std::sync::Arc;

use datafusion::arrow::array::{AsArray, Int64Array, RecordBatch};
use datafusion::arrow::datatypes::Int64Type;

use super::*;
use crate::changelog::RowKind;
use crate::engine::key_group::range_of;

const ENTRY: Entry = Entry { place: 0, input: 0 };

fn rows(values: &[i64]) -> ChangeBatch {
    let column: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
    ChangeBatch::inserts(RecordBatch::try_from_iter([("k", column)]).unwrap())
}

fn values(batch: &ChangeBatch) -> Vec<i64> {
    batch.rows().column(0).as_primitive::<Int64Type>().values().to_vec()
}

async fn taken(inputs: &mut Inputs) -> Vec<i64> {
    match inputs.next().await.unwrap() {
        Received::Rows(_, batch) => values(&batch),
        Received::Barrier | Received::Ended(..) | Received::Watermark(..) => Vec::new(),
    }
}

#[tokio::test]
async fn rows_go_to_the_task_that_owns_their_key_and_keep_their_order_and_kind() {
    let (senders, mut receivers): (Vec<_>, Vec<_>) = (0..3).map(|_| channel()).unzip();
    let output = Output::new(vec![0], senders);
    let all: Vec<i64> = (0..100).collect();
    let kinds: Arc<[RowKind]> =
        all.iter().map(|n| if n % 2 == 0 { RowKind::Insert } else { RowKind::Delete }).collect();
    output.send(&ChangeBatch::changes(rows(&all).rows().clone(), kinds)).await.unwrap();
    drop(output);
    let mut seen = Vec::new();
    for (task, receiver) in receivers.iter_mut().enumerate() {
        let Some(Message::Rows(batch)) = receiver.recv().await else { panic!("task {task} got nothing") };
        let groups = key_groups(batch.rows().columns(), batch.len()).unwrap();
        assert!(groups.iter().all(|group| range_of(task, 3).contains(&usize::from(*group))));
        let values = values(&batch);
        assert!(values.is_sorted());
        for (row, value) in values.iter().enumerate() {
            assert_eq!(batch.kind(row).is_retraction(), value % 2 == 1);
        }
        seen.extend(values);
    }
    seen.sort_unstable();
    assert_eq!(seen, all);
}

#[tokio::test]
async fn keys_without_columns_all_go_to_the_first_task() {
    let (senders, mut receivers): (Vec<_>, Vec<_>) = (0..2).map(|_| channel()).unzip();
    Output::new(Vec::new(), senders).send(&rows(&[1, 2])).await.unwrap();
    assert!(matches!(receivers[0].recv().await, Some(Message::Rows(batch)) if batch.len() == 2));
    assert!(receivers[1].recv().await.is_none());
}

#[tokio::test]
async fn a_channel_at_its_barrier_is_not_read_until_the_others_are_there_too() {
    let mut inputs = Inputs::default();
    let (one, receiver) = channel();
    inputs.add(ENTRY, receiver);
    let (other, receiver) = channel();
    inputs.add(ENTRY, receiver);
    for message in [Message::Rows(rows(&[1])), Message::Barrier(1), Message::Rows(rows(&[2]))] {
        one.send(message).await.unwrap();
    }
    other.send(Message::Rows(rows(&[10]))).await.unwrap();
    let mut before = Vec::new();
    while let Some(received) = futures::FutureExt::now_or_never(inputs.next()) {
        if let Received::Rows(_, batch) = received.unwrap() {
            before.extend(values(&batch));
        }
    }
    before.sort_unstable();
    assert_eq!(before, [1, 10], "what follows the barrier waits");
    assert!(!inputs.are_aligned(1));
    other.send(Message::Barrier(1)).await.unwrap();
    assert!(taken(&mut inputs).await.is_empty());
    assert!(inputs.are_aligned(1));
    inputs.resume();
    assert_eq!(taken(&mut inputs).await, [2]);
}

#[tokio::test]
async fn an_ended_channel_holds_no_barrier_up_and_a_lost_one_is_an_error() {
    let mut inputs = Inputs::default();
    let (one, receiver) = channel();
    inputs.add(ENTRY, receiver);
    one.send(Message::End).await.unwrap();
    assert!(taken(&mut inputs).await.is_empty());
    assert!(inputs.have_ended() && inputs.are_aligned(7));
    let (lost, receiver) = channel();
    inputs.add(ENTRY, receiver);
    drop(lost);
    assert!(inputs.next().await.unwrap_err().is_retryable());
}
