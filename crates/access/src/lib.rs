//! Who may submit mail: hosts of listed networks, and users who prove a password.
//!
//! Both yield a [`Submitter`], which the queue asks for before it takes a client's message.

mod networks;
mod submitter;
mod users;

pub use self::networks::{Admission, Networks, NetworksError};
pub use self::submitter::Submitter;
pub use self::users::{
    AllowedSenders, Authenticated, HashError, UserProblem, Users, UsersError, hash_password,
};
