//! Standing grants: an approval for a life of a session, by which equal calls need no new one.

use dormouse_filesystem::{
    Class, Cursor, Digest, IndexEntry, IndexValue, Query, Record, RecordKind, Records, Tenant, Versioned,
    indexes,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Author, AuthorKind, InTurn, KeyId};
use crate::core::Core;
use crate::draft::Verdict;
use crate::event::{About, Change};
use crate::limits::PAGE_MAX;
use crate::{AgentName, CommandError, GateId, Incarnation, OpId, Principal, SessionId, Subject};

/// An approval for a life of a session. It is removed when it is revoked, or that life ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandingGrant {
    /// Its key.
    pub key: KeyId,
    /// The gate whose approval gave it: what it is known by.
    pub gate: GateId,
    /// The agent whose calls it lets through.
    pub agent: AgentName,
    /// That agent, told from former ones of its name.
    pub agent_incarnation: Incarnation,
    /// The session.
    pub session: SessionId,
    /// Which life of it.
    pub incarnation: u32,
    /// The digest of the calls.
    pub digest: Digest,
    /// Who gave it.
    pub by: Author,
    /// When.
    pub created_at: Timestamp,
    /// The command that wrote the row.
    pub op: OpId,
}

impl StandingGrant {
    /// The key of the grant for these calls in this life of a session.
    #[must_use]
    pub fn key_of(turn: &InTurn, digest: &Digest) -> KeyId {
        let (session, incarnation) = (turn.session.to_string(), turn.incarnation.to_string());
        KeyId::of_parts(&["grant", &session, &incarnation, &digest.to_string()])
    }

    /// What its events are about: the gate that gave it.
    #[must_use]
    pub fn about(&self) -> About {
        About::of(Subject::Gate(self.gate), &self.agent, self.agent_incarnation)
    }
}

indexes! {
    /// What finds grants.
    pub enum GrantIndex {
        /// By session and when they were given.
        Session = own "session",
    }
}

impl Record for StandingGrant {
    type Scope = Tenant;
    type Id = KeyId;
    type Index = GrantIndex;
    const KIND: RecordKind = RecordKind::of("standing_grant");
    const SCHEMA: u32 = 1;
    const CLASS: Class = Class::Authority;

    fn id(&self) -> KeyId {
        self.key
    }

    fn index_entries(&self) -> Vec<IndexEntry<GrantIndex>> {
        let session = IndexValue::name(&self.session.to_string());
        let values = [session, IndexValue::instant(self.created_at)];
        vec![IndexEntry::new(GrantIndex::Session, values)]
    }
}

/// One page of the grants of a session, or of all.
pub(super) async fn list(
    core: &Core,
    session: Option<SessionId>,
    after: Option<Cursor>,
    limit: usize,
) -> Result<(Vec<Versioned<StandingGrant>>, Option<Cursor>), CommandError> {
    let session = session.map(|session| IndexValue::name(&session.to_string()));
    let query = Query::of(GrantIndex::Session)
        .equals(session)
        .after(after)
        .limit(limit);
    let found = Records::<StandingGrant>::new(&core.space).find(&query).await?;
    Ok((found.rows, found.next))
}

/// Takes back the grant that this gate gave.
pub(super) async fn revoke(core: &Core, by: &Principal, gate: GateId) -> Result<bool, CommandError> {
    let Some(key) = given_by(core, gate).await? else {
        return Ok(false);
    };
    let (core, key) = (&core, &key);
    let done = core.command(by, |mut draft| async move {
        let grants = Records::<StandingGrant>::new(&core.space);
        let Some(read) = grants.get(key).await?.filter(|grant| grant.gate == gate) else {
            return Ok(Verdict::Nothing(false));
        };
        grants.stage_remove(draft.batch(), &read).await?;
        let change = Change::GateGrantRevoked {
            grant: gate,
            by: AuthorKind::Person,
        };
        draft.tell(&read.about(), &change)?;
        Ok(Verdict::Commit(draft, true))
    });
    Ok(done.await?.answer)
}

/// The grant that a gate gave. They are few, and the gate itself may be gone.
async fn given_by(core: &Core, gate: GateId) -> Result<Option<KeyId>, CommandError> {
    let mut after = None;
    // Ends with the last page.
    loop {
        let (rows, next) = list(core, None, after, PAGE_MAX).await?;
        if let Some(grant) = rows.iter().find(|grant| grant.gate == gate) {
            return Ok(Some(grant.key));
        }
        after = next;
        if after.is_none() {
            return Ok(None);
        }
    }
}
