//! The durable queue: spool segments that hold the mail, and a sled index that finds it.
