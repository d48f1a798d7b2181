//! The tests that the queue passes over every store: turns, leases, retry times, changes by hand.
//!
//! `conformance_tests!` makes one test of each of these functions. What a store promises by itself
//! is in `store::conformance`.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
#![expect(clippy::expect_used, reason = "a test may stop at the first surprise")]
#![expect(clippy::indexing_slicing, reason = "a test may stop at the first surprise")]
#![expect(clippy::missing_panics_doc, reason = "a test that fails panics")]
#![expect(missing_docs, reason = "the name of a test is the sentence that must hold")]

mod bench;
mod delivering;
mod editing;
mod taking;
mod together;
mod waiting;

pub use self::bench::{
    Desk, bounced, deferred, delivered_outcome, envelope, mailbox, own_message, read, reason,
    start, submitter,
};
pub use self::delivering::*;
pub use self::editing::*;
pub use self::taking::*;
pub use self::together::*;
pub use self::waiting::*;

/// Makes a test of each sentence, for stores whose [`Home`](store::conformance::Home) `$home` makes:
/// an async function.
#[macro_export]
macro_rules! conformance_tests {
    ($home:path) => {
        $crate::conformance_tests! { $home:
            a_committed_message_is_leased_with_its_envelope_and_its_bytes,
            the_reply_to_the_data_names_the_queue_id,
            an_envelope_without_recipients_is_refused,
            bodies_of_every_size_are_read_back_as_they_came,
            a_bounce_has_the_null_reverse_path_and_a_report_its_purpose,
            a_closed_queue_takes_nothing,
            ids_grow_over_restarts_and_kills_with_a_clock_that_goes_back,
            a_deferred_entry_is_due_again_later_and_keeps_what_is_known,
            attempts_grow_and_waits_with_them,
            waits_grow_by_the_settings_that_are_given,
            a_message_expires_at_the_end_of_its_lifetime,
            a_changed_lifetime_counts_for_both_ends,
            a_dropped_lease_returns_after_a_rest,
            a_settled_message_is_gone_after_a_crash_too,
            a_dead_domain_with_many_messages_delays_nobody,
            thousands_of_domains_are_served_while_one_is_dead_and_mail_that_comes_late_is_next,
            a_bounce_is_in_the_queue_when_its_message_has_left_it,
            a_big_bounce_is_in_the_queue_too,
            there_is_one_outcome_for_each_recipient,
            a_settlement_that_is_refused_gives_back_every_lease_of_it,
            work_is_announced_when_a_message_comes_and_when_its_time_comes,
            a_settlement_goes_on_when_nobody_waits_for_it,
            what_is_leased_while_many_are_moved_to_now_knows_that_an_operator_wished_it,
            who_was_told_of_a_delay_is_known_after_a_restart,
            a_delay_that_is_told_in_a_dropped_lease_is_not_told,
            a_full_entry_has_room_for_every_recipient_that_was_told,
            a_message_that_was_deleted_is_gone_from_memory_too,
            no_attempt_is_later_than_the_longest_wait_whatever_the_clock_was,
            entries_of_a_message_are_settled_together_with_one_bounce_or_not_at_all,
            who_has_the_message_does_not_get_it_again_while_the_lease_goes_on_for_others,
            a_lease_whose_attempt_has_ended_keeps_no_other_of_its_destination_waiting,
            a_held_message_is_not_leased_until_it_is_released,
            what_staging_holds_is_told_from_what_an_operator_holds,
            what_staging_holds_is_on_hold_once_an_operator_says_so,
            a_deleted_message_is_gone_and_its_bounce_is_there,
            messages_are_retried_by_id_by_destination_or_all,
            each_message_that_waits_for_a_destination_is_tried_once_more_and_counted_once,
            a_retry_by_hand_puts_off_no_attempt_that_was_planned,
            a_retry_while_the_attempt_is_under_way_calls_for_no_other,
            a_long_line_is_retried_to_its_end,
            the_list_is_filtered_and_goes_on_where_it_was,
            the_list_is_narrowed_by_what_recipients_wait_for_and_shows_that_reason,
            of_messages_that_are_retried_only_the_entries_that_are_meant_are_moved,
            a_message_is_shown_with_what_is_known_of_each_recipient,
            stats_show_depth_and_oldest_age_of_each_destination,
            stats_say_of_each_destination_what_most_of_its_mail_waits_for,
            what_recipients_wait_for_is_counted_until_they_do_not,
        }
    };
    ($home:path: $($sentence:ident,)+) => {
        $(
            #[tokio::test]
            async fn $sentence() {
                $crate::conformance::$sentence($home().await).await;
            }
        )+
    };
}
