//! Flags of `streamgate demo`. A demo leaves nothing behind: fresh folder and free ports, unless the settings name some.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::config::{Config, DEFAULT_DATA_DIR, Flags};
use crate::error::{Error, Result};

/// Orders a second, unless `--rate` says otherwise.
pub const DEFAULT_RATE: u32 = 200;

/// Warnings of the embedded backends are for servers; that they are embedded, the demo says itself.
const LOG: &str = "warn,dynoxide=error,streamgate::kafka=error,streamgate::connectors=error,streamgate::server=error";

/// What the demo does.
#[derive(Debug, Clone, Args)]
pub struct DemoOptions {
    /// Live order records to produce, then end; without it the demo runs until Ctrl-C
    #[arg(long)]
    pub orders: Option<u64>,
    /// Live orders a second [default: 200; with --check a tenth of the orders at 200, the others as fast as Kafka takes them]
    #[arg(long)]
    pub rate: Option<u32>,
    /// Compare every user's features with an independent computation over the log in the end; exit code 1 on a difference
    #[arg(long, requires = "orders")]
    pub check: bool,
    /// Users that order, some of them much more often than others
    #[arg(long, default_value_t = 1000)]
    pub users: u32,
    /// Orders of the past fourteen months that are there before the jobs begin
    #[arg(long, default_value_t = 5000)]
    pub history: u64,
    /// Seed of everything random
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// Spoil something before the comparison, so that a test sees the check fail
    #[arg(long, hide = true)]
    pub tamper: Option<Tamper>,
}

/// What a test spoils.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Tamper {
    /// One item of user_features is altered by a cent.
    Item,
    /// One order reaches the log but not the jobs.
    Order,
}

impl DemoOptions {
    /// The server's configuration: as the settings say, with a fresh folder and a free port where they say nothing.
    ///
    /// # Errors
    /// The settings contradict each other, or the folder cannot be made.
    pub fn config(&self, flags: &Flags) -> Result<Config> {
        if self.users == 0 || self.rate == Some(0) {
            return Err(Error::invalid("--users and --rate must be 1 or more"));
        }
        let mut flags = flags.clone();
        // The server's own lines would tear the table on the terminal; what the jobs leave out, the demo says itself.
        flags.log.get_or_insert_with(|| LOG.to_owned());
        let mut config = Config::load(&flags)?;
        if flags.data_dir.is_none() && config.data_dir.as_os_str() == DEFAULT_DATA_DIR {
            config.data_dir = temporary_data_dir();
            if config.data_dir.exists() {
                // Left by a killed demo whose process id has come round again.
                std::fs::remove_dir_all(&config.data_dir).map_err(|error| {
                    Error::invalid(format!("cannot empty folder {}: {error}", config.data_dir.display()))
                })?;
            }
        }
        if flags.listen.is_none() && TcpListener::bind(config.listen).is_err() {
            println!("{} is taken; the demo listens on a free port.", config.listen);
            config.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        }
        Ok(config)
    }
}

/// Folder of a demo that was given none; removed in the end.
pub(super) fn temporary_data_dir() -> PathBuf {
    std::env::temp_dir().join(format!("streamgate-demo-{}", std::process::id()))
}

#[cfg(test)]
mod tests;
