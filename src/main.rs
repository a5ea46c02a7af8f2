//! Flags → Config → Server, nothing else.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use streamgate::client::{self, SqlOptions};
use streamgate::config::{Config, Flags};
use streamgate::demo::{self, DemoOptions};
use streamgate::error::{Error, Result};
use streamgate::server::Server;
use streamgate::telemetry;
use streamgate::threads::{self, Role};
use tokio::signal::unix::{Signal, SignalKind};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Memory that is free goes back to the system within a second instead of ten: a job's state, changes and checkpoint each need
/// theirs for a moment. The variable `MALLOC_CONF` overrides it.
// SAFETY: jemalloc reads this symbol, a pointer to text that ends with NUL, at its start; nothing else is called so.
#[unsafe(export_name = "malloc_conf")]
static ALLOCATOR_SETTINGS: &[u8; 37] = b"dirty_decay_ms:1000,muzzy_decay_ms:0\0";

#[derive(Parser)]
#[command(
    name = "streamgate",
    about = "Streaming SQL from Kafka to DynamoDB behind the Postgres wire protocol",
    version
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the server until it is told to end
    Serve {
        #[command(flatten)]
        flags: Flags,
    },
    /// Tries the configuration, the machine and both backends, says what is wrong and what to do about it, and starts nothing
    Doctor {
        #[command(flatten)]
        flags: Flags,
    },
    /// Runs statements on a server and prints their rows, without psql
    Sql(SqlOptions),
    /// Makes the superuser who lets others in, or gives it a new password; the server must not run
    Init {
        #[command(flatten)]
        flags: Flags,
        /// Its name; the password is asked for, or comes from STREAMGATE_SUPERUSER_PASSWORD
        #[arg(long, value_name = "NAME")]
        superuser: String,
    },
    /// Shows the whole way on embedded backends: live orders, features that change before your eyes
    Demo {
        #[command(flatten)]
        flags: Flags,
        #[command(flatten)]
        options: DemoOptions,
    },
    /// Prints what completes commands and flags in a shell: source <(streamgate completions bash)
    Completions { shell: Shell },
    /// Writes the man pages, one for each command, into a folder
    Man { folder: PathBuf },
    /// Prints the version
    Version,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Version => {
            println!("streamgate {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        Command::Serve { flags } => Config::load(&flags).and_then(|config| run(&config, serve(&config))),
        Command::Doctor { flags } => {
            Config::load(&flags).and_then(|config| run(&config, streamgate::server::doctor(&config)))
        }
        Command::Sql(options) => answer(client::run(&options)),
        Command::Init { flags, superuser } => {
            Config::load(&flags).and_then(|config| run(&config, streamgate::server::init(&config, superuser)))
        }
        Command::Demo { flags, options } => {
            options.config(&flags).and_then(|config| run(&config, demo::run(&config, &options)))
        }
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "streamgate", &mut std::io::stdout());
            Ok(())
        }
        Command::Man { folder } => std::fs::create_dir_all(&folder)
            .and_then(|()| clap_mangen::generate_to(Cli::command(), &folder))
            .map_err(|error| Error::invalid(format!("cannot write man pages into {}: {error}", folder.display()))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("streamgate: {error}");
            if let Some(detail) = error.detail_text() {
                eprintln!("{detail}");
            }
            if let Some(hint) = error.hint_text() {
                eprintln!("{hint}");
            }
            ExitCode::FAILURE
        }
    }
}

/// Runs on the gateway's runtime; the jobs have one of their own.
fn run(config: &Config, work: impl Future<Output = Result<()>>) -> Result<()> {
    telemetry::init(&config.log, config.log_format);
    // Catalog, checkpoints, logs of the embedded backends: readable by this user alone, whatever makes them.
    // SAFETY: sets a number of the process; no other thread makes files yet.
    unsafe { libc::umask(0o077) };
    answer(work)
}

/// Runs on a runtime for what somebody waits for.
fn answer(work: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = threads::runtime("gateway", None, None, Role::Answer)?;
    let outcome = runtime.block_on(work);
    runtime.shutdown_background();
    outcome
}

async fn serve(config: &Config) -> Result<()> {
    let server = Server::start(config).await?;
    let mut hang_up = signal(SignalKind::hangup())?;
    {
        let (told, lost) = (told_to_end(), server.lost());
        tokio::pin!(told, lost);
        loop {
            tokio::select! {
                told = &mut told => break told?,
                // Without an orderly end: what it would write is no longer its own.
                error = &mut lost => return Err(error),
                _ = hang_up.recv() => server.reload().await,
            }
        }
    }
    server.stop().await;
    Ok(())
}

fn signal(kind: SignalKind) -> Result<Signal> {
    tokio::signal::unix::signal(kind).map_err(|error| Error::internal(format!("cannot listen for signals: {error}")))
}

/// Waits for SIGTERM or SIGINT.
async fn told_to_end() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
