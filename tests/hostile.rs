//! What attackers do, end to end: hostile domains, hosts, clients and clocks against a whole relay.
//!
//! Each module holds one kind of attack. A test's name is the sentence that must hold, whatever the
//! other side sends: other people's mail still leaves, no mail is lost, and no promise is broken.

mod bounces;
mod certificates;
mod clients;
mod clocks;
mod costs;
mod fitting;
mod hosts;
mod names;
mod ourselves;
mod policies;
mod replies;
mod stalls;
