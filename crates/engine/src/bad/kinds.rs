//! Every kind of row that the engine writes, so that one can be judged by its key alone.

use std::marker::PhantomData;

use async_trait::async_trait;
use dormouse_filesystem::{
    Bad, BadPage, Class, Key, Namespace, Record, RecordError, RecordKind, Records, Scope, ScopedBatch,
    System, Tenant,
};
use jiff::Timestamp;

/// One kind of row.
#[async_trait]
pub(super) trait Kind<S: Scope>: Send + Sync {
    /// Its name.
    fn kind(&self) -> RecordKind;

    /// As a catalogue of indexes enlists it.
    fn enlisted(&self) -> dormouse_filesystem::Kind;

    /// What happens to a row of it that cannot be believed.
    fn class(&self) -> Class;

    /// The row at a key, where it cannot be believed.
    async fn bad_at(&self, space: &Namespace<S>, key: &Key) -> Result<Option<Bad>, RecordError>;

    /// One page of those that cannot be believed.
    async fn bad_page(&self, space: &Namespace<S>, after: Option<Key>) -> Result<BadPage, RecordError>;

    /// Stages a copy.
    fn stage_copy(
        &self,
        space: &Namespace<S>,
        batch: &mut ScopedBatch<S>,
        bad: &Bad,
        at: Timestamp,
    ) -> Result<(), RecordError>;

    /// Stages that it is moved aside.
    fn stage_move(
        &self,
        space: &Namespace<S>,
        batch: &mut ScopedBatch<S>,
        bad: &Bad,
        at: Timestamp,
    ) -> Result<(), RecordError>;

    /// Stages that no index names it any more.
    async fn stage_entries_gone(
        &self,
        space: &Namespace<S>,
        batch: &mut ScopedBatch<S>,
        bad: &Bad,
    ) -> Result<(), RecordError>;
}

struct Of<R>(PhantomData<fn() -> R>);

#[async_trait]
impl<R: Record> Kind<R::Scope> for Of<R> {
    fn kind(&self) -> RecordKind {
        R::KIND
    }

    fn enlisted(&self) -> dormouse_filesystem::Kind {
        dormouse_filesystem::Kind::of::<R>()
    }

    fn class(&self) -> Class {
        R::CLASS
    }

    async fn bad_at(&self, space: &Namespace<R::Scope>, key: &Key) -> Result<Option<Bad>, RecordError> {
        Records::<R>::new(space).bad_at(key).await
    }

    async fn bad_page(
        &self,
        space: &Namespace<R::Scope>,
        after: Option<Key>,
    ) -> Result<BadPage, RecordError> {
        Records::<R>::new(space).bad_page(after).await
    }

    fn stage_copy(
        &self,
        space: &Namespace<R::Scope>,
        batch: &mut ScopedBatch<R::Scope>,
        bad: &Bad,
        at: Timestamp,
    ) -> Result<(), RecordError> {
        Records::<R>::new(space).stage_copy(batch, bad, at)
    }

    fn stage_move(
        &self,
        space: &Namespace<R::Scope>,
        batch: &mut ScopedBatch<R::Scope>,
        bad: &Bad,
        at: Timestamp,
    ) -> Result<(), RecordError> {
        Records::<R>::new(space).stage_move(batch, bad, at)
    }

    async fn stage_entries_gone(
        &self,
        space: &Namespace<R::Scope>,
        batch: &mut ScopedBatch<R::Scope>,
        bad: &Bad,
    ) -> Result<(), RecordError> {
        Records::<R>::new(space).stage_entries_gone(batch, bad).await
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident: $scope:ty = $($record:ty),+ $(,)?;)+) => {$(
        $(#[$doc])*
        pub(super) static $name: &[&dyn Kind<$scope>] = &[$(&Of::<$record>(PhantomData)),+];
    )+};
}

kinds! {
    /// What a tenant has.
    OF_TENANT: Tenant =
        crate::agent::Agent,
        crate::budget::Account,
        crate::budget::Hold,
        crate::budget::Usage,
        crate::capability::Capability,
        crate::gate::Gate,
        crate::gate::GateDisplay,
        crate::gate::GateKey,
        crate::gate::StandingGrant,
        crate::idempotency::IdempotencyRow,
        crate::lease::Heartbeat,
        crate::lease::Lease,
        crate::relay::DeadLetter,
        crate::relay::RelayCursor,
        crate::run::OutcomeRow,
        crate::run::Process,
        crate::run::Run,
        crate::session::SessionKey,
        crate::session::SessionLive,
        crate::session::SessionRow,
        crate::step::Step,
        crate::task::Delegation,
        crate::task::Settlement,
        crate::task::Task,
        crate::task::TaskNumbers,
        crate::task::TaskTombstone,
        crate::task::Tree,
        crate::thread::Message,
        crate::thread::Thread,
        crate::wake::TimedWake,
        crate::wake::Wake;
    /// What the installation has.
    OF_SYSTEM: System = crate::tenant::TenantRow;
}

/// All of them, for a catalogue of the store.
pub(crate) fn enlisted() -> impl Iterator<Item = dormouse_filesystem::Kind> {
    let of_system = OF_SYSTEM.iter().map(|kind| kind.enlisted());
    OF_TENANT.iter().map(|kind| kind.enlisted()).chain(of_system)
}

/// The kind of the row at this key of a tenant; none of one that is no row of the engine's.
pub(super) fn of_tenant(space: &Namespace<Tenant>, key: &Key) -> Option<&'static dyn Kind<Tenant>> {
    if !space.root().holds(key) {
        return None;
    }
    let mut tail = key.segments().skip(space.root().segments().count());
    let (Some("r"), Some(name)) = (tail.next(), tail.next()) else {
        return None;
    };
    OF_TENANT
        .iter()
        .copied()
        .find(|kind| kind.kind().as_str() == name)
}
