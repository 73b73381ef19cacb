//! What concerns the installation and no tenant, told in its own log by the engine itself.

use std::time::Duration;

use dormouse_filesystem::Deadline;

use super::{Change, EVENT_SCHEMA, Event, Rejection};
use crate::credentials::of_no_tenant;
use crate::draft::parts;
use crate::{CommandError, Engine, EventId, OpId, PrefixedId, Principal};

/// What events of settings are about.
const SETTINGS: &str = "config:one";
/// How long the commit may take.
const TELLING_MAX: Duration = Duration::from_secs(10);

impl Engine {
    /// Tells that settings were read again and not taken, with how many errors.
    ///
    /// # Errors
    /// As any commit.
    pub async fn tell_config_rejected(&self, by: &Principal, errors: usize) -> Result<(), CommandError> {
        self.tell_of_house(by, SETTINGS, &Change::ConfigRejected(Rejection { errors }))
            .await
    }

    async fn tell_of_house(
        &self,
        by: &Principal,
        subject: &str,
        change: &Change,
    ) -> Result<(), CommandError> {
        let environment = self.environment();
        let now = environment.clock.now();
        let (kind, data) = parts(change);
        let event = Event {
            id: EventId::make(now, &environment.random),
            kind,
            schema: EVENT_SCHEMA,
            at: now,
            tenant: of_no_tenant(),
            agent: None,
            agent_incarnation: None,
            subject: subject.to_owned(),
            op: OpId::make(now, &environment.random),
            actor: by.clone(),
            cause: None,
            data,
        };
        let mut batch = self.system().batch();
        let bytes = serde_json::to_vec(&event).expect("an event is plain data");
        batch.append(&self.log(), bytes);
        let deadline = Deadline::after(TELLING_MAX);
        self.system().commit_by(batch, deadline).await?;
        Ok(())
    }
}
