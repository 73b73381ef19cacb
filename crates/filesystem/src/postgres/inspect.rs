//! Looking at a server and the schema of a store on it, without a change.

use super::address::refused;
use super::failure::unreachable;
use super::open::{connector, session};
use super::options::PostgresOptions;
use super::schema::{SCHEMA, found};
use super::store::PROMISED;
use crate::{Inspection, OpenError};

pub(super) async fn inspect(url: &str, options: PostgresOptions) -> Result<Inspection, OpenError> {
    let connector = connector(url, &options).await?;
    let place = connector.address.place.clone();
    if let Some(fault) = options.fault() {
        return Err(refused(&place, fault));
    }
    let session = session(&connector).await?;
    if let Some(fault) = session.facts.fault() {
        return Err(refused(&place, &fault));
    }
    let version = session
        .client
        .query_one("SELECT current_setting('server_version', true)", &[])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(|error| unreachable("its version was asked for", error))?;
    let format = found(&session.client, &options.schema, &place).await?;
    Ok(Inspection {
        format: (format > 0).then_some(format.unsigned_abs()),
        known: SCHEMA.unsigned_abs(),
        capabilities: PROMISED,
        server: version,
    })
}
