//! Disks that fail, and checkpoints that are damaged: no epoch is decided that could not be stored, and damage never becomes a result.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::workload::{Job, Scenario, Ways};
use crate::backends::PATIENCE;
use crate::server::{BackendsOfProcess, until};

const JOBS: [Job; 3] = [Job::Filtered, Job::PerUser, Job::Monthly];

async fn start(seed: u64) -> Scenario {
    Scenario::start(BackendsOfProcess::shared(), Ways::default(), &JOBS, seed).await
}

impl Scenario {
    /// The manifests of a job, oldest first.
    pub(super) async fn manifests(&self, id: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.folder.path().join("data").join("jobs").join(id)];
        while let Some(folder) = folders.pop() {
            // Folders of spilled state come and go.
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for entry in entries.flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|end| end == "checkpoint") {
                    found.push(path);
                }
            }
        }
        found.sort();
        found
    }

    /// Flips a bit in the state that the checkpoint before the newest has added: both cannot be read then, and the writes of
    /// the one before are in the table.
    pub(super) async fn damage_the_last_two(&self, id: &str) {
        let manifests = self.manifests(id).await;
        let before = manifests[manifests.len() - 2].file_stem().unwrap().to_str().unwrap().to_owned();
        let files = fs::read_dir(manifests[0].parent().unwrap()).unwrap().flatten().map(|entry| entry.path());
        let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|end| end == "state")).collect();
        files.sort();
        // Of several with its number the last one may be a compaction; either is named by both.
        let of_it = files.iter().rfind(|path| path.file_stem().unwrap().to_str().unwrap().starts_with(&before));
        flip_a_bit(of_it.unwrap_or_else(|| panic!("no file of {before} in {files:?}")));
    }

    /// By job, the id that names its folder.
    pub(super) async fn ids(&self) -> Vec<String> {
        let mut ids = Vec::new();
        for job in &self.jobs {
            let id = format!("SELECT id FROM streamgate.jobs WHERE name = '{}'", job.name());
            ids.extend(self.server().query(&id).await);
        }
        ids
    }

    async fn state_of(&self, job: Job) -> String {
        let state = format!("SELECT state, last_error FROM streamgate.jobs WHERE name = '{}'", job.name());
        self.try_query(&state).await.map(|rows| rows.concat()).unwrap_or_default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_holds_epochs_back_and_then_lets_them_go() {
    let mut scenario = start(31).await;
    let ids = scenario.ids().await;
    for operation in ["fsync", "write"] {
        let full = scenario.folder.path().join("full");
        let faults = [
            ("STREAMGATE_IO_FAULT", format!("{operation}:1:ENOSPC")),
            ("STREAMGATE_IO_FAULT_WHILE", full.display().to_string()),
        ];
        scenario.restart(&faults).await;
        scenario.write_for(Duration::from_millis(300)).await;
        scenario.expect_equal("before the disk is full").await;
        fs::write(&full, "").unwrap();
        until(PATIENCE, "the jobs tell of the full disk", async || {
            scenario.burst().await;
            for job in JOBS {
                if !scenario.state_of(job).await.contains("No space left on device") {
                    return None;
                }
            }
            Some(())
        })
        .await;
        let mut stored = Vec::new();
        for id in &ids {
            stored.push(scenario.manifests(id).await);
        }
        let mut contents: Vec<Vec<u8>> = stored.iter().map(|manifests| read(manifests.last().unwrap())).collect();
        scenario.write_for(Duration::from_secs(1)).await;
        for (id, (before, content)) in ids.iter().zip(stored.iter().zip(&mut contents)) {
            assert_eq!(scenario.manifests(id).await, *before, "{operation}: an epoch came through");
            assert_eq!(read(before.last().unwrap()), *content, "{operation}: the last checkpoint was changed");
        }
        fs::remove_file(&full).unwrap();
        scenario.expect_equal(&format!("after a disk that was full at {operation}")).await;
    }
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap()
}

/// What is done to a file, and what it is then.
type Damage = (&'static str, fn(&Path));

fn flip_a_bit(path: &Path) {
    let mut bytes = read(path);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(path, bytes).unwrap();
}

fn cut(path: &Path) {
    let bytes = read(path);
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

fn delete(path: &Path) {
    fs::remove_file(path).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_checkpoints_are_computed_again_or_refused() {
    let mut scenario = start(32).await;
    let ids = scenario.ids().await;
    let damages: [Damage; 3] = [("flipped", flip_a_bit), ("cut", cut), ("deleted", delete)];
    for (what, damage) in damages {
        scenario.write_for(Duration::from_millis(700)).await;
        // Also on a busy machine every job has checkpoints by then.
        scenario.expect_equal("before the damage").await;
        assert!(scenario.terminate().success());
        for id in &ids {
            damage(scenario.manifests(id).await.last().unwrap());
        }
        scenario.restart(&[]).await;
        scenario.write_for(Duration::from_millis(100)).await;
        scenario.expect_equal(&format!("with the newest checkpoint {what}")).await;
    }

    // All of them: what is decided in Kafka is computed again from the log; what only the checkpoints know is lost, and said so.
    assert!(scenario.terminate().success());
    for id in &ids {
        for manifest in scenario.manifests(id).await {
            flip_a_bit(&manifest);
        }
    }
    scenario.restart(&[]).await;
    let refused = until(PATIENCE, "the job is refused", async || {
        Some(scenario.state_of(Job::Monthly).await).filter(|state| state.starts_with("FAILED"))
    })
    .await;
    assert!(refused.contains("none of the job's checkpoints can be read"), "{refused}");
    scenario.jobs.retain(|job| job.writes_kafka());
    scenario.server().execute("DROP JOB insert_into_monthly").await;
    scenario.write_for(Duration::from_millis(300)).await;
    let begun = Instant::now();
    scenario.expect_equal("with all checkpoints damaged").await;
    println!("computed again after {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn items_of_lost_epochs_do_not_stay_where_writes_wait_for_their_epoch() {
    let mut scenario = Scenario::start(BackendsOfProcess::shared(), Ways::default(), &[Job::Spread], 33).await;
    let id = scenario.ids().await.remove(0);
    for round in 0..3 {
        // Killed in the midst of it: at an orderly end the last checkpoints add nothing.
        until(PATIENCE, "three checkpoints", async || {
            scenario.write_for(Duration::from_millis(500)).await;
            (scenario.manifests(&id).await.len() >= 3).then_some(())
        })
        .await;
        scenario.kill();
        scenario.damage_the_last_two(&id).await;
        // So much that the replay has other results at its barriers than there were.
        scenario.write(300);
        scenario.flush().await;
        scenario.restart(&[]).await;
        scenario.expect_equal(&format!("round {round}, after two lost epochs")).await;
    }
    // Where the lost epoch was, nobody knows.
    scenario.write_for(Duration::from_millis(300)).await;
    scenario.kill();
    flip_a_bit(scenario.manifests(&id).await.last().unwrap());
    scenario.restart(&[]).await;
    let refused = until(PATIENCE, "the job is refused", async || {
        Some(scenario.state_of(Job::Spread).await).filter(|state| state.starts_with("FAILED"))
    })
    .await;
    assert!(refused.contains("is damaged, and the positions of epoch"), "{refused}");
}
