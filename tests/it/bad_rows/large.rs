//! Records and patterns that want much memory.

use super::*;

#[tokio::test]
async fn a_pattern_of_sixty_five_thousand_letters_is_a_row_in_error() {
    let world = World::start().await;
    world.execute(ORDERS).await;
    let order = |id: &str, pattern: &str| format!(r#"{{"id":"{id}","amount":1,"note":"{pattern}"}}"#);
    world.send(&[&order("a", "yyyy"), &order("wide", &"y".repeat(65_536)), &order("b", "MM")]).await;
    let rows = "SELECT id, 1, DATE_FORMAT(TIMESTAMP '2024-02-03 00:00:00', note) FROM orders";
    world
        .execute(&format!(
            "CREATE JOB strict AS INSERT INTO records SELECT id, 1, DATE '2024-02-03', DATE_FORMAT(TIMESTAMP \
             '2024-02-03 00:00:00', note) FROM orders;
             SET 'error-handling.mode' = 'log'; CREATE JOB j AS INSERT INTO items {rows}"
        ))
        .await;
    world.until("SELECT id, note FROM items ORDER BY id", &["a|2024", "b|02"]).await;
    world.until("SELECT state, row_errors FROM streamgate.jobs WHERE name = 'j'", &["RUNNING|1"]).await;
    let failed = world.until_failed("strict").await;
    assert!(failed.contains("record 1 of bad_rows/0") && failed.contains("64"), "{failed}");
    assert!(failed.len() < 2000, "{} bytes", failed.len());
}

#[tokio::test]
async fn records_of_megabytes_are_taken_some_at_a_time() {
    let world = World::start().await;
    world.execute(ORDERS).await;
    let before = world.server.peak_bytes() >> 20;
    let note = "n".repeat(900_000);
    let records: Vec<String> = (0..600).map(|id| format!(r#"{{"id":"{id}","amount":{id},"note":"{note}"}}"#)).collect();
    world.send(&records.iter().map(String::as_str).collect::<Vec<_>>()).await;
    world.execute("CREATE JOB j AS INSERT INTO items SELECT id, CHAR_LENGTH(note || note), 'x' FROM orders").await;
    world.until("SELECT count(*) FROM items WHERE amount = 1800000", &["600"]).await;
    let taken = (world.server.peak_bytes() >> 20) - before;
    println!("{taken} MB");
    assert!(taken < 500, "{taken} MB");
}

#[tokio::test]
async fn a_record_that_wants_more_memory_than_there_is_is_a_row_in_error() {
    let world = World::start().await;
    world.execute(ORDERS).await;
    world
        .execute(
            "CREATE JOB j AS INSERT INTO items SELECT id, CHAR_LENGTH(REPEAT(note, CAST(amount AS INT))), note FROM orders",
        )
        .await;
    let order = |id: &str, times: u32| format!(r#"{{"id": "{id}", "amount": {times}, "note": "x"}}"#);
    // Each of the first fits alone, together they do not.
    let fits = ["a", "b", "c"].map(|id| order(id, 150_000_000));
    world.send(&fits.iter().map(String::as_str).collect::<Vec<_>>()).await;
    world.until("SELECT count(*) FROM items WHERE amount = 150000000", &["3"]).await;
    world.send(&[&order("large", 1_500_000_000), &order("d", 7)]).await;
    let failed = world.until_failed("j").await;
    assert!(
        failed.contains("record 3 of bad_rows/0") && failed.contains("out of memory: repeat would make"),
        "{failed}"
    );
    world.execute("RESUME JOB j SKIP RECORD").await;
    world.until("SELECT amount FROM items WHERE id = 'd'", &["7"]).await;
    world
        .execute(
            "STOP JOB j; SET 'error-handling.mode' = 'log'; CREATE JOB lenient AS INSERT INTO items \
         SELECT id || '-' || note, CHAR_LENGTH(REPEAT(note, CAST(amount AS INT))), note FROM orders",
        )
        .await;
    world.until("SELECT count(*) FROM items WHERE id LIKE '%-x'", &["4"]).await;
    world.until("SELECT row_errors FROM streamgate.jobs WHERE name = 'lenient'", &["1"]).await;
    let peak = world.server.peak_bytes() >> 20;
    assert!(peak < 1000, "{peak} MB");
}
