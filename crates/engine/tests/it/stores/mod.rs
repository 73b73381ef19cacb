//! Agents, tasks, runs, leases and events, through their services, on every backend.

mod adjusting;
mod agents;
mod agents_crash;
mod agents_kept;
mod agents_meanwhile;
mod agents_removal;
mod at_step;
mod bad;
mod bad_kinds;
mod budgets;
mod budgets_gates;
mod budgets_many;
mod budgets_matrix;
mod budgets_tables;
mod budgets_time;
mod catalogue;
mod claims;
mod claims_time;
mod clocks;
mod closing;
mod cost;
mod creation;
mod credentials;
mod cut;
mod delegations;
mod dependencies;
mod disk;
mod dropped;
mod due;
mod edits;
mod emitted;
mod events;
mod faults;
mod faults_after;
mod faults_driver;
mod faults_gates;
mod fields;
mod full_load;
mod gates;
mod gates_again;
mod gates_bytes;
mod gates_capability;
mod gates_crash;
mod gates_decide;
mod gates_ends;
mod gates_input;
mod gates_matrix;
mod gates_modes;
mod gates_random;
mod gates_tables;
mod gates_time;
mod golden;
mod heartbeats;
pub(crate) mod hooked;
mod house;
mod idle;
mod janitor;
mod keys;
mod lapses;
mod lapses_crash;
mod lapses_own;
mod leases;
mod matrix;
mod overheard;
mod parking;
pub(crate) mod place;
mod records;
mod recovery;
mod rekeys;
mod relay;
mod relay_crash;
mod relay_lives;
mod resolve;
mod retention;
mod retention_work;
mod rows;
mod rows_crash;
mod rows_full;
mod runs;
mod scope;
mod sessions;
mod sessions_crash;
mod sessions_histories;
mod sessions_repair;
mod sessions_stale;
mod sessions_work;
mod shared;
mod steps;
mod steps_cut;
mod steps_table;
mod steps_within;
mod tables;
mod tasks;
mod tasks_crash;
mod tasks_cut;
mod thread_content;
mod threads;
mod threads_crash;
mod threads_matrix;
mod threads_tables;
mod turns_cut;
mod wakes;
mod wakes_asked;
mod wakes_causes;
mod wakes_crash;
mod wakes_rung;
mod wakes_timed;
mod wakes_timed_crash;
mod wakes_vanish;
mod wakes_why;

pub(crate) use cut::KilledInTheEnd;
pub(crate) use house::{facts, stored_in};
pub(crate) use wakes::until;

/// One test per backend: the same function over the store that each of them makes.
macro_rules! on_every_store {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        mod memory {$(
            $(#[$doc])*
            #[tokio::test]
            async fn $name() {
                super::$name(crate::stores::house::House::in_memory().await).await;
            }
        )*}
        mod sled {$(
            $(#[$doc])*
            #[tokio::test]
            async fn $name() {
                super::$name(crate::stores::house::House::in_sled().await).await;
            }
        )*}
        mod local {$(
            $(#[$doc])*
            #[tokio::test]
            async fn $name() {
                super::$name(crate::stores::house::House::in_local().await).await;
            }
        )*}
        mod postgres {$(
            $(#[$doc])*
            #[tokio::test]
            async fn $name() {
                if let Some(house) = crate::stores::house::House::in_postgres().await {
                    super::$name(house).await;
                }
            }
        )*}
    };
}
use on_every_store;

/// The same where no other process can write the store meanwhile.
macro_rules! on_every_store_of_one_process {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        mod memory_alone {$(
            $(#[$doc])*
            #[tokio::test]
            async fn $name() {
                super::$name(crate::stores::house::House::in_memory().await).await;
            }
        )*}
        mod sled_alone {$(
            $(#[$doc])*
            #[tokio::test]
            async fn $name() {
                super::$name(crate::stores::house::House::in_sled().await).await;
            }
        )*}
        mod local_alone {$(
            $(#[$doc])*
            #[tokio::test]
            async fn $name() {
                super::$name(crate::stores::house::House::in_local().await).await;
            }
        )*}
    };
}
use on_every_store_of_one_process;

/// One test per backend that several processes, or one after the other, work on.
macro_rules! on_sled_and_postgres {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        mod sled {$(
            $(#[$doc])*
            #[tokio::test]
            async fn $name() {
                super::$name(crate::stores::place::Place::sled()).await;
            }
        )*}
        mod postgres {$(
            $(#[$doc])*
            #[tokio::test]
            async fn $name() {
                if let Some(place) = crate::stores::place::Place::postgres() {
                    super::$name(place).await;
                }
            }
        )*}
    };
}
use on_sled_and_postgres;

/// One test per backend, over a store in whose way it stands.
macro_rules! on_every_hooked_store {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        mod memory {$(
            $(#[$doc])*
            #[tokio::test]
            async fn $name() {
                super::$name(crate::stores::place::Place::memory()).await;
            }
        )*}
        mod local {$(
            $(#[$doc])*
            #[tokio::test]
            async fn $name() {
                super::$name(crate::stores::place::Place::local()).await;
            }
        )*}
        crate::stores::on_sled_and_postgres! { $($(#[$doc])* $name;)* }
    };
}
use on_every_hooked_store;
