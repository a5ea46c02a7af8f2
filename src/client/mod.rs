//! `streamgate sql`: runs statements of a file or of the command line on a server and prints what they give, for machines without psql.
//! Knows the server by the Postgres protocol only.

mod connection;
mod results;
mod script;
mod tls;

use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use tokio::sync::mpsc;

use crate::error::Result;
use connection::Connection;
use results::Results;
use script::{Script, Step};

pub use connection::ConnectionOptions;
pub use results::Format;

/// Bytes that are read of standard input at once for `COPY … FROM STDIN`.
const COPY_BYTES: usize = 64 << 10;

/// What `streamgate sql` is given.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub struct SqlOptions {
    #[command(flatten)]
    connection: ConnectionOptions,
    /// Statements to run; may be given again
    #[arg(short, long, value_name = "SQL")]
    command: Vec<String>,
    /// File of statements to run after those of -c; - is standard input; may be given again [default without -c: standard input]
    #[arg(short, long, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// How rows are printed
    #[arg(long, value_enum, default_value_t = Format::Aligned)]
    format: Format,
    /// Print rows without the names of their columns and without counts
    #[arg(short, long)]
    tuples_only: bool,
    /// Print help
    #[arg(long, action = clap::ArgAction::HelpLong)]
    help: Option<bool>,
}

/// Runs all statements in one session, one after the other, until one fails.
///
/// # Errors
/// A file cannot be read, the server cannot be reached, a statement fails: the message names its file and line.
pub async fn run(options: &SqlOptions) -> Result<()> {
    let scripts = scripts(options)?;
    let connection = Connection::open(&options.connection).await?;
    let mut results = Results::new(options.format, options.tuples_only);
    for script in &scripts {
        for step in script.steps()? {
            run_step(&connection, &step, &mut results).await.map_err(|error| script.tell(&step, error))?;
        }
    }
    Ok(())
}

fn scripts(options: &SqlOptions) -> Result<Vec<Script>> {
    let mut scripts: Vec<Script> = options.command.iter().map(|text| Script::of_command(text.clone())).collect();
    for file in &options.file {
        scripts.push(Script::read(file)?);
    }
    if scripts.is_empty() {
        scripts.push(Script::read("-".as_ref())?);
    }
    Ok(scripts)
}

async fn run_step(connection: &Connection, step: &Step, results: &mut Results) -> Result<()> {
    match step {
        Step::Statement { text, .. } => results.print(connection.rows(text).await?).await,
        Step::CopyOut { text, .. } => results.print_copy(connection.copy_out(text).await?).await,
        Step::CopyIn { text, .. } => {
            let count = connection.copy_in(text, standard_input()).await?;
            results.print_count(&format!("COPY {count}"))
        }
    }
}

/// What stands on standard input, in pieces. A thread reads it: a read that waits for a person must hold nothing else up.
fn standard_input() -> mpsc::Receiver<std::io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel(4);
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        loop {
            let mut piece = vec![0; COPY_BYTES];
            let read = match input.read(&mut piece) {
                Ok(0) => return,
                Ok(count) => {
                    piece.truncate(count);
                    Ok(piece)
                }
                Err(error) => Err(error),
            };
            let is_over = read.is_err();
            if sender.blocking_send(read).is_err() || is_over {
                return;
            }
        }
    });
    receiver
}
