//! What is asked of the admin interface and what it answers: types alone.

pub mod answers;
pub mod change;
pub mod check_name;
pub mod exceptions;
pub mod limit_stats;
pub mod notice_answers;
pub mod policy_answers;
pub mod query;
pub mod refusal;
pub mod report_answers;
pub mod state_word;
pub mod ui;
