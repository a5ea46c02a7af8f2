//! PREPARE, EXECUTE and DEALLOCATE: what they prepare and run takes the way of every statement.

use crate::data_type;
use crate::error::{Error, Result, SqlState};
use crate::sql::parser::splitter::StatementText;
use crate::sql::session::{Outcome, Session};
use crate::sql::statements::done;
use crate::sql::statements::prepared::PreparedControl;

/// Runs PREPARE, EXECUTE or DEALLOCATE.
///
/// # Errors
/// The name is taken or unknown, or the statement fails.
pub(super) async fn execute(control: &PreparedControl, session: &mut Session) -> Result<Outcome> {
    match control {
        PreparedControl::Prepare { name, types, text } => {
            let types = types
                .iter()
                .map(|sql_type| data_type::parse_in_query(sql_type).map(Some))
                .collect::<Result<Vec<_>>>()?;
            let prepared = session.prepare(&StatementText { text: text.clone(), offset: 0 }, &types).await?;
            session.add_prepared(name.clone(), prepared)?;
            Ok(done("PREPARE"))
        }
        PreparedControl::Execute { name, values } => {
            let prepared = session.prepared(name)?;
            if prepared.parameter_types.len() != values.len() {
                return Err(Error::invalid(format!("wrong number of parameters for prepared statement \"{name}\""))
                    .code(SqlState::SyntaxError)
                    .detail(format!(
                        "Expected {} parameters but got {}.",
                        prepared.parameter_types.len(),
                        values.len()
                    )));
            }
            let mut parameters = Vec::new();
            for (value, data_type) in values.iter().zip(&prepared.parameter_types) {
                let (value, data_type) = (value.clone(), data_type.clone());
                parameters.push(session.plan(false, move |planner| planner.constant(&value, &data_type)).await?);
            }
            session.execute(&prepared, parameters).await
        }
        PreparedControl::Deallocate { name } => {
            match name {
                Some(name) => session.remove_prepared(name)?,
                None => session.forget_prepared(),
            }
            Ok(done(if name.is_some() { "DEALLOCATE" } else { "DEALLOCATE ALL" }))
        }
    }
}
