//! Who may submit mail: hosts of listed networks, and users who prove a password; from which addresses,
//! and to which.
//!
//! Both yield a [`Submitter`], which the queue asks for before it takes a client's message.

mod networks;
mod passwords;
mod recipients;
mod senders;
mod submitter;
mod users;

pub use self::networks::{Admission, Host, Networks, NetworksError};
pub use self::passwords::{HashError, PasswordScheme, hash_password};
pub use self::recipients::AllowedRecipients;
pub use self::senders::{AllowedSenders, SenderError};
pub use self::submitter::Submitter;
pub use self::users::{Authenticated, UserProblem, Users, UsersError};
