//! The end-to-end tests: one binary, so that everything is linked once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may stop at the first surprise"
)]

mod aliases;
mod architecture;
mod check;
mod check_dane;
mod cli;
mod counted;
mod dane;
mod dane_commands;
mod database;
mod demo;
mod dkim_commands;
mod durability;
mod enforce;
mod exceptions;
mod exceptions_ending;
mod exceptions_narrow;
mod failover;
mod fuzz_corpus;
mod history_commands;
mod hostile;
mod identity;
mod internationalised;
mod large;
mod ledger_commands;
mod left_reports;
mod log_lines;
mod metrics;
mod model;
mod notices;
mod notifications;
mod outages;
mod over_time;
mod pace;
mod page_client;
mod page_login;
mod pages;
mod policy_commands;
mod process;
mod process_in_world;
mod queue_commands;
mod reload;
mod requiretls;
mod returned;
mod reuse;
mod rewriting;
mod routes;
mod running;
mod sendmail;
mod service;
mod settings;
mod shared_commands;
mod shared_store;
mod signing;
mod soak;
mod staging;
mod surroundings;
mod tidy;
mod tls_commands;
mod tls_counting;
mod tls_counting_dane;
mod tls_kept;
mod tls_reports;
mod tls_reports_killed;
mod tls_required;
mod tls_uncounted;
mod world;
