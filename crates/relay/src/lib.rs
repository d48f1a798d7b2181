//! A standalone SMTP relay with enforced outbound MTA-STS.
