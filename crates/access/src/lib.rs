//! Who may submit mail: hosts of listed networks, users who prove a password, and users of this machine,
//! whom the kernel names; from which addresses, and to which.
//!
//! All yield a [`Submitter`], which the queue asks for before it takes a client's message.

mod local_user;
mod networks;
mod operators;
mod passwords;
mod peer;
mod recipients;
mod role;
mod senders;
mod submitter;
mod system_file;
mod system_group;
mod system_user;
mod users;

pub use self::local_user::LocalUser;
pub use self::networks::{Admission, Host, Networks, NetworksError};
pub use self::operators::{OperatorProblem, Operators, OperatorsError};
pub use self::passwords::{HashError, PasswordScheme, hash_password};
pub use self::peer::Peer;
pub use self::recipients::AllowedRecipients;
pub use self::role::{Role, RoleError};
pub use self::senders::{AllowedSenders, SenderError};
pub use self::submitter::Submitter;
pub use self::system_group::SystemGroup;
pub use self::system_user::SystemUser;
pub use self::users::{Authenticated, UserProblem, Users, UsersError};
