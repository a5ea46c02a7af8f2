//! SIGTERM with running jobs.

use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::server::{BackendsOfProcess, JOB_PATIENCE, ServerProcess, until};

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_takes_no_more_sessions_checkpoints_the_jobs_and_exits_zero() {
    let backends = BackendsOfProcess::take().await;
    let folder = TempDir::new().unwrap();
    let data_dir = folder.path().join("data");
    let server = ServerProcess::start(&backends, &data_dir).await;
    server
        .execute(
            "CREATE TABLE source (id INT) WITH ('connector' = 'datagen', 'rows-per-second' = '50');
             CREATE TABLE target (id INT) WITH ('connector' = 'blackhole');
             SET 'execution.checkpointing.interval' = '1 h';
             CREATE JOB j AS INSERT INTO target SELECT id FROM source",
        )
        .await;
    let rows = until(JOB_PATIENCE, "the job has rows", async || {
        let rows: u64 = server.query("SELECT rows_in FROM streamgate.jobs").await.first()?.parse().ok()?;
        (rows > 20).then_some(rows)
    })
    .await;
    let open = server.connect().await;
    let port = server.port;
    let asked = Instant::now();
    let status = tokio::task::spawn_blocking(move || server.terminate()).await.unwrap();
    assert!(status.success(), "{status}");
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    assert!(open.simple_query("SELECT 1").await.is_err());

    // The checkpoint taken at the end is where the job goes on.
    let server = ServerProcess::start(&backends, &data_dir).await;
    let read = until(JOB_PATIENCE, "the job runs again", async || {
        server.query("SELECT read FROM streamgate.job_splits WHERE job = 'j'").await.first()?.parse::<u64>().ok()
    })
    .await;
    assert!(read >= rows, "went on from {read}, {rows} rows were written before the end");
    let status = tokio::task::spawn_blocking(move || server.terminate()).await.unwrap();
    assert!(status.success(), "{status}");
}
