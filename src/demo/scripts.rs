//! The scripts of `sql/`, run statement by statement as a client would. Knows nothing of what they say, but for which table a job fills.

use std::sync::Arc;

use futures::StreamExt;

use crate::error::{Error, Result};
use crate::jobs::Jobs;
use crate::sql::{Notice, Outcome, Session, SessionOptions, Severity, SqlServer};

/// One file of `sql/`.
#[derive(Debug, Clone, Copy)]
pub struct Script {
    /// Below `sql/`.
    pub path: &'static str,
    /// Its text.
    pub text: &'static str,
}

macro_rules! scripts {
    ($($path:literal),+ $(,)?) => {
        &[$(Script { path: $path, text: include_str!(concat!("../../sql/", $path)) }),+]
    };
}

/// In the order of `sql/pipeline.sql`.
pub const SCRIPTS: &[Script] = scripts![
    "tables/kafka_orders.sql",
    "tables/dynamodb_orders.sql",
    "tables/order_sum_monthly.sql",
    "tables/user_features.sql",
    "functions/latest_month_order_sum.sql",
    "functions/latest_year_order_sum.sql",
    "jobs/orders_to_dynamodb.sql",
    "jobs/order_sum_monthly.sql",
    "jobs/user_features.sql",
];

/// Runs all scripts in one session whose days and months are UTC's. Jobs that a data folder already has are left as they are.
///
/// # Errors
/// A statement fails; the message names its script.
pub async fn run_all(server: &Arc<SqlServer>, jobs: &Jobs) -> Result<()> {
    let mut session = Session::open(
        Arc::clone(server),
        SessionOptions {
            user: "demo".to_owned(),
            database: "streamgate".to_owned(),
            settings: vec![
                ("application_name".to_owned(), "streamgate demo".to_owned()),
                ("TimeZone".to_owned(), "UTC".to_owned()),
            ],
            is_own: true,
            ..SessionOptions::default()
        },
    )?;
    for script in SCRIPTS {
        if let Some(job) = running_job(jobs, script) {
            println!("sql/{}: job \"{job}\" is there already", script.path);
            continue;
        }
        run(&mut session, script).await.map_err(|error| error.context(format!("sql/{}", script.path)))?;
    }
    Ok(())
}

async fn run(session: &mut Session, script: &Script) -> Result<()> {
    for statement in session.split(script.text)? {
        let outcome = execute(session, &statement).await;
        let notices = session.take_notices();
        let tag = match outcome {
            Ok(tag) => {
                session.end_of_message().await?;
                tag
            }
            Err(error) => {
                session.fail();
                let _ = session.end_of_message().await;
                return Err(error);
            }
        };
        // The end of the message may have more to say: jobs start there.
        let notices = notices.into_iter().chain(session.take_notices());
        println!("sql/{}: {tag}", script.path);
        notices.for_each(|notice| print_notice(&notice));
    }
    Ok(())
}

async fn execute(session: &mut Session, statement: &crate::sql::StatementText) -> Result<String> {
    let prepared = session.prepare(statement, &[]).await?;
    match session.execute(&prepared, Vec::new()).await? {
        Outcome::Rows { verb, mut stream, .. } => {
            let mut rows = 0;
            while let Some(batch) = stream.next().await {
                rows += batch?.num_rows();
            }
            Ok(format!("{verb} {rows}"))
        }
        Outcome::Done { tag } => Ok(tag),
        Outcome::Empty => Ok(String::new()),
        Outcome::CopyIn(_) | Outcome::CopyOut { .. } => Err(Error::unsupported("COPY is for clients")),
    }
}

fn print_notice(notice: &Notice) {
    // Said once, when the demo begins.
    if notice.message.contains(" lives in the embedded ") {
        return;
    }
    let severity = match notice.severity {
        Severity::Notice => "NOTICE",
        Severity::Warning => "WARNING",
    };
    println!("  {severity}: {}", notice.message);
}

/// The job of an earlier run on the same data folder that fills the same table.
fn running_job(jobs: &Jobs, script: &Script) -> Option<String> {
    let target = insert_target(script.text)?;
    jobs.status().into_iter().find(|job| insert_target(&job.statement) == Some(target)).map(|job| job.name)
}

/// `user_features` of `INSERT INTO user_features (…`
pub(super) fn insert_target(statement: &str) -> Option<&str> {
    let (_, rest) = statement.split_once("INSERT INTO ")?;
    rest.split(|c: char| c.is_whitespace() || c == '(').next()
}

#[cfg(test)]
mod tests;
