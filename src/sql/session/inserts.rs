//! INSERTs that do not end, as changes of the session's transaction: each a job, or kept for the COMMIT of their block.

use super::{Existing, Outcome, Session, TransactionStatus};
use crate::catalog::rights::Access;
use crate::catalog::{Change, DesiredState, JobEntry};
use crate::engine::checkpoint::CheckpointStore;
use crate::error::Result;
use crate::sql::planning::job_plan::PlannedJob;

/// The option that one job uses up.
const SAVEPOINT_PATH: &str = "execution.savepoint.path";

impl Session {
    /// An INSERT that does not end: a job of its own, or part of the block's.
    pub(in crate::sql) fn submit_insert(&mut self, job: &PlannedJob) -> Result<Outcome> {
        if self.block == TransactionStatus::Open {
            self.inserts.push(job.clone());
        } else {
            self.submit(job, None, Existing::Refuse)?;
        }
        Ok(Outcome::Done { tag: "INSERT 0 0".to_owned() })
    }

    /// Makes a planned job part of the transaction.
    ///
    /// # Errors
    /// Its name is taken, another job runs the same statement, or where its checkpoints are to go is no place.
    pub fn submit(&mut self, job: &PlannedJob, name: Option<String>, existing: Existing) -> Result<()> {
        let settings = &job.dataflow.settings;
        let id = uuid::Uuid::new_v4().to_string();
        let places = &self.server.connectors.defaults().places;
        if let Some(place) = &settings.savepoint_path {
            places.check_folder(&format!("setting \"{SAVEPOINT_PATH}\""), place)?;
        }
        if let Some(place) = &settings.checkpoints_dir {
            places.check_folder("setting \"state.checkpoints.dir\"", place)?;
            CheckpointStore::at(place, &id).map_err(|error| error.context("state.checkpoints.dir"))?;
        }
        let snapshot = self.snapshot()?;
        let is_free = |name: &str| !snapshot.jobs.contains_key(name);
        let name = match (name, &job.pipeline_name) {
            (Some(name), _) => name,
            // The block's INSERTs that are jobs of their own come after the one that has the name.
            (None, Some(name)) if is_free(name) || !self.is_pending_job(name) => name.clone(),
            (None, base) => {
                let base =
                    base.clone().unwrap_or_else(|| format!("insert_into_{}", job.inserts[0].table.to_lowercase()));
                let mut name = base.clone();
                let mut count = 1;
                while !is_free(&name) {
                    count += 1;
                    name = format!("{base}_{count}");
                }
                name
            }
        };
        let savepoint = settings.savepoint_path.clone();
        let others: Vec<&JobEntry> = snapshot.jobs.values().collect();
        for (other, told) in self.server.jobs.telling_under_one_name(&job.dataflow, &others) {
            self.warning(format!(
                "job \"{other}\" commits its offsets of {} to group \"{}\" too: lag tools show whichever job was last",
                told.name, told.group
            ));
        }
        let entry = JobEntry {
            name: name.clone(),
            id,
            statement: job.statement(),
            dataflow: job.dataflow.to_json()?,
            desired: DesiredState::Running,
            created_ms: self.server.clock.now_ms(),
            skips: Vec::new(),
            access: Access::default(),
            needs: job.needs(),
        };
        if !self.compare_with_jobs(&entry, existing)? {
            return Ok(());
        }
        if existing == Existing::Replace {
            self.replace_job(&name)?;
        }
        self.change(Change::CreateJob { entry: Box::new(entry) })?;
        self.notice_with(format!("job \"{name}\" submitted"), job.contents());
        if let Some(savepoint) = savepoint {
            self.settings.set(SAVEPOINT_PATH, "")?;
            self.notice_with(
                format!("job \"{name}\" starts from savepoint {savepoint}"),
                Some(format!("'{SAVEPOINT_PATH}' is used up: the next job starts fresh unless it is set again.")),
            );
        }
        Ok(())
    }
}
