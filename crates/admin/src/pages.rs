//! The operators' pages: HTML that this relay writes, complete without a script.
//!
//! ```text
//! request -> table: which page, and who may ask for it -> gate: who asks, from where -> page
//! ```
//!
//! Nothing is asked of anybody else's server; a page is text, one style sheet and one script, and the
//! browser is told to load nothing more (`answer`). Every value of a template is escaped, and what would
//! not be seen is shown (`markup`). GET changes nothing; a change is a form that holds a token of its
//! login and comes from a page of ours (`gate`). `docs/decisions/0041-page.md` says why it is made
//! like this.

mod activity;
mod allowance;
mod answer;
mod assets;
mod attempt;
mod chart;
mod choice;
mod domain;
mod domains;
mod exceptions;
mod failed_logins;
mod find;
mod form;
mod frame;
mod gate;
mod ledger;
mod login;
pub mod logins;
mod markup;
mod moment;
pub mod names;
mod needs;
mod parts;
mod queue;
mod queue_changes;
mod queue_filter;
mod queued;
mod records;
mod secret;
pub mod site;
mod standing;
mod status;
pub mod table;
