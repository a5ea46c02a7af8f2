//! INSERTs of a session that are planned: run at once, or submitted as jobs. Those of a block wait for its COMMIT and become one job.

use std::sync::Arc;

use datafusion::arrow::array::UInt64Array;
use datafusion::logical_expr::LogicalPlan;
use datafusion::scalar::ScalarValue;
use futures::StreamExt;

use super::{Existing, Outcome, Session, TransactionStatus};
use crate::catalog::{Change, DesiredState, JobEntry};
use crate::engine::checkpoint::CheckpointStore;
use crate::error::{Error, Result};
use crate::sql::execution::background_stream;
use crate::sql::planning::error_map::refine;
use crate::sql::planning::job_plan::{self, PlannedJob};
use crate::sql::planning::planned::{SharedPlan, bound};
use crate::threads::Deep;

/// The option that one job uses up.
const SAVEPOINT_PATH: &str = "execution.savepoint.path";

impl Session {
    /// A bounded INSERT with the values of its parameters.
    pub(in crate::sql) async fn bind_insert(
        &mut self,
        plan: &SharedPlan,
        parameters: Vec<ScalarValue>,
    ) -> Result<SharedPlan> {
        let (plan, state) = (plan.clone(), self.state());
        let work = move || {
            let plan = bound(&plan, parameters)?;
            if let LogicalPlan::Dml(dml) = &plan {
                let optimised = state.optimize(&dml.input).map_err(|error| refine(error, None))?;
                if crate::engine::planner::is_unbounded(&optimised)? {
                    return Err(Error::unsupported("a job cannot have parameters").hint("Write the values out."));
                }
            }
            Ok(Arc::new(Deep::new(plan)))
        };
        self.server.queries.compute(work).await
    }

    /// Runs a bounded INSERT; gives the number of rows.
    pub(in crate::sql) async fn run_bounded(&mut self, plan: &SharedPlan) -> Result<u64> {
        let plan = plan.clone();
        let (mut state, told) = self.telling_state();
        self.count_into(&mut state);
        let context = self.task_context(&state);
        let made = async move {
            let physical = state.create_physical_plan(&plan).await.map_err(|error| refine(error, None))?;
            Ok((physical, context, None))
        };
        let mut stream = background_stream::start(&self.server.queries, made).await?;
        told.take().into_iter().for_each(|notice| self.notice(notice));
        let mut count = 0;
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(|error| refine(error, None))?;
            if let Some(counts) = batch.column(0).as_any().downcast_ref::<UInt64Array>() {
                count += counts.iter().flatten().sum::<u64>();
            }
        }
        self.tell_counts();
        Ok(count)
    }

    /// An INSERT that does not end: a job of its own, or part of the block's.
    pub(in crate::sql) fn submit_insert(&mut self, job: &PlannedJob) -> Result<Outcome> {
        if self.block == TransactionStatus::Open {
            self.inserts.push(job.clone());
        } else {
            self.submit(job, None, Existing::Refuse)?;
        }
        Ok(Outcome::Done { tag: "INSERT 0 0".to_owned() })
    }

    /// Plans jobs as one.
    pub(in crate::sql) async fn join(&mut self, jobs: Vec<PlannedJob>) -> Result<PlannedJob> {
        self.server.queries.run(|_| PlannedJob::join(jobs)).await
    }

    /// Makes jobs of the block's INSERTs.
    pub(in crate::sql) async fn submit_inserts(&mut self, inserts: Vec<PlannedJob>) -> Result<()> {
        let jobs = job_plan::group(inserts);
        let mut savepoints: Vec<&String> =
            jobs.iter().filter_map(|job| job[0].dataflow.settings.savepoint_path.as_ref()).collect();
        let count = savepoints.len();
        savepoints.dedup();
        if savepoints.len() < count {
            return Err(Error::unsupported(
                "a savepoint is the start of one job, and the INSERTs of this block are several",
            )
            .hint("Submit the one that starts from the savepoint by itself."));
        }
        for job in jobs {
            let job = self.join(job).await?;
            self.submit(&job, None, Existing::Refuse)?;
        }
        Ok(())
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
