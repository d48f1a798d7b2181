//! Notices: operators are told when a person is needed, and when that is over.
//!
//! ```text
//! Condition --Notifier::see--> Board: which notices are firing, and who is to be told what
//!                                 │ kept in the store before anything is sent
//!                                 └──> a destination: webhook, chat (Slack's form), mail
//! ```
//!
//! What is seen of the relay comes in as a [`Condition`]; nothing here looks at the relay. The rules (grace,
//! reminders, groups, what survives a restart) are the board's, a table without I/O.
//!
//! Deliberately absent: where conditions come from, which is the program's to wire; and any notice about a
//! notice that could not be sent, which is only logged and shown ([`DestinationStatus`]).

mod board;
mod condition;
mod destination;
mod event;
mod kept;
mod mail_message;
mod notice;
mod notifier;
mod post;
mod post_error;
mod rendering;
mod sending;
mod severity;
mod signature;
mod url;
mod visible;

pub use crate::condition::{Condition, TimeLeft};
pub use crate::destination::{Channel, Destination, EventPattern};
pub use crate::event::Event;
pub use crate::notifier::{DestinationStatus, Notifier, NotifierParts, Tested};
pub use crate::sending::NotifierTuning;
pub use crate::severity::Severity;
pub use crate::signature::{Secret, SecretError};
pub use crate::url::{Scheme, Url, UrlError};
