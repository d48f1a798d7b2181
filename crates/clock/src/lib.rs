//! The time, as a value that is passed in.
//!
//! Rules take `now` as an argument; loops ask a [`Clock`]. Nothing else in the workspace reads the
//! system's time, so that a test decides what time it is. Timers are not here: they are tokio's.
//!
//! A machine has two clocks. The wall clock says which day it is and can be set to any other; the
//! boot clock cannot be set and starts again with the machine. A [`SteadyClock`] makes one time of
//! both that no leap of the wall clock moves.

mod millis;
mod reading;
mod set;
mod steady;
mod system;
mod timestamp;

pub use self::millis::{millis, time};
pub use self::reading::{Boot, Clock, Doubt};
pub use self::set::SetClock;
pub use self::steady::{Seen, SteadyClock};
pub use self::system::SystemClock;
pub use self::timestamp::{Timestamp, TimestampError};
