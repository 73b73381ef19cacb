//! The contract suite: what every record store does, as one test a fact.
//!
//! A backend or wrapper of your own is tested by a [`Harness`] and one line:
//!
//! ```ignore
//! #[derive(Default)]
//! struct MyHarness { /* where the store lives */ }
//! impl dormouse_filesystem::contract::Harness for MyHarness { /* open, reopen, anew */ }
//! dormouse_filesystem::contract::suite!(mine, MyHarness);
//! ```
//!
//! Every clause gets a fresh store. Outside semver: a release may add clauses, and a store that passes fewer of
//! them than it declares [`Capabilities`](crate::Capabilities) for is the store's defect.

pub mod begins;
pub mod concurrency;
pub mod doubt;
pub mod exports;
pub mod fuzz;
pub mod hints;
mod jars;
mod kit;
pub mod lifecycle;
pub mod limits;
pub mod linear;
pub mod lists;
pub mod logs;
pub mod model;
pub mod records;
pub mod rows;
#[cfg(feature = "postgres")]
mod schema;
pub mod updates;
pub mod writes;

use std::future::Future;
use std::sync::Arc;

use crate::RecordStore;

#[cfg(feature = "postgres")]
pub use schema::OwnSchema;

/// Where the store under test lives, and how it is opened. `Default` makes a place of its own, with nothing in it.
pub trait Harness: Default {
    /// Whether this machine has what the place needs: a server, for example. Where it has not, the clauses are not
    /// run, and the harness says so; where that must not be (`CI=true`) it panics.
    fn is_here() -> bool {
        true
    }

    /// Opens the store, empty, for the first time.
    fn open(&self) -> impl Future<Output = Arc<dyn RecordStore>>;

    /// Opens the same place again, after the store was closed and dropped; none when nothing outlasts a store.
    fn reopen(&self) -> impl Future<Output = Option<Arc<dyn RecordStore>>>;

    /// Removes what was stored, after the store was closed and dropped, and makes a new store in its place, a
    /// second later.
    fn anew(&self) -> impl Future<Output = Arc<dyn RecordStore>>;
}

/// Runs one clause over a fresh place, on several threads.
///
/// # Panics
/// When the store does not do what the clause says.
pub fn run<H: Harness, F: Future<Output = ()>>(clause: impl FnOnce(H) -> F) {
    if !H::is_here() {
        return;
    }
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .expect("a runtime can be built")
        .block_on(clause(H::default()));
}

/// Makes a module with one test for each clause of the contract.
///
/// `suite!(mine, MyHarness)`: `MyHarness` is a [`Harness`] in scope.
#[doc(hidden)]
#[macro_export]
macro_rules! contract_suite {
    ($module:ident, $harness:ty) => {
        mod $module {
            #[allow(unused_imports)]
            use super::*;
            $crate::contract_clauses!($harness;
                writes:
                    a_key_is_created_once
                    a_version_is_replaced_once
                    a_commit_has_one_version
                    one_failed_expectation_of_many_stops_all_and_all_failed_are_named
                    checks_alone_guard_and_write_nothing
                    the_identical_batch_applies_once
                    a_record_and_a_log_of_one_name_never_meet;
                lifecycle:
                    an_old_version_is_never_valid_again
                    a_log_made_anew_has_another_incarnation
                    what_was_acknowledged_is_there_when_opened_again
                    a_closed_store_takes_no_write_and_still_reads;
                concurrency:
                    one_of_many_deletes_wins_and_none_removes_what_is_newer
                    a_commit_dropped_anywhere_is_whole_or_absent
                    a_commit_past_its_deadline_is_never_done_late
                    a_polling_reader_sees_each_entry_once_and_in_order
                    many_commits_at_once_are_each_done;
                limits:
                    a_batch_is_done_at_each_limit_and_refused_past_it
                    bytes_and_kind_come_back_as_they_were
                    a_page_ends_at_its_limits
                    many_are_read_in_the_order_asked
                    many_pages_are_read_in_the_order_asked;
                lists:
                    order_is_by_segment_up_and_down
                    a_prefix_ends_at_its_segment
                    a_page_may_begin_behind_any_key
                    paging_under_change_repeats_nothing_and_skips_nothing_stable
                    a_list_of_all_crosses_pages;
                logs:
                    positions_are_contiguous_whatever_was_refused
                    a_tail_from_where_there_is_nothing_is_told_so
                    a_tail_ends_at_its_limits
                    a_log_keeps_the_suffix_it_is_truncated_to
                    a_head_tells_where_its_log_begins_and_ends;
                begins:
                    a_log_begins_where_another_ended
                    a_log_that_was_begun_outlasts_its_store
                    a_log_that_is_there_is_not_begun
                    a_begin_is_held_against_its_limits
                    a_cursor_goes_on_in_its_log_and_in_its_successor;
                exports:
                    an_export_has_all_there_is
                    an_export_ends_at_its_prefix
                    an_export_is_of_one_commit_point
                    one_export_goes_at_a_time;
                hints:
                    a_change_is_hinted_at_once_it_can_be_read
                    a_waiting_reader_is_woken
                    watches_are_bounded
                    a_follower_sees_what_is_there_and_what_comes
                    a_follower_over_a_gap_ends_with_the_gap;
                model:
                    a_random_history_is_the_models;
                linear:
                    histories_of_eight_tasks_are_linearizable
                    histories_under_faults_are_linearizable;
                updates:
                    sixteen_tasks_lose_no_increment
                    a_change_of_nothing_writes_nothing
                    an_update_answers_what_is_stored
                    a_refused_update_writes_nothing;
                records:
                    an_older_build_stops_writing_after_a_new_index
                    rows_of_before_the_catalogue_are_found
                    a_replacement_of_all_is_there_entire;
                rows:
                    what_is_not_saved_is_not_found
                    an_unknown_id_makes_nothing
                    what_is_unset_is_one_value
                    paging_an_index_under_change_repeats_nothing_and_skips_nothing_stable;
                doubt:
                    what_a_newer_build_wrote_stays_as_it_is
                    a_row_unlike_its_key_or_type_is_refused
            );
        }
    };
}

/// One test for each clause named.
#[doc(hidden)]
#[macro_export]
macro_rules! contract_clauses {
    ($harness:ty; $($file:ident: $($clause:ident)+);+ $(;)?) => {$($(
        #[test]
        fn $clause() {
            $crate::contract::run::<$harness, _>($crate::contract::$file::$clause);
        }
    )+)+};
}

pub use crate::contract_suite as suite;
