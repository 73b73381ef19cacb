//! What a store promises, as ordered enums whose default is the weakest.

macro_rules! ordered {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
        pub enum $name { #[default] $($(#[$vdoc])* $variant),* }
    };
}

ordered! {
    /// How much one commit covers.
    Atomicity {
        /// No conditional write at all.
        None,
        /// One record.
        Record,
        /// A whole batch.
        Batch,
    }
}
ordered! {
    /// Who may write at once.
    Reach {
        /// Nobody.
        None,
        /// Tasks of one process.
        Process,
        /// Processes of several machines.
        Cluster,
    }
}
ordered! {
    /// What an acknowledged commit survives.
    Durability {
        /// Nothing.
        Volatile,
        /// The death of the process.
        ProcessCrash,
        /// The loss of power.
        PowerLoss,
    }
}
ordered! {
    /// How records are listed.
    Listing {
        /// Not at all.
        None,
        /// In no order.
        Unordered,
        /// In key order.
        Ordered,
    }
}
ordered! {
    /// Which logs there are.
    Logs {
        /// None.
        None,
        /// Logs whose positions are in commit order.
        CommitOrdered,
    }
}
ordered! {
    /// What can be taken out as a whole.
    Export {
        /// Nothing.
        None,
        /// Everything, at one commit point.
        Snapshot,
    }
}
ordered! {
    /// Who is told of changes.
    Watch {
        /// Nobody.
        None,
        /// This process, of its own changes.
        Local,
        /// Every process, of all changes.
        Shared,
    }
}

/// What a store promises, or what a caller needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// How much one commit covers.
    pub atomicity: Atomicity,
    /// Who may write at once.
    pub reach: Reach,
    /// What an acknowledged commit survives.
    pub durability: Durability,
    /// How records are listed.
    pub listing: Listing,
    /// Which logs there are.
    pub logs: Logs,
    /// What can be taken out as a whole.
    pub export: Export,
    /// Who is told of changes.
    pub watch: Watch,
}
