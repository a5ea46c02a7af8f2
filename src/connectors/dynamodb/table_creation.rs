//! `'table.create' = 'if-not-exists'`: makes the DynamoDB table from the declaration's key, waits until it can be used,
//! and sets its TTL attribute.

use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableStatus,
    TimeToLiveSpecification,
};

use super::client::{Failure, send};
use super::remote_table::RemoteTable;
use super::value::item::key_attribute_type;
use crate::error::{Error, Result};

/// How often a passing failure is tried again.
const RETRIES_MAX: u32 = 5;
/// How long to wait for a new table.
const ACTIVE_WAITS_MAX: u32 = 600;
/// How long between looks at it.
const ACTIVE_WAIT: Duration = Duration::from_millis(100);

/// Creates the table if there is none.
///
/// # Errors
/// The declaration has no usable key, or the backend refuses or does not answer.
pub async fn create_if_absent(table: &RemoteTable) -> Result<()> {
    let (elements, definitions) = key(table)?;
    match table.describe().await {
        Ok(_) => return set_ttl(table).await,
        Err(failure) if failure.code == "ResourceNotFoundException" => {}
        Err(failure) => return Err(failure.error),
    }
    let client = table.client().await;
    let created = send(&table.doing("CreateTable"), RETRIES_MAX, None, || {
        client
            .create_table()
            .table_name(table.table_name())
            .set_key_schema(Some(elements.clone()))
            .set_attribute_definitions(Some(definitions.clone()))
            .billing_mode(BillingMode::PayPerRequest)
            .send()
    })
    .await;
    match created {
        Ok(_) => {}
        // Somebody else was faster.
        Err(failure) if failure.code == "ResourceInUseException" => {}
        Err(failure) => return Err(failure.error),
    }
    for _ in 0..ACTIVE_WAITS_MAX {
        match table.describe().await {
            Ok(description) if description.table_status() == Some(&TableStatus::Active) => return set_ttl(table).await,
            Ok(_) => {}
            // A new table may not be seen at once.
            Err(Failure { code, .. }) if code == "ResourceNotFoundException" => {}
            Err(failure) => return Err(failure.error),
        }
        tokio::time::sleep(ACTIVE_WAIT).await;
    }
    Err(Error::unavailable(format!("DynamoDB table {} was created but is not active yet", table.table_name())))
}

fn key(table: &RemoteTable) -> Result<(Vec<KeySchemaElement>, Vec<AttributeDefinition>)> {
    let declaration = &table.declaration;
    let names = if declaration.primary_key.is_empty() { &table.options.primary_key } else { &declaration.primary_key };
    if !(1..=2).contains(&names.len()) {
        return Err(Error::invalid(format!(
            "'table.create' needs a PRIMARY KEY of one or two columns, table \"{}\" has {}",
            declaration.name,
            names.len()
        ))
        .hint("Declare PRIMARY KEY (partition key[, sort key]) NOT ENFORCED."));
    }
    let (mut elements, mut definitions) = (Vec::new(), Vec::new());
    for (name, key_type) in names.iter().zip([KeyType::Hash, KeyType::Range]) {
        let index = declaration.column_index(name).ok_or_else(|| {
            Error::invalid(format!("key column \"{name}\" is no column of table \"{}\"", declaration.name))
        })?;
        let column = &declaration.columns[index];
        let attribute_type = key_attribute_type(table.schema.field(index).data_type()).ok_or_else(|| {
            Error::invalid(format!(
                "column \"{}\" is {}, which can be no key in DynamoDB",
                column.name, column.sql_type
            ))
            .hint("Keys are strings, numbers or bytes.")
        })?;
        elements.push(
            KeySchemaElement::builder().attribute_name(&column.name).key_type(key_type).build().map_err(build_error)?,
        );
        definitions.push(
            AttributeDefinition::builder()
                .attribute_name(&column.name)
                .attribute_type(ScalarAttributeType::from(attribute_type))
                .build()
                .map_err(build_error)?,
        );
    }
    Ok((elements, definitions))
}

async fn set_ttl(table: &RemoteTable) -> Result<()> {
    let Some(attribute) = &table.options.sink_ttl_attribute else { return Ok(()) };
    let client = table.client().await;
    let described = send(&table.doing("DescribeTimeToLive"), RETRIES_MAX, None, || {
        client.describe_time_to_live().table_name(table.table_name()).send()
    })
    .await
    .map_err(|failure| failure.error)?;
    let current = described.time_to_live_description.and_then(|ttl| ttl.attribute_name);
    match current {
        Some(current) if current == *attribute => return Ok(()),
        Some(current) => {
            return Err(Error::invalid(format!(
                "DynamoDB table {} expires by attribute \"{current}\", not by \"{attribute}\"",
                table.table_name()
            )));
        }
        None => {}
    }
    let specification =
        TimeToLiveSpecification::builder().enabled(true).attribute_name(attribute).build().map_err(build_error)?;
    send(&table.doing("UpdateTimeToLive"), RETRIES_MAX, None, || {
        client
            .update_time_to_live()
            .table_name(table.table_name())
            .time_to_live_specification(specification.clone())
            .send()
    })
    .await
    .map_err(|failure| failure.error)?;
    Ok(())
}

fn build_error(error: aws_sdk_dynamodb::error::BuildError) -> Error {
    Error::internal(error.to_string())
}
