//! Judging every row of a store, for whoever has it alone.

use dormouse_filesystem::update::DEADLINE;
use dormouse_filesystem::{
    Bad, BadRow, BadRowId, BadRows, BadStore, Class, Deadline, Namespace, Scope, Tenant,
};

use super::aside::{engine_draft, is_copied, tell};
use super::kinds::{Kind, OF_SYSTEM, OF_TENANT};
use crate::core::Core;
use crate::engine::Engine;
use crate::limits::PAGE_MAX;
use crate::{CommandError, TenantId};

/// What was done about a row that cannot be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nothing: nothing was to be changed.
    Left,
    /// It is where it was, and a copy of it as it is was kept, by this look or before.
    Quarantined,
    /// It is gone from its place, and is kept aside.
    DeadLettered,
}

impl Fate {
    /// The word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Quarantined => "quarantined",
            Self::DeadLettered => "dead_lettered",
        }
    }
}

/// A row that cannot be believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadFound {
    /// Whose; none of the installation's.
    pub tenant: Option<TenantId>,
    /// Its kind.
    pub kind: String,
    /// Its id, as its key has it.
    pub id: String,
    /// The field that cannot be believed, or `record`.
    pub field: String,
    /// What is wrong with it.
    pub cause: String,
    /// What it is called among those that are kept.
    pub name: BadRowId,
    /// What was done.
    pub fate: Fate,
}

impl BadFound {
    fn of(tenant: Option<&TenantId>, bad: &Bad, fate: Fate) -> Self {
        let issue = bad.issue();
        Self {
            tenant: tenant.cloned(),
            kind: issue.kind.as_str().to_owned(),
            id: issue.id.clone(),
            field: issue.field.clone(),
            cause: issue.cause.clone(),
            name: bad.id().clone(),
            fate,
        }
    }
}

/// What a look at every row found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// How many rows were judged.
    pub rows: u64,
    /// Those that cannot be believed.
    pub bad: Vec<BadFound>,
    /// What is kept of such rows: whose, where, what.
    pub kept: Vec<(Option<TenantId>, BadStore, BadRow)>,
}

impl Engine {
    /// Judges every row of the engine's, of all tenants. With `repair`, advisory rows that cannot be believed are moved
    /// to `dead_letter` with what indexes say of them, and of the others a copy is kept in `quarantine`; an event tells
    /// of each. Without, nothing is written. Of secrets and of blobs no row is judged: they have checks of their own.
    ///
    /// # Errors
    /// As any list and any commit: what was done is done.
    pub async fn check_records(&self, repair: bool) -> Result<Checked, CommandError> {
        let mut checked = Checked::default();
        let mut tenants = Vec::new();
        for kind in OF_SYSTEM {
            for bad in judged(*kind, self.system(), &mut checked).await? {
                checked.bad.push(BadFound::of(None, &bad, Fate::Left));
            }
        }
        tenants.extend(self.active_tenants().await?);
        for tenant in tenants {
            let core = self.handle(&tenant).core;
            for kind in OF_TENANT {
                for bad in judged(*kind, &core.space, &mut checked).await? {
                    let fate = match repair {
                        true => mend(&core, *kind, &bad).await?,
                        false => Fate::Left,
                    };
                    checked.bad.push(BadFound::of(Some(&tenant), &bad, fate));
                }
            }
            add_kept(&core.space, &tenant, &mut checked).await?;
        }
        Ok(checked)
    }
}

async fn judged<S: Scope>(
    kind: &dyn Kind<S>,
    space: &Namespace<S>,
    checked: &mut Checked,
) -> Result<Vec<Bad>, CommandError> {
    let (mut found, mut after) = (Vec::new(), None);
    // Ends with the last page.
    loop {
        let page = kind.bad_page(space, after).await?;
        checked.rows += page.seen as u64;
        found.extend(page.rows);
        after = page.next;
        if after.is_none() {
            return Ok(found);
        }
    }
}

async fn mend(core: &Core, kind: &dyn Kind<Tenant>, bad: &Bad) -> Result<Fate, CommandError> {
    let mut draft = engine_draft(core);
    let now = draft.now();
    let fate = match kind.class() {
        Class::Advisory => {
            kind.stage_move(&core.space, draft.batch(), bad, now)?;
            kind.stage_entries_gone(&core.space, draft.batch(), bad).await?;
            tell(&mut draft, BadStore::DeadLetter, bad)?;
            Fate::DeadLettered
        }
        Class::Authority => {
            if is_copied(core, bad).await? {
                return Ok(Fate::Quarantined);
            }
            kind.stage_copy(&core.space, draft.batch(), bad, now)?;
            tell(&mut draft, BadStore::Quarantine, bad)?;
            Fate::Quarantined
        }
    };
    core.commit_aside(draft, Deadline::after(DEADLINE)).await?;
    Ok(fate)
}

async fn add_kept(
    space: &Namespace<Tenant>,
    tenant: &TenantId,
    checked: &mut Checked,
) -> Result<(), CommandError> {
    let rows = BadRows::new(space);
    for store in BadStore::ALL {
        let mut after = None;
        // Ends with the last page.
        loop {
            let page = rows.list(store, after, PAGE_MAX).await?;
            let kept = page
                .rows
                .into_iter()
                .map(|row| (Some(tenant.clone()), store, row));
            checked.kept.extend(kept);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    Ok(())
}
