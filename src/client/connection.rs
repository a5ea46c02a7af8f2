//! The session of `streamgate sql`: where the server is and who asks, TLS as libpq's `sslmode` has it, notices, Ctrl-C as a cancel.

use std::io::IsTerminal;
use std::path::PathBuf;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use futures::{SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::{DbError, ErrorPosition};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{AsyncMessage, Client, Config, CopyOutStream, SimpleQueryStream, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::tls;
use crate::error::{Error, Result};

/// Where the server is and who asks.
#[derive(Debug, Args)]
pub struct ConnectionOptions {
    /// Host name or address of the server
    #[arg(short, long, env = "PGHOST", default_value = "127.0.0.1")]
    host: String,
    /// Its port
    #[arg(short, long, env = "PGPORT", default_value_t = 5439)]
    port: u16,
    /// Role to log in as; its password comes from PGPASSWORD, or is asked for [default: the name of the system's user]
    #[arg(short = 'U', long, env = "PGUSER")]
    username: Option<String>,
    /// Database
    #[arg(short, long, env = "PGDATABASE", default_value = "streamgate")]
    dbname: String,
    /// Whether the connection is encrypted, and whose certificate is taken
    #[arg(long, env = "PGSSLMODE", value_enum, default_value_t = TlsMode::Prefer)]
    sslmode: TlsMode,
    /// Certificates (PEM) that a server's must be signed by, for verify-full [default: the system's]
    #[arg(long, env = "PGSSLROOTCERT", value_name = "FILE")]
    sslrootcert: Option<PathBuf>,
}

/// libpq's `sslmode`, as far as it makes a difference here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TlsMode {
    /// In clear
    Disable,
    /// TLS if the server has it, whatever its certificate
    Prefer,
    /// TLS, whatever the certificate
    Require,
    /// TLS with a certificate that is signed by a known authority and names the host
    VerifyFull,
}

type TlsStream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

/// An open session.
pub(super) struct Connection {
    client: Client,
}

impl Connection {
    /// Connects and logs in; asks for a password if the server wants one that the environment does not have.
    pub(super) async fn open(options: &ConnectionOptions) -> Result<Self> {
        let tls = MakeRustlsConnect::new(tls::config(
            options.sslmode == TlsMode::VerifyFull,
            options.sslrootcert.as_deref(),
        )?);
        let mut config = options.config()?;
        let mut connected = config.connect(tls.clone()).await;
        if let Err(error) = &connected
            && wants_password(&config, error)
            && std::io::stdin().is_terminal()
        {
            let asked = rpassword::prompt_password(format!("Password for {}: ", config.get_user().unwrap_or_default()));
            config.password(asked.map_err(|error| Error::invalid(format!("cannot read the password: {error}")))?);
            connected = config.connect(tls.clone()).await;
        }
        let (client, connection) = connected.map_err(|error| {
            let place = format!("{}:{}", options.host, options.port);
            told(error).context(format!("cannot connect to {place}"))
        })?;
        tokio::spawn(listen(connection));
        tokio::spawn(cancel_on_interrupt(client.cancel_token(), tls));
        Ok(Self { client })
    }

    /// Runs one statement by the simple protocol; rows come as they are sent.
    pub(super) async fn rows(&self, statement: &str) -> Result<SimpleQueryStream> {
        self.client.simple_query_raw(statement).await.map_err(told)
    }

    /// Runs `COPY … TO STDOUT`.
    pub(super) async fn copy_out(&self, statement: &str) -> Result<CopyOutStream> {
        self.client.copy_out(statement).await.map_err(told)
    }

    /// Runs `COPY … FROM STDIN` over these bytes; the number of rows that the server took.
    pub(super) async fn copy_in(
        &self,
        statement: &str,
        mut input: mpsc::Receiver<std::io::Result<Vec<u8>>>,
    ) -> Result<u64> {
        let sink = self.client.copy_in(statement).await.map_err(told)?;
        tokio::pin!(sink);
        while let Some(piece) = input.recv().await {
            // A sink that is dropped tells the server that the copy has failed.
            let piece = piece.map_err(|error| Error::invalid(format!("cannot read standard input: {error}")))?;
            sink.send(Bytes::from(piece)).await.map_err(told)?;
        }
        sink.finish().await.map_err(told)
    }
}

impl ConnectionOptions {
    fn config(&self) -> Result<Config> {
        let mut config = Config::new();
        config.host(&self.host).port(self.port).dbname(&self.dbname).application_name("streamgate sql");
        config.ssl_mode(match self.sslmode {
            TlsMode::Disable => SslMode::Disable,
            TlsMode::Prefer => SslMode::Prefer,
            TlsMode::Require | TlsMode::VerifyFull => SslMode::Require,
        });
        if config.get_hosts().iter().any(|host| matches!(host, Host::Unix(_))) {
            return Err(Error::unsupported("the server listens on TCP only, not on Unix sockets")
                .hint("Name a host, e.g. -h 127.0.0.1."));
        }
        let user =
            self.username.clone().or_else(|| std::env::var("USER").ok()).unwrap_or_else(|| "streamgate".to_owned());
        config.user(&user);
        if let Ok(password) = std::env::var("PGPASSWORD") {
            config.password(password);
        }
        Ok(config)
    }
}

/// Whether a login failed only since no password was given.
fn wants_password(config: &Config, error: &tokio_postgres::Error) -> bool {
    // The client refuses to log in without one before anything is sent: an error of its own, without a SQLSTATE.
    config.get_password().is_none() && error.code().is_none() && error.to_string().contains("configuration")
}

/// Drives the connection and shows what the server says aside.
async fn listen(mut connection: tokio_postgres::Connection<Socket, TlsStream>) {
    let mut messages = futures::stream::poll_fn(move |context| connection.poll_message(context));
    while let Some(Ok(message)) = messages.next().await {
        match message {
            AsyncMessage::Notice(notice) => eprintln!("{}", shown(&notice)),
            AsyncMessage::Notification(sent) => {
                eprintln!("NOTIFICATION on {} from {}: {}", sent.channel(), sent.process_id(), sent.payload());
            }
            _ => {}
        }
    }
}

/// The first Ctrl-C ends the statement, which ends the program by its error; the second one ends the program.
async fn cancel_on_interrupt(cancel: tokio_postgres::CancelToken, tls: MakeRustlsConnect) {
    let mut is_second = false;
    while tokio::signal::ctrl_c().await.is_ok() {
        if is_second {
            std::process::exit(130);
        }
        is_second = true;
        if let Err(error) = cancel.cancel_query(tls.clone()).await {
            eprintln!("cannot cancel: {error}");
        }
    }
}

fn shown(notice: &DbError) -> String {
    let mut text = format!("{}:  {}", notice.severity(), notice.message());
    for (title, more) in [("DETAIL", notice.detail()), ("HINT", notice.hint())] {
        if let Some(more) = more {
            text += &format!("\n{title}:  {more}");
        }
    }
    text
}

/// The server's error with all that it says, or the client's own.
pub(super) fn told(error: tokio_postgres::Error) -> Error {
    let Some(server) = error.as_db_error() else {
        return match std::error::Error::source(&error) {
            Some(source) => Error::unavailable(format!("{error}: {source}")),
            None => Error::unavailable(error.to_string()),
        };
    };
    let code = server.code().code();
    let mut found = Error::invalid(format!("{}: {} ({code})", server.severity(), server.message()));
    if let Some(detail) = server.detail() {
        found = found.detail(detail);
    }
    if let Some(hint) = server.hint() {
        found = found.hint(hint);
    }
    if let Some(ErrorPosition::Original(position)) = server.position() {
        found = found.at(usize::try_from(*position).unwrap_or_default());
    }
    found
}
