//! In-process stand-ins for Kafka and DynamoDB, so that the demo and the tests need neither Docker nor an account.
//! They speak the real protocols on loopback ports, keep their data on disk and know nothing of the rest of the crate; the
//! server reaches them by address only, like the real ones. Single node, no replication, no logins: for development, not for production.

mod dynamodb;
mod kafka_broker;

use std::io;
use std::net::{Ipv4Addr, TcpListener};

pub use dynamodb::{DynamoDbOptions, EmbeddedDynamoDb};
pub use kafka_broker::{KafkaBroker, KafkaBrokerOptions};

/// Listens on a loopback port, or on the next of so many that is free. Binding decides: two processes that start at once get a port each.
fn first_free(port: u16, more_ports: u16) -> io::Result<TcpListener> {
    let mut tried = port;
    loop {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, tried)) {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tried - port < more_ports && tried < u16::MAX => {
                tried += 1;
            }
            Err(error) => return Err(io::Error::new(error.kind(), format!("port {tried}: {error}"))),
        }
    }
}
