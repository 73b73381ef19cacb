//! Secrets through their services, on every backend.

mod bytes;
mod children;
mod crash;
mod driven;
mod dying;
mod environment;
#[cfg(feature = "age")]
mod events;
mod gone;
mod house;
mod keys;
mod large;
mod leases;
mod legacy;
mod many;
mod place;
mod processes;
mod rekeys;
mod rotations;
mod sealing;
mod staged;
#[cfg(feature = "keyring")]
mod system_key;
mod tables;
mod together;
mod told;
#[cfg(feature = "age")]
mod transfer;
mod used;
mod vault;
mod verbs;
#[cfg(not(feature = "age"))]
mod without_age;

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
        mod local {$(
            $(#[$doc])*
            #[tokio::test]
            async fn $name() {
                super::$name(crate::store::house::House::in_local().await).await;
            }
        )*}
        mod postgres {$(
            $(#[$doc])*
            #[tokio::test]
            async fn $name() {
                if let Some(house) = crate::store::house::House::in_postgres().await {
                    super::$name(house).await;
                }
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
