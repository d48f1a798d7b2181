//! The program `sts-relay`.

fn main() {}
