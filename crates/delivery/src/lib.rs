//! Outbound SMTP: from a lease to an outcome per recipient.
