//! Inbound SMTP: from bytes to a committed message.
