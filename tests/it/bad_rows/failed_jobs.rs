//! A job that failed at a record: led over it, stopped with a savepoint, or followed by another one.

use super::*;

#[tokio::test]
async fn a_job_that_fails_at_a_record_names_it_and_is_led_over_it_or_stopped_with_a_savepoint() {
    let world = World::start().await;
    world.execute(ORDERS).await;
    world.execute("CREATE JOB j AS INSERT INTO items SELECT id, amount, note FROM orders WHERE id <> 'x'").await;
    let orders = orders();
    let (first, rest) = orders.split_first().unwrap();
    world.send(&[first]).await;
    world.until("SELECT acknowledged FROM streamgate.job_splits", &["1"]).await;
    world.send(&["{broken"]).await;
    world.send(&rest.iter().map(String::as_str).collect::<Vec<_>>()).await;

    let skip = "RESUME JOB j SKIP RECORD";
    let failed = world.until_failed("j").await;
    assert!(failed.contains("topic \"bad_rows\", partition 0, offset 1: record is no JSON object"), "{failed}");
    // SHOW JOBS has it with its time.
    let shown = world.query("SHOW JOBS").await.concat();
    let time = shown.rsplit('|').next().unwrap().split(' ').next().unwrap();
    assert!(time.split(':').count() == 3 && time.split(':').all(|part| part.len() == 2), "{shown}");
    assert_eq!(world.told(skip).await[1], "job \"j\" goes over the record at offset 1 of bad_rows/0");
    // The sink's row errors are of a record too: the next one, whose item is too large.
    let failed = world.until_failed("j").await;
    assert!(failed.contains("record 2 of bad_rows/0") && failed.contains("id = 'large'"), "{failed}");
    // An offset that does not lead over it is refused; the state does not change by that.
    let told = world.told("RESUME JOB j SKIP TO (PARTITION 0 OFFSET 2)").await;
    assert!(told[0].starts_with("22023: offset 2 of bad_rows/0 is not behind offset 2"), "{told:?}");
    // A job that is paused then still knows it.
    world.execute("PAUSE JOB j").await;
    let told = world.told("RESUME JOB j SKIP TO (PARTITION 0 OFFSET 2)").await;
    assert!(told[0].starts_with("22023: offset 2 of bad_rows/0 is not behind offset 2"), "{told:?}");
    let told = world.told("RESUME JOB j SKIP TO (TOPIC 'bad_rows' PARTITION 0 OFFSET 4)").await;
    assert_eq!(told[1], "job \"j\" goes over 2 offsets of bad_rows/0, 2 to 3");
    let failed = world.until_failed("j").await;
    assert!(failed.contains("record 4 of bad_rows/0") && failed.contains("id = 'nan'"), "{failed}");

    // A server that starts anew fails at the same record, not at one it was led over.
    let world = world.killed().await;
    let again = world.until_failed("j").await;
    assert_eq!(again, failed);
    assert!(world.query("DESCRIBE JOB j").await.contains(&"skips|bad_rows/0 1 to 3".to_owned()));

    // FAILED is no dead end: a savepoint of what was decided, and then another job from it, under another mode.
    let told = world.query("STOP JOB j WITH SAVEPOINT").await;
    let savepoint = told.first().unwrap().clone();
    assert!(savepoint.contains(&world.data_dir().display().to_string()), "{savepoint}");
    assert_eq!(world.query("SELECT state FROM streamgate.jobs").await, ["STOPPED"]);
    world.execute("DROP JOB j").await;
    world
        .execute(&format!(
            "SET 'execution.savepoint.path' = '{savepoint}'; SET 'error-handling.mode' = 'log';
             CREATE JOB j AS INSERT INTO items SELECT id, amount, note FROM orders WHERE id <> 'x'"
        ))
        .await;
    // The savepoint is behind the first record; the broken one is still what the format's own option says.
    world.until_failed("j").await;
    world.execute(skip).await;
    world.until("SELECT id FROM items ORDER BY id", &["a", "b"]).await;
    world.until("SELECT row_errors, skipped FROM streamgate.jobs", &["3|1"]).await;
}

#[tokio::test]
async fn stop_works_in_every_state_of_a_job() {
    let world = World::start().await;
    world.execute(ORDERS).await;
    let state = "SELECT state FROM streamgate.jobs WHERE name = 'j'";
    for (stop, end) in [("STOP JOB j", "STOPPED"), ("PAUSE JOB j", "PAUSED"), ("STOP JOB j WITH SAVEPOINT", "STOPPED")]
    {
        world.execute("CREATE JOB j AS INSERT INTO items SELECT id, amount, note FROM orders").await;
        if stop != "STOP JOB j" {
            world
                .until(
                    "SELECT checkpoints > 0 FROM (SELECT count(*) AS checkpoints FROM streamgate.job_checkpoints) c",
                    &["t"],
                )
                .await;
        }
        world.send(&["{broken"]).await;
        world.until_failed("j").await;
        world.execute(stop).await;
        world.until(state, &[end]).await;
        // Once more, in the state that it has now.
        world.execute("STOP JOB j").await;
        world.until(state, &["STOPPED"]).await;
        world.execute("STOP JOB j WITH SAVEPOINT; DROP JOB j").await;
    }
    assert!(folders(&world.data_dir().join("savepoints")) >= 2);
}

fn folders(path: &Path) -> usize {
    std::fs::read_dir(path).map_or(0, Iterator::count)
}

#[tokio::test]
async fn another_declaration_is_for_the_next_job_also_where_one_has_failed() {
    let world = World::start().await;
    world.execute(ORDERS).await;
    world.execute("CREATE JOB j AS INSERT INTO items SELECT id, amount, note FROM orders").await;
    world.send(&[r#"{"id":"a","amount":1,"note":"x"}"#]).await;
    world.until("SELECT acknowledged FROM streamgate.job_splits", &["1"]).await;
    world.send(&["{broken", r#"{"id":"b","amount":2,"note":"x"}"#]).await;
    let failed = world.until_failed("j").await;
    let told = world.told("DROP TABLE orders").await;
    assert!(told.iter().any(|told| told.contains("jobs go on with what is dropped: \"j\" (reads)")), "{told:?}");
    let lenient = ORDERS.split(';').next().unwrap().replace("'json'", "'json', 'json.ignore-parse-errors' = 'true'");
    world.execute(&lenient).await;
    // The job is what it was when it was submitted.
    world.execute("RESUME JOB j").await;
    assert_eq!(world.until_failed("j").await, failed);
    // A new one takes the declaration, and goes on where the old one rests.
    let savepoint = world.query("STOP JOB j WITH SAVEPOINT").await.remove(0);
    world
        .execute(&format!(
            "SET 'execution.savepoint.path' = '{savepoint}';
             CREATE JOB k AS INSERT INTO items SELECT id, amount, note FROM orders"
        ))
        .await;
    world.until("SELECT id FROM items ORDER BY id", &["a", "b"]).await;
    world.until("SELECT state, skipped FROM streamgate.jobs WHERE name = 'k'", &["RUNNING|1"]).await;
}
