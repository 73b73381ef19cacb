//! Secrets through their services, on the backends that run without a server.

mod environment;
mod events;
mod house;
mod keys;
mod leases;
mod sealing;
mod tables;
mod transfer;
mod vault;
mod verbs;

/// One test per backend: the same function over the store that each of them makes.
macro_rules! on_every_store {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        mod memory {$(
            $(#[$doc])*
            #[tokio::test]
            async fn $name() {
                super::$name(crate::store::house::House::in_memory().await).await;
            }
        )*}
        mod sled {$(
            $(#[$doc])*
            #[tokio::test]
            async fn $name() {
                super::$name(crate::store::house::House::in_sled().await).await;
            }
        )*}
    };
}
use on_every_store;
