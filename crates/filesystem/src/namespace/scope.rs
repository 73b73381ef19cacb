//! Whose records a namespace holds.

use std::fmt;

mod sealed {
    pub trait Sealed {}
}

/// Whose records a namespace holds. Three types, and no more can be made.
pub trait Scope: sealed::Sealed + fmt::Debug + Send + Sync + 'static {
    /// The scope's name in errors.
    const NAME: &'static str;
    /// How many names it takes to say whose a namespace of this scope is.
    #[doc(hidden)]
    const OWNER_SEGMENTS: usize;
}

macro_rules! scopes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $owner:literal);* $(;)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub enum $name {}
        impl sealed::Sealed for $name {}
        impl Scope for $name {
            const NAME: &'static str = $text;
            const OWNER_SEGMENTS: usize = $owner;
        }
    )*};
}
scopes! {
    /// What belongs to the installation: what must be found without listing tenants.
    System = "system", 0;
    /// What belongs to one tenant.
    Tenant = "tenant", 1;
    /// What belongs to one agent of one tenant.
    Agent = "agent", 2;
}
