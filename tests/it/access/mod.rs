//! Who may come in and what he may do: roles, passwords, rules of addresses, TLS.

#![allow(clippy::unwrap_used)] // clippy allows it in functions marked as tests only

mod audit;
mod canary;
mod exchanges;
mod grants;
mod kept;
mod logins;
mod owners;
mod privileges;
mod roles;
mod set_role;
mod superuser;
mod tls;

use crate::wire::{Server, server};

/// The password of every role that a test makes.
pub const PASSWORD: &str = "open sesame";

/// A session of a role.
pub async fn login(server: &Server, user: &str) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(server.address.port()).user(user).password(PASSWORD).dbname("streamgate");
    let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Rows as texts, columns joined by `|`.
pub async fn rows(client: &tokio_postgres::Client, query: &str) -> Vec<String> {
    let messages = client.simple_query(query).await.unwrap();
    let rows = messages.iter().filter_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    rows.map(|row| (0..row.len()).map(|i| row.get(i).unwrap_or("NULL")).collect::<Vec<_>>().join("|")).collect()
}

/// A server whose first role is `admin`, and a session of it.
pub async fn owned_server() -> (Server, tokio_postgres::Client) {
    let server = server().await;
    let first = server.connect().await;
    first.batch_execute(&format!("CREATE USER admin SUPERUSER PASSWORD '{PASSWORD}'")).await.unwrap();
    let admin = login(&server, "admin").await.unwrap();
    (server, admin)
}

/// SQLSTATE and message of what a statement was refused for.
pub async fn refused(client: &tokio_postgres::Client, statement: &str) -> String {
    match client.batch_execute(statement).await {
        Ok(()) => "nothing".to_owned(),
        Err(error) => {
            let error = error.as_db_error().unwrap();
            format!("{} {}", error.code().code(), error.message())
        }
    }
}
