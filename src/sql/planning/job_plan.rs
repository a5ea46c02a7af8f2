//! Unbounded INSERTs as jobs: planned together so that sources are read once, told apart where they cannot be one job.
//! Knows plans; knows nothing of sessions and of how jobs are stored.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::logical_expr::LogicalPlan;

use crate::catalog::Need;
use crate::connectors::table_provider::ConnectorTable;
use crate::engine::dataflow::{Dataflow, JobSettings};
use crate::engine::planner::{PlannedInsert, plan_job};
use crate::error::{Error, Result};
use crate::threads::Deep;

/// One INSERT of a job.
#[derive(Clone)]
pub struct JobInsert {
    /// Its optimised query, whose columns are the sink's.
    pub query: Arc<Deep<LogicalPlan>>,
    /// What it writes.
    pub sink: Arc<ConnectorTable>,
    /// Columns that it lists, in the table's order; absent: it lists none.
    pub columns: Option<Vec<usize>>,
    /// The table's name, for the job's.
    pub table: String,
    /// The statement, secrets masked.
    pub text: String,
    /// The rights that it needs.
    pub needs: Vec<Need>,
}

/// A job that is planned and not submitted.
#[derive(Clone)]
pub struct PlannedJob {
    /// Its INSERTs; at least one.
    pub inserts: Vec<JobInsert>,
    /// What is stored and runs.
    pub dataflow: Dataflow,
    /// `pipeline.name` when it was planned.
    pub pipeline_name: Option<String>,
}

impl PlannedJob {
    /// Plans a job.
    ///
    /// # Errors
    /// What the engine refuses.
    pub async fn plan(
        inserts: Vec<JobInsert>,
        settings: JobSettings,
        pipeline_name: Option<String>,
    ) -> Result<PlannedJob> {
        let planned: Vec<PlannedInsert<'_>> = inserts
            .iter()
            .map(|insert| {
                let sink: Arc<dyn TableProvider> = insert.sink.clone();
                PlannedInsert { query: &insert.query, sink, columns: insert.columns.clone() }
            })
            .collect();
        let dataflow = plan_job(&planned, settings).await?;
        Ok(Self { inserts, dataflow, pipeline_name })
    }

    /// Plans jobs as one, with the settings of the first.
    ///
    /// # Errors
    /// What the engine refuses of all of them together; there is none.
    pub async fn join(mut jobs: Vec<PlannedJob>) -> Result<PlannedJob> {
        if jobs.len() < 2 {
            return jobs.pop().ok_or_else(|| Error::internal("a job without an INSERT"));
        }
        let settings = jobs[0].dataflow.settings.clone();
        let pipeline_name = jobs[0].pipeline_name.clone();
        Self::plan(jobs.into_iter().flat_map(|job| job.inserts).collect(), settings, pipeline_name).await
    }

    /// The statement that gives this job.
    pub fn statement(&self) -> String {
        match &self.inserts[..] {
            [insert] => insert.text.clone(),
            inserts => {
                let lines: Vec<String> = inserts.iter().map(|insert| format!("{};\n", insert.text)).collect();
                format!("EXECUTE STATEMENT SET BEGIN\n{}END", lines.concat())
            }
        }
    }

    /// The rights that it needs.
    pub fn needs(&self) -> Vec<Need> {
        let needs: BTreeSet<Need> = self.inserts.iter().flat_map(|insert| insert.needs.iter().cloned()).collect();
        needs.into_iter().collect()
    }

    /// What it holds, if that is more than one INSERT.
    pub fn contents(&self) -> Option<String> {
        let tables: Vec<String> = self.inserts.iter().map(|insert| format!("INSERT INTO {}", insert.table)).collect();
        (tables.len() > 1).then(|| format!("It holds {}; sources that they share are read once.", tables.join(", ")))
    }

    fn looks_up_what_is_written_by(&self, other: &PlannedJob) -> bool {
        self.dataflow.lookups().any(|function| other.dataflow.sinks().any(|(_, sink)| sink.table == function.table))
    }
}

/// Tells which INSERTs of a block are one job: those with the same settings. One that looks up what another one of these writes
/// stays a job of its own, which reads behind the other's writes.
pub fn group(inserts: Vec<PlannedJob>) -> Vec<Vec<PlannedJob>> {
    let mut groups: Vec<Vec<PlannedJob>> = Vec::new();
    for insert in inserts {
        let same = |group: &&mut Vec<PlannedJob>| {
            group[0].dataflow.settings == insert.dataflow.settings && group[0].pipeline_name == insert.pipeline_name
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(insert),
            None => groups.push(vec![insert]),
        }
    }
    let mut jobs = Vec::new();
    for group in groups {
        let is_apart: Vec<bool> = (0..group.len())
            .map(|place| group.len() > 1 && group.iter().any(|other| group[place].looks_up_what_is_written_by(other)))
            .collect();
        let (apart, together): (Vec<_>, Vec<_>) = group.into_iter().zip(is_apart).partition(|(_, apart)| *apart);
        let together: Vec<PlannedJob> = together.into_iter().map(|(insert, _)| insert).collect();
        if !together.is_empty() {
            jobs.push(together);
        }
        jobs.extend(apart.into_iter().map(|(insert, _)| vec![insert]));
    }
    jobs
}
