//! SMTP MTA Strict Transport Security (RFC 8461) for a sending mail server.
